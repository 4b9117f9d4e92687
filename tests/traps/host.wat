;; An error of the host's comes back as it was, with the guests that led to it, also through a second activation.
;;! run: direct
;;!   error: the host refuses
;;!     at 0x5b in direct
;;! run: through
;;!   error: the host refuses
;;!     at 0x56 in callee
;;!     at 0x60 in through
(module
  (import "host" "fail" (func $fail))
  (import "host" "reenter" (func $reenter))
  (func $callee (export "callee") (call $fail))
  (func $direct (export "direct") (call $fail))
  (func $through (export "through") (call $reenter)))
