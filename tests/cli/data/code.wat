;; Shapes of machine code: a trap, a call, a constant between instructions, a table of jumps, and a handler.
(module
  (import "host" "tell" (func $tell (param i32)))
  (tag $oops (param i32))
  (func $divide (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func $constant (param v128) (result v128)
    (v128.and (local.get 0) (v128.const i32x4 1 2 3 4)))
  (func $choose (export "choose") (param i32) (result i32)
    (block $a (block $b (block $c (block $d (block $e
      (br_table $a $b $c $d $e (local.get 0)))
      (return (i32.const 10))) (return (i32.const 21))) (return (i32.const 32))) (return (i32.const 43)))
    (i32.const 54))
  (func $catch (result i32)
    (block $handler (result i32)
      (try_table (result i32) (catch $oops $handler)
        (call $tell (i32.const 1))
        (call $divide (i32.const 6) (i32.const 2))))))
