;; OPTIONS: no_signals
;; In a loop without calls, the last index that may be accessed is computed in 32 bits, which the code generator does
;; before the loop, so that a check is one comparison. Elsewhere a check adds what the access reaches.
(module
  (memory 1)
  (func $loop (param i32) (result i32) (local i32)
    (loop
      (local.set 1 (i32.add (i32.load offset=4 (local.get 0)) (local.get 1)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 8)))))
    (local.get 1))
  (func $once (param i32) (result i32)
    (i32.load offset=4 (local.get 0)))
  (func $byte (param i32) (result i32)
    (i32.load8_u (local.get 0))))

;; CLIF:
;; ; loop
;; function u0:0(i64 vmctx, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i32) tail
;;     fn0 = colocated u1:1 sig0
;;
;;                                 block0(v0: i64, v1: i32):
;;                                     v3 = iconst.i32 0
;;                                     v4 = load.i64 notrap aligned region0 v0+56
;;                                     v5 = load.i64 notrap aligned readonly can_move v0+48
;;                                     jump block2(v1, v3)  ; v3 = 0
;;
;;                                 block2(v6: i32, v17: i32):
;; @0026                               v7 = uextend.i64 v6
;; @0026                               v8 = iconst.i64 8
;; @0026                               v9 = ireduce.i32 v4
;; @0026                               v10 = iconst.i32 8
;; @0026                               v11 = isub v9, v10  ; v10 = 8
;; @0026                               v12 = uextend.i64 v11
;; @0026                               v13 = icmp ugt v7, v12
;; @0026                               brif v13, block3, block4
;;
;;                                 block3 cold:
;; @0026                               v14 = iconst.i32 2
;; @0026                               call fn0(v0, v14)  ; v14 = 2
;; @0026                               trap user2
;;
;;                                 block4:
;; @0026                               v15 = iadd.i64 v5, v7
;; @0026                               v16 = load.i32 notrap little region3 v15+4
;;                                     v18 = iadd v16, v17
;;                                     v19 = iconst.i32 8
;;                                     v20 = isub.i32 v6, v19  ; v19 = 8
;;                                     brif v20, block2(v20, v18), block5
;;
;;                                 block5:
;;                                     jump block1(v18)
;;
;;                                 block1(v2: i32):
;;                                     return v2
;; }
;; ; once
;; function u0:1(i64 vmctx, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i32) tail
;;     fn0 = colocated u1:1 sig0
;;
;;                                 block0(v0: i64, v1: i32):
;; @003f                               v3 = uextend.i64 v1
;; @003f                               v4 = load.i64 notrap aligned region0 v0+56
;; @003f                               v5 = iconst.i64 8
;; @003f                               v6 = iadd v3, v5  ; v5 = 8
;; @003f                               v7 = icmp ugt v6, v4
;; @003f                               brif v7, block2, block3
;;
;;                                 block2 cold:
;; @003f                               v8 = iconst.i32 2
;; @003f                               call fn0(v0, v8)  ; v8 = 2
;; @003f                               trap user2
;;
;;                                 block3:
;; @003f                               v9 = load.i64 notrap aligned readonly can_move v0+48
;; @003f                               v10 = iadd v9, v3
;; @003f                               v11 = load.i32 notrap little region3 v10+4
;;                                     jump block1(v11)
;;
;;                                 block1(v2: i32):
;;                                     return v2
;; }
;; ; byte
;; function u0:2(i64 vmctx, i32) -> i32 tail {
;;     sig0 = (i64 vmctx, i32) tail
;;     fn0 = colocated u1:1 sig0
;;
;;                                 block0(v0: i64, v1: i32):
;; @0047                               v3 = uextend.i64 v1
;; @0047                               v4 = load.i64 notrap aligned region0 v0+56
;; @0047                               v5 = icmp uge v3, v4
;; @0047                               brif v5, block2, block3
;;
;;                                 block2 cold:
;; @0047                               v6 = iconst.i32 2
;; @0047                               call fn0(v0, v6)  ; v6 = 2
;; @0047                               trap user2
;;
;;                                 block3:
;; @0047                               v7 = load.i64 notrap aligned readonly can_move v0+48
;; @0047                               v8 = iadd v7, v3
;; @0047                               v9 = uload8.i32 notrap little region3 v8
;;                                     jump block1(v9)
;;
;;                                 block1(v2: i32):
;;                                     return v2
;; }
