//! Reset equals fresh: whatever an instance did, the next one on its place sees nothing of it.
//!
//! Random programs of operations (guest stores of all widths, vectors, bulk operations, growth, tables, globals, dropped
//! segments; host writes, raw slices, growth) run on pooled instances. Each instance is first compared, byte by byte and
//! entry by entry, with one that was never used. Every way to reset is covered: hot pages, decay, giving everything
//! back, asking the kernel; and the kernel may be told at any time to take pages away, as it does when memory is short.
//!
//! `HOTFOOT_RESET_INSTANCES=1000000 cargo test --release -p hotfoot --test reset` runs the long version.

use hotfoot::{
    Config, Enabled, Engine, Instance, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Ref, Store, Val,
};

const GUEST: &str = r#"(module
  (memory (export "m") 3 6)
  (memory (export "n") 1 2)
  (data (memory 0) (i32.const 100) "an image that is not empty")
  (data (memory 0) (i32.const 65530) "across a page and a half")
  (data (memory 1) (i32.const 40000) "another memory")
  (data $d "a passive segment")
  (table $t (export "t") 8 16 funcref)
  (table $x (export "x") 4 8 externref)
  (elem (table $t) (i32.const 2) func $f $f)
  (elem $e func $f $f $f)
  (global $a (export "a") (mut i32) (i32.const 1))
  (global $b (export "b") (mut i64) (i64.const 2))
  (global $c (export "c") (mut v128) (v128.const i64x2 3 4))
  (global $r (export "r") (mut funcref) (ref.func $f))
  (func $f)
  (func (export "store8") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "store16") (param i32 i32) (i32.store16 (local.get 0) (local.get 1)))
  (func (export "store32") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "store64") (param i32 i32) (i64.store (local.get 0) (i64.extend_i32_u (local.get 1))))
  (func (export "storef") (param i32 i32) (f64.store (local.get 0) (f64.convert_i32_s (local.get 1))))
  (func (export "store128") (param i32 i32) (v128.store (local.get 0) (i8x16.splat (local.get 1))))
  (func (export "lane") (param i32 i32) (v128.store32_lane 2 (local.get 0) (i8x16.splat (local.get 1))))
  (func (export "atomics") (param i32 i32)
    (i32.atomic.store (i32.and (local.get 0) (i32.const 0x2fffc)) (local.get 1))
    (drop (i64.atomic.rmw8.add_u offset=4097 (i32.and (local.get 0) (i32.const 0x1ffff)) (i64.const 3)))
    (drop (i32.atomic.rmw16.and_u (i32.and (local.get 1) (i32.const 0x1fffe)) (local.get 0))))
  (func (export "exchange") (param i32 i32)
    (drop (i64.atomic.rmw.xchg (i32.and (local.get 1) (i32.const 0x2fff8)) (i64.const -1)))
    (drop (i32.atomic.rmw.cmpxchg (i32.and (local.get 0) (i32.const 0x2fffc)) (i32.const 0) (local.get 1)))
    (drop (i32.atomic.rmw8.or_u 1 (i32.and (local.get 1) (i32.const 0xffff)) (i32.const 0x55))))
  (func (export "other") (param i32 i32) (i32.store 1 (i32.rem_u (local.get 0) (i32.const 65532)) (local.get 1)))
  (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (local.get 1) (i32.and (local.get 1) (i32.const 16383))))
  (func (export "copy") (param i32 i32) (memory.copy (local.get 0) (i32.and (local.get 1) (i32.const 65535)) (i32.and (local.get 1) (i32.const 8191))))
  (func (export "across") (param i32 i32) (memory.copy 1 0 (i32.and (local.get 1) (i32.const 32767)) (local.get 0) (i32.const 300)))
  (func (export "init") (param i32 i32) (memory.init $d (local.get 0) (i32.const 0) (i32.const 17)))
  (func (export "drop") (param i32 i32) (data.drop $d) (elem.drop $e))
  (func (export "grow") (param i32 i32) (drop (memory.grow (i32.const 1))) (drop (memory.grow 1 (i32.const 1)))
    (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (local.get 1)))
  (func (export "tset") (param i32 i32) (table.set $t (i32.and (local.get 0) (i32.const 7)) (ref.func $f)))
  (func (export "tnull") (param i32 i32) (table.set $t (i32.and (local.get 0) (i32.const 7)) (ref.null func)))
  (func (export "tgrow") (param i32 i32) (drop (table.grow $t (ref.func $f) (i32.const 2))))
  (func (export "tinit") (param i32 i32) (table.init $t $e (i32.and (local.get 0) (i32.const 3)) (i32.const 0) (i32.const 3)))
  (func (export "global") (param i32 i32)
    (global.set $a (local.get 0)) (global.set $b (i64.const 99)) (global.set $c (i8x16.splat (local.get 1))) (global.set $r (ref.null func)))
  (func (export "passive") (result i32) (memory.init $d (i32.const 0) (i32.const 0) (i32.const 17))
    (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 3)) (i32.load (i32.const 0)))
)"#;

