//! Memories whose pages are single bytes: they may end in the middle of a page of the processor, where no fault tells.

use hotfoot::{
    Config, Engine, Instance, InstanceAllocationStrategy, Linker, Memory, MemoryType, Module, Store,
    StoreLimitsBuilder, Trap,
};

use super::{call, instantiate};

const GUEST: &str = r#"(module (memory (export "m") 5000 9000 (pagesize 1))
    (data (i32.const 4990) "0123456789")
    (func (export "size") (result i32) (memory.size))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "load8") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "load64") (param i32) (result i64) (i64.load (local.get 0)))
    (func (export "load128") (param i32) (result i32) (i32x4.extract_lane 0 (v128.load offset=100 (local.get 0))))
    (func (export "store8") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "store64") (param i32) (i64.store offset=8 (local.get 0) (i64.const -1)))
    (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 7) (local.get 1))))"#;

/// Every way of checking accesses.
fn engines() -> Vec<Engine> {
    let changes: [super::Change; 5] = [
        |config| config,
        |config| config.signals_based_traps(false),
        |config| config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(0),
        |config| config.memory_reservation(1 << 20).memory_guard_size(1 << 16),
        |config| config.memory_may_move(false),
    ];
    let engine = |change: &super::Change| Engine::new(change(Config::new().wasm_custom_page_sizes(true))).unwrap();
    changes.iter().map(engine).collect()
}

fn is_out_of_bounds<T: std::fmt::Debug>(result: hotfoot::Result<T>) -> bool {
    result.unwrap_err().downcast_ref::<Trap>() == Some(&Trap::MemoryOutOfBounds)
}

/// The last byte is accessible and the next one is not, although the processor would not mind.
#[test]
fn bounds_are_those_of_the_bytes() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, GUEST, &[]);
        for len in [5000, 5001, 6000, 8191, 8192, 8193, 9000] {
            let grown = len - call::<_, (), i32>(&mut store, instance, "size", ()).unwrap();
            call::<_, i32, i32>(&mut store, instance, "grow", grown).unwrap();
            assert_eq!(call::<_, (), i32>(&mut store, instance, "size", ()).unwrap(), len);
            let mut call = |name, last: i32| {
                assert!(instance.get_func(&mut store, name).is_some());
                let ok = match name {
                    "load64" => call::<_, i32, i64>(&mut store, instance, name, last).is_ok(),
                    "store64" => call::<_, i32, ()>(&mut store, instance, name, last).is_ok(),
                    _ => call::<_, i32, i32>(&mut store, instance, name, last).is_ok(),
                };
                let past = match name {
                    "load64" => is_out_of_bounds(call::<_, i32, i64>(&mut store, instance, name, last + 1)),
                    "store64" => is_out_of_bounds(call::<_, i32, ()>(&mut store, instance, name, last + 1)),
                    _ => is_out_of_bounds(call::<_, i32, i32>(&mut store, instance, name, last + 1)),
                };
                assert!(ok && past, "{name} at {last} of {len} bytes");
            };
            call("load8", len - 1);
            call("load64", len - 8);
            call("load128", len - 116);
            call("store64", len - 16);
            assert!(is_out_of_bounds(super::call::<_, i32, i32>(&mut store, instance, "load8", -1)));
            assert!(is_out_of_bounds(super::call::<_, _, ()>(&mut store, instance, "fill", (len - 10, 11))));
            super::call::<_, _, ()>(&mut store, instance, "fill", (len - 10, 10)).unwrap();
        }
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap(), -1);
    }
}

#[test]
fn the_host_sees_bytes_as_pages() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, GUEST, &[]);
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert_eq!((memory.page_size(&store), memory.page_size_log2(&store)), (1, 0));
        assert_eq!((memory.size(&store), memory.data_size(&store)), (5000, 5000));
        assert_eq!(&memory.data(&store)[4990..], b"0123456789");
        assert!(memory.write(&mut store, 4999, b"ab").is_err());
        assert_eq!(memory.grow(&mut store, 1).unwrap(), 5000);
        memory.write(&mut store, 4999, b"ab").unwrap();
        assert_eq!(call::<_, i32, i32>(&mut store, instance, "load8", 5000).unwrap(), i32::from(b'b'));
        assert_eq!(memory.ty(&store).to_string(), "(memory 5001 9000 (pagesize 1))");
        assert!(memory.grow(&mut store, 4000).is_err());
        assert!(memory.grow(&mut store, u64::MAX).is_err());
    }
}

