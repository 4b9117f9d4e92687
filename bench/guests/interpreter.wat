;; An interpreter of a small bytecode whose instructions are functions in a table, as C programs write them: the loop
;; reads an opcode and calls through the table. The bytecode sums the numbers below a million, in a loop of its own.
(module
  (import "bench" "start" (func $start))
  (import "bench" "end" (func $end))
  (type $op (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (table 8 funcref)
  (elem (i32.const 0) $halt $push $add $load $store $less $jump_if $less_const)
  ;; Each word of the program is an opcode or its operand; the operand stack grows up from 4096, variables lie at 8192.
  (data (i32.const 0)
    "\01\00\00\00\00\00\00\00" "\04\00\00\00\00\00\00\00" ;; i = 0
    "\01\00\00\00\00\00\00\00" "\04\00\00\00\04\00\00\00" ;; sum = 0
    "\03\00\00\00\04\00\00\00" "\03\00\00\00\00\00\00\00" "\02\00\00\00\00\00\00\00" "\04\00\00\00\04\00\00\00" ;; 32: sum += i
    "\03\00\00\00\00\00\00\00" "\01\00\00\00\01\00\00\00" "\02\00\00\00\00\00\00\00" "\04\00\00\00\00\00\00\00" ;; i += 1
    "\03\00\00\00\00\00\00\00" "\07\00\00\00\40\42\0f\00" ;; i < 1000000
    "\06\00\00\00\20\00\00\00" "\00\00\00\00\00\00\00\00")
  (global $sp (mut i32) (i32.const 4096))
  (func $push_value (param i32)
    (i32.store (global.get $sp) (local.get 0))
    (global.set $sp (i32.add (global.get $sp) (i32.const 4))))
  (func $pop_value (result i32)
    (global.set $sp (i32.sub (global.get $sp) (i32.const 4)))
    (i32.load (global.get $sp)))
  (func $halt (type $op) (i32.const -1))
  (func $push (type $op)
    (call $push_value (i32.load offset=4 (local.get 0)))
    (i32.add (local.get 0) (i32.const 8)))
  (func $add (type $op)
    (call $push_value (i32.add (call $pop_value) (call $pop_value)))
    (i32.add (local.get 0) (i32.const 8)))
  (func $load (type $op)
    (call $push_value (i32.load offset=8192 (i32.load offset=4 (local.get 0))))
    (i32.add (local.get 0) (i32.const 8)))
  (func $store (type $op)
    (i32.store offset=8192 (i32.load offset=4 (local.get 0)) (call $pop_value))
    (i32.add (local.get 0) (i32.const 8)))
  (func $less (type $op)
    (call $push_value (i32.gt_u (call $pop_value) (call $pop_value)))
    (i32.add (local.get 0) (i32.const 8)))
  (func $less_const (type $op)
    (call $push_value (i32.lt_u (call $pop_value) (i32.load offset=4 (local.get 0))))
    (i32.add (local.get 0) (i32.const 8)))
  (func $jump_if (type $op)
    (select (i32.load offset=4 (local.get 0)) (i32.add (local.get 0) (i32.const 8)) (call $pop_value)))
  (func (export "_start") (local $pc i32)
    (call $start)
    (loop $next
      (local.set $pc (call_indirect (type $op) (local.get $pc) (i32.load (local.get $pc))))
      (br_if $next (i32.ge_s (local.get $pc) (i32.const 0))))
    (if (i32.ne (i32.load offset=8196 (i32.const 0)) (i32.const 1783293664)) (then unreachable))
    (call $end)))
