//! `memory.copy` and `memory.fill` of every length, near and far, known and unknown when compiled: as slices do it.

use hotfoot::{Config, Engine, Instance, InstanceAllocationStrategy, InstancePre, Linker, Memory, Store, Trap};

use super::{call, compile, engines};

const SIZE: usize = 2 << 16;
/// Lengths that are constants in the code.
const CONSTANTS: [usize; 22] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 63, 64, 100, 127, 128, 129];
/// Lengths around those at which the way to copy changes, and some between.
const LENGTHS: [usize; 15] = [65, 95, 96, 130, 191, 192, 193, 255, 500, 511, 512, 513, 600, 4097, 20_000];

/// A module with functions that copy and fill: any length, and each of the constants.
fn module() -> String {
    let function = |name: &str, length: &str| {
        format!(
            r#"(func (export "copy{name}") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) ({length})))
            (func (export "fill{name}") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) ({length})))"#
        )
    };
    let constants = CONSTANTS.iter().map(|length| function(&length.to_string(), &format!("i32.const {length}")));
    let functions: String = constants.chain([function("", "local.get 2")]).collect();
    format!(r#"(module (memory (export "m") 2) {functions})"#)
}

/// The module for all kinds of engines; also for one whose memories are tracked, and one that counts.
fn everywhere() -> Vec<(&'static str, InstancePre<()>)> {
    let mut engines = engines().to_vec();
    let pooling = InstanceAllocationStrategy::pooling();
    engines.push(("pooled", Engine::new(Config::new().allocation_strategy(pooling)).unwrap()));
    engines.push(("fuel", Engine::new(Config::new().consume_fuel(true)).unwrap()));
    let prepare = |(kind, engine): (_, Engine)| {
        let module = compile(&engine, &module());
        (kind, Linker::new(&engine).instantiate_pre(&module).unwrap())
    };
    engines.into_iter().map(prepare).collect()
}

/// An instance, and what its memory should hold.
struct Pair {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
    expected: Vec<u8>,
    kind: &'static str,
}

impl Pair {
    fn new(kind: &'static str, pre: &InstancePre<()>) -> Pair {
        let mut store = Store::new(pre.module().engine(), ());
        if kind == "fuel" {
            store.set_fuel(1 << 60).unwrap();
        }
        let instance = pre.instantiate(&mut store).unwrap();
        let memory = instance.get_memory(&mut store, "m").unwrap();
        assert!(memory.data(&store) == [0; SIZE], "{kind}: not fresh");
        Pair { store, instance, memory, expected: vec![0; SIZE], kind }
    }

    /// Writes bytes that differ from each other at a place.
    fn scatter(&mut self, range: std::ops::Range<usize>) {
        for (at, byte) in (0u64..).zip(&mut self.expected[range.clone()]) {
            *byte = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        }
        self.memory.write(&mut self.store, range.start, &self.expected[range]).unwrap();
    }

    fn copy(&mut self, how: How, to: usize, from: usize, len: usize) {
        self.expected.copy_within(from..from + len, to);
        self.call("copy", how, to, from, len).unwrap();
    }

    fn fill(&mut self, how: How, to: usize, byte: u8, len: usize) {
        self.expected[to..to + len].fill(byte);
        // Only the lowest byte counts.
        self.call("fill", how, to, 0xabcd_ef00 | usize::from(byte), len).unwrap();
    }

    fn call(&mut self, name: &str, how: How, to: usize, other: usize, len: usize) -> hotfoot::Result<()> {
        let name = match how {
            How::Constant => format!("{name}{len}"),
            How::Argument => name.to_owned(),
        };
        call(&mut self.store, self.instance, &name, (to as i32, other as i32, len as i32))
    }

    fn compare(&self, what: &str) {
        let seen = self.memory.data(&self.store);
        if seen == self.expected {
            return;
        }
        let different = seen.iter().zip(&self.expected).position(|(seen, expected)| seen != expected);
        panic!("{}: {what}: {different:x?}", self.kind);
    }
}

/// How a function knows the length.
#[derive(Copy, Clone, Debug)]
enum How {
    Constant,
    Argument,
}

fn lengths() -> impl Iterator<Item = (How, usize)> {
    let arguments = CONSTANTS.into_iter().chain(LENGTHS).map(|length| (How::Argument, length));
    CONSTANTS.into_iter().map(|length| (How::Constant, length)).chain(arguments)
}

#[test]
fn ranges_may_overlap_in_any_way() {
    for (kind, pre) in everywhere() {
        let mut pair = Pair::new(kind, &pre);
        for (how, len) in lengths() {
            let middle = 30_000;
            pair.scatter(middle - 200..middle + len + 200);
            for distance in [0, 1, 3, 8, 15, 16, 17, 33, 64, 65, 100, len / 2, len, len + 7] {
                pair.copy(how, middle + distance, middle, len);
                pair.copy(how, middle, middle + distance, len);
            }
            pair.compare(&format!("{how:?} {len}"));
        }
    }
}

#[test]
fn fills_are_as_long_as_they_say() {
    for (kind, pre) in everywhere() {
        let mut pair = Pair::new(kind, &pre);
        for (byte, (how, len)) in (1..).zip(lengths()) {
            pair.fill(how, 40_000 + usize::from(byte % 3), byte, len);
            pair.compare(&format!("{how:?} {len}"));
        }
    }
}

/// The first writes to pages of a tracked memory fault, wherever in a run they are; and the next instance is fresh.
#[test]
fn runs_cross_pages_that_were_never_written() {
    for (kind, pre) in everywhere() {
        for (how, len) in lengths() {
            let mut pair = Pair::new(kind, &pre);
            let source = SIZE - len - 1;
            pair.scatter(source..source + len);
            for (page, before) in (1..).zip([1, len / 2, len.saturating_sub(1)]) {
                let start = page * 0x6000 - before;
                pair.fill(how, start, 0xee, len);
                pair.copy(how, start + 0x3000, source, len);
            }
            pair.compare(&format!("{how:?} {len}"));
        }
    }
}

/// A run that does not fit writes nothing at all, not even in pages before the end.
#[test]
fn what_is_out_of_bounds_changes_nothing() {
    for (kind, pre) in everywhere() {
        let mut pair = Pair::new(kind, &pre);
        pair.scatter(SIZE - 25_000..SIZE);
        for (how, len) in lengths() {
            pair.fill(how, SIZE - len, 5, len);
            pair.copy(how, SIZE - len, 100, len);
            pair.copy(how, 50_000, SIZE - len, len);
            for past in [SIZE - len + 1, SIZE, SIZE + 1, 0xffff_0000, 0xffff_ffff] {
                if len == 0 && past == SIZE {
                    continue;
                }
                for (name, to, other) in
                    [("fill", past, 7), ("copy", past, 100), ("copy", 100, past), ("copy", past, past)]
                {
                    let error = pair.call(name, how, to, other, len).unwrap_err();
                    let trap = error.downcast_ref::<Trap>();
                    assert_eq!(trap, Some(&Trap::MemoryOutOfBounds), "{kind}: {name} {how:?} {len} at {past:#x}");
                }
            }
            pair.compare(&format!("{how:?} {len}"));
        }
    }
}
