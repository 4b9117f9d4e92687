//! Exceptions: thrown, caught and passed on, in guests, between instances, and through the host.

use std::sync::atomic::{AtomicUsize, Ordering};

use hotfoot::{
    Caller, Config, Engine, ExnRef, Extern, Func, FuncType, HeapType, Instance, InstanceAllocationStrategy, Linker,
    Module, OptLevel, Result, Rooted, Store, Tag, TagType, ThrownException, Trap, Val, ValType, WasmBacktrace,
};

/// Instantiates a module without imports, under both ways of finding traps, each with another effort of the compiler.
fn for_each_engine(text: &str, test: impl Fn(&mut Store<()>, Instance)) {
    for (signals, level) in [(true, OptLevel::Speed), (false, OptLevel::None)] {
        let engine = Engine::new(Config::new().signals_based_traps(signals).cranelift_opt_level(level)).unwrap();
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, text).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        test(&mut store, instance);
    }
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, argument: i32) -> Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, name)?.call(store, argument)
}

const NESTED: &str = r#"(module
    (tag $a (param i32)) (tag $b (param i32)) (tag $c)
    (func $thrower (param i32)
        (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $a (i32.const 10))))
        (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $b (i32.const 20))))
        (if (i32.eq (local.get 0) (i32.const 3)) (then (throw $c))))
    (func (export "nested") (param i32) (result i32)
        (block $outer (result i32)
            (try_table (result i32) (catch $a $outer) (catch $b $outer)
                (block $inner (result i32)
                    (try_table (result i32) (catch $b $inner)
                        (call $thrower (local.get 0))
                        (i32.const 1))
                    (return))
                (i32.add (i32.const 1000))
                (return))
            (return))
        (i32.add (i32.const 2000)))
    (func (export "local") (param i32) (result i32)
        (block $h (result i32)
            (try_table (catch $a $h) (throw $a (local.get 0)))
            (i32.const -1))
        (i32.add (i32.const 1)))
    (func (export "all") (param i32) (result i32)
        (local $seen i32)
        (local.set $seen (i32.const 5))
        (block $h
            (try_table (catch_all $h)
                (local.set $seen (i32.const 6))
                (call $thrower (local.get 0))
                (local.set $seen (i32.const 7))))
        (local.get $seen)))"#;

#[test]
fn the_innermost_matching_handler_catches() {
    for_each_engine(NESTED, |store, instance| {
        assert_eq!(call(store, instance, "nested", 0).unwrap(), 1, "nothing is thrown");
        assert_eq!(call(store, instance, "nested", 1).unwrap(), 2010);
        assert_eq!(call(store, instance, "nested", 2).unwrap(), 1020);
        let error = call(store, instance, "nested", 3).unwrap_err();
        assert!(error.is::<ThrownException>(), "{error:?}");
        assert_eq!(call(store, instance, "local", 41).unwrap(), 42);
        assert_eq!(call(store, instance, "all", 0).unwrap(), 7);
        assert_eq!(call(store, instance, "all", 2).unwrap(), 6, "locals are those at the call");
    });
}

#[test]
fn an_exception_that_nobody_catches_is_an_error_with_tag_values_and_backtrace() {
    let text = r#"(module (tag $t (export "t") (param i32 f64)) (func $f (export "f") (param i32) (result i32)
        (throw $t (local.get 0) (f64.const 2.5))))"#;
    for_each_engine(text, |store, instance| {
        let error = call(store, instance, "f", 3).unwrap_err();
        let tag = instance.get_tag(&mut *store, "t").unwrap();
        let frames = error.downcast_ref::<WasmBacktrace>().unwrap().frames();
        assert_eq!(frames[0].func_name(), Some("f"));
        let exception = error.downcast_ref::<ThrownException>().unwrap();
        assert_eq!(exception.to_string(), "uncaught WebAssembly exception with tag of type (tag (param i32 f64))");
        assert!(Tag::eq(&exception.tag(&mut *store).unwrap(), &tag, &*store));
        let fields: Vec<Val> = exception.fields(&mut *store).unwrap().collect();
        assert_eq!((fields[0].unwrap_i32(), fields[1].unwrap_f64()), (3, 2.5));
        assert!(exception.tag(&mut Store::new(store.engine(), ())).is_err(), "of another store");
    });
}

