;; Small copies and fills are loads and then stores, the one that reaches furthest first. No bounds are compared, because
;; that store, or a load, leaves the memory if anything does.
(module
  (memory 1)
  (func $copy_24 (param i32 i32) (memory.copy (local.get 0) (local.get 1) (i32.const 24)))
  (func $copy_7 (param i32 i32) (memory.copy (local.get 0) (local.get 1) (i32.const 7)))
  (func $fill_33 (param i32 i32) (memory.fill (local.get 0) (local.get 1) (i32.const 33))))

;; CLIF:
;; ; copy_24
;; function u0:0(i64 vmctx, i32, i32) tail {
;;
;;                                 block0(v0: i64, v1: i32, v2: i32):
;;                                     v3 = iconst.i32 24
;; @0026                               v4 = uextend.i64 v2
;; @0026                               v5 = load.i64 notrap aligned readonly can_move v0+48
;; @0026                               v6 = iadd v5, v4
;; @0026                               v7 = uextend.i64 v1
;; @0026                               v8 = load.i64 notrap aligned readonly can_move v0+48
;; @0026                               v9 = iadd v8, v7
;; @0026                               v10 = load.i8x16 user2 little region3 v6
;; @0026                               v11 = load.i8x16 user2 little region3 v6+8
;; @0026                               store user2 little region3 v11, v9+8
;; @0026                               store user2 little region3 v10, v9
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; copy_7
;; function u0:1(i64 vmctx, i32, i32) tail {
;;
;;                                 block0(v0: i64, v1: i32, v2: i32):
;;                                     v3 = iconst.i32 7
;; @0033                               v4 = uextend.i64 v2
;; @0033                               v5 = load.i64 notrap aligned readonly can_move v0+48
;; @0033                               v6 = iadd v5, v4
;; @0033                               v7 = uextend.i64 v1
;; @0033                               v8 = load.i64 notrap aligned readonly can_move v0+48
;; @0033                               v9 = iadd v8, v7
;; @0033                               v10 = load.i32 user2 little region3 v6
;; @0033                               v11 = load.i32 user2 little region3 v6+3
;; @0033                               store user2 little region3 v11, v9+3
;; @0033                               store user2 little region3 v10, v9
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; fill_33
;; function u0:2(i64 vmctx, i32, i32) tail {
;;
;;                                 block0(v0: i64, v1: i32, v2: i32):
;;                                     v3 = iconst.i32 33
;; @0040                               v4 = uextend.i64 v1
;; @0040                               v5 = load.i64 notrap aligned readonly can_move v0+48
;; @0040                               v6 = iadd v5, v4
;; @0040                               v7 = ireduce.i8 v2
;; @0040                               v8 = splat.i8x16 v7
;; @0040                               store user2 little region3 v8, v6+17
;; @0040                               store user2 little region3 v8, v6+16
;; @0040                               store user2 little region3 v8, v6
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
