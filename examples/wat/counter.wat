;; A reactor: no `_start`, state that lives as long as its instance, and an `_initialize` that runs before anything else.
(module
  (global $count (mut i64) (i64.const -1))
  (func (export "_initialize")
    (global.set $count (i64.const 100)))
  (func (export "next") (result i64)
    (global.set $count (i64.add (global.get $count) (i64.const 1)))
    (global.get $count)))