#[test]
fn types_with_other_pages_do_not_match() {
    let engine = &engines()[0];
    let mut store = Store::new(engine, ());
    let bytes = MemoryType::builder().page_size_log2(0).min(65536).max(Some(65536)).build().unwrap();
    let bytes = Memory::new(&mut store, bytes).unwrap();
    let page = Memory::new(&mut store, MemoryType::new(1, Some(1))).unwrap();
    let mut import = |text: &str, memory: Memory| {
        let module = Module::new(engine, text).unwrap();
        Instance::new(&mut store, &module, &[memory.into()])
    };
    let (of_bytes, of_pages) =
        (r#"(module (import "" "" (memory 1 (pagesize 1))))"#, r#"(module (import "" "" (memory 1)))"#);
    import(of_bytes, bytes).unwrap();
    import(of_pages, page).unwrap();
    let refused = format!("{:#}", import(of_bytes, page).unwrap_err());
    assert!(refused.contains("expected (memory 1 (pagesize 1)), found (memory 1 1)"), "{refused}");
    import(of_pages, bytes).unwrap_err();
}

#[test]
fn types_that_cannot_be_are_refused() {
    let refused = |builder: &mut hotfoot::MemoryTypeBuilder| builder.build().unwrap_err().to_string();
    assert!(refused(MemoryType::builder().page_size_log2(12)).contains("2^12 bytes"));
    assert!(refused(MemoryType::builder().page_size_log2(0).min(1 << 32)).contains("4294967295"));
    assert!(refused(MemoryType::builder().min(2).max(Some(1))).contains("the limits 2 and 1"));
    assert!(refused(MemoryType::builder().min(65537)).contains("65536"));
    MemoryType::builder().page_size_log2(0).min(u32::MAX.into()).build().unwrap();
    MemoryType::builder().memory64(true).page_size_log2(0).max(Some(u64::MAX)).build().unwrap();
    let engine = Engine::default();
    let module = Module::new(&engine, "(module (memory 1 (pagesize 1)))").unwrap_err();
    assert!(format!("{module:#}").contains("custom page sizes"), "{module:#}");
}

/// Four gigabytes less one byte: everything that a 32-bit index reaches is checked at the last byte.
#[test]
fn the_largest_memory_of_bytes() {
    let engine = &engines()[0];
    let mut store = Store::new(engine, ());
    let text = r#"(module (memory 0xffffffff (pagesize 1))
        (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export "wide") (param i32) (result i32) (i32.load16_u offset=0xfffffffe (local.get 0)))
        (func (export "size") (result i32) (memory.size)))"#;
    let instance = instantiate(&mut store, text, &[]);
    assert_eq!(call::<_, (), i32>(&mut store, instance, "size", ()).unwrap(), -1);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "load", -2).unwrap(), 0);
    assert!(is_out_of_bounds(call::<_, i32, i32>(&mut store, instance, "load", -1)));
    assert!(is_out_of_bounds(call::<_, i32, i32>(&mut store, instance, "wide", 0)));
}

/// A limit is in bytes, whatever the pages are.
#[test]
fn limits_count_bytes() {
    let engine = &engines()[0];
    let mut store = Store::new(engine, StoreLimitsBuilder::new().memory_size(5500).build());
    store.limiter(|limits| limits);
    let instance = instantiate(&mut store, GUEST, &[]);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 500).unwrap(), 5000);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap(), -1);
}

/// What one instance left between the memory's end and the end of the processor's page is not there for the next.
#[test]
fn pooled_memories_of_bytes_are_reset() {
    let mut config = Config::new();
    config.wasm_custom_page_sizes(true).allocation_strategy(InstanceAllocationStrategy::pooling());
    let engine = Engine::new(&config).unwrap();
    let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, GUEST).unwrap()).unwrap();
    for _ in 0..20 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert_eq!(memory.data_size(&store), 5000);
        assert_eq!(&memory.data(&store)[4990..], b"0123456789");
        assert_eq!(memory.grow(&mut store, 4000).unwrap(), 5000);
        assert!(memory.data(&store)[5000..].iter().all(|byte| *byte == 0));
        call::<_, _, ()>(&mut store, instance, "fill", (4000, 5000)).unwrap();
        call::<_, _, ()>(&mut store, instance, "store8", (8999, 1)).unwrap();
        assert_eq!(memory.data(&store)[8999], 1);
    }
    let mut store = Store::new(&engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    call::<_, i32, i32>(&mut store, instance, "grow", 3).unwrap();
    call::<_, _, ()>(&mut store, instance, "store8", (5002, 9)).unwrap();
    let snapshot = instance.snapshot(&mut store).unwrap();
    let mut other = Store::new(&engine, ());
    let copy = snapshot.instantiate(&mut other).unwrap();
    let memory = copy.get_memory(&mut other, "m").unwrap();
    assert_eq!((memory.data_size(&other), memory.data(&other)[5002]), (5003, 9));
}
