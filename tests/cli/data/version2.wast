;; WebAssembly 2.0 has several results and no tail calls.
(module (func (export "pair") (result i32 i32) (i32.const 1) (i32.const 2)))
(assert_return (invoke "pair") (i32.const 1) (i32.const 2))
(assert_invalid (module (func return_call 0)) "tail calls")