#[test]
fn references_are_thrown_again_and_kept() {
    let text = r#"(module
        (tag $t (param i32))
        (table $kept 2 exnref)
        (global $last (mut exnref) (ref.null exn))
        (func $again (param exnref) (throw_ref (local.get 0)))
        (func (export "rethrow") (param i32) (result i32)
            (block $second (result i32)
                (try_table (catch $t $second)
                    (block $first (result exnref)
                        (try_table (catch_all_ref $first) (throw $t (local.get 0)))
                        (unreachable))
                    (call $again))
                (unreachable))
            (i32.add (i32.const 1)))
        (func (export "keep") (param i32) (result i32)
            (block $h (result i32 exnref)
                (try_table (catch_ref $t $h) (throw $t (local.get 0)))
                (unreachable))
            (global.set $last)
            (table.set $kept (i32.const 1) (global.get $last)))
        (func (export "use") (param i32) (result i32)
            (block $h (result i32)
                (try_table (catch $t $h) (throw_ref (table.get $kept (local.get 0))))
                (unreachable)))
        (func (export "out") (param i32) (result exnref) (table.get $kept (local.get 0)))
        (func (export "in") (param exnref) (result i32)
            (block $h (result i32)
                (try_table (catch $t $h) (throw_ref (local.get 0)))
                (unreachable)))
    )"#;
    for_each_engine(text, |store, instance| {
        assert_eq!(call(store, instance, "rethrow", 5).unwrap(), 6);
        assert_eq!(call(store, instance, "keep", 7).unwrap(), 7);
        assert_eq!(call(store, instance, "rethrow", 8).unwrap(), 9);
        assert_eq!(call(store, instance, "use", 1).unwrap(), 7, "also the second time");
        assert_eq!(call(store, instance, "use", 1).unwrap(), 7);
        let error = call(store, instance, "use", 0).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::NullReference));
        let out = instance.get_typed_func::<i32, Option<Rooted<ExnRef>>>(&mut *store, "out").unwrap();
        assert!(out.call(&mut *store, 0).unwrap().is_none());
        let kept = out.call(&mut *store, 1).unwrap().unwrap();
        assert_eq!(kept.fields(&mut *store).unwrap().next().unwrap().i32(), Some(7));
        let tag = kept.tag(&mut *store).unwrap();
        let own = ExnRef::new(&mut *store, &tag, &[Val::I32(99)]).unwrap();
        let give = instance.get_typed_func::<Option<Rooted<ExnRef>>, i32>(&mut *store, "in").unwrap();
        assert_eq!(give.call(&mut *store, Some(own)).unwrap(), 99);
        assert!(ExnRef::new(&mut *store, &tag, &[Val::I64(99)]).is_err());
        let mut other = Store::new(store.engine(), ());
        assert!(own.fields(&mut other).is_err());
        assert!(matches!(Val::null_ref(&HeapType::Exn), Val::ExnRef(None)));
    });
}

#[test]
fn every_kind_of_value_travels_in_a_payload() {
    let types = "i32 i64 f32 f64 v128 funcref externref i32 i64 f32 f64 v128 i32 i32 i32 i32 i32 i32 i32 i32";
    let text = format!(
        r#"(module
        (tag $t (param {types}))
        (type $many (func (param i32) (result {types})))
        (func $id (export "id") (param i32) (result i32) (local.get 0))
        (elem declare func $id)
        (func $throw (param i32)
            (throw $t (local.get 0) (i64.const -2) (f32.const 1.5) (f64.const 2.5)
                (v128.const i32x4 1 2 3 4) (ref.func $id) (ref.null extern) (i32.const 8) (i64.const 9)
                (f32.const 3.5) (f64.const 4.5) (i64x2.splat (i64.const 77))
                (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6) (i32.const 7)
                (i32.const 8)))
        (func $many (export "many") (type $many)
            (block $h (result {types})
                (try_table (catch $t $h) (call $throw (local.get 0)))
                (unreachable)))
        (func (export "many_in_try") (type $many)
            (block $h (result {types})
                (try_table (result {types}) (catch_all 1) (call $many (local.get 0)))))
        )"#
    )
    .replace("(catch_all 1)", "(catch $t $h)");
    for_each_engine(&text, |store, instance| {
        for name in ["many", "many_in_try"] {
            let many = instance.get_func(&mut *store, name).unwrap();
            let mut results = vec![Val::I32(0); 20];
            many.call(&mut *store, &[Val::I32(42)], &mut results).unwrap();
            assert_eq!(results[0].unwrap_i32(), 42);
            assert_eq!(results[1].unwrap_i64(), -2);
            assert_eq!((results[2].unwrap_f32(), results[3].unwrap_f64()), (1.5, 2.5));
            assert_eq!(results[4].unwrap_v128().as_u128(), 4 << 96 | 3 << 64 | 2 << 32 | 1);
            let id = results[5].unwrap_func_ref().unwrap().typed::<i32, i32>(&*store).unwrap();
            assert_eq!(id.call(&mut *store, 3).unwrap(), 3);
            assert!(results[6].unwrap_extern_ref().is_none());
            assert_eq!(results[11].unwrap_v128().as_u128(), 77 << 64 | 77);
            assert_eq!(results[19].unwrap_i32(), 8);
        }
    });
}

