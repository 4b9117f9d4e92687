;; A type that one function in the tables has: a reference is compared with it, and it is inlined. Any other is called as ever.
(module
  (type $unary (func (param i32) (result i32)))
  (table 4 funcref)
  (elem (i32.const 1) $double)
  (func $double (type $unary) (i32.add (local.get 0) (local.get 0)))
  (func (export "apply") (param i32 i32) (result i32)
    (call_indirect (type $unary) (local.get 0) (local.get 1)))
  (func (export "finish") (param i32 i32) (result i32)
    (return_call_indirect (type $unary) (local.get 0) (local.get 1))))

;; CLIF:
;; ; double
;; function u0:0(i64 vmctx, i64, i32) -> i32 tail {
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     v4 = iadd v2, v2
;;     jump block1(v4)
;;
;; block1(v3: i32):
;;     return v3
;; }
;; ; 
;; function u0:1(i64 vmctx, i64, i32, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i64, i32) -> i32 tail
;;
;;                                 block0(v0: i64, v1: i64, v2: i32, v3: i32):
;; @0050                               v5 = uextend.i64 v3
;; @0050                               v6 = load.i64 notrap aligned region0 v0+56
;; @0050                               v7 = icmp uge v5, v6
;; @0050                               v8 = load.i64 notrap aligned region0 v0+48
;; @0050                               v9 = iconst.i32 3
;; @0050                               v10 = ishl v5, v9  ; v9 = 3
;; @0050                               v11 = iadd v8, v10
;; @0050                               v12 = iconst.i64 0
;; @0050                               v13 = select_spectre_guard v7, v12, v11  ; v12 = 0
;; @0050                               v14 = load.i64 user4 aligned region2 v13
;; @0050                               v16 = iconst.i64 64
;; @0050                               v17 = iadd v0, v16  ; v16 = 64
;; @0050                               v18 = icmp eq v14, v17
;; @0050                               brif v18, block3, block4
;;
;;                                 block3:
;;                                     v20 = iadd.i32 v2, v2
;;                                     jump block5(v20)
;;
;;                                 block5(v19: i32):
;;                                     jump block2(v19)
;;
;;                                 block4:
;; @0050                               v21 = load.i32 user5 aligned readonly v14+24
;; @0050                               v22 = load.i64 notrap aligned readonly can_move v0+24
;; @0050                               v23 = load.i32 notrap aligned readonly can_move v22
;; @0050                               v24 = icmp eq v21, v23
;; @0050                               trapz v24, user6
;; @0050                               v25 = load.i64 notrap aligned readonly v14
;; @0050                               v26 = load.i64 notrap aligned readonly v14+8
;; @0050                               v27 = call_indirect sig0, v25(v26, v0, v2)
;; @0050                               jump block2(v27)
;;
;;                                 block2(v15: i32):
;;                                     jump block1(v15)
;;
;;                                 block1(v4: i32):
;;                                     return v4
;; }
;; ; 
;; function u0:2(i64 vmctx, i64, i32, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i64, i32) -> i32 tail
;;     fn0 = colocated u0:0 sig0
;;
;;                                 block0(v0: i64, v1: i64, v2: i32, v3: i32):
;; @005a                               v5 = uextend.i64 v3
;; @005a                               v6 = load.i64 notrap aligned region0 v0+56
;; @005a                               v7 = icmp uge v5, v6
;; @005a                               v8 = load.i64 notrap aligned region0 v0+48
;; @005a                               v9 = iconst.i32 3
;; @005a                               v10 = ishl v5, v9  ; v9 = 3
;; @005a                               v11 = iadd v8, v10
;; @005a                               v12 = iconst.i64 0
;; @005a                               v13 = select_spectre_guard v7, v12, v11  ; v12 = 0
;; @005a                               v14 = load.i64 user4 aligned region2 v13
;; @005a                               v15 = iconst.i64 64
;; @005a                               v16 = iadd v0, v15  ; v15 = 64
;; @005a                               v17 = icmp eq v14, v16
;; @005a                               brif v17, block2, block3
;;
;;                                 block2:
;; @005a                               return_call fn0(v0, v0, v2)
;;
;;                                 block3:
;; @005a                               v18 = load.i32 user5 aligned readonly v14+24
;; @005a                               v19 = load.i64 notrap aligned readonly can_move v0+24
;; @005a                               v20 = load.i32 notrap aligned readonly can_move v19
;; @005a                               v21 = icmp eq v18, v20
;; @005a                               trapz v21, user6
;; @005a                               v22 = load.i64 notrap aligned readonly v14
;; @005a                               v23 = load.i64 notrap aligned readonly v14+8
;; @005a                               return_call_indirect sig0, v22(v23, v0, v2)
;; }
