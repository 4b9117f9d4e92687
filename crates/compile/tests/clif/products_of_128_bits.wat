;; A function that multiplies 128-bit integers is recognised by what it computes, in either of the ways in which compilers
;; write it: its call becomes a product that is wider than its operands. Of high halves that are zero nothing is left.
(module
  (memory (export "memory") 1)
  (func $__multi3 (param i32 i64 i64 i64 i64) (local i64)
    local.get 0
    local.get 4 local.get 1 i64.mul local.get 2 local.get 3 i64.mul i64.add
    local.get 3 i64.const 32 i64.shr_u local.tee 2
    local.get 1 i64.const 32 i64.shr_u local.tee 4 i64.mul i64.add
    local.get 3 i64.const 0xffffffff i64.and local.tee 3
    local.get 1 i64.const 0xffffffff i64.and local.tee 1 i64.mul local.tee 5
    i64.const 32 i64.shr_u local.get 3 local.get 4 i64.mul i64.add local.tee 3
    i64.const 32 i64.shr_u i64.add
    local.get 3 i64.const 0xffffffff i64.and local.get 2 local.get 1 i64.mul i64.add local.tee 1
    i64.const 32 i64.shr_u i64.add
    i64.store offset=8
    local.get 0
    local.get 1 i64.const 32 i64.shl local.get 5 i64.const 0xffffffff i64.and i64.or
    i64.store)
  (func $another (param i32 i64 i64 i64 i64) (local i64 i64 i64 i64 i64 i64)
    local.get 0
    local.get 3 i64.const 0xffffffff i64.and local.tee 5
    local.get 1 i64.const 0xffffffff i64.and local.tee 6 i64.mul local.tee 7
    local.get 3 i64.const 32 i64.shr_u local.tee 8 local.get 6 i64.mul local.tee 6
    local.get 5 local.get 1 i64.const 32 i64.shr_u local.tee 9 i64.mul i64.add local.tee 5
    i64.const 32 i64.shl i64.add local.tee 10
    i64.store
    local.get 0
    local.get 8 local.get 9 i64.mul
    local.get 5 local.get 6 i64.lt_u i64.extend_i32_u i64.const 32 i64.shl local.get 5 i64.const 32 i64.shr_u i64.or i64.add
    local.get 10 local.get 7 i64.lt_u i64.extend_i32_u i64.add
    local.get 4 local.get 1 i64.mul local.get 3 local.get 2 i64.mul i64.add i64.add
    i64.store offset=8)
  (func (export "first") (param i32 i64 i64 i64 i64)
    (call $__multi3 (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "second") (param i32 i64 i64 i64 i64)
    (call $another (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "low_halves") (param i32 i64 i64)
    (call $another (local.get 0) (local.get 1) (i64.const 0) (local.get 2) (i64.const 0))))