#[test]
fn handlers_find_the_stack_as_it_was() {
    // More arguments than registers, and live values on the stack, around calls that throw.
    let params = "i64 ".repeat(30);
    let locals: String = (0..30).map(|index| format!("(local.get {index})")).collect();
    let sum: String = (0..30).map(|index| format!("(local.get {index}) i64.add ")).collect();
    let text = format!(
        r#"(module
        (tag $t (param i64))
        (func $throw (param {params}) (throw $t (i64.sub (local.get 29) (local.get 0))))
        (func $middle (param {params}) (result i64)
            (block $h (result i64)
                (try_table (catch $t $h) (call $throw {locals}))
                (unreachable))
            {sum})
        (func (export "sum") (param i32) (result i32)
            (local $i i64)
            {start}
            (call $middle)
            (i64.add (i64.const 1000000))
            (i32.wrap_i64)
            (i32.add (local.get 0))))"#,
        start = (0..30).map(|index| format!("(i64.const {index})")).collect::<String>()
    );
    for_each_engine(&text, |store, instance| {
        assert_eq!(call(store, instance, "sum", 7).unwrap(), 7 + 1_000_000 + 29 + (0..30).sum::<i32>());
    });
}

const LIBRARY: &str = r#"(module
    (tag $t (export "t") (param i32)) (tag $hidden (param i32))
    (func (export "throw") (param i32) (throw $t (local.get 0)))
    (func (export "throw_hidden") (param i32) (throw $hidden (local.get 0))))"#;
const USER: &str = r#"(module
    (import "lib" "throw" (func $throw (param i32)))
    (import "lib" "throw_hidden" (func $throw_hidden (param i32)))
    (import "lib" "t" (tag $t (param i32)))
    (tag $own (param i32))
    (func (export "catch") (param i32) (result i32)
        (block $h (result i32)
            (block $o (result i32)
                (try_table (catch $own $o) (catch $t $h) (call $throw (local.get 0)))
                (unreachable))
            (unreachable))
        (i32.add (i32.const 100)))
    (func (export "catch_hidden") (param i32) (result i32)
        (block $a
            (block $h (result i32)
                (try_table (catch $t $h) (catch $own $h) (catch_all $a) (call $throw_hidden (local.get 0)))
                (unreachable))
            (unreachable))
        (i32.const 7)))"#;

#[test]
fn tags_have_identity_across_instances() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let library = Module::new(&engine, LIBRARY).unwrap();
    linker.module(&mut store, "lib", &library).unwrap();
    let user = linker.instantiate(&mut store, &Module::new(&engine, USER).unwrap()).unwrap();
    assert_eq!(call(&mut store, user, "catch", 5).unwrap(), 105);
    assert_eq!(call(&mut store, user, "catch_hidden", 5).unwrap(), 7);
    // Another instance of the library has another tag: of the same type, but not the same.
    let other = Instance::new(&mut store, &library, &[]).unwrap();
    let mut crossed = Linker::new(&engine);
    for name in ["throw", "throw_hidden"] {
        let func = other.get_export(&mut store, name).unwrap();
        crossed.define(&store, "lib", name, func).unwrap();
    }
    let tag = linker.get(&mut store, "lib", "t").unwrap();
    crossed.define(&store, "lib", "t", tag).unwrap();
    let user = crossed.instantiate(&mut store, &Module::new(&engine, USER).unwrap()).unwrap();
    assert!(call(&mut store, user, "catch", 5).unwrap_err().is::<ThrownException>());
}

