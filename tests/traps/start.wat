;; A trap in the start function is the outcome of instantiation, and the backtrace begins there.
;;! run: never
;;!   trap: UnreachableCodeReached
;;!     at 0x2c in give_up
;;!     at 0x27 in main
(module
  (start $main)
  (func $main (call $give_up))
  (func $give_up unreachable)
  (func (export "never")))
