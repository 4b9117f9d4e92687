;; A trap in a guest that the host called for another guest shows both.
;;! run: through
;;!   trap: UnreachableCodeReached
;;!     at 0x46 in inner
;;!     at 0x41 in callee
;;!     at 0x4a in through
(module
  (import "host" "reenter" (func $reenter))
  (func $callee (export "callee") (call $inner))
  (func $inner unreachable)
  (func $through (export "through") (call $reenter)))
