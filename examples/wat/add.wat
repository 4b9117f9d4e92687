;; The smallest thing to invoke: `hotfoot run --invoke add examples/wat/add.wat 2 3` prints 5.
(module
  (func (export "add") (param $left i32) (param $right i32) (result i32)
    local.get $left
    local.get $right
    i32.add))
