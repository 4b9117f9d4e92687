;; Tables have borders as memories do.
;;! run: get 1
;;!   returns: I32(1)
;;! run: get 2
;;!   trap: TableOutOfBounds
;;!     at 0x4d in get
;;! run: set 2
;;!   trap: TableOutOfBounds
;;!     at 0x57 in set
;;! run: init 1
;;!   returns:
;;! run: init 2
;;!   trap: TableOutOfBounds
;;!     at 0x62 in init
;;! run: copy 2
;;!   trap: TableOutOfBounds
;;!     at 0x6f in copy
(module
  (table 2 funcref)
  (elem $segment func $get $set)
  (func $get (export "get") (param i32) (result i32) (ref.is_null (table.get (local.get 0))))
  (func $set (export "set") (param i32) (table.set (local.get 0) (ref.func $get)))
  (func $init (export "init") (param i32)
    (table.init $segment (local.get 0) (i32.const 1) (i32.const 1)))
  (func $copy (export "copy") (param i32) (table.copy (local.get 0) (i32.const 0) (i32.const 1))))
