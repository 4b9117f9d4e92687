;;! dir /
;;! file /f text
;; What wasi_unstable lays out otherwise: filestat, whence, subscriptions.
(func (export "_start")
  (local $fd i32)
  (local.set $fd (call $open (i32.const 3) @"f" (i32.const 0) (global.get $READ)))
  (memory.fill (i32.const 4096) (i32.const -1) (i32.const 128))
  (call $ok (call $fd_filestat_get_0 (local.get $fd) (i32.const 4096)))
  (call $is (i32.load offset=16 (i32.const 4096)) (i32.const 4)) ;; the kind, and zeros after it
  (call $is (i32.load offset=20 (i32.const 4096)) (i32.const 1)) ;; links
  (call $is64 (i64.load offset=24 (i32.const 4096)) (i64.const 4)) ;; size
  (call $holds (i64.gt_u (i64.load offset=48 (i32.const 4096)) (i64.const 1600000000000000000)))
  (call $is64 (i64.load offset=56 (i32.const 4096)) (i64.const -1)) ;; not ours
  (call $ok (call $path_filestat_get_0 (i32.const 3) (i32.const 0) @"f" (i32.const 4224)))
  (call $same (i32.const 4096) (i32.const 4224) (i32.const 32))
  ;; 0 from here, 1 from the end, 2 from the start.
  (call $ok (call $fd_seek_0 (local.get $fd) (i64.const -1) (i32.const 1) (i32.const 8)))
  (call $is64 (i64.load (i32.const 8)) (i64.const 3))
  (call $ok (call $fd_seek_0 (local.get $fd) (i64.const -2) (i32.const 0) (i32.const 8)))
  (call $is64 (i64.load (i32.const 8)) (i64.const 1))
  (call $ok (call $fd_seek_0 (local.get $fd) (i64.const 2) (i32.const 2) (i32.const 8)))
  (call $reads (local.get $fd) @"xt")
  (call $is (call $fd_seek_0 (local.get $fd) (i64.const 0) (i32.const 3) (i32.const 8)) (global.get $INVAL))
  ;; Two clocks, 56 bytes each, the second of which is due; the number before the clock's own is not looked at.
  (i64.store (i32.const 8192) (i64.const 1))
  (i64.store (i32.const 8208) (i64.const -1))
  (i32.store (i32.const 8216) (i32.const 1))
  (i64.store (i32.const 8224) (i64.const 60000000000))
  (i64.store (i32.const 8248) (i64.const 2))
  (i32.store (i32.const 8272) (i32.const 0))
  (i64.store (i32.const 8280) (i64.const 1))
  (i32.store16 (i32.const 8296) (i32.const 1)) ;; an instant of 1970
  (call $ok (call $poll_oneoff_0 (i32.const 8192) (i32.const 12288) (i32.const 2) (i32.const 0)))
  (call $is (i32.load (i32.const 0)) (i32.const 1))
  (call $is64 (i64.load (i32.const 12288)) (i64.const 2)))
