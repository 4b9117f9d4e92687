;;! dir /
;; A directory of 10,000 names: every name once, whatever the buffer; any cookie can be gone back to.
(func $name (param $number i32) (result i32) ;; five digits at 8192
  (local $at i32)
  (local.set $at (i32.const 8197))
  (loop $digit
    (local.set $at (i32.sub (local.get $at) (i32.const 1)))
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
    (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
    (br_if $digit (i32.gt_u (local.get $at) (i32.const 8192))))
  (i32.const 8192))
;; Marks each name of a listing from a cookie on, in a table of bytes at 0x30000; says how many names there were.
(func $list (param $cookie i64) (param $buffer_len i32) (result i32)
  (local $at i32) (local $end i32) (local $count i32) (local $len i32) (local $number i32) (local $digit i32)
  (loop $call
    (call $ok (call $fd_readdir (i32.const 3) (i32.const 0x20000) (local.get $buffer_len) (local.get $cookie) (i32.const 0)))
    (local.set $at (i32.const 0x20000))
    (local.set $end (i32.add (local.get $at) (i32.load (i32.const 0))))
    (block $cut
      (loop $entry
        (br_if $cut (i32.gt_u (i32.add (local.get $at) (i32.const 24)) (local.get $end)))
        (local.set $len (i32.load offset=16 (local.get $at)))
        (br_if $cut (i32.gt_u (i32.add (i32.add (local.get $at) (i32.const 24)) (local.get $len)) (local.get $end)))
        (local.set $cookie (i64.load (local.get $at)))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (if (i32.eq (local.get $len) (i32.const 5))
          (then
            (local.set $number (i32.const 0))
            (local.set $digit (i32.const 0))
            (loop $next
              (local.set $number
                (i32.add (i32.mul (local.get $number) (i32.const 10))
                  (i32.sub (i32.load8_u offset=24 (i32.add (local.get $at) (local.get $digit))) (i32.const 48))))
              (br_if $next (i32.lt_u (local.tee $digit (i32.add (local.get $digit) (i32.const 1))) (i32.const 5))))
            (call $is (i32.load8_u (i32.add (i32.const 0x30000) (local.get $number))) (i32.const 0))
            (i32.store8 (i32.add (i32.const 0x30000) (local.get $number)) (i32.const 1))))
        (local.set $at (i32.add (i32.add (local.get $at) (i32.const 24)) (local.get $len)))
        (br $entry)))
    (br_if $call (i32.eq (i32.load (i32.const 0)) (local.get $buffer_len))))
  (local.get $count))
(func (export "_start")
  (local $number i32) (local $cookie i64)
  (loop $make
    (call $ok (call $fd_close
      (call $open (i32.const 3) (call $name (local.get $number)) (i32.const 5) (i32.const 1) (global.get $WRITE))))
    (br_if $make (i32.lt_u (local.tee $number (i32.add (local.get $number) (i32.const 1))) (i32.const 10000))))
  (call $is (call $list (i64.const 0) (i32.const 4096)) (i32.const 10002))
  (memory.fill (i32.const 0x30000) (i32.const 0) (i32.const 10000))
  (call $is (call $list (i64.const 0) (i32.const 60)) (i32.const 10002))
  ;; Back to where the first call of the listing ended.
  (call $ok (call $fd_readdir (i32.const 3) (i32.const 0x20000) (i32.const 0x10000) (i64.const 0) (i32.const 0)))
  (local.set $cookie (i64.load (i32.const 0x20000)))
  (memory.fill (i32.const 0x30000) (i32.const 0) (i32.const 10000))
  (call $is (call $list (local.get $cookie) (i32.const 0x10000)) (i32.const 10001))
  (memory.fill (i32.const 0x30000) (i32.const 0) (i32.const 10000))
  (call $is (call $list (local.get $cookie) (i32.const 500)) (i32.const 10001))
  ;; A buffer that nothing fits in is filled to its end all the same.
  (call $ok (call $fd_readdir (i32.const 3) (i32.const 0x20000) (i32.const 10) (i64.const 0) (i32.const 0)))
  (call $is (i32.load (i32.const 0)) (i32.const 10))
  (call $is (call $fd_readdir (i32.const 3) (i32.const 0x20000) (i32.const -1) (i64.const 0) (i32.const 0)) (global.get $FAULT))
  (call $is (call $fd_readdir (i32.const 1) (i32.const 0x20000) (i32.const 9) (i64.const 0) (i32.const 0)) (global.get $NOTDIR)))
