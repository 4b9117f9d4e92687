;;! dir /
;;! name /bad\ff
;;! name /good é
;;! link /strange \ff\fe
;; Names that are not UTF-8 belong to the host: they are not listed, and no path can say them. A link's text is bytes.
(func (export "_start")
  (local $at i32) (local $end i32) (local $count i32)
  (call $ok (call $fd_readdir (i32.const 3) (i32.const 0x20000) (i32.const 4096) (i64.const 0) (i32.const 0)))
  (local.set $at (i32.const 0x20000))
  (local.set $end (i32.add (local.get $at) (i32.load (i32.const 0))))
  (loop $entry
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (local.set $at (i32.add (i32.add (local.get $at) (i32.const 24)) (i32.load offset=16 (local.get $at))))
    (br_if $entry (i32.lt_u (local.get $at) (local.get $end))))
  (call $is (local.get $count) (i32.const 4)) ;; ., .., good é, strange
  (drop (call $open (i32.const 3) @"good é" (i32.const 0) (global.get $READ)))
  (call $no_open (i32.const 3) @"bad\ff" (i32.const 0) (global.get $READ) (global.get $ILSEQ))
  (call $is (call $path_unlink_file (i32.const 3) @"bad\ff") (global.get $ILSEQ))
  (call $ok (call $path_readlink (i32.const 3) @"strange" (i32.const 0x20000) (i32.const 9) (i32.const 0)))
  (call $is (i32.load (i32.const 0)) (i32.const 2))
  (call $same (i32.const 0x20000) @"\ff\fe"))
