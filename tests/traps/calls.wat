;; A backtrace names every function between the trap and the host: names from the name section, else the index.
;;! run: outer
;;!   trap: UnreachableCodeReached
;;!     at 0x6b in function 3
;;!     at 0x66 in middle
;;!     at 0x61 in outer
;;! run: null
;;!   trap: IndirectCallToNull
;;!     at 0x71 in null
;;! run: past
;;!   trap: TableOutOfBounds
;;!     at 0x79 in past
;;! run: mismatch
;;!   trap: BadSignature
;;!     at 0x81 in mismatch
;;! run: fine
;;!   returns: I32(7)
(module
  (type $none (func))
  (type $number (func (result i32)))
  (table 3 funcref)
  (elem (i32.const 0) $seven)
  (func $seven (type $number) (i32.const 7))
  (func $outer (export "outer") (call $middle))
  (func $middle (call 3))
  (func unreachable)
  (func $null (export "null") (call_indirect (type $none) (i32.const 1)))
  (func $past (export "past") (call_indirect (type $none) (i32.const 3)))
  (func $mismatch (export "mismatch") (call_indirect (type $none) (i32.const 0)))
  (func $fine (export "fine") (result i32) (call_indirect (type $number) (i32.const 0))))
