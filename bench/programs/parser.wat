;; A parser that tries one way to read each word after the other, and gives up on a way by an exception.
;;
;; A word is a decimal number, a hexadecimal one or a name, and ends with `;`. Two of three words are tried in vain at
;; least once; what throws is two calls below what catches.
(module
  (tag $syntax (param i32))
  (memory (export "memory") 1)
  (global $end (mut i32) (i32.const 0))

  ;; The value of a digit; it throws if there is none.
  (func $digit (param $at i32) (param $base i32) (result i32)
    (local $byte i32)
    (local.set $byte (i32.load8_u (local.get $at)))
    (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 48)) (i32.const 10))
      (then (return (i32.sub (local.get $byte) (i32.const 48)))))
    (if (i32.and (i32.eq (local.get $base) (i32.const 16)) (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 6)))
      (then (return (i32.sub (local.get $byte) (i32.const 87)))))
    (throw $syntax (local.get $at)))
  (func $number (param $at i32) (param $base i32) (result i64)
    (local $value i64)
    (loop $next
      (local.set $value (i64.add
        (i64.mul (local.get $value) (i64.extend_i32_u (local.get $base)))
        (i64.extend_i32_u (call $digit (local.get $at) (local.get $base)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.ne (i32.load8_u (local.get $at)) (i32.const 59))))
    (global.set $end (local.get $at))
    (local.get $value))
  (func $hexadecimal (param $at i32) (result i64)
    (if (i32.ne (i32.load16_u (local.get $at)) (i32.const 0x7830)) (then (throw $syntax (local.get $at))))
    (call $number (i32.add (local.get $at) (i32.const 2)) (i32.const 16)))
  (func $name (param $at i32) (result i64)
    (local $value i64)
    (loop $next
      (local.set $value (i64.add (i64.mul (local.get $value) (i64.const 31)) (i64.load8_u (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.ne (i32.load8_u (local.get $at)) (i32.const 59))))
    (global.set $end (local.get $at))
    (local.get $value))
  (func $word (param $at i32) (result i64)
    (block $not_decimal (result i32)
      (return (try_table (result i64) (catch $syntax $not_decimal) (call $number (local.get $at) (i32.const 10)))))
    (drop)
    (block $not_hexadecimal (result i32)
      (return (try_table (result i64) (catch $syntax $not_hexadecimal) (call $hexadecimal (local.get $at)))))
    (drop)
    (call $name (local.get $at)))

  ;; Reads the text in memory, up to a byte 0, so many times, and adds up its words.
  (func (export "run") (param $times i32) (result i64)
    (local $at i32) (local $sum i64)
    (loop $again
      (local.set $at (i32.const 0))
      (loop $next
        (local.set $sum (i64.add (local.get $sum) (call $word (local.get $at))))
        (local.set $at (i32.add (global.get $end) (i32.const 1)))
        (br_if $next (i32.load8_u (local.get $at))))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (local.get $sum)))
