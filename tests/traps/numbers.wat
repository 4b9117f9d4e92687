;; Arithmetic without a result, each kind with its own code; the neighbours that have a result return it.
;;! run: div_s 1 0
;;!   trap: IntegerDivisionByZero
;;!     at 0x68 in div_s
;;! run: div_s -2147483648 -1
;;!   trap: IntegerOverflow
;;!     at 0x68 in div_s
;;! run: div_s -2147483648 1
;;!   returns: I32(-2147483648)
;;! run: rem_u 7 0
;;!   trap: IntegerDivisionByZero
;;!     at 0x70 in rem_u
;;! run: rem_s -2147483648 -1
;;!   returns: I32(0)
;;! run: div64 -9223372036854775808 -1
;;!   trap: IntegerOverflow
;;!     at 0x80 in div64
;;! run: trunc NaN
;;!   trap: BadConversionToInteger
;;!     at 0x86 in trunc
;;! run: trunc 2147483648
;;!   trap: IntegerOverflow
;;!     at 0x86 in trunc
;;! run: trunc 2147483647.9
;;!   returns: I32(2147483647)
;;! run: trunc_u -1
;;!   trap: IntegerOverflow
;;!     at 0x8c in trunc_u
;;! run: trunc_u -0.9
;;!   returns: I64(0)
(module
  (func $div_s (export "div_s") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func $rem_u (export "rem_u") (param i32 i32) (result i32) (i32.rem_u (local.get 0) (local.get 1)))
  (func $rem_s (export "rem_s") (param i32 i32) (result i32) (i32.rem_s (local.get 0) (local.get 1)))
  (func $div64 (export "div64") (param i64 i64) (result i64) (i64.div_s (local.get 0) (local.get 1)))
  (func $trunc (export "trunc") (param f64) (result i32) (i32.trunc_f64_s (local.get 0)))
  (func $trunc_u (export "trunc_u") (param f32) (result i64) (i64.trunc_f32_u (local.get 0))))
