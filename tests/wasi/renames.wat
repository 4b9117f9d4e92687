;;! dir /one
;;! dir /two
;;! dir /shut ro
;;! file /one/f text
;;! file /shut/s secret
;;! after /two/moved text
;;! after /shut/s secret
;; Renames and hard links: within a preopen, across two, and never out of or into one that is read-only.
(func (export "_start")
  (call $ok (call $path_rename (i32.const 3) @"f" (i32.const 3) @"g"))
  (call $ok (call $path_rename (i32.const 3) @"g" (i32.const 4) @"moved"))
  (call $ok (call $path_link (i32.const 4) (i32.const 0) @"moved" (i32.const 3) @"linked"))
  (call $stat_path (i32.const 3) @"linked")
  (call $is64 (call $links) (i64.const 2))
  (call $is (call $path_rename (i32.const 3) @"nothing" (i32.const 4) @"x") (global.get $NOENT))
  (call $is (call $path_rename (i32.const 3) @"linked" (i32.const 5) @"x") (global.get $ROFS))
  (call $is (call $path_rename (i32.const 5) @"s" (i32.const 3) @"x") (global.get $ROFS))
  (call $is (call $path_link (i32.const 5) (i32.const 0) @"s" (i32.const 3) @"x") (global.get $ROFS))
  (call $is (call $path_link (i32.const 3) (i32.const 0) @"linked" (i32.const 5) @"x") (global.get $ROFS))
  ;; A directory moves with all that is in it, but not into itself.
  (call $ok (call $path_create_directory (i32.const 3) @"d"))
  (call $ok (call $path_create_directory (i32.const 3) @"d/e"))
  (call $is (call $path_rename (i32.const 3) @"d" (i32.const 3) @"d/e/d") (global.get $INVAL))
  (call $ok (call $path_rename (i32.const 3) @"d" (i32.const 4) @"d"))
  (call $stat_path (i32.const 4) @"d/e")
  (call $is (call $path_rename (i32.const 4) @"moved" (i32.const 4) @"d") (global.get $ISDIR))
  (call $is (call $path_rename (i32.const 4) @"d" (i32.const 4) @"moved") (global.get $NOTDIR)))
