//! Atomic operations on every kind of memory, by one thread.

use hotfoot::{Instance, Store, Trap, Val, ValType};

use super::threads::{engines, trap_of};
use super::{call, instantiate};

const WIDTHS: [(&str, &str, u32); 7] = [
    ("i32", "", 32),
    ("i32", "8", 8),
    ("i32", "16", 16),
    ("i64", "", 64),
    ("i64", "8", 8),
    ("i64", "16", 16),
    ("i64", "32", 32),
];
const OPERATIONS: [&str; 6] = ["add", "sub", "and", "or", "xor", "xchg"];

/// A module with a function for each atomic operation: `(address, operands) -> result`.
fn every_operation(memory: &str, index: &str) -> String {
    let mut text = format!("(module {memory}");
    for (ty, width, _) in WIDTHS {
        let (suffix, address) = (if width.is_empty() { "" } else { "_u" }, "(local.get 0)");
        let mut func = |name: String, operands: usize, result: bool| {
            let params = format!("{ty} ").repeat(operands);
            let gets: String = (1..=operands).map(|operand| format!(" (local.get {operand})")).collect();
            let result = if result { format!("(result {ty})") } else { String::new() };
            text += &format!(
                "(func (export \"{name}\") (param {index} {params}) {result} ({name} offset=8 {address}{gets}))"
            );
        };
        func(format!("{ty}.atomic.load{width}{suffix}"), 0, true);
        func(format!("{ty}.atomic.store{width}"), 1, false);
        for operation in OPERATIONS {
            func(format!("{ty}.atomic.rmw{width}.{operation}{suffix}"), 1, true);
        }
        func(format!("{ty}.atomic.rmw{width}.cmpxchg{suffix}"), 2, true);
    }
    text + "(func (export \"fence\") atomic.fence))"
}

/// What an operation gives and leaves, on so many bits.
fn model(operation: &str, old: u64, operand: u64) -> u64 {
    match operation {
        "add" => old.wrapping_add(operand),
        "sub" => old.wrapping_sub(operand),
        "and" => old & operand,
        "or" => old | operand,
        "xor" => old ^ operand,
        _ => operand,
    }
}

/// Calls a function whose first parameter is an index of 32 or 64 bits and whose others are of one type.
fn call_operation(
    store: &mut Store<()>,
    instance: Instance,
    name: &str,
    address: u64,
    operands: &[u64],
) -> hotfoot::Result<u64> {
    let func = instance.get_func(&mut *store, name).unwrap();
    let ty = func.ty(&*store);
    let value = |ty: ValType, bits: u64| match ty {
        ValType::I32 => Val::I32(bits as i32),
        _ => Val::I64(bits as i64),
    };
    let bits = std::iter::once(&address).chain(operands);
    let params: Vec<Val> = ty.params().zip(bits).map(|(ty, bits)| value(ty, *bits)).collect();
    let mut results = vec![Val::I32(0); ty.results().len()];
    func.call(&mut *store, &params, &mut results)?;
    Ok(match results.first() {
        Some(Val::I32(result)) => u64::from(*result as u32),
        Some(Val::I64(result)) => *result as u64,
        _ => 0,
    })
}

/// Operations on memories of all kinds, against a model in Rust.
#[test]
fn every_operation_on_every_kind_of_memory() {
    let kinds = [
        (r#"(memory (export "m") 1 1)"#, "i32"),
        (r#"(memory (export "m") 1 1 shared)"#, "i32"),
        (r#"(memory (export "m") i64 1 1)"#, "i64"),
        (r#"(memory (export "m") i64 1 1 shared)"#, "i64"),
        (r#"(memory (export "m") 65536 65536 shared (pagesize 1))"#, "i32"),
    ];
    for engine in engines() {
        for (memory, index) in kinds {
            let mut store = Store::new(&engine, ());
            let instance = instantiate(&mut store, &every_operation(memory, index), &[]);
            call::<_, (), ()>(&mut store, instance, "fence", ()).unwrap();
            let mut random = 0x9e37_79b9_7f4a_7c15u64;
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random
            };
            for (ty, width, bits) in WIDTHS {
                let (suffix, mask) = (if width.is_empty() { "" } else { "_u" }, u64::MAX >> (64 - bits));
                let mut run =
                    |name: String, operands: &[u64]| call_operation(&mut store, instance, &name, 16, operands).unwrap();
                let load = format!("{ty}.atomic.load{width}{suffix}");
                for operation in OPERATIONS {
                    let (old, operand) = (next(), next());
                    run(format!("{ty}.atomic.store{width}"), &[old]);
                    let result = run(format!("{ty}.atomic.rmw{width}.{operation}{suffix}"), &[operand]);
                    assert_eq!(result, old & mask, "{memory}: {ty} {width} {operation}");
                    let expected = model(operation, old, operand) & mask;
                    assert_eq!(run(load.clone(), &[]), expected, "{memory}: {ty} {width} {operation}");
                }
                let (old, new) = (next() & mask, next());
                run(format!("{ty}.atomic.store{width}"), &[old]);
                let exchange = format!("{ty}.atomic.rmw{width}.cmpxchg{suffix}");
                assert_eq!(run(exchange.clone(), &[old ^ 1, new]), old);
                assert_eq!(run(load.clone(), &[]), old);
                assert_eq!(run(exchange.clone(), &[old, new]), old);
                assert_eq!(run(load.clone(), &[]), new & mask);
            }
        }
    }
}

/// An address must be a multiple of the size, and all of it inside; the first is looked at first.
#[test]
fn addresses_are_checked() {
    for engine in engines() {
        for (memory, index) in
            [("(memory 1 1)", "i32"), ("(memory i64 1 2 shared)", "i64"), ("(memory 1 3 shared)", "i32")]
        {
            let mut store = Store::new(&engine, ());
            let instance = instantiate(&mut store, &every_operation(memory, index), &[]);
            for (ty, width, bits) in WIDTHS {
                let (suffix, bytes) = (if width.is_empty() { "" } else { "_u" }, u64::from(bits / 8));
                let names = [
                    (format!("{ty}.atomic.load{width}{suffix}"), 0),
                    (format!("{ty}.atomic.store{width}"), 1),
                    (format!("{ty}.atomic.rmw{width}.add{suffix}"), 1),
                    (format!("{ty}.atomic.rmw{width}.and{suffix}"), 1),
                    (format!("{ty}.atomic.rmw{width}.cmpxchg{suffix}"), 2),
                ];
                for (name, operands) in names {
                    let operands = &[0, 0][..operands];
                    let mut run = |address| call_operation(&mut store, instance, &name, address, operands);
                    let last = 65536 - 8 - bytes;
                    run(last).unwrap();
                    assert_eq!(trap_of(run(last + bytes)), Trap::MemoryOutOfBounds, "{memory} {name}");
                    let top = if index == "i64" { u64::MAX } else { u64::from(u32::MAX) };
                    assert_eq!(trap_of(run(top - bytes + 1)), Trap::MemoryOutOfBounds, "{memory} {name}");
                    if bytes > 1 {
                        assert_eq!(trap_of(run(last - 1)), Trap::HeapMisaligned, "{memory} {name}");
                        assert_eq!(trap_of(run(top)), Trap::HeapMisaligned, "{memory} {name}");
                    }
                }
            }
        }
    }
}
