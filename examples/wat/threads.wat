;; A sum over four threads (wasi-threads): hotfoot run -S threads examples/wat/threads.wat
;; Each thread adds up the squares of a quarter of the numbers below ten million, modulo 2^64.
(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (export "memory" (memory 0))

  ;; 0: the sum; 8: how many threads have finished.
  (func (export "wasi_thread_start") (param $id i32) (param $quarter i32) (local $n i64) (local $end i64) (local $sum i64)
    (local.set $n (i64.mul (i64.extend_i32_u (local.get $quarter)) (i64.const 2500000)))
    (local.set $end (i64.add (local.get $n) (i64.const 2500000)))
    (loop $next
      (local.set $sum (i64.add (local.get $sum) (i64.mul (local.get $n) (local.get $n))))
      (local.set $n (i64.add (local.get $n) (i64.const 1)))
      (br_if $next (i64.lt_u (local.get $n) (local.get $end))))
    (drop (i64.atomic.rmw.add (i32.const 0) (local.get $sum)))
    (drop (i32.atomic.rmw.add (i32.const 8) (i32.const 1)))
    (drop (memory.atomic.notify (i32.const 8) (i32.const 1))))

  ;; Writes a number and a new line, digits from the end at 64 on.
  (func $print (param $number i64) (local $at i32)
    (local.set $at (i32.const 63))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i64.store8 (local.get $at) (i64.add (i64.const 48) (i64.rem_u (local.get $number) (i64.const 10))))
      (br_if $digit (i64.ne (i64.const 0) (local.tee $number (i64.div_u (local.get $number) (i64.const 10))))))
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (i32.sub (i32.const 64) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))

  (func (export "_start") (local $quarter i32) (local $done i32)
    (loop $start
      (if (i32.lt_s (call $spawn (local.get $quarter)) (i32.const 0)) (then (unreachable)))
      (local.set $quarter (i32.add (local.get $quarter) (i32.const 1)))
      (br_if $start (i32.lt_u (local.get $quarter) (i32.const 4))))
    (loop $wait
      (local.set $done (i32.atomic.load (i32.const 8)))
      (if (i32.lt_u (local.get $done) (i32.const 4)) (then
        (drop (memory.atomic.wait32 (i32.const 8) (local.get $done) (i64.const -1)))
        (br $wait))))
    (call $print (i64.atomic.load (i32.const 0)))))
