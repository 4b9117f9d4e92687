;; Bounds are checked in place; the builtin's trampoline gets addresses, and copies short runs itself.
(module
  (memory 1)
  (memory $wide i64 1)
  (func $copy (param i32 i32 i32) (memory.copy 0 0 (local.get 0) (local.get 1) (local.get 2)))
  (func $copy_wide (param i64 i32 i32) (memory.copy $wide 0 (local.get 0) (local.get 1) (local.get 2)))
  (func $fill (param i32 i32 i32) (memory.fill 0 (local.get 0) (local.get 1) (local.get 2)))
  (func $nothing (param i32 i32) (memory.copy 0 0 (local.get 0) (local.get 1) (i32.const 0)))
  (func $long (param i32 i32) (memory.copy 0 0 (local.get 0) (local.get 1) (i32.const 129))))

;; CLIF:
;; ; copy
;; function u0:0(i64 vmctx, i32, i32, i32) tail {
;;     sig0 = (i64 vmctx, i64, i64, i64, i32) tail
;;     fn0 = colocated u1:4 sig0
;;
;;                                 block0(v0: i64, v1: i32, v2: i32, v3: i32):
;;                                     v4 = uextend.i64 v3
;;                                     v5 = uextend.i64 v2
;;                                     v6 = load.i64 notrap aligned region0 v0+56
;;                                     v7 = iadd v5, v4
;;                                     v8 = icmp ugt v7, v6
;; @0036                               trapnz v8, user2
;; @0036                               v9 = load.i64 notrap aligned readonly can_move v0+48
;; @0036                               v10 = iadd v9, v5
;; @0036                               v11 = uextend.i64 v1
;; @0036                               v12 = load.i64 notrap aligned region0 v0+56
;; @0036                               v13 = iadd v11, v4
;; @0036                               v14 = icmp ugt v13, v12
;; @0036                               trapnz v14, user2
;; @0036                               v15 = load.i64 notrap aligned readonly can_move v0+48
;; @0036                               v16 = iadd v15, v11
;; @0036                               v17 = iconst.i32 0
;; @0036                               call fn0(v0, v16, v10, v4, v17)  ; v17 = 0
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; copy_wide
;; function u0:1(i64 vmctx, i64, i32, i32) tail {
;;     sig0 = (i64 vmctx, i64, i64, i64, i32) tail
;;     fn0 = colocated u1:4 sig0
;;
;;                                 block0(v0: i64, v1: i64, v2: i32, v3: i32):
;;                                     v4 = uextend.i64 v3
;;                                     v5 = uextend.i64 v2
;;                                     v6 = load.i64 notrap aligned region0 v0+56
;;                                     v7 = iadd v5, v4
;;                                     v8 = icmp ugt v7, v6
;; @0043                               trapnz v8, user2
;; @0043                               v9 = load.i64 notrap aligned readonly can_move v0+48
;; @0043                               v10 = iadd v9, v5
;; @0043                               v11 = load.i64 notrap aligned region0 v0+72
;; @0043                               v12, v13 = uadd_overflow v1, v4
;; @0043                               v14 = icmp ugt v12, v11
;; @0043                               v15 = bor v13, v14
;; @0043                               trapnz v15, user2
;; @0043                               v16 = load.i64 notrap aligned region0 v0+64
;; @0043                               v17 = iadd v16, v1
;; @0043                               v18 = iconst.i64 0
;; @0043                               v19 = select_spectre_guard v15, v18, v17  ; v18 = 0
;; @0043                               v20 = iconst.i32 0
;; @0043                               call fn0(v0, v19, v10, v4, v20)  ; v20 = 0
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; fill
;; function u0:2(i64 vmctx, i32, i32, i32) tail {
;;     sig0 = (i64 vmctx, i64, i32, i64, i32) tail
;;     fn0 = colocated u1:3 sig0
;;
;;                                 block0(v0: i64, v1: i32, v2: i32, v3: i32):
;;                                     v4 = uextend.i64 v3
;;                                     v5 = uextend.i64 v1
;;                                     v6 = load.i64 notrap aligned region0 v0+56
;;                                     v7 = iadd v5, v4
;;                                     v8 = icmp ugt v7, v6
;; @0050                               trapnz v8, user2
;; @0050                               v9 = load.i64 notrap aligned readonly can_move v0+48
;; @0050                               v10 = iadd v9, v5
;; @0050                               v11 = iconst.i32 0
;; @0050                               call fn0(v0, v10, v2, v4, v11)  ; v11 = 0
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; nothing
;; function u0:3(i64 vmctx, i32, i32) tail {
;;     sig0 = (i64 vmctx, i64, i64, i64, i32) tail
;;     fn0 = colocated u1:4 sig0
;;
;;                                 block0(v0: i64, v1: i32, v2: i32):
;;                                     v3 = iconst.i32 0
;;                                     v4 = uextend.i64 v3  ; v3 = 0
;;                                     v5 = uextend.i64 v2
;;                                     v6 = load.i64 notrap aligned region0 v0+56
;;                                     v7 = iadd v5, v4
;;                                     v8 = icmp ugt v7, v6
;; @005c                               trapnz v8, user2
;; @005c                               v9 = load.i64 notrap aligned readonly can_move v0+48
;; @005c                               v10 = iadd v9, v5
;; @005c                               v11 = uextend.i64 v1
;; @005c                               v12 = load.i64 notrap aligned region0 v0+56
;; @005c                               v13 = iadd v11, v4
;; @005c                               v14 = icmp ugt v13, v12
;; @005c                               trapnz v14, user2
;; @005c                               v15 = load.i64 notrap aligned readonly can_move v0+48
;; @005c                               v16 = iadd v15, v11
;; @005c                               v17 = iconst.i32 0
;; @005c                               call fn0(v0, v16, v10, v4, v17)  ; v17 = 0
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; long
;; function u0:4(i64 vmctx, i32, i32) tail {
;;     sig0 = (i64 vmctx, i64, i64, i64, i32) tail
;;     fn0 = colocated u1:4 sig0
;;
;;                                 block0(v0: i64, v1: i32, v2: i32):
;;                                     v3 = iconst.i32 129
;;                                     v4 = uextend.i64 v3  ; v3 = 129
;;                                     v5 = uextend.i64 v2
;;                                     v6 = load.i64 notrap aligned region0 v0+56
;;                                     v7 = iadd v5, v4
;;                                     v8 = icmp ugt v7, v6
;; @006a                               trapnz v8, user2
;; @006a                               v9 = load.i64 notrap aligned readonly can_move v0+48
;; @006a                               v10 = iadd v9, v5
;; @006a                               v11 = uextend.i64 v1
;; @006a                               v12 = load.i64 notrap aligned region0 v0+56
;; @006a                               v13 = iadd v11, v4
;; @006a                               v14 = icmp ugt v13, v12
;; @006a                               trapnz v14, user2
;; @006a                               v15 = load.i64 notrap aligned readonly can_move v0+48
;; @006a                               v16 = iadd v15, v11
;; @006a                               v17 = iconst.i32 0
;; @006a                               call fn0(v0, v16, v10, v4, v17)  ; v17 = 0
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
