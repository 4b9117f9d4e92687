//! What profilers are told, and what our own sees.

use std::time::{Duration, Instant};

use hotfoot::{Caller, Config, Engine, Func, GuestProfiler, Instance, Linker, Module, ProfilingStrategy, Store};
use serde_json::Value;

const TEXT: &str = r#"(module $guest
    (import "" "host" (func $host))
    (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func $work (export "work") (param $times i32) (result i32) (local $n i32)
        (loop $l
            (local.set $n (call $leaf (local.get $n)))
            (br_if $l (i32.lt_u (local.get $n) (local.get $times))))
        (local.get $n))
    (func $calls_host (export "calls_host") (call $host)))"#;

struct Host {
    work: Option<Func>,
}

fn setup(engine: &Engine) -> (Store<Host>, Module, Instance) {
    let module = Module::new(engine, TEXT).unwrap();
    let mut linker = Linker::<Host>::new(engine);
    // Half of the time in the host itself, half of it in a guest that it calls.
    let host = |mut caller: Caller<'_, Host>| -> hotfoot::Result<()> {
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until {}
        let work = caller.data().work.unwrap().typed::<i32, i32>(&caller)?;
        while Instant::now() < until + Duration::from_millis(100) {
            work.call(&mut caller, 10_000)?;
        }
        Ok(())
    };
    linker.func_wrap("", "host", host).unwrap();
    let mut store = Store::new(engine, Host { work: None });
    let instance = linker.instantiate(&mut store, &module).unwrap();
    store.data_mut().work = instance.get_func(&mut store, "work");
    (store, module, instance)
}

fn stacks(profiler: &mut GuestProfiler) -> Vec<(String, u64)> {
    let joined = |(frames, count): (Vec<hotfoot::ProfileFrame>, u64)| {
        (frames.iter().map(|frame| frame.name().to_owned()).collect::<Vec<_>>().join(";"), count)
    };
    // Several places in a function are different stacks.
    let mut stacks: Vec<(String, u64)> = Vec::new();
    for (name, count) in profiler.stacks().into_iter().map(joined) {
        match stacks.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += count,
            None => stacks.push((name, count)),
        }
    }
    stacks
}

#[test]
fn the_sampler_sees_guests_the_host_and_guests_below_the_host() {
    let engine = Engine::default();
    let (mut store, module, instance) = setup(&engine);
    let modules = [("guest".to_owned(), module)];
    let mut profiler = GuestProfiler::new(&engine, "test", Duration::from_micros(500), modules.clone()).unwrap();
    profiler.attach(&mut store).unwrap();
    assert!(profiler.attach(&mut store).is_err());
    let mut other = GuestProfiler::new(&engine, "test", Duration::from_millis(1), modules).unwrap();
    assert!(other.attach(&mut store).unwrap_err().to_string().contains("profiled already"));
    let calls_host = instance.get_typed_func::<(), ()>(&mut store, "calls_host").unwrap();
    calls_host.call(&mut store, ()).unwrap();
    let seen = stacks(&mut profiler);
    let count =
        |name: &str| seen.iter().filter(|(stack, _)| stack.starts_with(name)).map(|(_, count)| count).sum::<u64>();
    assert!(count("calls_host;(host)") > 0, "{seen:?}");
    assert!(count("calls_host;work") > 0, "{seen:?}");
    assert_eq!(count(""), profiler.counts().0);
    // One that is finished makes room for another.
    other.attach(&mut store).unwrap();
    calls_host.call(&mut store, ()).unwrap();
    assert!(!stacks(&mut other).is_empty());
}

#[test]
fn embedders_can_take_samples_themselves() {
    let engine = Engine::default();
    let module = Module::new(&engine, TEXT).unwrap();
    let modules = [("guest".to_owned(), module.clone())];
    let profiler = GuestProfiler::new(&engine, "test", Duration::from_millis(10), modules).unwrap();
    let mut linker = Linker::<GuestProfiler>::new(&engine);
    let host = |mut caller: Caller<'_, GuestProfiler>| {
        let engine = caller.engine().clone();
        let empty = GuestProfiler::new(&engine, "", Duration::from_millis(10), []).unwrap();
        let mut profiler = std::mem::replace(caller.data_mut(), empty);
        profiler.sample(&mut caller, Duration::from_millis(20));
        *caller.data_mut() = profiler;
    };
    linker.func_wrap("", "host", host).unwrap();
    let mut store = Store::new(&engine, profiler);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let calls_host = instance.get_typed_func::<(), ()>(&mut store, "calls_host").unwrap();
    calls_host.call(&mut store, ()).unwrap();
    calls_host.call(&mut store, ()).unwrap();
    let mut profiler = store.into_data();
    assert_eq!(stacks(&mut profiler), [("calls_host".to_owned(), 2)]);
    let mut file = Vec::new();
    profiler.finish(&mut file).unwrap();
    let document: Value = serde_json::from_slice(&file).unwrap();
    let samples = &document["threads"][0]["samples"];
    assert_eq!((&samples["length"], &samples["weight"]), (&2.into(), &serde_json::json!([20.0, 20.0])));
}