#[test]
fn tags_are_imported_by_type() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let ty = TagType::new(FuncType::new(&engine, [ValType::I32], []));
    let tag = Tag::new(&mut store, &ty).unwrap();
    assert_eq!(Extern::from(tag).ty(&store).tag(), Some(&ty));
    let module = Module::new(&engine, r#"(module (import "a" "t" (tag (param i32))) (export "t" (tag 0)))"#).unwrap();
    assert_eq!(module.imports().next().unwrap().ty().tag(), Some(&ty));
    assert_eq!(module.get_export("t").unwrap().tag(), Some(&ty));
    let instance = Instance::new(&mut store, &module, &[tag.into()]).unwrap();
    assert!(Tag::eq(&tag, &instance.get_tag(&mut store, "t").unwrap(), &store));
    let wide = Module::new(&engine, r#"(module (import "a" "t" (tag (param i64))))"#).unwrap();
    let error = Instance::new(&mut store, &wide, &[tag.into()]).unwrap_err().to_string();
    assert!(error.contains("expected (tag (param i64)), found (tag (param i32))"), "{error}");
    let results = TagType::new(FuncType::new(&engine, [], [ValType::I32]));
    assert!(Tag::new(&mut store, &results).is_err());
}

/// A guest that calls the host inside a `try_table`, and a function for the host to call back.
const THROUGH_HOST: &str = r#"(module
    (import "host" "t" (tag $t (param i32)))
    (import "host" "f" (func $f (param i32) (result i32)))
    (func (export "throw") (param i32) (result i32) (throw $t (local.get 0)))
    (func (export "run") (param i32) (result i32)
        (block $h (result i32)
            (return (try_table (result i32) (catch $t $h) (call $f (local.get 0)))))
        (i32.add (i32.const 100)))
    (func (export "run_all") (param i32) (result i32)
        (block $h
            (return (try_table (result i32) (catch_all $h) (call $f (local.get 0)))))
        (i32.const 1))
    (func (export "tail") (param i32) (result i32)
        (block $h (result i32)
            (try_table (catch $t $h) (return_call $f (local.get 0)))
            (unreachable))
        (drop) (unreachable))
    (func (export "above_tail") (param i32) (result i32)
        (block $h (result i32)
            (return (try_table (result i32) (catch $t $h) (call 2 (local.get 0)))))
        (i32.add (i32.const 500))))"#;

