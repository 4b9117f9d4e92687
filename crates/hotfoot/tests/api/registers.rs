//! Values that cross without a trampoline: in registers as long as there are any, then on the stack, then in slots again.
//! Every argument counts by its place, so one that is lost, doubled or exchanged shows.

use hotfoot::{Caller, Engine, Linker, Store, V128, WasmBacktrace};

use super::{compile, engines};

/// A type of WebAssembly, and the 64 bits that an argument of it counts with.
trait Word: Copy {
    const NAME: &str;
    /// From a value of the type to an `i64`.
    const TO_BITS: &str;
    fn bits(self) -> i64;
    fn value(number: u64) -> Self;
}

macro_rules! words {
    ($($ty:ty, $name:literal, $bits:literal, $value:ident => $to:expr, $number:ident => $from:expr;)*) => {$(
        impl Word for $ty {
            const NAME: &str = $name;
            const TO_BITS: &str = $bits;

            fn bits(self) -> i64 {
                let $value = self;
                $to
            }

            fn value($number: u64) -> Self {
                $from
            }
        }
    )*};
}

words! {
    i32, "i32", "i64.extend_i32_u", value => i64::from(value as u32), number => -(number as i32);
    i64, "i64", "", value => value, number => -(number as i64) << 20;
    f32, "f32", "i32.reinterpret_f32 i64.extend_i32_u", value => i64::from(value.to_bits()), number => number as f32 / 3.0;
    f64, "f64", "i64.reinterpret_f64", value => value.to_bits() as i64, number => number as f64 / 7.0;
    V128, "v128", "i64x2.extract_lane 1", value => (value.as_u128() >> 64) as i64,
        number => V128::from(u128::from(number) << 67 | 1);
}

/// What all arguments come to.
fn sum(words: &[i64]) -> i64 {
    words.iter().fold(7, |sum: i64, word| sum.wrapping_mul(31).wrapping_add(*word))
}

/// The same in a guest: `own` adds up its parameters, `host` lets the host do it, `tail` in a tail call, and `many`
/// in a tail call of a function with more parameters than the host's.
fn guest(types: &[(&str, &str)]) -> String {
    let params: String = types.iter().map(|(name, _)| format!("{name} ")).collect();
    let gets: String = (0..types.len()).map(|at| format!("(local.get {at}) ")).collect();
    let add = |(at, (_, bits)): (usize, &(&str, &str))| format!("i64.const 31 i64.mul local.get {at} {bits} i64.add ");
    let words: String = types.iter().enumerate().map(add).collect();
    let more = "i64 ".repeat(12);
    format!(
        r#"(module
            (import "" "sum" (func $sum (param {params}) (result i64)))
            (func (export "own") (param {params}) (result i64) i64.const 7 {words})
            (func $host (export "host") (param {params}) (result i64) (i64.xor (call $sum {gets}) (i64.const 1)))
            (func (export "tail") (param {params}) (result i64) (return_call $sum {gets}))
            (func $more (param {params} {more}) (result i64) (return_call $sum {gets}))
            (func (export "many") (param {params}) (result i64) (local i64)
                (local.set {len} (call $more {gets} {ones}))
                (i64.add (local.get {len}) (call $host {gets}))))"#,
        len = types.len(),
        ones = "(i64.const -1) ".repeat(12),
    )
}

macro_rules! check {
    ($engine:expr, $name:expr; $($arg:ident: $ty:ty),*) => {{
        let types = [$((<$ty>::NAME, <$ty>::TO_BITS)),*];
        let mut linker = Linker::<u32>::new($engine);
        linker
            .func_wrap("", "sum", |mut caller: Caller<'_, u32>, $($arg: $ty),*| {
                *caller.data_mut() += 1;
                sum(&[$($arg.bits()),*])
            })
            .unwrap();
        let mut store = Store::new($engine, 0);
        let instance = linker.instantiate(&mut store, &compile($engine, &guest(&types))).unwrap();
        let mut number = 0;
        $(
            number += 1;
            let $arg = <$ty>::value(number);
        )*
        let expected = sum(&[$($arg.bits()),*]);
        let mut call = |export: &str| {
            let func = instance.get_typed_func::<($($ty,)*), i64>(&mut store, export).unwrap();
            func.call(&mut store, ($($arg,)*)).unwrap()
        };
        assert_eq!(call("own"), expected, "{}: own, {types:?}", $name);
        assert_eq!(call("host"), expected ^ 1, "{}: host, {types:?}", $name);
        assert_eq!(call("tail"), expected, "{}: tail, {types:?}", $name);
        assert_eq!(call("many"), expected.wrapping_add(expected ^ 1), "{}: many, {types:?}", $name);
        assert_eq!(*store.data(), 4);
    }};
}