/// Every number in a table's column is one of a row of the table that it names.
#[test]
fn a_written_profile_holds_together() {
    const DIVIDE: &[u8] = include_bytes!("../../../../tests/cli/data/divide.wasm");
    let engine = Engine::new(Config::new().generate_address_map(true)).unwrap();
    let module = Module::new(&engine, DIVIDE).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let modules = [("a \"name\"\n".to_owned(), module)];
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    let profile = |store: &mut Store<()>| -> Value {
        let interval = Duration::from_micros(50);
        let mut profiler = GuestProfiler::new(&engine, "a \"name\"\n", interval, modules.clone()).unwrap();
        profiler.attach(&mut *store).unwrap();
        let until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < until {
            run.call(&mut *store, 3).unwrap();
        }
        let mut file = Vec::new();
        profiler.finish(&mut file).unwrap();
        serde_json::from_slice(&file).unwrap()
    };
    // The guest is short: for a while no sample may find it, or only where no line is known.
    let mut document = profile(&mut store);
    for _ in 0..100 {
        if document["shared"]["sources"]["length"] != 0 {
            break;
        }
        document = profile(&mut store);
    }
    assert_eq!(document["meta"]["product"], "a \"name\"\n");
    let (shared, samples) = (&document["shared"], &document["threads"][0]["samples"]);
    let column = |table: &Value, name: &str| -> Vec<Option<u64>> {
        let column = table[name].as_array().unwrap_or_else(|| panic!("no column {name}"));
        assert_eq!(column.len() as u64, table["length"].as_u64().unwrap(), "{name}");
        column.iter().map(Value::as_u64).collect()
    };
    let check = |table: &Value, name: &str, rows: u64| {
        assert!(column(table, name).into_iter().flatten().all(|row| row < rows), "{name}");
    };
    let len = |name: &str| shared[name]["length"].as_u64().unwrap();
    let strings = shared["stringArray"].as_array().unwrap().len() as u64;
    check(samples, "stack", len("stackTable"));
    check(&shared["stackTable"], "frame", len("frameTable"));
    check(&shared["frameTable"], "func", len("funcTable"));
    check(&shared["funcTable"], "name", strings);
    check(&shared["funcTable"], "source", len("sources"));
    check(&shared["sources"], "filename", strings);
    for (number, prefix) in column(&shared["stackTable"], "prefix").into_iter().enumerate() {
        assert!(prefix.is_none_or(|prefix| prefix < number as u64));
    }
    assert!(len("sources") > 0, "the module has debug information");
    assert_eq!(samples["timeDeltas"].as_array().unwrap().len() as u64, samples["length"].as_u64().unwrap());
}

#[test]
fn an_interval_that_is_too_short_is_refused() {
    let engine = Engine::default();
    let new = |micros| GuestProfiler::new(&engine, "", Duration::from_micros(micros), []);
    assert!(new(50).is_ok());
    assert!(new(49).err().unwrap().to_string().contains("50µs or more"));
}

#[test]
fn perf_is_told_of_every_function() {
    let engine = Engine::new(Config::new().profiler(ProfilingStrategy::PerfMap)).unwrap();
    let text = r#"(module (func $first (export "a b\0a")) (func (export "c")) (func $_RNvC6_123foo3bar))"#;
    let module = Module::new(&engine, text).unwrap();
    let path = std::env::temp_dir().join(format!("perf-{}.map", std::process::id()));
    let map = std::fs::read_to_string(&path).unwrap();
    let mut covered = 0;
    let mut names = Vec::new();
    for line in map.lines() {
        let mut parts = line.splitn(3, ' ');
        let mut number = || usize::from_str_radix(parts.next().unwrap(), 16).unwrap();
        let (start, len) = (number(), number());
        assert!(module.text().contains(&start) && start + len <= module.text().end, "{line}");
        covered += len;
        names.push(parts.next().unwrap());
    }
    assert!(names.contains(&"first") && names.contains(&"wasm[1]") && names.contains(&"123foo::bar"), "{names:?}");
    assert!(covered * 2 > module.text().len());
    std::fs::remove_file(path).unwrap();
}
