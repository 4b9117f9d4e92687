;;! dir /
;;! file /log one
;;! after /log onetwothreefour
;; O_APPEND: every write goes to the end, wherever the offset and whatever the position; until the flag is taken away.
(func (export "_start")
  (local $fd i32)
  (local.set $fd
    (call $try_open (i32.const 3) @"log" (i32.const 0) (global.get $READ_WRITE) (i32.const 1)))
  (call $holds (i32.gt_s (local.get $fd) (i32.const 3)))
  (call $write (local.get $fd) @"two")
  (drop (call $seek (local.get $fd) (i64.const 0) (i32.const 0)))
  (call $write (local.get $fd) @"three")
  (call $buffer @"FOUR")
  (call $ok (call $fd_pwrite (local.get $fd) (i32.const 64) (i32.const 1) (i64.const 0) (i32.const 0)))
  (call $ok (call $fd_fdstat_get (local.get $fd) (i32.const 4096)))
  (call $is (i32.load16_u (i32.const 4098)) (i32.const 1))
  (call $ok (call $fd_fdstat_set_flags (local.get $fd) (i32.const 0)))
  (call $buffer @"four")
  (call $ok (call $fd_pwrite (local.get $fd) (i32.const 64) (i32.const 1) (i64.const 11) (i32.const 0)))
  (call $is (call $fd_fdstat_set_flags (local.get $fd) (i32.const 16)) (global.get $NOTSUP))
  (call $is (call $fd_fdstat_set_flags (local.get $fd) (i32.const 32)) (global.get $INVAL)))