/// Calls `check` with the first type alone, the first two, and so on.
macro_rules! growing {
    ($engine:expr, $name:expr; $arg:ident: $ty:ty $(, $rest:ident: $more:ty)*) => {
        growing!(@ $engine, $name; [$arg: $ty] $($rest: $more),*)
    };
    (@ $engine:expr, $name:expr; [$($done:ident: $of:ty),*]) => { check!($engine, $name; $($done: $of),*) };
    (@ $engine:expr, $name:expr; [$($done:ident: $of:ty),*] $arg:ident: $ty:ty $(, $rest:ident: $more:ty)*) => {
        check!($engine, $name; $($done: $of),*);
        growing!(@ $engine, $name; [$($done: $of,)* $arg: $ty] $($rest: $more),*)
    };
}

#[test]
fn integers_of_every_number() {
    for (name, engine) in engines() {
        growing!(&engine, name; a: i64, b: i64, c: i64, d: i64, e: i64, f: i64, g: i64, h: i64, i: i64, j: i64, k: i64, l: i64, m: i64, n: i64);
    }
}

#[test]
fn floats_of_every_number() {
    for (name, engine) in engines().into_iter().take(1) {
        growing!(&engine, name; a: f64, b: f32, c: f64, d: f64, e: f32, f: f64, g: f64, h: f64, i: f64, j: f32, k: f64, l: f64, m: f64, n: f64);
    }
}

#[test]
fn vectors_of_every_number() {
    for (name, engine) in engines().into_iter().take(1) {
        growing!(&engine, name; a: V128, b: V128, c: i32, d: V128, e: V128, f: V128, g: V128, h: V128, i: V128, j: V128, k: V128);
    }
}

#[test]
fn both_kinds_of_registers_and_the_stack_between_them() {
    for (name, engine) in engines() {
        growing!(&engine, name; a: i32, b: f64, c: i64, d: f32, e: V128, f: i32, g: i32, h: i64, i: f64, j: i32, k: f32, l: f64, m: f64, n: f64, o: f32);
    }
}

#[test]
fn an_error_of_a_function_in_registers_names_the_frames_that_led_to_it() {
    // The first function was left by a tail call, so the host's caller is whoever entered the guest.
    let text = r#"(module
        (import "" "fail" (func $fail (param i64 i64 i64 i64 i64 i64) (result i64)))
        (func $tail (export "tail") (param i64) (result i64)
            (return_call $fail (local.get 0) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6)))
        (func $inner (param i64) (result i64) (i64.add (i64.const 1) (call $fail
            (local.get 0) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6))))
        (func $outer (export "outer") (param i64) (result i64) (i64.add (i64.const 1) (call $inner (local.get 0)))))"#;
    let engine = Engine::default();
    let mut linker = Linker::<Vec<String>>::new(&engine);
    let fail = |a: i64, b: i64, c: i64, d: i64, e: i64, f: i64| -> hotfoot::Result<i64> {
        anyhow::bail!("{a} {b} {c} {d} {e} {f}")
    };
    linker.func_wrap("", "fail", fail).unwrap();
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &compile(&engine, text)).unwrap();
    for (export, expected) in [("tail", &[][..]), ("outer", &["inner", "outer"])] {
        let func = instance.get_typed_func::<i64, i64>(&mut store, export).unwrap();
        // Twice: what the first left behind must not be in the way of the second.
        for number in [1, 10] {
            let error = func.call(&mut store, number).unwrap_err();
            assert_eq!(error.root_cause().to_string(), format!("{number} 2 3 4 5 6"));
            let names = error.downcast_ref::<WasmBacktrace>().map_or(Vec::new(), |backtrace| {
                backtrace.frames().iter().filter_map(|frame| frame.func_name().map(str::to_string)).collect()
            });
            assert_eq!(names, expected);
        }
    }
}

#[test]
fn fuel_is_counted_through_typed_calls_in_both_directions() {
    let engine = Engine::new(hotfoot::Config::new().consume_fuel(true)).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_fuel(1000).unwrap();
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("", "half", |mut caller: Caller<'_, ()>| {
            let left = caller.get_fuel().unwrap();
            caller.set_fuel(left / 2).unwrap();
        })
        .unwrap();
    let text =
        r#"(module (import "" "half" (func $half)) (func (export "run") (call $half) (nop) (drop (i32.const 1))))"#;
    let instance = linker.instantiate(&mut store, &compile(&engine, text)).unwrap();
    let before = store.get_fuel().unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "run").unwrap().call(&mut store, ()).unwrap();
    let after = store.get_fuel().unwrap();
    assert!(after < before / 2 && after > before / 2 - 10, "{before} {after}");
}
