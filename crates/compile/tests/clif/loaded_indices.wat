;; What is loaded and then used as an index is loaded to 64 bits; its lower half is there for whoever wants it.
(module
  (memory 1)
  (func $third (param i32) (result i32)
    (i32.load offset=8 (i32.load offset=8 (local.get 0))))
  (func $both (param i32) (result i32) (local i32)
    (local.set 1 (i32.load (local.get 0)))
    (i32.store (local.get 1) (i32.load16_u (i32.load8_u (local.get 1))))
    (i32.add (local.get 1) (i32.const 1))))

;; CLIF:
;; ; third
;; function u0:0(i64 vmctx, i32) -> i32 tail {
;;
;;                                 block0(v0: i64, v1: i32):
;; @0021                               v3 = uextend.i64 v1
;; @0021                               v4 = load.i64 notrap aligned readonly can_move v0+48
;; @0021                               v5 = iadd v4, v3
;; @0021                               v7 = uload32 user2 little region3 v5+8
;;                                     v6 = ireduce.i32 v7
;; @0024                               v8 = load.i64 notrap aligned readonly can_move v0+48
;; @0024                               v9 = iadd v8, v7
;; @0024                               v10 = load.i32 user2 little region3 v9+8
;;                                     jump block1(v10)
;;
;;                                 block1(v2: i32):
;;                                     return v2
;; }
;; ; both
;; function u0:1(i64 vmctx, i32) -> i32 tail {
;;
;;                                 block0(v0: i64, v1: i32):
;;                                     v3 = iconst.i32 0
;; @002e                               v4 = uextend.i64 v1
;; @002e                               v5 = load.i64 notrap aligned readonly can_move v0+48
;; @002e                               v6 = iadd v5, v4
;; @002e                               v8 = uload32 user2 little region3 v6
;;                                     v7 = ireduce.i32 v8
;; @0037                               v9 = load.i64 notrap aligned readonly can_move v0+48
;; @0037                               v10 = iadd v9, v8
;; @0037                               v12 = uload8.i64 user2 little region3 v10
;;                                     v11 = ireduce.i32 v12
;; @003a                               v13 = load.i64 notrap aligned readonly can_move v0+48
;; @003a                               v14 = iadd v13, v12
;; @003a                               v15 = uload16.i32 user2 little region3 v14
;; @003d                               v16 = load.i64 notrap aligned readonly can_move v0+48
;; @003d                               v17 = iadd v16, v8
;; @003d                               store user2 little region3 v15, v17
;;                                     v18 = iconst.i32 1
;;                                     v19 = iadd v7, v18  ; v18 = 1
;;                                     jump block1(v19)
;;
;;                                 block1(v2: i32):
;;                                     return v2
;; }
