;; Where accesses leave memory, and what came before: a check that is made once for several accesses must not come earlier
;; or later than theirs, and must not be taken for made on a way that did not pass it. Memory ends at 0x10000 until it grows.
;;! run: ascending 65528
;;!   trap: MemoryOutOfBounds
;;!     at 0x13b in function 0
;;! run: ascending 65524
;;!   trap: MemoryOutOfBounds
;;!     at 0x142 in function 0
;;! run: ascending 65520
;;!   returns: I32(3)
;;! run: descending 65524
;;!   trap: MemoryOutOfBounds
;;!     at 0x151 in function 1
;;! run: descending 65520
;;!   returns: I32(11)
;;! run: one_arm 1 65532
;;!   trap: MemoryOutOfBounds
;;!     at 0x16f in function 2
;;! run: one_arm 0 65532
;;!   trap: MemoryOutOfBounds
;;!     at 0x176 in function 2
;;! run: one_arm 0 65528
;;!   returns: I32(0)
;;! run: both_arms 1 65532
;;!   returns: I32(0)
;;! run: both_arms 0 65529
;;!   trap: MemoryOutOfBounds
;;!     at 0x189 in function 3
;;! run: after_branch 1 65533
;;!   trap: MemoryOutOfBounds
;;!     at 0x1a5 in function 4
;;! run: after_branch 0 65533
;;!   trap: MemoryOutOfBounds
;;!     at 0x1a5 in function 4
;;! run: after_branch 1 65532
;;!   returns: I32(0)
;;! run: after_table 0 65533
;;!   returns: I32(0)
;;! run: after_table 2 65533
;;!   returns: I32(0)
;;! run: after_table 1 65536
;;!   trap: MemoryOutOfBounds
;;!     at 0x1b8 in function 5
;;! run: walk 65520 4
;;!   returns: I32(65536)
;;! run: walk 65520 5
;;!   trap: MemoryOutOfBounds
;;!     at 0x1cd in function 6
;;! run: invariant 65528 3
;;!   returns: I64(7)
;;! run: invariant 65529 3
;;!   trap: MemoryOutOfBounds
;;!     at 0x1f7 in function 7
;;! run: grows 65536
;;!   trap: MemoryOutOfBounds
;;!     at 0x237 in function 8
;;! run: grows 65533
;;!   trap: MemoryOutOfBounds
;;!     at 0x237 in function 8
;;! run: masked 131071
;;!   returns: I32(0)
;;! run: scaled 131071
;;!   returns: I32(0)
;;! run: scaled_too_far 16383
;;!   trap: MemoryOutOfBounds
;;!     at 0x265 in function 11
;;! run: scaled_too_far 16382
;;!   returns: I32(0)
;;! run: constant
;;!   returns: I32(0)
;;! run: constant_too_far
;;!   trap: MemoryOutOfBounds
;;!     at 0x277 in function 13
;;! run: thrown 65533
;;!   trap: MemoryOutOfBounds
;;!     at 0x2a0 in function 15
;;! run: thrown 65532
;;!   returns: I32(0)
;;! run: far 0
;;!   trap: MemoryOutOfBounds
;;!     at 0x2a8 in function 16
;;! run: far -1
;;!   trap: MemoryOutOfBounds
;;!     at 0x2a8 in function 16
;;! run: furthest 0
;;!   trap: MemoryOutOfBounds
;;!     at 0x2b2 in function 17
;;! run: wraps -4
;;!   trap: MemoryOutOfBounds
;;!     at 0x2c7 in function 18
;;! run: inlined 65532
;;!   returns: I32(0)
;;! run: inlined 65533
;;!   trap: MemoryOutOfBounds
;;!     at 0x2cf in read
;;!     at 0x2d7 in function 20
(module
  (memory 1 600)
  (tag $none)
  (func (export "ascending") (param i32) (result i32)
    (i32.store (local.get 0) (i32.const 1))
    (i32.store offset=4 (local.get 0) (i32.const 2))
    (i32.store offset=8 (local.get 0) (i32.const 3))
    (i32.store offset=12 (local.get 0) (i32.const 4))
    (i32.load offset=8 (local.get 0)))
  (func (export "descending") (param i32) (result i32)
    (i32.store offset=12 (local.get 0) (i32.const 5))
    (i32.store offset=8 (local.get 0) (i32.const 6))
    (i32.add (i32.load offset=8 (local.get 0)) (i32.load offset=12 (local.get 0))))
  (func (export "one_arm") (param i32 i32) (result i32)
    (if (local.get 0) (then (drop (i64.load (local.get 1)))))
    (i32.load offset=4 (local.get 1)))
  (func (export "both_arms") (param i32 i32) (result i32)
    (if (local.get 0)
      (then (drop (i32.load (local.get 1))))
      (else (drop (i64.load (local.get 1)))))
    (i32.load8_u offset=3 (local.get 1)))
  (func (export "after_branch") (param i32 i32) (result i32)
    (block $out
      (br_if $out (local.get 0))
      (drop (i32.load8_u (local.get 1))))
    (i32.load (local.get 1)))
  (func (export "after_table") (param i32 i32) (result i32)
    (block $a (block $b
      (br_table $a $b (local.get 0)))
      (drop (i32.load16_u (local.get 1))))
    (i32.load8_u (local.get 1)))
  (func (export "walk") (param $at i32) (param $count i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $at))
  (func (export "invariant") (param $at i32) (param $count i32) (result i64) (local $sum i64)
    (drop (i32.load (local.get $at)))
    (loop $next
      (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $at))))
      (i64.store (local.get $at) (local.get $sum))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (i64.const 7))
  (func (export "grows") (param i32) (result i32) (local $before i32)
    (local.set $before (i32.load8_u (i32.const 0xfffc)))
    (i32.store8 (i32.const 0xfffc) (i32.const 9))
    (drop (memory.grow (i32.const 0)))
    (i32.store8 (i32.const 0xfffc) (local.get $before))
    (i32.load (local.get 0)))
  (func (export "masked") (param i32) (result i32)
    (i32.load8_u offset=65280 (i32.and (local.get 0) (i32.const 255))))
  (func (export "scaled") (param i32) (result i32)
    (i32.load (i32.shl (i32.and (local.get 0) (i32.const 0x3fff)) (i32.const 2))))
  (func (export "scaled_too_far") (param i32) (result i32)
    (i32.load offset=4 (i32.shl (i32.and (local.get 0) (i32.const 0x3fff)) (i32.const 2))))
  (func (export "constant") (result i32) (i32.load offset=0xfff0 (i32.const 12)))
  (func (export "constant_too_far") (result i32) (i32.load offset=0xfff0 (i32.const 13)))
  (func $throw (param i32) (drop (i32.load8_u (local.get 0))) (throw $none))
  (func (export "thrown") (param i32) (result i32)
    (block $caught
      (try_table (catch $none $caught)
        (call $throw (local.get 0))
        (drop (i32.load (local.get 0)))))
    (i32.load (local.get 0)))
  (func (export "far") (param i32) (result i32) (i32.load offset=0x10000 (local.get 0)))
  (func (export "furthest") (param i32) (result i32) (i32.load offset=0xffffffff (local.get 0)))
  (func (export "wraps") (param i32) (result i32)
    (drop (i32.load (i32.add (local.get 0) (i32.const 4))))
    (i32.load offset=4 (local.get 0)))
  (func $read (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "inlined") (param i32) (result i32)
    (i32.add (call $read (local.get 0)) (call $read (local.get 0)))))
