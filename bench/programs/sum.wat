;; A sum over threads (wasi-threads): each adds up its quarter of a shared memory, so many times.
(module
  (import "env" "memory" (memory 512 512 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  ;; 0: the sum; 8: how many threads have finished; 12: how many times. The numbers begin at 65536, and are 511 pages.
  (func (export "wasi_thread_start") (param $id i32) (param $quarter i32)
    (local $at i32) (local $end i32) (local $sum i64) (local $times i32)
    (local.set $times (i32.atomic.load (i32.const 12)))
    (loop $again
      (local.set $at (i32.add (i32.const 65536) (i32.mul (local.get $quarter) (i32.const 8372224))))
      (local.set $end (i32.add (local.get $at) (i32.const 8372224)))
      (loop $next
        (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (drop (i64.atomic.rmw.add (i32.const 0) (local.get $sum)))
    (drop (i32.atomic.rmw.add (i32.const 8) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 8) (i32.const 1))))

  (func (export "run") (param $times i32) (result i64)
    (local $quarter i32) (local $done i32) (local $at i32)
    (i64.atomic.store (i32.const 0) (i64.const 0))
    (i32.atomic.store (i32.const 8) (i32.const 0))
    (i32.atomic.store (i32.const 12) (local.get $times))
    (local.set $at (i32.const 65536))
    (loop $fill
      (i64.store (local.get $at) (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const 0x9e3779b97f4a7c15)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 33554432))))
    (loop $start
      (if (i32.lt_s (call $spawn (local.get $quarter)) (i32.const 0)) (then (unreachable)))
      (local.set $quarter (i32.add (local.get $quarter) (i32.const 1)))
      (br_if $start (i32.lt_u (local.get $quarter) (i32.const 4))))
    (loop $wait
      (local.set $done (i32.atomic.load (i32.const 8)))
      (if (i32.lt_u (local.get $done) (i32.const 4)) (then
        (drop (memory.atomic.wait32 (i32.const 8) (local.get $done) (i64.const -1)))
        (br $wait))))
    (i64.atomic.load (i32.const 0))))
