;; Loops over vectors that newer processors have better instructions for. Each takes the number of rounds and returns a
;; checksum: `hotfoot run --time --invoke madd examples/wat/vectors.wat 100000000`.
(module
  ;; a * b + c in floats: one instruction with FMA, two without.
  (func (export "madd") (param $rounds i32) (result f32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $a (v128.const f32x4 1 2 3 4))
    (local.set $b (v128.const f32x4 0.5 0.25 0.125 0.0625))
    (local.set $c (v128.const f32x4 1 1 1 1))
    (local.set $d (v128.const f32x4 2 2 2 2))
    (loop $again
      (local.set $a (f32x4.relaxed_madd (local.get $a) (local.get $b) (local.get $c)))
      (local.set $d (f32x4.relaxed_madd (local.get $d) (local.get $b) (local.get $a)))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (f32x4.extract_lane 0 (f32x4.add (local.get $a) (local.get $d))))

  ;; 64-bit products: one instruction with AVX-512 DQ and VL, eight without.
  (func (export "mul64") (param $rounds i32) (result i64)
    (local $a v128) (local $sum v128)
    (local.set $a (v128.const i64x2 0x9e3779b97f4a7c15 0xc2b2ae3d27d4eb4f))
    (loop $again
      (local.set $a (i64x2.add (local.get $a) (v128.const i64x2 1 3)))
      (local.set $sum (i64x2.add (local.get $sum) (i64x2.mul (local.get $a) (local.get $a))))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (i64x2.extract_lane 0 (local.get $sum))))
