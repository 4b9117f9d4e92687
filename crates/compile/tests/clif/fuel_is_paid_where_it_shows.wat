;; OPTIONS: consume_fuel
;; Fuel is subtracted from its register before calls, at the end of loops and of functions, and where two ways meet that
;; cost different amounts. An access says what is owed in the number of its trap: user26 owes 2, user2 nothing.
(module
  (import "" "" (func $host))
  (memory 1)
  (func $straight (param i32) (result i32)
    (block (br_if 0 (local.get 0)))
    (i32.load (local.get 0)))
  (func $equal_arms (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2))))
  (func $arm (param i32)
    (if (local.get 0) (then (drop (i32.const 0))))
    (call $host))
  (func $loop (param i32)
    (loop (i32.store (local.get 0) (i32.const 0))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))

;; CLIF:
;; ; straight
;; function u0:1(i64 vmctx, i32) -> i32 tail {
;;
;;                                 block0(v0: i64, v1: i32):
;;                                     v3 -> v1
;;                                     brif v1, block2, block3
;;
;;                                 block3:
;;                                     jump block2
;;
;;                                 block2:
;; @0038                               v4 = uextend.i64 v1
;; @0038                               v5 = load.i64 notrap aligned readonly can_move v0+80
;; @0038                               v6 = iadd v5, v4
;; @0038                               v7 = load.i32 user26 little region3 v6
;;                                     v8 = get_pinned_reg.i64 
;;                                     v9 = iconst.i64 -4
;;                                     v10 = iadd v8, v9  ; v9 = -4
;;                                     set_pinned_reg v10
;;                                     jump block1(v7)
;;
;;                                 block1(v2: i32):
;;                                     return v2
;; }
;; ; equal_arms
;; function u0:2(i64 vmctx, i32) -> i32 tail {
;;
;; block0(v0: i64, v1: i32):
;;     brif v1, block2, block3
;;
;; block2:
;;     v4 = iconst.i32 1
;;     jump block4(v4)  ; v4 = 1
;;
;; block3:
;;     v5 = iconst.i32 2
;;     jump block4(v5)  ; v5 = 2
;;
;; block4(v3: i32):
;;     v6 = get_pinned_reg.i64 
;;     v7 = iconst.i64 -3
;;     v8 = iadd v6, v7  ; v7 = -3
;;     set_pinned_reg v8
;;     jump block1(v3)
;;
;; block1(v2: i32):
;;     return v2
;; }
;; ; arm
;; function u0:3(i64 vmctx, i32) tail {
;;     sig0 = (i64 vmctx) preserve_all
;;     sig1 = (i64 vmctx, i64) tail
;;     fn0 = colocated u1:14 sig0
;;
;;                                 block0(v0: i64, v1: i32):
;;                                     v7 -> v1
;;                                     v2 = get_pinned_reg.i64 
;;                                     v3 = iconst.i64 0
;;                                     v4 = icmp slt v2, v3  ; v3 = 0
;;                                     brif v4, block2, block3(v2)
;;
;;                                 block2 cold:
;; @004a                               call fn0(v0)
;; @004a                               v6 = get_pinned_reg.i64 
;; @004a                               jump block3(v6)
;;
;;                                 block3(v5: i64):
;;                                     brif.i32 v1, block4, block5
;;
;;                                 block4:
;;                                     v8 = iconst.i32 0
;;                                     v9 = iconst.i64 -1
;;                                     v10 = iadd.i64 v5, v9  ; v9 = -1
;;                                     set_pinned_reg v10
;;                                     jump block6
;;
;;                                 block5:
;;                                     jump block6
;;
;;                                 block6:
;;                                     v11 = load.i64 notrap aligned readonly can_move v0+48
;;                                     v12 = load.i64 notrap aligned readonly can_move v0+56
;; @0053                               v13 = get_pinned_reg.i64 
;; @0053                               v14 = iconst.i64 -3
;; @0053                               v15 = iadd v13, v14  ; v14 = -3
;; @0053                               set_pinned_reg v15
;; @0053                               call_indirect sig1, v11(v12, v0)
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; loop
;; function u0:4(i64 vmctx, i32) tail {
;;     sig0 = (i64 vmctx) preserve_all
;;     fn0 = colocated u1:14 sig0
;;
;;                                 block0(v0: i64, v1: i32):
;;                                     v2 = get_pinned_reg.i64 
;;                                     jump block2(v2, v1)
;;
;;                                 block2(v3: i64, v9: i32):
;;                                     v8 -> v9
;;                                     v4 = iconst.i64 0
;;                                     v5 = icmp slt v3, v4  ; v4 = 0
;;                                     brif v5, block3, block4(v3)
;;
;;                                 block3 cold:
;; @0058                               call fn0(v0)
;; @0058                               v7 = get_pinned_reg.i64 
;; @0058                               jump block4(v7)
;;
;;                                 block4(v6: i64):
;;                                     v10 = iconst.i32 0
;; @005e                               v11 = uextend.i64 v9
;; @005e                               v12 = load.i64 notrap aligned readonly can_move v0+80
;; @005e                               v13 = iadd v12, v11
;; @005e                               store user2 little region3 v10, v13  ; v10 = 0
;;                                     v14 = iconst.i32 1
;;                                     v15 = isub.i32 v8, v14  ; v14 = 1
;;                                     v16 = iconst.i64 -8
;;                                     v17 = iadd v6, v16  ; v16 = -8
;;                                     set_pinned_reg v17
;;                                     brif v15, block2(v17, v15), block5
;;
;;                                 block5:
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
