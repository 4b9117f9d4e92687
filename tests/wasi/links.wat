;;! dir /
;;! file /f text
;;! link /out ../..
;;! link /absolute /etc
;; Links: hard ones, symbolic ones, chains, loops, and those that lead out.
(func (export "_start")
  (local $fd i32)
  (call $ok (call $path_link (i32.const 3) (i32.const 0) @"f" (i32.const 3) @"g"))
  (call $stat_path (i32.const 3) @"f")
  (call $is64 (call $links) (i64.const 2))
  (call $is (call $path_link (i32.const 3) (i32.const 0) @"f" (i32.const 3) @"g") (global.get $EXIST))
  (call $is (call $path_link (i32.const 3) (i32.const 1) @"f" (i32.const 3) @"h") (global.get $INVAL))
  (call $ok (call $path_unlink_file (i32.const 3) @"f"))
  (local.set $fd (call $open (i32.const 3) @"g" (i32.const 0) (global.get $READ)))
  (call $reads (local.get $fd) @"text")
  ;; Symbolic: a chain, read back, cut where the buffer ends.
  (call $ok (call $path_create_directory (i32.const 3) @"d"))
  (call $ok (call $path_symlink @"../g" (i32.const 3) @"d/up"))
  (call $ok (call $path_symlink @"d/./up" (i32.const 3) @"chain"))
  (local.set $fd (call $open (i32.const 3) @"chain" (i32.const 0) (global.get $READ)))
  (call $reads (local.get $fd) @"text")
  (call $ok (call $path_readlink (i32.const 3) @"chain" (i32.const 0x20000) (i32.const 100) (i32.const 0)))
  (call $is (i32.load (i32.const 0)) (i32.const 6))
  (call $same (i32.const 0x20000) @"d/./up")
  (call $ok (call $path_readlink (i32.const 3) @"chain" (i32.const 0x20000) (i32.const 3) (i32.const 0)))
  (call $is (i32.load (i32.const 0)) (i32.const 3))
  (call $is (call $path_readlink (i32.const 3) @"g" (i32.const 0x20000) (i32.const 3) (i32.const 0)) (global.get $INVAL))
  (call $stat_path (i32.const 3) @"chain")
  (call $is (call $kind) (i32.const 7))
  ;; Without following, a link is not opened.
  (call $is
    (call $path_open (i32.const 3) (i32.const 0) @"chain" (i32.const 0) (global.get $READ) (i64.const 0) (i32.const 0) (i32.const 0))
    (global.get $LOOP))
  ;; Loops end.
  (call $ok (call $path_symlink @"b" (i32.const 3) @"a"))
  (call $ok (call $path_symlink @"a" (i32.const 3) @"b"))
  (call $no_open (i32.const 3) @"a" (i32.const 0) (global.get $READ) (global.get $LOOP))
  (call $no_open (i32.const 3) @"a/x" (i32.const 1) (global.get $WRITE) (global.get $LOOP))
  ;; Nothing leads out, also if it exists there.
  (call $no_open (i32.const 3) @"out" (i32.const 2) (global.get $READ) (global.get $PERM))
  (call $no_open (i32.const 3) @"out/tmp" (i32.const 2) (global.get $READ) (global.get $PERM))
  (call $no_open (i32.const 3) @"absolute" (i32.const 2) (global.get $READ) (global.get $PERM))
  (call $no_open (i32.const 3) @"absolute/passwd" (i32.const 0) (global.get $READ) (global.get $PERM))
  (call $is (call $path_symlink @"/etc/passwd" (i32.const 3) @"mine") (global.get $PERM))
  (call $is (call $path_create_directory (i32.const 3) @"out/new") (global.get $PERM))
  (call $is (call $path_rename (i32.const 3) @"g" (i32.const 3) @"out/g") (global.get $PERM))
  (call $is (call $path_link (i32.const 3) (i32.const 0) @"g" (i32.const 3) @"absolute/g") (global.get $PERM))
  (call $is (call $path_filestat_get (i32.const 3) (i32.const 1) @"out" (i32.const 4096)) (global.get $PERM))
  ;; The links themselves are the guest's.
  (call $ok (call $path_filestat_get (i32.const 3) (i32.const 0) @"out" (i32.const 4096)))
  (call $ok (call $path_unlink_file (i32.const 3) @"absolute")))
