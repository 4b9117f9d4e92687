//! The limits of a pool: what is refused, what is waited for, what is given back, and what is counted.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use hotfoot::{
    Config, Enabled, Engine, InstancePre, Linker, Module, PoolConcurrencyLimitError, PoolingAllocationConfig, Result,
    Store,
};

fn pool() -> PoolingAllocationConfig {
    PoolingAllocationConfig::new()
}

fn engine(pool: &PoolingAllocationConfig) -> Engine {
    Engine::new(Config::new().allocation_strategy(pool.clone())).unwrap()
}

const GUEST: &str = r#"(module (memory (export "m") 2 8) (table 10 funcref) (data (i32.const 70000) "image")
    (func (export "run") (i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 70000) (i32.const 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

fn pre(engine: &Engine, text: &str) -> Result<InstancePre<()>> {
    Linker::new(engine).instantiate_pre(&Module::new(engine, text).unwrap())
}

fn run(engine: &Engine, pre: &InstancePre<()>) -> Result<Store<()>> {
    let mut store = Store::new(engine, ());
    let instance = pre.instantiate(&mut store)?;
    instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())?;
    Ok(store)
}

/// At the limit all is well; one past it is refused with the name of the setting.
#[test]
fn each_limit_of_a_module_holds_exactly() {
    let check = |name: &str, set: &dyn Fn(&mut PoolingAllocationConfig, usize), exact: usize| {
        let with = |value: usize| {
            let mut config = pool();
            set(&mut config, value);
            engine(&config)
        };
        let error = pre(&with(exact - 1), GUEST).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        let engine = with(exact);
        run(&engine, &pre(&engine, GUEST).unwrap()).unwrap();
    };
    check(
        "max_memory_size",
        &|pool, bytes| {
            pool.max_memory_size(bytes);
        },
        2 << 16,
    );
    check(
        "table_elements",
        &|pool, elements| {
            pool.table_elements(elements);
        },
        10,
    );
    check(
        "max_memories_per_module",
        &|pool, count| {
            pool.max_memories_per_module(count as u32);
        },
        1,
    );
    check(
        "max_tables_per_module",
        &|pool, count| {
            pool.max_tables_per_module(count as u32);
        },
        1,
    );
    let size_of = |bytes| {
        let mut config = pool();
        pre(&engine(config.max_core_instance_size(bytes)), GUEST)
    };
    let needed = (1..10_000).find(|bytes| size_of(*bytes).is_ok()).unwrap();
    assert!(size_of(needed - 1).unwrap_err().to_string().contains("max_core_instance_size"));
}

#[test]
fn a_pooled_memory_grows_to_its_limit_and_not_beyond() {
    let mut config = pool();
    let engine = engine(config.max_memory_size(5 << 16));
    let pre = pre(&engine, GUEST).unwrap();
    for _ in 0..3 {
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
        assert_eq!(grow.call(&mut store, 4).unwrap(), -1);
        assert_eq!(grow.call(&mut store, 3).unwrap(), 2);
        assert_eq!(grow.call(&mut store, 1).unwrap(), -1);
    }
}

#[test]
fn each_count_of_an_engine_holds_exactly() {
    let two = "(module (memory 1) (memory 1) (table 1 funcref) (table 1 funcref) (func (export \"run\")))";
    for (setting, limit, set) in [
        ("total_core_instances", 3, PoolingAllocationConfig::total_core_instances as fn(&mut _, u32) -> &mut _),
        ("total_memories", 6, PoolingAllocationConfig::total_memories),
        ("total_tables", 6, PoolingAllocationConfig::total_tables),
    ] {
        let mut config = pool();
        let engine = engine(set(&mut config, limit));
        let pre = pre(&engine, two).unwrap();
        let stores: Vec<_> = (0..3).map(|_| run(&engine, &pre).unwrap()).collect();
        let error = run(&engine, &pre).unwrap_err();
        let error = error.downcast_ref::<PoolConcurrencyLimitError>().unwrap();
        assert_eq!((error.limit(), error.setting()), (limit, setting));
        assert!(error.to_string().contains(setting), "{error}");
        drop(stores);
        (0..10).for_each(|_| drop(run(&engine, &pre).unwrap()));
        let metrics = engine.pool_metrics().unwrap();
        assert_eq!((metrics.core_instances, metrics.memories, metrics.tables), (3, 6, 6), "a failure takes nothing");
    }
}

/// Idle instances of one module do not keep another's from being made.
#[test]
fn what_is_idle_makes_room() {
    let mut config = pool();
    let engine = engine(config.total_core_instances(4));
    let pres: Vec<_> = (0..3).map(|_| pre(&engine, GUEST).unwrap()).collect();
    for round in 0..20 {
        let pre = &pres[round % 3];
        let stores: Vec<_> = (0..4).map(|_| run(&engine, pre).unwrap()).collect();
        drop(stores);
        assert_eq!(pre.idle_instances(), 4);
    }
    assert_eq!(engine.pool_metrics().unwrap().core_instances, 4);
}

#[test]
fn waiting_for_a_slot_ends_when_one_is_given_back() {
    let mut config = pool();
    let engine = engine(config.total_core_instances(2).wait_for_slot(Duration::from_secs(60)));
    let pre = pre(&engine, GUEST).unwrap();
    let (send, receive) = mpsc::channel();
    let held = [run(&engine, &pre).unwrap(), run(&engine, &pre).unwrap()];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let send = send.clone();
            scope.spawn(|| {
                let send = send;
                (0..50).for_each(|_| drop(run(&engine, &pre).unwrap()));
                send.send(()).unwrap();
            });
        }
        assert!(receive.recv_timeout(Duration::from_millis(30)).is_err(), "all slots are held");
        drop(held);
        (0..4).for_each(|_| receive.recv().unwrap());
    });
    assert!(engine.pool_metrics().unwrap().core_instances <= 2);
}

