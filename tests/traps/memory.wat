;; The last byte of a memory can be used and the next one cannot, wherever address and offset put the border.
;;! run: load8 65535
;;!   returns: I32(0)
;;! run: load8 65536
;;!   trap: MemoryOutOfBounds
;;!     at 0x62 in load8
;;! run: load32 65532
;;!   returns: I32(0)
;;! run: load32 65533
;;!   trap: MemoryOutOfBounds
;;!     at 0x6a in load32
;;! run: load32 -1
;;!   trap: MemoryOutOfBounds
;;!     at 0x6a in load32
;;! run: far 0
;;!   trap: MemoryOutOfBounds
;;!     at 0x72 in far
;;! run: far -65536
;;!   trap: MemoryOutOfBounds
;;!     at 0x72 in far
;;! run: store64 65528
;;!   returns:
;;! run: store64 65529
;;!   trap: MemoryOutOfBounds
;;!     at 0x80 in store64
;;! run: fill 65535 1
;;!   returns:
;;! run: fill 65535 2
;;!   trap: MemoryOutOfBounds
;;!     at 0x8c in fill
;;! run: grown 131071
;;!   returns: I32(0)
;;! run: grown 131072
;;!   trap: MemoryOutOfBounds
;;!     at 0x99 in grown
(module
  (memory 1 2)
  (func $load8 (export "load8") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func $load32 (export "load32") (param i32) (result i32) (i32.load (local.get 0)))
  (func $far (export "far") (param i32) (result i32) (i32.load offset=0xffffffff (local.get 0)))
  (func $store64 (export "store64") (param i32) (i64.store (local.get 0) (i64.const -1)))
  (func $fill (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 1) (local.get 1)))
  (func $grown (export "grown") (param i32) (result i32)
    (drop (memory.grow (i32.const 1)))
    (i32.load8_u (local.get 0))))
