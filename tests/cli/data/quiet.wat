;; A start function that returns: nothing else to run, and nothing wrong.
(module (func $main) (start $main))
