//! How long it takes from an interrupt to the return of the call that it stops.
//!
//! `cargo run --release -p hotfoot --example interrupt_latency [TRIES]` interrupts a loop so many times, 10,000 unless
//! said otherwise, each after a random time, and prints the median and the 99th percentile.
#![forbid(unsafe_code)]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use hotfoot::{Engine, Instance, Module, Store, Trap};

fn main() -> hotfoot::Result<()> {
    let tries: u32 = std::env::args().nth(1).map_or(Ok(10_000), |tries| tries.parse())?;
    let engine = Engine::default();
    let text = r#"(module (memory 1)
        (func $f (param i32) (result i32) (i32.add (i32.load (i32.and (local.get 0) (i32.const 0xfff))) (i32.const 1)))
        (func (export "spin") (local i32) (loop $l (local.set 0 (call $f (local.get 0))) (br $l))))"#;
    let module = Module::new(&engine, text)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let spin = instance.get_typed_func::<(), ()>(&mut store, "spin")?;
    let handle = store.interrupt_handle()?;
    let (begun, begins) = mpsc::channel::<u64>();
    let (sent, sends) = mpsc::channel::<Instant>();
    let thread = std::thread::spawn(move || {
        while let Ok(delay_us) = begins.recv() {
            std::thread::sleep(Duration::from_micros(delay_us));
            let now = Instant::now();
            handle.interrupt();
            if sent.send(now).is_err() {
                return;
            }
        }
    });
    let mut latencies = Vec::new();
    for number in 0..tries {
        begun.send(50 + u64::from(number) * 37 % 400)?;
        let error = spin.call(&mut store, ()).unwrap_err();
        let returned = Instant::now();
        anyhow::ensure!(error.downcast_ref() == Some(&Trap::Interrupt), "{error:?}");
        latencies.push(returned.saturating_duration_since(sends.recv()?));
    }
    drop(begun);
    let _ = thread.join();
    latencies.sort();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    println!("{tries} interrupts: median {:?}, 99th percentile {:?}, longest {:?}", at(50), at(99), at(100));
    Ok(())
}
