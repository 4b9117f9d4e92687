//! 128-bit arithmetic, against Rust's.

use hotfoot::{Config, Engine, Inlining, Store};

use super::{call, instantiate};

const GUEST: &str = r#"(module
    (func (export "add") (param i64 i64 i64 i64) (result i64 i64)
        (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "sub") (param i64 i64 i64 i64) (result i64 i64)
        (i64.sub128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "mul_s") (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))
    (func (export "mul_u") (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1))))"#;

fn halves(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}

#[test]
fn sums_and_products_are_those_of_128_bits() {
    let mut store = Store::new(&Engine::new(Config::new().wasm_wide_arithmetic(true)).unwrap(), ());
    let instance = instantiate(&mut store, GUEST, &[]);
    let edges = [0, 1, 2, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0x1234_5678_9abc_def0];
    for low in edges {
        for high in edges {
            for other in edges {
                let (x, y) = (u128::from(low) | u128::from(high) << 64, u128::from(other) << 32 | 0xffff);
                let operands = (low, high, halves(y).0, halves(y).1);
                let mut wide = |name| call::<_, _, (u64, u64)>(&mut store, instance, name, operands).unwrap();
                assert_eq!(wide("add"), halves(x.wrapping_add(y)), "{x} + {y}");
                assert_eq!(wide("sub"), halves(x.wrapping_sub(y)), "{x} - {y}");
            }
            let mut product = |name| call::<_, _, (u64, u64)>(&mut store, instance, name, (low, high)).unwrap();
            assert_eq!(product("mul_u"), halves(u128::from(low) * u128::from(high)), "{low} * {high}");
            let signed = i128::from(low as i64) * i128::from(high as i64);
            assert_eq!(product("mul_s"), halves(signed as u128), "{low} * {high}");
        }
    }
}

/// Functions that multiply 128-bit integers by parts, and others that call them.
const BY_PARTS: &str = include_str!("../../../compile/tests/clif/products_of_128_bits.wat");

/// What functions store at an address: calls them with operands and reads the memory.
struct ByParts {
    store: Store<()>,
    instance: hotfoot::Instance,
}

impl ByParts {
    fn new(inlining: Inlining, text: &str) -> ByParts {
        let engine = Engine::new(Config::new().compiler_inlining(inlining).consume_fuel(true)).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(1 << 60).unwrap();
        let instance = instantiate(&mut store, text, &[]);
        ByParts { store, instance }
    }

    fn multiply(&mut self, name: &str, x: u128, y: u128) -> u128 {
        let ((a, b), (c, d)) = (halves(x), halves(y));
        call::<_, _, ()>(&mut self.store, self.instance, name, (4000, a, b, c, d)).unwrap();
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        let mut bytes = [0; 16];
        memory.read(&self.store, 4000, &mut bytes).unwrap();
        u128::from_le_bytes(bytes)
    }

    /// What is in memory after a product that does not fit there.
    fn overrun(&mut self, name: &str) -> Vec<u8> {
        call::<_, _, ()>(&mut self.store, self.instance, name, (65536 - 9, 3u64, 5u64, 7u64, 9u64)).unwrap_err();
        let memory = self.instance.get_memory(&mut self.store, "memory").unwrap();
        memory.data(&self.store)[65500..].to_vec()
    }
}

const OPERANDS: [u128; 9] = [
    0,
    1,
    u64::MAX as u128,
    1 << 64,
    u128::MAX,
    0x8000_0000_8000_0000,
    0xffff_ffff_0000_0000_ffff_ffff,
    0x1234_5678_9abc_def0_0fed_cba9_8765_4321,
    0xdead_beef_ffff_ffff_ffff_fffe,
];

#[test]
fn products_by_parts_are_those_of_128_bits() {
    let mut all = [Inlining::Yes, Inlining::No].map(|inlining| ByParts::new(inlining, BY_PARTS));
    for name in ["first", "second"] {
        for (x, y) in OPERANDS.into_iter().flat_map(|x| OPERANDS.map(|y| (x, y))) {
            for one in &mut all {
                assert_eq!(one.multiply(name, x, y), x.wrapping_mul(y), "{name}: {x:#x} * {y:#x}");
            }
        }
        let [inlined, called] = all.each_mut().map(|one| one.overrun(name));
        assert_eq!(inlined, called, "{name}: the half that fits");
    }
    let [inlined, called] = all.each_mut().map(|one| one.store.get_fuel().unwrap());
    assert_eq!(inlined, called, "fuel");
}

/// A function that only looks like one that multiplies is not taken for one.
#[test]
fn what_differs_in_one_instruction_is_another_function() {
    let module = BY_PARTS.split(";; CLIF").next().unwrap();
    let swaps = [
        ("i64.add", "i64.mul"),
        ("i64.mul", "i64.add"),
        ("i64.shr_u", "i64.shr_s"),
        ("const 32", "const 31"),
        ("0xffffffff", "0x7fffffff"),
        ("i64.lt_u", "i64.le_u"),
        ("local.get 1 ", "local.get 2 "),
        ("local.get 3 ", "local.get 4 "),
        ("tee 1 ", "tee 5 "),
        ("offset=8", "offset=1"),
    ];
    let (start, end) = (module.find("(func").unwrap(), module.find("(func (export").unwrap());
    let mut differences = 0;
    for (from, to) in swaps {
        for (at, _) in module.match_indices(from).filter(|(at, _)| (start..end).contains(at)) {
            let changed = format!("{}{to}{}", &module[..at], &module[at + from.len()..]);
            let [mut inlined, mut called] = [Inlining::Yes, Inlining::No].map(|it| ByParts::new(it, &changed));
            for name in ["first", "second"] {
                for (x, y) in OPERANDS.into_iter().zip(OPERANDS.into_iter().cycle().skip(3)) {
                    let seen = called.multiply(name, x, y);
                    assert_eq!(inlined.multiply(name, x, y), seen, "{name}, {to} at {at}: {x:#x}, {y:#x}");
                    differences += usize::from(seen != x.wrapping_mul(y));
                }
            }
        }
    }
    assert!(differences > 300, "{differences} changes were seen");
}
