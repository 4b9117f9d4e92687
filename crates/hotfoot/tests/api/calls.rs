//! Calls of exports and of the host: every type of value, every number of them, on both sides of the border.

use std::fmt::Write;

use hotfoot::{Engine, ExternRef, Func, FuncType, Instance, Linker, Ref, Rooted, Store, V128, Val, ValType};

use super::{call, compile, engines, instantiate, start};

/// The types that a signature of these tests goes through, and a value of each that shows a mistake.
const TYPES: [ValType; 7] =
    [ValType::I32, ValType::F64, ValType::I64, ValType::V128, ValType::F32, ValType::EXTERNREF, ValType::FUNCREF];

fn value(ty: ValType, at: usize, host: Rooted<ExternRef>, func: Func) -> Val {
    let number = at as u64 + 1;
    match ty {
        ValType::I32 => Val::I32(-(number as i32)),
        ValType::I64 => Val::I64(-(number as i64) << 33),
        // NaNs with a payload, signalling: any arithmetic on the way would change them.
        ValType::F32 => Val::F32(0x7f80_0000 | number as u32),
        ValType::F64 => Val::F64(0xfff0_0000_0000_0000 | number),
        ValType::V128 => Val::V128(V128::from(u128::MAX - u128::from(number))),
        ValType::EXTERNREF => Val::ExternRef(at.is_multiple_of(2).then_some(host)),
        _ => Val::FuncRef((at % 2 == 1).then_some(func)),
    }
}

/// Equality of bits and of references.
fn same(store: &mut Store<()>, a: &Val, b: &Val) -> bool {
    match (a, b) {
        (Val::I32(a), Val::I32(b)) => a == b,
        (Val::I64(a), Val::I64(b)) => a == b,
        (Val::F32(a), Val::F32(b)) => a == b,
        (Val::F64(a), Val::F64(b)) => a == b,
        (Val::V128(a), Val::V128(b)) => a == b,
        (Val::ExternRef(Some(a)), Val::ExternRef(Some(b))) => Rooted::ref_eq(&*store, a, b).unwrap(),
        (Val::ExternRef(None), Val::ExternRef(None)) | (Val::FuncRef(None), Val::FuncRef(None)) => true,
        (Val::FuncRef(Some(a)), Val::FuncRef(Some(b))) => {
            let mut answer = |func: &Func| func.typed::<(), i32>(&*store).unwrap().call(&mut *store, ()).unwrap();
            answer(a) == 1234 && answer(b) == 1234
        }
        _ => false,
    }
}

/// `echo` gives its parameters back, `host` those that a function of the host's gave back, `reverse` in reverse order.
fn echoing(types: &[ValType]) -> String {
    let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let (forth, back) = (list(types), list(&types.iter().rev().cloned().collect::<Vec<_>>()));
    let mut gets = String::new();
    let mut reversed = String::new();
    for at in 0..types.len() {
        let _ = write!(gets, "(local.get {at}) ");
        let _ = write!(reversed, "(local.get {}) ", types.len() - 1 - at);
    }
    format!(
        r#"(module
            (type $t (func (param {forth}) (result {forth})))
            (import "" "host" (func $host (type $t)))
            (table funcref (elem $host))
            (func $echo (export "echo") (type $t) {gets})
            (func (export "host") (type $t) (call $host {gets}))
            (func (export "indirect") (type $t) (call_indirect (type $t) {gets} (i32.const 0)))
            (func (export "tail") (type $t) (return_call $host {gets}))
            (func (export "inner") (type $t) (call $echo {gets}))
            (func (export "reverse") (param {forth}) (result {back}) {reversed}))"#
    )
}

fn check_signature(store: &mut Store<()>, types: &[ValType], host: Rooted<ExternRef>, func: Func) {
    let engine = store.engine().clone();
    let ty = FuncType::new(&engine, types.iter().cloned(), types.iter().cloned());
    let echo = Func::new(&mut *store, ty, |_, params, results| {
        results.copy_from_slice(params);
        Ok(())
    });
    let instance = instantiate(store, &echoing(types), &[echo.into()]);
    let values: Vec<Val> = types.iter().enumerate().map(|(at, ty)| value(ty.clone(), at, host, func)).collect();
    let mut exports: Vec<(&str, Func)> = vec![("the host's own", echo)];
    for name in ["echo", "host", "indirect", "tail", "inner", "reverse"] {
        exports.push((name, instance.get_func(&mut *store, name).unwrap()));
    }
    for (name, export) in exports {
        let mut results = vec![Val::I32(99); types.len()];
        export.call(&mut *store, &values, &mut results).unwrap();
        if name == "reverse" {
            results.reverse();
        }
        for (at, (result, value)) in results.iter().zip(&values).enumerate() {
            assert!(same(store, result, value), "{name} of {types:?}, value {at}: {result:?} instead of {value:?}");
        }
    }
}

