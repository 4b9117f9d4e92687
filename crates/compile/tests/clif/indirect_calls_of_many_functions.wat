;; A reference is compared with six functions at most: `six` compares, and `seven` only calls, as a seventh has its type.
(module
  (type $of_six (func (param i32)))
  (type $of_seven (func (param i64)))
  (table 16 funcref)
  (elem (i32.const 0) $a $a $b $c $d $e $f)
  (elem (i32.const 8) $g $h $i $j $k $l $m)
  (func $a (type $of_six)) (func $b (type $of_six)) (func $c (type $of_six))
  (func $d (type $of_six)) (func $e (type $of_six)) (func $f (type $of_six))
  (func $g (type $of_seven)) (func $h (type $of_seven)) (func $i (type $of_seven)) (func $j (type $of_seven))
  (func $k (type $of_seven)) (func $l (type $of_seven)) (func $m (type $of_seven))
  (func (export "six") (param i32) (call_indirect (type $of_six) (i32.const 0) (local.get 0)))
  (func (export "seven") (param i32) (call_indirect (type $of_seven) (i64.const 0) (local.get 0))))

;; CLIF:
;; ; a
;; function u0:0(i64 vmctx, i64, i32) tail {
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; b
;; function u0:1(i64 vmctx, i64, i32) tail {
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; k
;; function u0:10(i64 vmctx, i64, i64) tail {
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; l
;; function u0:11(i64 vmctx, i64, i64) tail {
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; m
;; function u0:12(i64 vmctx, i64, i64) tail {
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; 
;; function u0:13(i64 vmctx, i64, i32) tail {
;;     sig0 = (i64 vmctx, i64, i32) tail
;;
;;                                 block0(v0: i64, v1: i64, v2: i32):
;;                                     v3 = iconst.i32 0
;; @0087                               v4 = uextend.i64 v2
;; @0087                               v5 = load.i64 notrap aligned region0 v0+56
;; @0087                               v6 = icmp uge v4, v5
;; @0087                               v7 = load.i64 notrap aligned region0 v0+48
;; @0087                               v8 = iconst.i32 3
;; @0087                               v9 = ishl v4, v8  ; v8 = 3
;; @0087                               v10 = iadd v7, v9
;; @0087                               v11 = iconst.i64 0
;; @0087                               v12 = select_spectre_guard v6, v11, v10  ; v11 = 0
;; @0087                               v13 = load.i64 user4 aligned region2 v12
;; @0087                               v14 = iconst.i64 64
;; @0087                               v15 = iadd v0, v14  ; v14 = 64
;; @0087                               v16 = icmp eq v13, v15
;; @0087                               brif v16, block3, block4
;;
;;                                 block3:
;;                                     jump block5
;;
;;                                 block5:
;;                                     jump block2
;;
;;                                 block4:
;;                                     v17 = iconst.i64 96
;;                                     v18 = iadd.i64 v0, v17  ; v17 = 96
;;                                     v19 = icmp.i64 eq v13, v18
;;                                     brif v19, block6, block7
;;
;;                                 block6:
;;                                     jump block8
;;
;;                                 block8:
;;                                     jump block2
;;
;;                                 block7:
;;                                     v20 = iconst.i64 128
;;                                     v21 = iadd.i64 v0, v20  ; v20 = 128
;;                                     v22 = icmp.i64 eq v13, v21
;;                                     brif v22, block9, block10
;;
;;                                 block9:
;;                                     jump block11
;;
;;                                 block11:
;;                                     jump block2
;;
;;                                 block10:
;;                                     v23 = iconst.i64 160
;;                                     v24 = iadd.i64 v0, v23  ; v23 = 160
;;                                     v25 = icmp.i64 eq v13, v24
;;                                     brif v25, block12, block13
;;
;;                                 block12:
;;                                     jump block14
;;
;;                                 block14:
;;                                     jump block2
;;
;;                                 block13:
;;                                     v26 = iconst.i64 192
;;                                     v27 = iadd.i64 v0, v26  ; v26 = 192
;;                                     v28 = icmp.i64 eq v13, v27
;;                                     brif v28, block15, block16
;;
;;                                 block15:
;;                                     jump block17
;;
;;                                 block17:
;;                                     jump block2
;;
;;                                 block16:
;;                                     v29 = iconst.i64 224
;;                                     v30 = iadd.i64 v0, v29  ; v29 = 224
;;                                     v31 = icmp.i64 eq v13, v30
;;                                     brif v31, block18, block19
;;
;;                                 block18:
;;                                     jump block20
;;
;;                                 block20:
;;                                     jump block2
;;
;;                                 block19:
;; @0087                               v32 = load.i32 user5 aligned readonly v13+24
;; @0087                               v33 = load.i64 notrap aligned readonly can_move v0+24
;; @0087                               v34 = load.i32 notrap aligned readonly can_move v33
;; @0087                               v35 = icmp eq v32, v34
;; @0087                               trapz v35, user6
;; @0087                               v36 = load.i64 notrap aligned readonly v13
;; @0087                               v37 = load.i64 notrap aligned readonly v13+8
;; @0087                               call_indirect sig0, v36(v37, v0, v3)  ; v3 = 0
;; @0087                               jump block2
;;
;;                                 block2:
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; 
;; function u0:14(i64 vmctx, i64, i32) tail {
;;     sig0 = (i64 vmctx, i64, i64) tail
;;
;;                                 block0(v0: i64, v1: i64, v2: i32):
;;                                     v3 = iconst.i64 0
;; @0091                               v4 = uextend.i64 v2
;; @0091                               v5 = load.i64 notrap aligned region0 v0+56
;; @0091                               v6 = icmp uge v4, v5
;; @0091                               v7 = load.i64 notrap aligned region0 v0+48
;; @0091                               v8 = iconst.i32 3
;; @0091                               v9 = ishl v4, v8  ; v8 = 3
;; @0091                               v10 = iadd v7, v9
;; @0091                               v11 = iconst.i64 0
;; @0091                               v12 = select_spectre_guard v6, v11, v10  ; v11 = 0
;; @0091                               v13 = load.i64 user4 aligned region2 v12
;; @0091                               v14 = load.i32 user5 aligned readonly v13+24
;; @0091                               v15 = load.i64 notrap aligned readonly can_move v0+24
;; @0091                               v16 = load.i32 notrap aligned readonly can_move v15+4
;; @0091                               v17 = icmp eq v14, v16
;; @0091                               trapz v17, user6
;; @0091                               v18 = load.i64 notrap aligned readonly v13
;; @0091                               v19 = load.i64 notrap aligned readonly v13+8
;; @0091                               call_indirect sig0, v18(v19, v0, v3)  ; v3 = 0
;;                                     jump block1
;;
;;                                 block1:
;;                                     return
;; }
;; ; c
;; function u0:2(i64 vmctx, i64, i32) tail {
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; d
;; function u0:3(i64 vmctx, i64, i32) tail {
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; e
;; function u0:4(i64 vmctx, i64, i32) tail {
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; f
;; function u0:5(i64 vmctx, i64, i32) tail {
;;
;; block0(v0: i64, v1: i64, v2: i32):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; g
;; function u0:6(i64 vmctx, i64, i64) tail {
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; h
;; function u0:7(i64 vmctx, i64, i64) tail {
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; i
;; function u0:8(i64 vmctx, i64, i64) tail {
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     jump block1
;;
;; block1:
;;     return
;; }
;; ; j
;; function u0:9(i64 vmctx, i64, i64) tail {
;;
;; block0(v0: i64, v1: i64, v2: i64):
;;     jump block1
;;
;; block1:
;;     return
;; }
