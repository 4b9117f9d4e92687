;; Recursion without end is a trap, also when every other frame is the host's, and the store works afterwards.
;;! run: deep
;;!   trap: StackOverflow
;;!     at 0x49 in deep
;;!     at 0x4a in deep, 19 times
;;! run: callee
;;!   trap: StackOverflow
;;!     at 0x4e in callee
;;!     at 0x4f in callee, 19 times
;;! run: wide 1
;;!   trap: StackOverflow
;;!     at 0x53 in wide
;;!     at 0x59 in wide, 19 times
(module
  (import "host" "reenter" (func $reenter))
  (func $deep (export "deep") (call $deep))
  (func $callee (export "callee") (call $reenter))
  (func $wide (export "wide") (param i64) (result i64)
    (i64.add (call $wide (i64.add (local.get 0) (i64.const 1))) (local.get 0))))