#[test]
fn every_type_in_every_place_comes_back() {
    for (_, engine) in &engines()[..2] {
        let mut store = Store::new(engine, ());
        let host = ExternRef::new(&mut store, "host").unwrap();
        let func = Func::wrap(&mut store, || 1234);
        for count in 0..=16 {
            let types: Vec<ValType> = (0..count).map(|at| TYPES[(at * 3 + count) % TYPES.len()].clone()).collect();
            check_signature(&mut store, &types, host, func);
        }
    }
}

#[test]
fn more_values_of_one_type_than_registers() {
    let mut store = Store::new(&Engine::default(), ());
    let host = ExternRef::new(&mut store, "host").unwrap();
    let func = Func::wrap(&mut store, || 1234);
    for ty in TYPES {
        for count in [1, 2, 9, 17, 40] {
            check_signature(&mut store, &vec![ty.clone(); count], host, func);
        }
    }
    let mixed: Vec<ValType> = (0..300).map(|at| TYPES[at % TYPES.len()].clone()).collect();
    check_signature(&mut store, &mixed, host, func);
}

#[test]
fn as_many_values_as_a_signature_may_have() {
    let mut store = Store::new(&Engine::default(), ());
    let host = ExternRef::new(&mut store, "host").unwrap();
    let func = Func::wrap(&mut store, || 1234);
    let types: Vec<ValType> = (0..1000).map(|at| TYPES[at % 5].clone()).collect();
    check_signature(&mut store, &types, host, func);
}

#[test]
fn typed_functions_of_sixteen_values() {
    let engine = Engine::default();
    let mut linker: Linker<()> = Linker::new(&engine);
    type Sixteen = (i32, i64, f32, f64, V128, u32, u64, i32, f64, f64, f64, f64, f64, f64, f64, i32);
    linker
        .func_wrap(
            "host",
            "rotate",
            |a: i32,
             b: i64,
             c: f32,
             d: f64,
             e: V128,
             f: u32,
             g: u64,
             h: i32,
             i: f64,
             j: f64,
             k: f64,
             l: f64,
             m: f64,
             n: f64,
             o: f64,
             p: i32| { (p, b, c, d, e, f, g, h, o, n, m, l, k, j, i, a) },
        )
        .unwrap();
    let list = "i32 i64 f32 f64 v128 i32 i64 i32 f64 f64 f64 f64 f64 f64 f64 i32";
    let gets: String = (0..16).map(|at| format!("(local.get {at})")).collect();
    let module = compile(
        &engine,
        &format!(
            r#"(module (import "host" "rotate" (func $r (param {list}) (result {list})))
                (func (export "run") (param {list}) (result {list}) (call $r {gets})))"#
        ),
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let wide = V128::from(5 << 100);
    let values: Sixteen = (1, -2, 3.5, -4.5, wide, 6, u64::MAX, -8, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16);
    let results: Sixteen = call(&mut store, instance, "run", values).unwrap();
    let (p, b, c, d, e, f, g, h, o, n, m, l, k, j, i, a) = results;
    assert_eq!((p, b, c, d, e, f, g, h), (16, -2, 3.5, -4.5, wide, 6, u64::MAX, -8));
    assert_eq!((o, n, m, l, k, j, i, a), (15.0, 14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 1));
}

#[test]
fn nans_keep_their_bits_through_typed_functions() {
    let (mut store, instance) = start(
        r#"(module (func (export "f32") (param f32) (result f32) (local.get 0))
            (func (export "f64") (param f64) (result f64) (local.get 0)))"#,
    );
    for bits in [0x7f80_0001u32, 0xffbf_ffff, 0x7fc0_0000, 0x8000_0000] {
        let result: f32 = call(&mut store, instance, "f32", f32::from_bits(bits)).unwrap();
        assert_eq!(result.to_bits(), bits, "{bits:#x}");
    }
    for bits in [0x7ff0_0000_0000_0001u64, 0xfff7_ffff_ffff_ffff, 1 << 63] {
        let result: f64 = call(&mut store, instance, "f64", f64::from_bits(bits)).unwrap();
        assert_eq!(result.to_bits(), bits, "{bits:#x}");
    }
}

/// The upper half of a register is nobody's: what the host leaves there must not be seen, and the other way round.
#[test]
fn small_integers_are_not_what_stands_above_them() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let negative = Func::wrap(&mut store, || -1i32);
    let instance = instantiate(
        &mut store,
        r#"(module (import "" "" (func $negative (result i32)))
            (func (export "wide") (result i64) (i64.extend_i32_u (call $negative)))
            (func (export "cut") (param i64) (result i32) (i32.wrap_i64 (local.get 0)))
            (func (export "use") (param i32) (result i64) (i64.extend_i32_u (local.get 0))))"#,
        &[negative.into()],
    );
    assert_eq!(call::<_, (), u64>(&mut store, instance, "wide", ()).unwrap(), 0xffff_ffff);
    assert_eq!(call::<_, u64, u32>(&mut store, instance, "cut", u64::MAX << 4).unwrap(), 0xffff_fff0);
    assert_eq!(call::<_, i32, u64>(&mut store, instance, "use", -2).unwrap(), 0xffff_fffe);
}

