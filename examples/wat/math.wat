;; A library module: other modules import its exports (see link.wat).
(module
  (global (export "answer") i32 (i32.const 42))
  (func (export "square") (param $x i32) (result i32)
    (i32.mul (local.get $x) (local.get $x))))