#[test]
fn waiting_for_a_slot_ends_in_time() {
    let mut config = pool();
    let engine = engine(config.total_core_instances(1).wait_for_slot(Duration::from_millis(20)));
    let pre = pre(&engine, GUEST).unwrap();
    let _held = run(&engine, &pre).unwrap();
    let start = Instant::now();
    assert!(run(&engine, &pre).unwrap_err().is::<PoolConcurrencyLimitError>());
    assert!(start.elapsed() >= Duration::from_millis(20), "it waited as long as it was told to");
}

#[test]
fn what_nobody_needs_is_given_back() {
    let mut config = pool();
    let engine = engine(config.idle_timeout(Some(Duration::from_millis(20))));
    let pre = pre(&engine, GUEST).unwrap();
    drop((0..5).map(|_| run(&engine, &pre).unwrap()).collect::<Vec<_>>());
    // However slow the machine is, it happens at some time.
    while engine.pool_metrics().unwrap().core_instances > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    run(&engine, &pre).unwrap();
    let error = Engine::new(Config::new().allocation_strategy(pool().idle_timeout(Some(Duration::ZERO)).clone()));
    assert!(error.unwrap_err().to_string().contains("idle_timeout"));
}

#[test]
fn large_tables_are_not_kept() {
    let mut config = pool();
    let engine = engine(config.table_keep_resident(80));
    let (small, large) =
        (pre(&engine, GUEST).unwrap(), pre(&engine, "(module (table 11 funcref) (func (export \"run\")))"));
    let large = large.unwrap();
    drop((run(&engine, &small).unwrap(), run(&engine, &large).unwrap()));
    assert_eq!((small.idle_instances(), large.idle_instances()), (1, 0));
}

#[test]
fn what_the_host_lacks_is_refused_only_when_insisted_on() {
    let with = |set: &dyn Fn(&mut PoolingAllocationConfig)| {
        let mut config = pool();
        set(&mut config);
        Engine::new(Config::new().allocation_strategy(config))
    };
    assert!(
        with(&|pool| {
            pool.memory_protection_keys(Enabled::Auto);
        })
        .is_ok()
    );
    let error = with(&|pool| {
        pool.memory_protection_keys(Enabled::Yes);
    })
    .unwrap_err()
    .to_string();
    assert!(error.contains("memory_protection_keys"), "{error}");
    assert!(
        with(&|pool| {
            pool.pagemap_scan(Enabled::No);
        })
        .is_ok()
    );
}

/// The metrics say which way memories were reset: by what is known, by asking the kernel, by giving everything back.
#[test]
fn the_metrics_tell_how_memories_are_reset() {
    let resets = |config: &PoolingAllocationConfig, raw: bool| {
        let engine = engine(config);
        let pre = pre(&engine, GUEST).unwrap();
        for _ in 0..10 {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            instance.get_typed_func::<(), ()>(&mut store, "run").unwrap().call(&mut store, ()).unwrap();
            if raw {
                instance.get_memory(&mut store, "m").unwrap().data_mut(&mut store)[1] = 1;
            }
        }
        let metrics = engine.pool_metrics().unwrap();
        assert_eq!((metrics.warm_starts, metrics.cold_starts, metrics.idle_instances), (9, 1, 1));
        assert_eq!(metrics.untracked_memories, usize::from(raw));
        assert!(metrics.idle_bytes_resident > 0);
        (metrics.resets_by_copying, metrics.resets_by_scanning, metrics.resets_by_discarding)
    };
    assert_eq!(resets(&pool(), false), (10, 0, 0));
    assert_eq!(resets(pool().linear_memory_keep_resident(0), false), (0, 0, 10));
    assert_eq!(resets(pool().pagemap_scan(Enabled::No), true), (0, 0, 10));
    let (copied, scanned, discarded) = resets(&pool(), true);
    assert_eq!((copied, scanned + discarded), (0, 10), "whichever is cheaper on this host");
    assert_eq!(Engine::default().pool_metrics(), None);
}

