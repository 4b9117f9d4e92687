;; A benchmark program without a hot part.
(module
  (import "bench" "start" (func $start))
  (import "bench" "end" (func $end))
  (func (export "_start") (call $start) (call $end)))
