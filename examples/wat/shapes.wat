;; One export for each kind of value, to see how `--invoke` reads and prints them.
(module
  (func (export "i32") (param i32) (result i32) (local.get 0))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "v128") (param v128) (result v128) (local.get 0))
  (func (export "divmod") (param $n i32) (param $d i32) (result i32 i32)
    (i32.div_s (local.get $n) (local.get $d))
    (i32.rem_s (local.get $n) (local.get $d)))
  (func (export "nothing")))
