;;! dir /first
;;! dir /second
;;! file /first/f text
;; Numbers: preopens and their names, the lowest free one is next, renumbering closes, the limit is 256.
(func (export "_start")
  (local $fd i32) (local $other i32)
  (call $ok (call $fd_prestat_get (i32.const 4) (i32.const 0)))
  (call $is64 (i64.load (i32.const 0)) (i64.const 0x700000000))
  (call $ok (call $fd_prestat_dir_name (i32.const 4) (i32.const 0x20000) (i32.const 7)))
  (call $same (i32.const 0x20000) @"/second")
  (call $is (call $fd_prestat_dir_name (i32.const 4) (i32.const 0x20000) (i32.const 6)) (global.get $NAMETOOLONG))
  (call $is (call $fd_prestat_get (i32.const 5) (i32.const 0)) (global.get $BADF))
  (call $is (call $fd_prestat_get (i32.const 0) (i32.const 0)) (global.get $BADF))
  (local.set $fd (call $open (i32.const 3) @"f" (i32.const 0) (global.get $READ)))
  (call $is (local.get $fd) (i32.const 5))
  (local.set $other (call $open (i32.const 3) @"f" (i32.const 0) (global.get $READ)))
  (call $is (local.get $other) (i32.const 6))
  (call $reads (local.get $other) @"te")
  (call $ok (call $fd_renumber (local.get $other) (local.get $fd)))
  (call $reads (local.get $fd) @"xt")
  (call $is (call $fd_close (local.get $other)) (global.get $BADF))
  (call $is (call $fd_renumber (local.get $fd) (i32.const 77)) (global.get $BADF))
  (call $is (call $fd_renumber (i32.const 77) (local.get $fd)) (global.get $BADF))
  (call $ok (call $fd_renumber (local.get $fd) (local.get $fd)))
  ;; Over a preopen, which is gone then.
  (call $ok (call $fd_renumber (i32.const 3) (i32.const 4)))
  (call $is (call $fd_prestat_get (i32.const 3) (i32.const 0)) (global.get $BADF))
  (call $is (call $open (i32.const 4) @"f" (i32.const 0) (global.get $READ)) (i32.const 3))
  ;; 6 to 255 can still be opened; one more is too many, until one is closed.
  (local.set $other (i32.const 6))
  (loop $next
    (call $is (call $open (i32.const 4) @"f" (i32.const 0) (global.get $READ)) (local.get $other))
    (br_if $next (i32.lt_u (local.tee $other (i32.add (local.get $other) (i32.const 1))) (i32.const 256))))
  (call $no_open (i32.const 4) @"f" (i32.const 0) (global.get $READ) (i32.const 33))
  (call $ok (call $fd_close (i32.const 100)))
  (call $is (call $open (i32.const 4) @"f" (i32.const 0) (global.get $READ)) (i32.const 100)))
