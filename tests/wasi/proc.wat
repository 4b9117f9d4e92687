;;! host /proc /proc
;; The links of /proc lead anywhere on the host; none is followed.
(func (export "_start")
  (local $fd i32)
  (local.set $fd (call $open (i32.const 3) @"version" (i32.const 0) (global.get $READ)))
  (call $reads (local.get $fd) @"Linux")
  (call $holds (i32.lt_s (call $try_open (i32.const 3) @"self/root/etc/passwd" (i32.const 0) (global.get $READ) (i32.const 0)) (i32.const 0)))
  (call $holds (i32.lt_s (call $try_open (i32.const 3) @"self/cwd" (i32.const 2) (global.get $READ) (i32.const 0)) (i32.const 0)))
  (call $holds (i32.lt_s (call $try_open (i32.const 3) @"self/exe" (i32.const 0) (global.get $READ) (i32.const 0)) (i32.const 0)))
  (call $holds (i32.lt_s (call $try_open (i32.const 3) @"self/fd/0" (i32.const 0) (global.get $READ) (i32.const 0)) (i32.const 0))))
