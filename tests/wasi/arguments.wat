;;! arg two words
;;! arg é
;;! env NAME=value
;; Arguments and environment: sizes, pointers, zero bytes at the ends, and what does not fit.
(func (export "_start")
  (call $ok (call $args_sizes_get (i32.const 0) (i32.const 4)))
  (call $is (i32.load (i32.const 0)) (i32.const 3))
  (call $is (i32.load (i32.const 4)) (i32.const 19)) ;; "guest", "two words", two bytes of é, three zeros
  (call $ok (call $args_get (i32.const 4096) (i32.const 8192)))
  (call $is (i32.load (i32.const 4100)) (i32.const 8198))
  (call $same (i32.const 8192) @"guest\00two words\00é\00")
  (call $ok (call $environ_sizes_get (i32.const 0) (i32.const 4)))
  (call $is (i32.load (i32.const 0)) (i32.const 1))
  (call $is (i32.load (i32.const 4)) (i32.const 11))
  (call $ok (call $environ_get (i32.const 4096) (i32.const 8192)))
  (call $is (i32.load (i32.const 4096)) (i32.const 8192))
  (call $same (i32.const 8192) @"NAME=value\00")
  (call $is (call $args_get (i32.const -4) (i32.const 8192)) (global.get $FAULT))
  (call $is (call $args_get (i32.const 4096) (i32.const 0x3fffa)) (global.get $FAULT))
  (call $is (call $environ_sizes_get (i32.const 0) (i32.const -1)) (global.get $FAULT)))
