;; Uses math.wat: `hotfoot run --preload math=examples/wat/math.wat --invoke area examples/wat/link.wat 3`.
(module
  (import "math" "square" (func $square (param i32) (result i32)))
  (import "math" "answer" (global $answer i32))
  (func (export "area") (param $side i32) (result i32)
    (i32.add (call $square (local.get $side)) (global.get $answer))))
