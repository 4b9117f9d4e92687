;;! dir / ro
;;! file /f text
;;! link /link f
;;! after /f text
;; A read-only directory is read-only whatever the call.
(func (export "_start")
  (local $fd i32)
  (local.set $fd (call $open (i32.const 3) @"link" (i32.const 0) (global.get $READ)))
  (call $reads (local.get $fd) @"text")
  (call $no_open (i32.const 3) @"f" (i32.const 0) (global.get $WRITE) (global.get $ROFS))
  (call $no_open (i32.const 3) @"f" (i32.const 0) (i64.const 256) (global.get $ROFS)) ;; fd_allocate
  (call $no_open (i32.const 3) @"f" (i32.const 8) (global.get $READ) (global.get $ROFS))
  (call $no_open (i32.const 3) @"new" (i32.const 1) (global.get $READ) (global.get $ROFS))
  (call $is (call $path_create_directory (i32.const 3) @"d") (global.get $ROFS))
  (call $is (call $path_remove_directory (i32.const 3) @"d") (global.get $ROFS))
  (call $is (call $path_unlink_file (i32.const 3) @"f") (global.get $ROFS))
  (call $is (call $path_symlink @"f" (i32.const 3) @"s") (global.get $ROFS))
  (call $is (call $path_rename (i32.const 3) @"f" (i32.const 3) @"g") (global.get $ROFS))
  (call $is (call $path_link (i32.const 3) (i32.const 0) @"f" (i32.const 3) @"g") (global.get $ROFS))
  (call $is (call $path_filestat_set_times (i32.const 3) (i32.const 0) @"f" (i64.const 0) (i64.const 0) (i32.const 5)) (global.get $ROFS))
  (call $is (call $fd_filestat_set_times (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 5)) (global.get $ROFS))
  (call $is (call $fd_filestat_set_times (i32.const 3) (i64.const 0) (i64.const 0) (i32.const 5)) (global.get $ROFS))
  (call $is (call $fd_filestat_set_size (local.get $fd) (i64.const 0)) (global.get $NOTCAPABLE))
  (call $is (call $fd_allocate (local.get $fd) (i64.const 0) (i64.const 9)) (global.get $NOTCAPABLE))
  ;; What is opened inherits.
  (local.set $fd (call $open (i32.const 3) @"." (i32.const 2) (global.get $READ)))
  (call $is (call $path_unlink_file (local.get $fd) @"f") (global.get $ROFS)))
