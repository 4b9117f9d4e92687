;;! exit 42
;;! stdout before
;; A program ends where it says so, with what it said.
(func (export "_start")
  (call $write (i32.const 1) @"before")
  (call $ok (call $proc_raise (i32.const 0)))
  (call $ok (call $proc_raise (i32.const 13)))
  (call $is (call $proc_raise (i32.const 18)) (global.get $NOTSUP))
  (call $is (call $proc_raise (i32.const 31)) (global.get $INVAL))
  (call $proc_exit (i32.const 42))
  (call $write (i32.const 1) @"after"))
