;; Exports nothing that can be called.
(module (global (export "version") i32 (i32.const 1)))