const OPERATIONS: [&str; 21] = [
    "store8", "store16", "store32", "store64", "storef", "store128", "lane", "atomics", "exchange", "other", "fill",
    "copy", "across", "init", "drop", "grow", "tset", "tnull", "tgrow", "tinit", "global",
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Everything of an instance that another could have changed.
#[derive(PartialEq)]
struct State {
    memories: [Vec<u8>; 2],
    globals: (Option<i32>, Option<i64>, Option<u128>, bool),
    tables: Vec<Vec<bool>>,
}

fn state(store: &mut Store<()>, instance: &Instance) -> State {
    let memories = ["m", "n"].map(|name| {
        let memory = instance.get_memory(&mut *store, name).unwrap();
        memory.data(&*store).to_vec()
    });
    let mut global = |name| instance.get_global(&mut *store, name).unwrap().get(&mut *store);
    let globals = (
        global("a").i32(),
        global("b").i64(),
        global("c").v128().map(|vector| vector.as_u128()),
        matches!(global("r"), Val::FuncRef(Some(_))),
    );
    let tables = ["t", "x"].map(|name| {
        let table = instance.get_table(&mut *store, name).unwrap();
        (0..table.size(&*store)).map(|index| table.get(&mut *store, index).unwrap().is_null()).collect()
    });
    State { memories, globals, tables: tables.into() }
}

/// Asks the kernel to take all pages of the memory away that it can: clean ones of a file are dropped, private ones go
/// to swap where there is some.
fn evict(store: &mut Store<()>, instance: &Instance) {
    let memory = instance.get_memory(&mut *store, "m").unwrap();
    // Not `data_ptr`, after which writes would not be tracked any more.
    let (start, len) = (memory.data(&*store).as_ptr().cast_mut(), memory.data_size(&*store));
    // SAFETY: S5, the range is the memory's, and paging it out changes none of its bytes.
    unsafe { rustix::mm::madvise(start.cast(), len, rustix::mm::Advice::LinuxPageOut).unwrap() };
}

fn spoil(store: &mut Store<()>, instance: &Instance, random: &mut Random, raw: bool) {
    for _ in 0..random.below(24) {
        let operation = OPERATIONS[random.below(OPERATIONS.len() as u64) as usize];
        let func = instance.get_typed_func::<(u32, u32), ()>(&mut *store, operation).unwrap();
        // Some of them trap, which is as good a way to end as any.
        let _ = func.call(&mut *store, (random.below(3 * 65536) as u32, random.next() as u32));
    }
    let memory = instance.get_memory(&mut *store, "m").unwrap();
    match random.below(16) {
        4 => evict(store, instance),
        0 => memory.write(&mut *store, random.below(190_000) as usize, &[7; 5000]).unwrap(),
        1 if raw => {
            let at = random.below(190_000) as usize;
            memory.data_mut(&mut *store)[at..at + 100].fill(9);
        }
        2 => drop(memory.grow(&mut *store, 1)),
        3 => {
            let table = instance.get_table(&mut *store, "x").unwrap();
            let value = hotfoot::ExternRef::new(&mut *store, "host").unwrap();
            table.set(&mut *store, 1, Ref::Extern(Some(value))).unwrap();
            let _ = table.grow(&mut *store, 1, Ref::Extern(Some(value)));
        }
        _ => {}
    }
}

fn instances() -> u64 {
    std::env::var("HOTFOOT_RESET_INSTANCES").ok().and_then(|count| count.parse().ok()).unwrap_or(3000)
}

fn pre(config: &mut Config) -> (Engine, InstancePre<()>) {
    let engine = Engine::new(config.wasm_threads(true)).unwrap();
    let module = Module::new(&engine, GUEST).unwrap();
    let pre = Linker::new(&engine).instantiate_pre(&module).unwrap();
    (engine, pre)
}

fn check(pool: PoolingAllocationConfig, config: &mut Config, raw: bool, seed: u64) {
    let (engine, never_used) = pre(config.clone().allocation_strategy(InstanceAllocationStrategy::OnDemand));
    let mut store = Store::new(&engine, ());
    let instance = never_used.instantiate(&mut store).unwrap();
    let fresh = state(&mut store, &instance);
    let passive = instance.get_typed_func::<(), i32>(&mut store, "passive").unwrap().call(&mut store, ()).unwrap();

    let (engine, pre) = pre(config.allocation_strategy(pool));
    let mut random = Random(seed);
    for number in 0..instances() {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        assert!(state(&mut store, &instance) == fresh, "instance {number} (seed {seed}) begins with another's state");
        if random.below(4) == 0 {
            let again = instance.get_typed_func::<(), i32>(&mut store, "passive").unwrap().call(&mut store, ());
            assert_eq!(again.unwrap(), passive, "instance {number} (seed {seed}) has another's segments");
        }
        spoil(&mut store, &instance, &mut random, raw);
    }
}

#[test]
fn by_hot_pages() {
    check(PoolingAllocationConfig::new(), &mut Config::new(), false, 0x9e37_79b9_7f4a_7c15);
}

#[test]
fn by_asking_the_kernel() {
    check(PoolingAllocationConfig::new(), &mut Config::new(), true, 0x1234_5678_9abc_def1);
}

#[test]
fn by_giving_everything_back() {
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(8192);
    check(pool.clone(), &mut Config::new(), false, 77);
    check(pool, &mut Config::new(), true, 78);
}

#[test]
fn by_giving_everything_back_unasked() {
    let mut pool = PoolingAllocationConfig::new();
    pool.pagemap_scan(Enabled::No);
    check(pool, &mut Config::new(), true, 79);
}

#[test]
fn without_signals() {
    check(PoolingAllocationConfig::new(), Config::new().signals_based_traps(false), true, 5);
}

#[test]
fn with_explicit_bounds() {
    let mut config = Config::new();
    config.memory_reservation(1 << 20).memory_guard_size(0).memory_may_move(false);
    check(PoolingAllocationConfig::new(), &mut config, true, 6);
}

/// The kernel's answer to which pages were written is about the process that opened the question's file. A server that
/// forks workers once left its children asking about their parent, and what one instance wrote was there for the next.
#[test]
fn in_a_forked_child() {
    let pooled = || pre(Config::new().allocation_strategy(PoolingAllocationConfig::new()));
    let (parents, childs) = (pooled(), pooled());
    let spoil = |(engine, pre): &(Engine, InstancePre<()>)| {
        let mut store = Store::new(engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let memory = instance.get_memory(&mut store, "m").unwrap();
        let bytes = memory.data_mut(&mut store);
        let before = bytes.to_vec();
        bytes.fill(7);
        before
    };
    let fresh = spoil(&parents);
    assert!(spoil(&parents) == fresh);
    // SAFETY: S11, the child only runs code of this test and ends without running anything of this process.
    let status = unsafe {
        match libc::fork() {
            0 => libc::_exit(i32::from(!(0..10).all(|_| spoil(&childs) == fresh))),
            child => {
                assert!(child > 0, "fork failed");
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                status
            }
        }
    };
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "a child saw what an instance before it wrote");
}
