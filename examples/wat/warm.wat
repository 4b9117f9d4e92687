;; A counter whose initialisation takes a while: `hotfoot preinit` does that part once, see docs/preinit.md.
(module
  (memory 1)
  (global $start (mut i32) (i32.const 0))
  (func (export "wizer.initialize")
    (loop $next
      (global.set $start (i32.add (global.get $start) (i32.const 1)))
      (br_if $next (i32.lt_u (global.get $start) (i32.const 1000))))
    (memory.fill (i32.const 64) (i32.const 7) (i32.const 100)))
  (func (export "count") (result i32)
    (global.set $start (i32.add (global.get $start) (i32.const 1)))
    (global.get $start))
  (func (export "again") (drop (call 1))))
