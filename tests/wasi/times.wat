;;! dir /
;;! file /f text
;;! link /link f
;; File times: set on files, links and directories, to values, to the present, and to the ends of their range.
(func (export "_start")
  (local $fd i32)
  (local.set $fd (call $open (i32.const 3) @"f" (i32.const 0) (global.get $READ)))
  (call $ok (call $fd_filestat_set_times (local.get $fd) (i64.const 1) (i64.const 1000000001) (i32.const 5)))
  (call $stat (local.get $fd))
  (call $is64 (call $accessed) (i64.const 1))
  (call $is64 (call $modified) (i64.const 1000000001))
  ;; Before 1970 nothing can be said; 0 is 1970 itself.
  (call $ok (call $fd_filestat_set_times (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 5)))
  (call $stat (local.get $fd))
  (call $is64 (call $accessed) (i64.const 0))
  (call $is64 (call $modified) (i64.const 0))
  ;; The last instant of 64 bits is in 2554; a file system that ends earlier keeps its own last one.
  (call $ok (call $fd_filestat_set_times (local.get $fd) (i64.const -1) (i64.const -1) (i32.const 5)))
  (call $stat (local.get $fd))
  (call $holds (i64.gt_u (call $modified) (i64.const 0x1d00000000000000)))
  (call $is64 (call $accessed) (call $modified))
  ;; Only what was asked for changes.
  (call $ok (call $path_filestat_set_times (i32.const 3) (i32.const 1) @"link" (i64.const 7) (i64.const 8) (i32.const 1)))
  (call $stat (local.get $fd))
  (call $is64 (call $accessed) (i64.const 7))
  (call $holds (i64.gt_u (call $modified) (i64.const 0x1d00000000000000)))
  (call $ok (call $path_filestat_set_times (i32.const 3) (i32.const 0) @"link" (i64.const 5) (i64.const 6) (i32.const 5)))
  (call $stat (local.get $fd))
  (call $is64 (call $accessed) (i64.const 7))
  (call $stat_path (i32.const 3) @"link")
  (call $is64 (call $modified) (i64.const 6))
  (call $ok (call $fd_filestat_set_times (i32.const 3) (i64.const 0) (i64.const 9) (i32.const 4)))
  (call $stat (i32.const 3))
  (call $is64 (call $modified) (i64.const 9))
  (call $ok (call $fd_filestat_set_times (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 10)))
  (call $stat (local.get $fd))
  (call $holds (i64.gt_u (call $modified) (i64.const 1600000000000000000)))
  ;; A value and the present at once, and unknown flags.
  (call $is (call $fd_filestat_set_times (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 3)) (global.get $INVAL))
  (call $is (call $fd_filestat_set_times (local.get $fd) (i64.const 0) (i64.const 0) (i32.const 16)) (global.get $INVAL))
  (call $is (call $fd_filestat_set_times (i32.const 1) (i64.const 0) (i64.const 0) (i32.const 4)) (global.get $NOTCAPABLE)))
