;; How threads end: the argument of the thread says how; the first thread waits for ever, or until the limit.
(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (export "memory" (memory 0))
  (func $forever (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
  (func (export "wasi_thread_start") (param $id i32) (param $what i32)
    (if (i32.eq (local.get $what) (i32.const 1)) (then (call $exit (i32.const 7))))
    (if (i32.eq (local.get $what) (i32.const 2)) (then (unreachable)))
    (call $forever))
  (func (export "exit") (drop (call $spawn (i32.const 1))) (call $forever))
  (func (export "trap") (drop (call $spawn (i32.const 2))) (loop $spin (br $spin)))
  (func (export "return") (drop (call $spawn (i32.const 3))))
  ;; How many threads there can be besides the first.
  (func (export "limit") (result i32) (local $count i32)
    (loop $more
      (if (i32.gt_s (call $spawn (i32.const 3)) (i32.const 0)) (then
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $more))))
    (local.get $count)))
