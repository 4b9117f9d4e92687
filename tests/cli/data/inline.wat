;; Small functions that are called where they can be translated in place, and one that only others of the module call.
(module
  (memory 1)
  (func $at (param i32) (result i32) (i32.load (i32.shl (local.get 0) (i32.const 2))))
  (func $pair (export "pair") (param i32) (result i32)
    (i32.add (call $at (local.get 0)) (call $at (i32.add (local.get 0) (i32.const 1))))))
