//! Exceptions in their older encoding, alone and together with the one of today.

use hotfoot::{Config, Engine, Instance, Module, Store, Tag, ThrownException, Trap};

use super::{Change, call, compile, instantiate};

fn engines() -> Vec<Engine> {
    let changes: [Change; 3] =
        [|config| config, |config| config.signals_based_traps(false), |config| config.memory_reservation(0)];
    changes.iter().map(|change| Engine::new(change(Config::new().wasm_legacy_exceptions(true))).unwrap()).collect()
}

const GUEST: &str = r#"(module
    (tag $int (export "int") (param i32)) (tag $pair (param i64 f32)) (tag $none)
    (global $cleanups (export "cleanups") (mut i32) (i32.const 0))
    (func $throw (param i32)
        (if (i32.eqz (local.get 0)) (then (return)))
        (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $none)))
        (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $pair (i64.const 20) (f32.const 1.5))))
        (if (i32.eq (local.get 0) (i32.const 3)) (then (unreachable)))
        (throw $int (local.get 0)))
    (func (export "catch") (param i32) (result i32)
        try (result i32)
            (call $throw (local.get 0)) (i32.const -1)
        catch $none
            (i32.const 100)
        catch $pair
            f32.const 2 f32.mul i32.trunc_f32_s drop i32.wrap_i64
        catch $none
            unreachable
        catch_all
            (i32.const 7)
        end)
    (func $cleanup (param i32)
        try
            (call $throw (local.get 0))
        catch_all
            (global.set $cleanups (i32.add (global.get $cleanups) (i32.const 1)))
            rethrow 0
        end)
    (func (export "cleaned") (param i32) (result i32)
        try (result i32)
            try
                (call $cleanup (local.get 0))
            catch_all
                (global.set $cleanups (i32.add (global.get $cleanups) (i32.const 10)))
                (block rethrow 1)
            end
            (i32.const 0)
        catch $int
        catch $pair
            drop i32.wrap_i64
        end)
    ;; The exception of the outer clause, not that of the inner one.
    (func (export "outer") (result i32)
        try (result i32)
            try
                (throw $int (i32.const 11))
            catch $int
                drop
                try
                    (throw $int (i32.const 22))
                catch $int
                    drop
                    rethrow 1
                end
            end
            (i32.const 0)
        catch $int
        end)
    (func (export "values") (param i32) (result i32 i32)
        (local.get 0) (i32.const 1000)
        try (param i32 i32) (result i32 i32)
            (call $throw (local.get 0))
            i32.const 1 i32.add
        catch $int
            (i32.const 5)
        end)
    (func (export "branches") (param i32) (result i32) (local $n i32)
        (block $out (result i32)
            (loop $again
                try
                    (call $throw (local.get 0))
                    (br $out (i32.const -1))
                catch $int
                    (local.set $n (i32.add (local.get $n)))
                    (br_if $again (i32.lt_u (local.get $n) (i32.const 50)))
                    (return (local.get $n))
                catch_all
                    (br $out (i32.const -2))
                end)
            unreachable))
    (func (export "dead") (param i32) (result i32)
        (if (local.get 0) (then
            (return (i32.const 1))
            try (throw $none) catch $none try unreachable delegate 0 catch_all rethrow 0 end))
        try (result i32)
            (i32.const 2)
        catch $int
            try (result i32) (call $throw (i32.const 4)) (i32.const 0) catch_all (i32.const 1) end
            i32.add
        end
        drop
        try
            unreachable
        catch_all
            try (call $throw (i32.const 4)) catch_all end
        end
        (i32.const 3))
    ;; Past the inner clause, to the outer one.
    (func (export "delegate") (param i32) (result i32)
        try $outer (result i32)
            try (result i32)
                try
                    (call $throw (local.get 0))
                delegate $outer
                (i32.const -1)
            catch_all
                (i32.const -2)
            end
        catch $int
        catch_all
            (i32.const 9)
        end)
    ;; From a clause, the handlers of its own `try` no longer count.
    (func (export "delegate from a clause") (param i32) (result i32)
        try (result i32)
            try $inner (result i32)
                (throw $none)
            catch $none
                try (result i32)
                    (call $throw (local.get 0)) (i32.const -1)
                delegate $inner
            catch_all
                (i32.const -2)
            end
        catch $int
        end)
    (func (export "delegate to a block") (param i32) (result i32)
        try (result i32)
            (block $b (result i32)
                try (result i32)
                    try (call $throw (local.get 0)) delegate $b
                    (i32.const -1)
                catch_all
                    (i32.const -2)
                end)
        catch $int
        end)
    (func $to_the_caller (param i32)
        try
            try
                try (call $throw (local.get 0)) delegate 1
            catch_all
                unreachable
            end
        delegate 0)
    (func (export "delegate to the caller") (param i32) (result i32)
        try (result i32)
            (call $to_the_caller (local.get 0)) (i32.const -1)
        catch $int
        end))"#;