#[test]
fn wrong_values_are_errors_and_nothing_is_called() {
    let mut store = Store::new(&Engine::default(), 0);
    let count = Func::wrap(&mut store, |mut caller: hotfoot::Caller<'_, i32>, _: i32, _: Option<Func>| {
        *caller.data_mut() += 1;
        1i64
    });
    let text = r#"(module (import "" "" (func $f (param i32 funcref) (result i64)))
        (func (export "f") (param i32 funcref) (result i64) (call $f (local.get 0) (local.get 1))))"#;
    let instance = instantiate(&mut store, text, &[count.into()]);
    let exported = instance.get_func(&mut store, "f").unwrap();
    let (null, one) = (Val::FuncRef(None), Val::I32(1));
    for func in [count, exported] {
        let mut results = [Val::I32(0)];
        for params in
            [&[][..], &[one], &[one, null, null], &[null, one], &[Val::I64(1), null], &[one, Val::ExternRef(None)]]
        {
            let error = func.call(&mut store, params, &mut results).unwrap_err();
            assert!(error.to_string().contains("argument"), "{error}");
        }
        let error = func.call(&mut store, &[one, null], &mut []).unwrap_err();
        assert!(error.to_string().contains("results"), "{error}");
        assert!(func.call(&mut store, &[one, null], &mut [one, one]).is_err());
        assert!(func.typed::<(i32, Option<Func>), ()>(&store).is_err());
        let error = func.typed::<(i64, Option<Func>), i64>(&store).unwrap_err();
        assert!(error.to_string().contains("(param i32 funcref) (result i64)"), "{error}");
        assert!(func.typed::<(), i64>(&store).is_err());
    }
    assert_eq!(*store.data(), 0);
    exported.call(&mut store, &[one, null], &mut [one]).unwrap();
    assert_eq!(*store.data(), 1);
}

#[test]
fn exports_are_asked_for_by_their_kind() {
    let (mut store, instance) = start(
        r#"(module (func (export "f")) (memory (export "m") 1) (table (export "t") 1 funcref)
            (global (export "g") i32 (i32.const 1)))"#,
    );
    assert!(instance.get_func(&mut store, "m").is_none() && instance.get_memory(&mut store, "f").is_none());
    assert!(instance.get_table(&mut store, "g").is_none() && instance.get_global(&mut store, "t").is_none());
    assert!(instance.get_export(&mut store, "").is_none());
    for (name, words) in [("m", "not a function"), ("x", "no export of this name"), ("f", "another type")] {
        let error = instance.get_typed_func::<i32, ()>(&mut store, name).unwrap_err();
        assert!(error.to_string().contains(words) && error.to_string().contains(name), "{error}");
    }
    let names: Vec<String> = instance.exports(&mut store).map(|export| export.name().to_string()).collect();
    assert_eq!(names, ["f", "m", "t", "g"]);
}

#[test]
fn references_come_back_as_the_same_things() {
    let mut store = Store::new(&Engine::default(), ());
    let text = r#"(module (table $t 4 externref) (global $g (mut externref) (ref.null extern))
        (func (export "keep") (param externref)
            (table.set $t (i32.const 2) (local.get 0)) (global.set $g (local.get 0)))
        (func (export "kept") (result externref externref) (table.get $t (i32.const 2)) (global.get $g))
        (func (export "self") (result funcref) (ref.func $answer)) (elem declare func $answer)
        (func $answer (result i32) (i32.const 42)))"#;
    let instance: Instance = instantiate(&mut store, text, &[]);
    type External = Option<Rooted<ExternRef>>;
    for number in 0..100u64 {
        let given = ExternRef::new(&mut store, number).unwrap();
        call::<_, External, ()>(&mut store, instance, "keep", Some(given)).unwrap();
        let (a, b): (External, External) = call(&mut store, instance, "kept", ()).unwrap();
        for back in [a.unwrap(), b.unwrap()] {
            let data = back.data(&store).unwrap().and_then(|data| data.downcast_ref::<u64>());
            assert_eq!(data, Some(&number));
        }
    }
    let answer = call::<_, (), Option<Func>>(&mut store, instance, "self", ()).unwrap().unwrap();
    assert_eq!(answer.typed::<(), i32>(&store).unwrap().call(&mut store, ()).unwrap(), 42);
    assert!(Ref::from(answer).as_func().flatten().is_some());
}
