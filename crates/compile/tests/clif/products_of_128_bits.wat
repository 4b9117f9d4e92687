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

;; CLIF:
;; ; __multi3
;; function u0:0(i64 vmctx, i32, i64, i64, i64, i64) tail {
;;
;;                                 block0(v0: i64, v1: i32, v2: i64, v3: i64, v4: i64, v5: i64):
;;                                     v6 = iconst.i64 0
;;                                     v7 = imul v5, v2
;;                                     v8 = imul v3, v4
;;                                     v9 = iadd v7, v8
;;                                     v10 = iconst.i64 32
;;                                     v11 = ushr v4, v10  ; v10 = 32
;;                                     v12 = iconst.i64 32
;;                                     v13 = ushr v2, v12  ; v12 = 32
;;                                     v14 = imul v11, v13
;;                                     v15 = iadd v9, v14
;;                                     v16 = iconst.i64 0xffff_ffff
;;                                     v17 = band v4, v16  ; v16 = 0xffff_ffff
;;                                     v18 = iconst.i64 0xffff_ffff
;;                                     v19 = band v2, v18  ; v18 = 0xffff_ffff
;;                                     v20 = imul v17, v19
;;                                     v21 = iconst.i64 32
;;                                     v22 = ushr v20, v21  ; v21 = 32
;;                                     v23 = imul v17, v13
;;                                     v24 = iadd v22, v23
;;                                     v25 = iconst.i64 32
;;                                     v26 = ushr v24, v25  ; v25 = 32
;;                                     v27 = iadd v15, v26
;;                                     v28 = iconst.i64 0xffff_ffff
;;                                     v29 = band v24, v28  ; v28 = 0xffff_ffff
;;                                     v30 = imul v11, v19
;;                                     v31 = iadd v29, v30
;;                                     v32 = iconst.i64 32
;;                                     v33 = ushr v31, v32  ; v32 = 32
;;                                     v34 = iadd v27, v33
;; @00b2                               v35 = uextend.i64 v1
;; @00b2                               v36 = load.i64 notrap aligned readonly can_move v0+48
;; @00b2                               v37 = iadd v36, v35
;; @00b2                               store user2 little region3 v34, v37+8
;;                                     v38 = iconst.i64 32
;;                                     v39 = ishl v31, v38  ; v38 = 32
;;                                     v40 = iconst.i64 0xffff_ffff
;;                                     v41 = band v20, v40  ; v40 = 0xffff_ffff
;;                                     v42 = bor v39, v41
;; @00c6                               v43 = uextend.i64 v1
;; @00c6                               v44 = load.i64 notrap aligned readonly can_move v0+48
;; @00c6                               v45 = iadd v44, v43
;; @00c6                               store user2 little region3 v42, v45
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; another
;; function u0:1(i64 vmctx, i32, i64, i64, i64, i64) tail {
;;
;;                                 block0(v0: i64, v1: i32, v2: i64, v3: i64, v4: i64, v5: i64):
;;                                     v6 = iconst.i64 0
;;                                     v7 = iconst.i64 0xffff_ffff
;;                                     v8 = band v4, v7  ; v7 = 0xffff_ffff
;;                                     v9 = iconst.i64 0xffff_ffff
;;                                     v10 = band v2, v9  ; v9 = 0xffff_ffff
;;                                     v11 = imul v8, v10
;;                                     v12 = iconst.i64 32
;;                                     v13 = ushr v4, v12  ; v12 = 32
;;                                     v14 = imul v13, v10
;;                                     v15 = iconst.i64 32
;;                                     v16 = ushr v2, v15  ; v15 = 32
;;                                     v17 = imul v8, v16
;;                                     v18 = iadd v14, v17
;;                                     v19 = iconst.i64 32
;;                                     v20 = ishl v18, v19  ; v19 = 32
;;                                     v21 = iadd v11, v20
;; @0108                               v22 = uextend.i64 v1
;; @0108                               v23 = load.i64 notrap aligned readonly can_move v0+48
;; @0108                               v24 = iadd v23, v22
;; @0108                               store user2 little region3 v21, v24
;;                                     v25 = imul v13, v16
;;                                     v26 = icmp ult v18, v14
;;                                     v27 = uextend.i32 v26
;;                                     v28 = uextend.i64 v27
;;                                     v29 = iconst.i64 32
;;                                     v30 = ishl v28, v29  ; v29 = 32
;;                                     v31 = iconst.i64 32
;;                                     v32 = ushr v18, v31  ; v31 = 32
;;                                     v33 = bor v30, v32
;;                                     v34 = iadd v25, v33
;;                                     v35 = icmp ult v21, v11
;;                                     v36 = uextend.i32 v35
;;                                     v37 = uextend.i64 v36
;;                                     v38 = iadd v34, v37
;;                                     v39 = imul v5, v2
;;                                     v40 = imul v4, v3
;;                                     v41 = iadd v39, v40
;;                                     v42 = iadd v38, v41
;; @0135                               v43 = uextend.i64 v1
;; @0135                               v44 = load.i64 notrap aligned readonly can_move v0+48
;; @0135                               v45 = iadd v44, v43
;; @0135                               store user2 little region3 v42, v45+8
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; 
;; function u0:2(i64 vmctx, i64, i32, i64, i64, i64, i64) tail {
;;
;;                                 block0(v0: i64, v1: i64, v2: i32, v3: i64, v4: i64, v5: i64, v6: i64):
;;                                     v7 = uextend.i128 v3
;;                                     v8 = uextend.i128 v5
;;                                     v9 = imul v7, v8
;;                                     v10, v11 = isplit v9
;;                                     v12 = imul v4, v5
;;                                     v13 = iadd v11, v12
;;                                     v14 = imul v6, v3
;;                                     v15 = iadd v13, v14
;; @80000000                           v16 = uextend.i64 v2
;; @80000000                           v17 = load.i64 notrap aligned readonly can_move v0+48
;; @80000000                           v18 = iadd v17, v16
;; @80000000                           store user2 little region3 v15, v18+8
;; @80000001                           v19 = uextend.i64 v2
;; @80000001                           v20 = load.i64 notrap aligned readonly can_move v0+48
;; @80000001                           v21 = iadd v20, v19
;; @80000001                           store user2 little region3 v10, v21
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; 
;; function u0:3(i64 vmctx, i64, i32, i64, i64, i64, i64) tail {
;;
;;                                 block0(v0: i64, v1: i64, v2: i32, v3: i64, v4: i64, v5: i64, v6: i64):
;;                                     v7 = uextend.i128 v3
;;                                     v8 = uextend.i128 v5
;;                                     v9 = imul v7, v8
;;                                     v10, v11 = isplit v9
;;                                     v12 = imul v4, v5
;;                                     v13 = iadd v11, v12
;;                                     v14 = imul v6, v3
;;                                     v15 = iadd v13, v14
;; @80000000                           v16 = uextend.i64 v2
;; @80000000                           v17 = load.i64 notrap aligned readonly can_move v0+48
;; @80000000                           v18 = iadd v17, v16
;; @80000000                           store user2 little region3 v10, v18
;; @80000001                           v19 = uextend.i64 v2
;; @80000001                           v20 = load.i64 notrap aligned readonly can_move v0+48
;; @80000001                           v21 = iadd v20, v19
;; @80000001                           store user2 little region3 v15, v21+8
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; 
;; function u0:4(i64 vmctx, i64, i32, i64, i64) tail {
;;
;;                                 block0(v0: i64, v1: i64, v2: i32, v3: i64, v4: i64):
;;                                     v5 = iconst.i64 0
;;                                     v6 = iconst.i64 0
;;                                     v7 = uextend.i128 v3
;;                                     v8 = uextend.i128 v4
;;                                     v9 = imul v7, v8
;;                                     v10, v11 = isplit v9
;; @80000000                           v12 = uextend.i64 v2
;; @80000000                           v13 = load.i64 notrap aligned readonly can_move v0+48
;; @80000000                           v14 = iadd v13, v12
;; @80000000                           store user2 little region3 v10, v14
;; @80000001                           v15 = uextend.i64 v2
;; @80000001                           v16 = load.i64 notrap aligned readonly can_move v0+48
;; @80000001                           v17 = iadd v16, v15
;; @80000001                           store user2 little region3 v11, v17+8
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