fn through_host(
    func: impl Fn(Caller<'_, ()>, i32) -> Result<i32> + Send + Sync + 'static,
) -> (Store<()>, Instance, Tag) {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let tag = Tag::new(&mut store, &TagType::new(FuncType::new(&engine, [ValType::I32], []))).unwrap();
    let mut linker = Linker::new(&engine);
    linker.define(&store, "host", "t", tag).unwrap();
    linker.func_wrap("host", "f", func).unwrap();
    let module = Module::new(&engine, THROUGH_HOST.replace("(call 2 ", "(call 4 ")).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    (store, instance, tag)
}

fn call_back(caller: &mut Caller<'_, ()>, argument: i32) -> Result<i32> {
    let throw = caller.get_export("throw").unwrap().into_func().unwrap();
    throw.typed::<i32, i32>(&*caller)?.call(caller, argument)
}

#[test]
fn a_host_function_passes_an_exception_on() {
    let (mut store, instance, _) = through_host(|mut caller, argument| call_back(&mut caller, argument));
    assert_eq!(call(&mut store, instance, "run", 5).unwrap(), 105);
    assert_eq!(call(&mut store, instance, "run_all", 5).unwrap(), 1);
    let error = call(&mut store, instance, "tail", 5).unwrap_err();
    assert!(error.is::<ThrownException>(), "a tail call leaves the handlers: {error:?}");
    assert_eq!(call(&mut store, instance, "above_tail", 5).unwrap(), 505);
}

#[test]
fn a_host_function_passes_an_exception_on_with_context() {
    use hotfoot::Error;
    let (mut store, instance, _) = through_host(|mut caller, argument| {
        call_back(&mut caller, argument).map_err(|error: Error| error.context("while calling back").context("again"))
    });
    assert_eq!(call(&mut store, instance, "run", 6).unwrap(), 106);
    let error = call(&mut store, instance, "tail", 6).unwrap_err();
    assert!(format!("{error:#}").contains("while calling back"), "{error:#}");
}

#[test]
fn a_host_function_can_catch() {
    let (mut store, instance, tag) = through_host(|mut caller, argument| {
        let error = call_back(&mut caller, argument).unwrap_err();
        let exception = error.downcast::<ThrownException>()?;
        Ok(exception.fields(&mut caller)?.next().unwrap().unwrap_i32() * 2)
    });
    assert_eq!(call(&mut store, instance, "run", 6).unwrap(), 12);
    assert_eq!(tag.ty(&store).ty().params().len(), 1);
}

#[test]
fn a_host_function_can_throw() {
    let (mut store, instance, _) = through_host(|mut caller, argument| {
        let ty = TagType::new(FuncType::new(caller.engine(), [ValType::I32], []));
        let tag = Tag::new(&mut caller, &ty)?;
        Err(ThrownException::new(&mut caller, &tag, &[Val::I32(argument)])?.into())
    });
    let error = call(&mut store, instance, "run", 6).unwrap_err();
    assert!(error.is::<ThrownException>(), "another tag of the same type");
    assert_eq!(call(&mut store, instance, "run_all", 6).unwrap(), 1);
}

#[test]
fn traps_errors_and_panics_are_not_caught() {
    let (mut store, instance, _) = through_host(|_, _| Err(hotfoot::Error::msg("not an exception")));
    let error = call(&mut store, instance, "run_all", 0).unwrap_err();
    assert_eq!(error.root_cause().to_string(), "not an exception");
    let (mut store, instance, _) = through_host(|_, _| panic!("not an exception either"));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&mut store, instance, "run_all", 0)));
    assert!(panicked.is_err());
    let text = r#"(module
        (memory 1)
        (func $trap (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (unreachable)))
            (if (i32.eq (local.get 0) (i32.const 1)) (then (drop (i32.load (i32.const -8)))))
            (if (i32.eq (local.get 0) (i32.const 2)) (then (return (call $trap (local.get 0)))))
            (i32.div_u (i32.const 1) (i32.const 0)))
        (func (export "f") (param i32) (result i32)
            (block $h
                (return (try_table (result i32) (catch_all $h) (call $trap (local.get 0)))))
            (i32.const 1)))"#;
    for_each_engine(text, |store, instance| {
        let expected =
            [Trap::UnreachableCodeReached, Trap::MemoryOutOfBounds, Trap::StackOverflow, Trap::IntegerDivisionByZero];
        for (argument, trap) in expected.iter().enumerate() {
            let error = call(store, instance, "f", argument as i32).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(trap));
        }
    });
}

#[test]
fn exceptions_cross_deep_recursion_and_tail_calls() {
    let text = r#"(module
        (tag $t (param i32))
        (func $down (param i32 i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (throw $t (local.get 1))))
            (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))
        (func $spin (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (throw $t (i32.const 3))))
            (return_call $spin (i32.sub (local.get 0) (i32.const 1))))
        (func (export "deep") (param i32) (result i32)
            (block $h (result i32)
                (return (try_table (result i32) (catch $t $h) (call $down (local.get 0) (i32.const 9))))))
        (func (export "spin") (param i32) (result i32)
            (block $h (result i32)
                (return (try_table (result i32) (catch $t $h) (call $spin (local.get 0))))))
        (func (export "handled_on_every_level") (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (throw $t (i32.const 0))))
            (block $h (result i32)
                (return (try_table (result i32) (catch $t $h)
                    (call 4 (i32.sub (local.get 0) (i32.const 1))))))
            (i32.add (i32.const 1))
            (throw $t)))"#;
    for_each_engine(text, |store, instance| {
        assert_eq!(call(store, instance, "deep", 5000).unwrap(), 9);
        assert_eq!(call(store, instance, "spin", 1_000_000).unwrap(), 3);
        let error = call(store, instance, "handled_on_every_level", 1000).unwrap_err();
        let exception = error.downcast_ref::<ThrownException>().unwrap();
        assert_eq!(exception.fields(store).unwrap().next().unwrap().i32(), Some(1000));
    });
}

