;; An interpreter: the longest Collatz sequence that begins below a number, as a program of bytes.
;;
;; Its state travels in parameters, for which `state` stands, and each operation ends with a tail call of the next: `dispatch` stands for one that
;; finds it through a table, by `return_call_indirect` or by `table.get` and `return_call_ref`.
(module
  (type $op (func (param $pc i32) (param $n i64) (param $x i64) (param $steps i64) (param $most i64) (result i64)))
  (memory 1)
  (table $ops (ref null $op) (elem
    $start $done? $even? $triple $halve $count $jump $note $next $again? $halt))

  ;;  0 start          x = n, steps = 0
  ;;  1 done? 13       if x = 1
  ;;  3 even? 9
  ;;  5 triple         x = 3 x + 1
  ;;  6 count, jump 1
  ;;  9 halve
  ;; 10 count, jump 1
  ;; 13 note           most = max(most, steps)
  ;; 14 next           n = n - 1
  ;; 15 again? 0       if n is not 0
  ;; 17 halt
  (data (i32.const 0) "\00\01\0d\02\09\03\05\06\01\04\05\06\01\07\08\09\00\0a")

  (func $start (state)
    (local.set $x (local.get $n))
    (local.set $steps (i64.const 0))
    (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
    (dispatch))
  (func $done? (state)
    (local.set $pc (select (i32.load8_u offset=1 (local.get $pc)) (i32.add (local.get $pc) (i32.const 2))
      (i64.eq (local.get $x) (i64.const 1))))
    (dispatch))
  (func $even? (state)
    (local.set $pc (select (i32.add (local.get $pc) (i32.const 2)) (i32.load8_u offset=1 (local.get $pc))
      (i32.wrap_i64 (i64.and (local.get $x) (i64.const 1)))))
    (dispatch))
  (func $triple (state)
    (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 3)) (i64.const 1)))
    (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
    (dispatch))
  (func $halve (state)
    (local.set $x (i64.shr_u (local.get $x) (i64.const 1)))
    (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
    (dispatch))
  (func $count (state)
    (local.set $steps (i64.add (local.get $steps) (i64.const 1)))
    (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
    (dispatch))
  (func $jump (state)
    (local.set $pc (i32.load8_u offset=1 (local.get $pc)))
    (dispatch))
  (func $note (state)
    (local.set $most (select (local.get $steps) (local.get $most) (i64.gt_u (local.get $steps) (local.get $most))))
    (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
    (dispatch))
  (func $next (state)
    (local.set $n (i64.sub (local.get $n) (i64.const 1)))
    (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
    (dispatch))
  (func $again? (state)
    (local.set $pc (select (i32.add (local.get $pc) (i32.const 2)) (i32.load8_u offset=1 (local.get $pc))
      (i64.eqz (local.get $n))))
    (dispatch))
  (func $halt (state) (local.get $most))

  (func (export "run") (param $n i32) (result i64)
    (call $start (i32.const 0) (i64.extend_i32_u (local.get $n)) (i64.const 0) (i64.const 0) (i64.const 0))))
