;; OPTIONS: consume_fuel
;; A function that ends in a call of itself is a loop, which looks at its meters at each round, and whose locals are zero again.
(module
  (func $sum (export "sum") (param $n i64) (param $sum i64) (result i64) (local $seen i64)
    (if (result i64) (i64.eqz (local.get $n))
      (then (i64.add (local.get $sum) (local.get $seen)))
      (else
        (local.set $seen (local.get $n))
        (return_call $sum (i64.sub (local.get $n) (i64.const 1)) (i64.add (local.get $n) (local.get $sum)))))))

;; CLIF:
;; ; sum
;; function u0:0(i64 vmctx, i64, i64, i64) -> i64 tail {
;;     sig0 = (i64 vmctx) preserve_all
;;     fn0 = colocated u1:14 sig0
;;
;;                                 block0(v0: i64, v1: i64, v2: i64, v3: i64):
;;                                     jump block2(v2, v3)
;;
;;                                 block2(v12: i64, v18: i64):
;;                                     v11 -> v12
;;                                     v17 -> v18
;;                                     v5 = get_pinned_reg.i64 
;;                                     v6 = iconst.i64 0
;;                                     v7 = icmp slt v5, v6  ; v6 = 0
;;                                     brif v7, block3, block4(v5)
;;
;;                                 block3 cold:
;; @0022                               call fn0(v0)
;; @0022                               v9 = get_pinned_reg.i64 
;; @0022                               jump block4(v9)
;;
;;                                 block4(v8: i64):
;;                                     v10 = iconst.i64 0
;;                                     v13 = iconst.i64 0
;;                                     v14 = icmp.i64 eq v12, v13  ; v13 = 0
;;                                     v15 = uextend.i32 v14
;;                                     brif v15, block5, block6
;;
;;                                 block5:
;;                                     v19 = iadd.i64 v18, v10  ; v10 = 0
;;                                     jump block7(v19)
;;
;;                                 block6:
;;                                     v20 = iconst.i64 1
;;                                     v21 = isub.i64 v11, v20  ; v20 = 1
;;                                     v22 = iadd.i64 v11, v17
;;                                     v23 = get_pinned_reg.i64 
;;                                     v24 = iconst.i64 -12
;;                                     v25 = iadd v23, v24  ; v24 = -12
;;                                     set_pinned_reg v25
;;                                     jump block2(v21, v22)
;;
;;                                 block7(v16: i64):
;;                                     v26 = get_pinned_reg.i64 
;;                                     v27 = iconst.i64 -6
;;                                     v28 = iadd v26, v27  ; v27 = -6
;;                                     set_pinned_reg v28
;;                                     jump block1(v16)
;;
;;                                 block1(v4: i64):
;;                                     return v4
;; }
