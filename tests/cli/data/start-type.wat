;; Its `_start` is no entry point.
(module (func (export "_start") (param i32)))