/// Many instances over few slots from several threads: nothing is lost, nothing is counted twice.
#[test]
fn threads_share_few_slots() {
    let count = std::env::var("HOTFOOT_POOL_INSTANCES").ok().and_then(|count| count.parse().ok()).unwrap_or(4000);
    let mut config = pool();
    let engine = engine(config.total_core_instances(1000).wait_for_slot(Duration::from_secs(600)));
    let pre = pre(&engine, GUEST).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (engine, pre) = (&engine, &pre);
            scope.spawn(move || {
                // Together they never hold all: who holds some while waiting for more could wait for ever.
                let mut held = Vec::new();
                for number in 0..count / 4 {
                    held.push(run(engine, pre).unwrap());
                    if held.len() > 150 + 40 * thread {
                        held.drain(..number % 50);
                    }
                }
            });
        }
    });
    let metrics = engine.pool_metrics().unwrap();
    assert_eq!(metrics.core_instances as usize, metrics.idle_instances);
    assert!(metrics.core_instances <= 1000);
    assert_eq!(metrics.warm_starts + metrics.cold_starts, count as u64 / 4 * 4);
    engine.trim();
    assert_eq!(engine.pool_metrics().unwrap().core_instances, 0);
}

/// Ten thousand instances alive at once, each with a memory of its own, and all of them right.
#[test]
fn many_are_alive_at_once() {
    let count = std::env::var("HOTFOOT_POOL_ALIVE").ok().and_then(|count| count.parse().ok()).unwrap_or(500);
    let engine = engine(&pool());
    let pre = pre(&engine, GUEST).unwrap();
    let mut alive: Vec<_> = (0..count)
        .map(|number: u32| {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            instance.get_memory(&mut store, "m").unwrap().write(&mut store, 64, &number.to_le_bytes()).unwrap();
            (store, instance)
        })
        .collect();
    for (number, (store, instance)) in (0u32..).zip(&mut alive) {
        let memory = instance.get_memory(&mut *store, "m").unwrap();
        let mut bytes = [0; 4];
        memory.read(&mut *store, 64, &mut bytes).unwrap();
        assert_eq!(u32::from_le_bytes(bytes), number);
    }
    assert_eq!(engine.pool_metrics().unwrap().core_instances, count);
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

/// However many instances there were, the process stays as large as it was after the first thousands.
#[test]
fn memory_does_not_grow() {
    let count = std::env::var("HOTFOOT_POOL_INSTANCES").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let engine = engine(&pool());
    let pre = pre(&engine, GUEST).unwrap();
    let start = |count: u32| (0..count).for_each(|_| drop(run(&engine, &pre).unwrap()));
    start(2000);
    let before = resident_bytes();
    start(count);
    let grown = resident_bytes().saturating_sub(before);
    // Other tests of this process run beside this one; a leak of 100 bytes an instance would still show.
    assert!(grown < 64 << 20, "the process grew by {grown} bytes over {count} instances");
}

/// Where address space is short, an engine reserves less for each memory, and everything still works.
#[test]
fn little_address_space_is_enough() {
    if std::env::var("HOTFOOT_TEST_LITTLE_SPACE").is_err() {
        let this = std::env::current_exe().unwrap();
        let command = format!("ulimit -v 4000000; exec {} little_address_space", this.display());
        let mut child = std::process::Command::new("sh");
        let output = child.args(["-c", &command]).env("HOTFOOT_TEST_LITTLE_SPACE", "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let engine = engine(&pool());
    let pre = pre(&engine, GUEST).unwrap();
    let stores: Vec<_> = (0..30).map(|_| run(&engine, &pre).unwrap()).collect();
    drop(stores);
    run(&engine, &pre).unwrap();
    // Growth past the small reservation moves the memory, whose place is then not used again.
    let text = r#"(module (memory (export "m") 1 4000) (func (export "run") (drop (memory.grow (i32.const 2000)))
        (if (i32.ne (memory.size) (i32.const 2001)) (then unreachable)) (i32.store (i32.const 120000000) (i32.const 1))))"#;
    let large = self::pre(&engine, text).unwrap();
    (0..3).for_each(|_| drop(run(&engine, &large).unwrap()));
    assert_eq!(large.idle_instances(), 0);
}
