;; Accepts one connection on descriptor 3 and sends back what it receives. The exit code is the error's number.
(module
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv" (func $sock_recv (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send" (func $sock_send (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\02\00\00\64\00\00\00")
  (func $check (param $error i32) (if (local.get $error) (then (call $proc_exit (local.get $error)))))
  (func (export "_start")
    (call $check (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 100)))
    (call $check
      (call $sock_recv (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 104)))
    (call $check (call $sock_send (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 104)))))
