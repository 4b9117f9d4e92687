;;! dir /
;;! file /f text
;; Rights: what a descriptor has, giving them up for good, and what is opened through it.
(func (export "_start")
  (local $fd i32)
  (call $ok (call $fd_fdstat_get (i32.const 3) (i32.const 4096)))
  (call $is (i32.load8_u (i32.const 4096)) (i32.const 3))
  (call $is64 (i64.and (i64.load (i32.const 4104)) (global.get $READ_WRITE)) (i64.const 0))
  (call $is64 (i64.and (i64.load (i32.const 4112)) (global.get $READ_WRITE)) (global.get $READ_WRITE))
  (local.set $fd (call $open (i32.const 3) @"f" (i32.const 0) (global.get $READ_WRITE)))
  (call $ok (call $fd_fdstat_set_rights (local.get $fd) (i64.const 6) (i64.const 0))) ;; fd_read, fd_seek
  (call $buffer (i32.const 0x20000) (i32.const 1))
  (call $is (call $fd_write (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 0)) (global.get $BADF))
  (call $is (call $fd_sync (local.get $fd)) (global.get $NOTCAPABLE))
  (call $is (call $fd_filestat_get (local.get $fd) (i32.const 4096)) (global.get $NOTCAPABLE))
  (call $is (call $fd_fdstat_set_rights (local.get $fd) (global.get $READ_WRITE) (i64.const 0)) (global.get $NOTCAPABLE))
  (call $ok (call $fd_fdstat_set_rights (i32.const 3) (i64.const 0x2000) (i64.const 2))) ;; path_open; fd_read
  (call $is (call $path_unlink_file (i32.const 3) @"f") (global.get $NOTCAPABLE))
  (call $no_open (i32.const 3) @"new" (i32.const 1) (global.get $WRITE) (global.get $NOTCAPABLE))
  (local.set $fd (call $open (i32.const 3) @"f" (i32.const 0) (global.get $READ_WRITE)))
  (call $is (call $fd_write (local.get $fd) (i32.const 64) (i32.const 1) (i32.const 0)) (global.get $BADF))
  (call $reads (local.get $fd) @"text"))