#[test]
fn calls_of_every_kind_have_handlers() {
    let text = r#"(module
        (tag $t (param i32))
        (type $f (func (param i32) (result i32)))
        (table funcref (elem $throw))
        (func $throw (type $f) (throw $t (local.get 0)))
        (func (export "indirect") (param i32) (result i32)
            (block $h (result i32)
                (return (try_table (result i32) (catch $t $h)
                    (call_indirect (type $f) (local.get 0) (i32.const 0)))))
            (i32.add (i32.const 1)))
        (func (export "loop") (param i32) (result i32)
            (local $n i32)
            (loop $again (result i32)
                (block $h (result i32)
                    (try_table (catch $t $h)
                        (drop (call $throw (local.get $n))))
                    (unreachable))
                (local.set $n (i32.add (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (local.get 0)))
                (local.get $n)))
        (func (export "loop_ref") (param i32) (result i32)
            (local $n i32) (local $e exnref)
            (loop $again (result i32)
                (block $h (result i32 exnref)
                    (try_table (catch_ref $t $h)
                        (drop (call $throw (local.get $n))))
                    (unreachable))
                (local.set $e)
                (local.set $n (i32.add (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (local.get 0)))
                (local.get $n))))"#;
    for_each_engine(text, |store, instance| {
        assert_eq!(call(store, instance, "indirect", 4).unwrap(), 5);
        assert_eq!(call(store, instance, "loop", 200_000).unwrap(), 200_000);
    });
    let engine = Engine::default();
    let instance_of = |store: &mut Store<()>| Instance::new(store, &Module::new(&engine, text).unwrap(), &[]).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = instance_of(&mut store);
    assert_eq!(call(&mut store, instance, "loop", 2_000_000).unwrap(), 2_000_000);
    assert_eq!(call(&mut store, instance, "loop_ref", 2_000_000).unwrap(), 2_000_000, "exceptions are collected");
    assert!(store.gc_heap_capacity() <= 1 << 20, "{} bytes", store.gc_heap_capacity());
}

#[test]
fn modules_need_the_switch() {
    let engine = Engine::new(Config::new().wasm_exceptions(false)).unwrap();
    assert!(Module::new(&engine, "(module (tag))").is_err());
    assert!(Module::new(&engine, "(module (func (param exnref)))").is_err());
}

#[test]
fn start_functions_and_host_callbacks_may_throw() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let module = Module::new(&engine, "(module (tag $t) (func $f (throw $t)) (start $f))").unwrap();
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    assert!(error.is::<ThrownException>());
    let func = Func::wrap(&mut store, || CALLS.fetch_add(1, Ordering::Relaxed) as i32);
    assert_eq!(func.typed::<(), i32>(&store).unwrap().call(&mut store, ()).unwrap(), 0);
}

#[test]
fn pooled_instances_begin_without_exceptions() {
    let strategy = InstanceAllocationStrategy::pooling();
    let engine = Engine::new(Config::new().allocation_strategy(strategy)).unwrap();
    let text = r#"(module
        (tag $t (param i32))
        (global $kept (mut exnref) (ref.null exn))
        (func (export "run") (param i32) (result i32)
            (if (i32.eqz (ref.is_null (global.get $kept))) (then (unreachable)))
            (block $h (result i32 exnref)
                (try_table (catch_ref $t $h) (throw $t (local.get 0)))
                (unreachable))
            (global.set $kept)
            (if (i32.eq (local.get 0) (i32.const 3)) (then (throw_ref (global.get $kept))))))"#;
    let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, text).unwrap()).unwrap();
    let mut escaped: Option<ThrownException> = None;
    for round in 0..6 {
        let mut store = Store::new(&engine, ());
        if let Some(exception) = &escaped {
            assert!(exception.fields(&mut store).is_err(), "of a store that is gone");
        }
        let instance = pre.instantiate(&mut store).unwrap();
        match call(&mut store, instance, "run", round) {
            Ok(result) => assert_eq!(result, round),
            Err(error) => escaped = Some(error.downcast().unwrap()),
        }
    }
    assert!(escaped.is_some());
}