#[test]
fn clauses_catch_what_they_name() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, GUEST, &[]);
        let mut run = |name, param: i32| call::<_, i32, i32>(&mut store, instance, name, param);
        assert_eq!([0, 1, 2, 9].map(|param| run("catch", param).unwrap()), [-1, 100, 20, 7]);
        let trap = run("catch", 3).unwrap_err();
        assert_eq!(trap.downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached), "no clause catches a trap");
        assert_eq!([0, 2, 9].map(|param| run("cleaned", param).unwrap()), [0, 20, 9]);
        assert!(run("cleaned", 1).unwrap_err().is::<ThrownException>());
        assert_eq!([0, 1, 9].map(|param| run("branches", param).unwrap()), [-1, -2, 54]);
        assert_eq!(run("dead", 1).unwrap(), 1);
        assert_eq!(run("dead", 0).unwrap_err().downcast_ref::<Trap>(), Some(&Trap::UnreachableCodeReached));
        assert_eq!(call::<_, (), i32>(&mut store, instance, "outer", ()).unwrap(), 11);
        let mut values = |param| call::<_, i32, (i32, i32)>(&mut store, instance, "values", param).unwrap();
        assert_eq!((values(0), values(8)), ((0, 1001), (8, 5)));
        let cleanups = instance.get_global(&mut store, "cleanups").unwrap().get(&mut store).i32();
        assert_eq!(cleanups, Some(33), "each cleanup ran once for each of three exceptions");
    }
}

#[test]
fn delegates_go_past_what_is_between() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(&mut store, GUEST, &[]);
        let mut run = |name, param: i32| call::<_, i32, i32>(&mut store, instance, name, param);
        assert_eq!([0, 1, 12].map(|param| run("delegate", param).unwrap()), [-1, 9, 12]);
        for name in ["delegate from a clause", "delegate to a block", "delegate to the caller"] {
            assert_eq!([0, 12].map(|param| run(name, param).unwrap()), [-1, 12], "{name}");
            assert!(run(name, 1).unwrap_err().is::<ThrownException>(), "{name}");
        }
    }
}

/// One module throws and the other catches, in both encodings and both directions, through a host function.
#[test]
fn both_encodings_catch_each_others_exceptions() {
    let legacy = r#"(module (import "" "tag" (tag $t (param i32))) (import "" "call" (func $call))
        (func (export "throw") (throw $t (i32.const 41)))
        (func (export "catch") (result i32)
            try (result i32) (call $call) (i32.const 0) catch $t (i32.const 1) i32.add end)
        (func (export "pass") try (call $call) catch_all rethrow 0 end))"#;
    let modern = r#"(module (import "" "tag" (tag $t (param i32))) (import "" "call" (func $call))
        (func (export "throw") (throw $t (i32.const 41)))
        (func (export "catch") (result i32)
            (block $caught (result i32)
                (try_table (catch $t $caught) (call $call))
                (return (i32.const 0)))
            (i32.add (i32.const 2)))
        (func (export "pass")
            (block $caught (result exnref)
                (try_table (catch_all_ref $caught) (call $call)) (return))
            throw_ref))"#;
    let engine = &engines()[0];
    let modules = [legacy, modern].map(|text| Module::new(engine, text).unwrap());
    for (thrower, passer, catcher, expected) in [(0, 0, 1, 43), (1, 1, 0, 42), (0, 1, 0, 42), (1, 0, 1, 43)] {
        let mut store = Store::new(engine, ());
        let ty = hotfoot::FuncType::new(engine, [hotfoot::ValType::I32], []);
        let tag = Tag::new(&mut store, &hotfoot::TagType::new(ty)).unwrap();
        let nothing = hotfoot::Func::wrap(&mut store, || {});
        let mut callee = nothing;
        let mut last = None;
        for (module, name) in [(thrower, "throw"), (passer, "pass"), (catcher, "catch")] {
            let imports = [tag.into(), callee.into()];
            let instance = Instance::new(&mut store, &modules[module], &imports).unwrap();
            let inner = instance.get_func(&mut store, name).unwrap();
            if name != "catch" {
                callee = hotfoot::Func::wrap(&mut store, move |mut caller: hotfoot::Caller<'_, ()>| {
                    inner.call(&mut caller, &[], &mut [])
                });
            }
            last = Some(instance);
        }
        let caught: i32 = call(&mut store, last.unwrap(), "catch", ()).unwrap();
        assert_eq!(caught, expected, "{thrower} {passer} {catcher}");
    }
}

/// Programs throw again and again.
#[test]
fn thousands_of_exceptions() {
    let text = r#"(module (tag $t (param i32))
        (func $inner (param i32) try (throw $t (local.get 0)) catch_all rethrow 0 end)
        (func (export "run") (param i32) (result i32) (local $sum i32)
            (loop $again
                try
                    (call $inner (local.get 0))
                catch $t
                    (local.set $sum (i32.add (local.get $sum)))
                end
                (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
            (local.get $sum)))"#;
    let engine = &engines()[0];
    let mut store = Store::new(engine, ());
    let instance = instantiate(&mut store, text, &[]);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "run", 5000).unwrap(), 5000 * 5001 / 2);
}

#[test]
fn without_the_switch_they_are_refused() {
    let engine = Engine::default();
    let text = "(module (func try catch_all end))";
    let refused = format!("{:#}", Module::new(&engine, text).unwrap_err());
    assert!(refused.contains("legacy"), "{refused}");
    compile(&engines()[0], text);
    // Modules that are not valid are refused, however far they are read ahead.
    for text in [
        "(module (func try catch 7 end))",
        "(module (func try nop delegate 9))",
        "(module (func try rethrow 0 end))",
        "(module (func try catch_all rethrow 5 end))",
        "(module (func try catch_all catch_all end))",
        "(module (tag $t) (func try catch_all catch $t end))",
    ] {
        let refused = format!("{:#}", Module::new(&engines()[0], text).unwrap_err());
        assert!(refused.contains("invalid"), "{text}: {refused}");
    }
}
