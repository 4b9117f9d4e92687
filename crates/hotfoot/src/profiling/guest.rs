//! The guest profiler: where the guests of a store spend their time, by samples that need nothing of their code.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

use super::firefox;
use super::stacks::{Frame, Stacks};
use crate::engine::Engine;
use crate::module::Module;
use crate::store::AsContextMut;
use crate::vm::interrupt::Interrupt;
use crate::vm::sampling::{self, Ring};

/// Most samples of a profile; later ones are counted as lost.
const MAX_SAMPLES: usize = 1 << 22;
/// The shortest interval: shorter ones would measure the measuring.
const MIN_INTERVAL: Duration = Duration::from_micros(50);

/// Where the guests of a store spend their time.
///
/// [`GuestProfiler::attach`] has a thread interrupt the store's guests at intervals and look where they are. Their code is
/// the same with and without. Instead, or also, [`GuestProfiler::sample`] takes a sample whenever the embedder wants,
/// for example in an [`epoch_deadline_callback`](crate::Store::epoch_deadline_callback).
///
/// ```
/// use std::time::Duration;
/// use hotfoot::{Engine, GuestProfiler, Instance, Module, Store};
/// # fn main() -> hotfoot::Result<()> {
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"(module (func $work (export "work") (param i32)
///     (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#)?;
/// let mut store = Store::new(&engine, ());
/// let instance = Instance::new(&mut store, &module, &[])?;
/// let work = instance.get_typed_func::<i32, ()>(&mut store, "work")?;
/// let modules = [("program".to_string(), module)];
/// let mut profiler = GuestProfiler::new(&engine, "program", Duration::from_millis(1), modules)?;
/// profiler.attach(&mut store)?;
/// work.call(&mut store, 1_000_000)?;
/// let mut file = Vec::new();
/// profiler.finish(&mut file)?; // for profiler.firefox.com
/// # assert_eq!(file[0], b'{');
/// # Ok(()) }
/// ```
pub struct GuestProfiler {
    name: String,
    interval: Duration,
    /// When it began: on the monotonic clock, which samples carry, and on that of the wall.
    start: (Duration, SystemTime),
    record: Arc<Mutex<Record>>,
    sampler: Option<Sampler>,
}

/// What was seen.
pub struct Record {
    /// Where.
    pub stacks: Stacks,
    /// When, in order.
    pub samples: Vec<Sample>,
    /// How many samples there was no room for.
    pub lost: u64,
}

/// That a guest was somewhere.
#[derive(Copy, Clone, Debug)]
pub struct Sample {
    /// On the monotonic clock.
    pub time: Duration,
    /// The stack's number.
    pub stack: u32,
    /// For how long, by the sample's account.
    pub weight: Duration,
}

struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl GuestProfiler {
    /// A profile of guests that are instances of these modules; others do not show. Names are for whoever reads it.
    ///
    /// # Errors
    /// When the interval is shorter than 50 microseconds, or a module is of another engine.
    pub fn new(
        engine: &Engine,
        name: impl Into<String>,
        interval: Duration,
        modules: impl IntoIterator<Item = (String, Module)>,
    ) -> Result<GuestProfiler> {
        ensure!(
            interval >= MIN_INTERVAL,
            "samples cannot be taken every {interval:?}: give an interval of {MIN_INTERVAL:?} or more"
        );
        let modules: Vec<(String, Module)> = modules.into_iter().collect();
        for (name, module) in &modules {
            ensure!(Engine::same(engine, module.engine()), "the module {name} is of another engine than the profiler");
        }
        let record = Record { stacks: Stacks::new(modules), samples: Vec::new(), lost: 0 };
        Ok(GuestProfiler {
            name: name.into(),
            interval,
            start: (sampling::now(), SystemTime::now()),
            record: Arc::new(Mutex::new(record)),
            sampler: None,
        })
    }

    /// From now on, has a thread sample the store's guests at the interval, until the profile is finished. The thread
    /// that runs them gets the signal `SIGPROF`; system calls that it interrupts go on, as far as the kernel lets them.
    ///
    /// # Errors
    /// When this profiler or another is attached already, or the thread cannot be started.
    pub fn attach(&mut self, mut store: impl AsContextMut) -> Result<()> {
        ensure!(self.sampler.is_none(), "the profiler is attached to a store already; make one for each");
        let mut store = store.as_context_mut();
        let interrupt = store.vm().interrupt()?;
        let ring = store.vm().begin_sampling()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (record, interval, stopped) = (self.record.clone(), self.interval, stop.clone());
        let thread = std::thread::Builder::new().name("hotfoot-profiler".into());
        let thread = thread.spawn(move || sample_until(&stopped, interval, &interrupt, &ring, &record));
        let thread = thread.context("cannot start the thread that takes samples")?;
        self.sampler = Some(Sampler { stop, thread });
        Ok(())
    }

    /// Takes a sample of the guests below this host function, which ran for `delta` since the last one.
    pub fn sample(&mut self, mut store: impl AsContextMut, delta: Duration) {
        let addresses: Vec<usize> = store.as_context_mut().frames().iter().map(|frame| frame.address()).collect();
        lock(&self.record).add(sampling::now(), &addresses, false, delta);
    }

    /// Each stack that was seen and how often, the oldest frame first: what a flame graph is drawn from.
    pub fn stacks(&mut self) -> Vec<(Vec<ProfileFrame>, u64)> {
        self.stop();
        let record = lock(&self.record);
        let mut counts = vec![0u64; record.stacks.all().len()];
        for sample in &record.samples {
            counts[sample.stack as usize] += 1;
        }
        let seen = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let mut stacks: Vec<(Vec<ProfileFrame>, u64)> = Vec::new();
        for (number, count) in seen {
            let mut frames = Vec::new();
            let mut next = Some(number as u32);
            while let Some(number) = next {
                let stack = record.stacks.all()[number as usize];
                frames
                    .push(ProfileFrame { name: record.stacks.name(stack.frame), is_host: stack.frame == Frame::Host });
                next = stack.prefix;
            }
            frames.reverse();
            stacks.push((frames, *count));
        }
        stacks
    }

    /// How many samples were taken, and how many were lost because there were too many.
    pub fn counts(&mut self) -> (u64, u64) {
        self.stop();
        let record = lock(&self.record);
        (record.samples.len() as u64, record.lost)
    }

    /// Ends the profile and writes it for the [Firefox Profiler](https://profiler.firefox.com).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, mut output: impl Write) -> Result<()> {
        self.stop();
        let record = lock(&self.record);
        let text = firefox::document(&self.name, self.interval, self.start, &record);
        output.write_all(text.as_bytes()).context("cannot write the profile")
    }

    /// Stops taking samples.
    fn stop(&mut self) {
        if let Some(sampler) = self.sampler.take() {
            sampler.stop.store(true, Ordering::Release);
            sampler.thread.thread().unpark();
            // It does not panic; if it did, there are just no more samples.
            let _ = sampler.thread.join();
        }
    }
}

impl Drop for GuestProfiler {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A function in a profile; see [`GuestProfiler::stacks`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProfileFrame {
    name: String,
    is_host: bool,
}

impl ProfileFrame {
    /// The function's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it stands for the host, which a guest had called.
    pub fn is_host(&self) -> bool {
        self.is_host
    }
}

impl Record {
    fn add(&mut self, time: Duration, addresses: &[usize], in_host: bool, weight: Duration) {
        if addresses.is_empty() {
            return;
        }
        match self.stacks.number(addresses, in_host) {
            Some(stack) if self.samples.len() < MAX_SAMPLES => self.samples.push(Sample { time, stack, weight }),
            _ => self.lost += 1,
        }
    }
}

/// The sampling thread.
fn sample_until(stop: &AtomicBool, interval: Duration, interrupt: &Interrupt, ring: &Ring, record: &Mutex<Record>) {
    let mut next = sampling::now() + interval;
    loop {
        let now = sampling::now();
        let stopped = stop.load(Ordering::Acquire);
        if now < next && !stopped {
            std::thread::park_timeout(next - now);
            continue;
        }
        // What the last signal found; it has had an interval to do so.
        while let Some(sample) = ring.read() {
            lock(record).add(sample.time, &sample.addresses, sample.in_host, interval);
        }
        if stopped {
            lock(record).lost += ring.lost();
            return ring.finish();
        }
        interrupt.sample();
        // A thread that did not get its turn does not catch up.
        next = (next + interval).max(now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
