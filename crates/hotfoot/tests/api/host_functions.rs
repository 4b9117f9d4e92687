//! Host functions: typed and untyped, wherever a guest can find one.

use hotfoot::{
    Caller, Engine, Extern, ExternRef, Func, FuncType, Instance, Linker, Ref, RefType, Result, Rooted, Store, Table,
    TableType, Val, ValType,
};

use super::{call, compile, engines, instantiate};

const IMPORTS_ADD: &str = r#"(module
    (import "host" "add" (func $add (param i32 i32) (result i32)))
    (export "add" (func $add))
    (func (export "run") (param i32) (result i32) (call $add (local.get 0) (i32.const 1))))"#;

const INDIRECT: &str = r#"(module
    (type $t (func (param i32 i32) (result i32)))
    (import "host" "table" (table 1 funcref))
    (func (export "run") (param i32) (result i32)
        (call_indirect (type $t) (local.get 0) (i32.const 1) (i32.const 0)))
    (func (export "tail") (param i32) (result i32)
        (return_call_indirect (type $t) (local.get 0) (i32.const 1) (i32.const 0))))"#;

fn add(store: &mut Store<()>) -> Func {
    Func::wrap(store, |a: i32, b: i32| a + b)
}

#[test]
fn a_host_function_is_called_from_every_side() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let add = add(&mut store);
        assert_eq!(add.typed::<(i32, i32), i32>(&store).unwrap().call(&mut store, (2, 3)).unwrap(), 5, "{kind}");
        let mut results = [Val::I32(0)];
        add.call(&mut store, &[Val::I32(4), Val::I32(5)], &mut results).unwrap();
        assert_eq!(results[0].unwrap_i32(), 9, "{kind}");
        let first = instantiate(&mut store, IMPORTS_ADD, &[add.into()]);
        assert_eq!(call::<_, i32, i32>(&mut store, first, "run", 6).unwrap(), 7, "{kind}");
        // What was imported is exported again, and what was exported imported again.
        let exported = first.get_func(&mut store, "add").unwrap();
        let second = instantiate(&mut store, IMPORTS_ADD, &[exported.into()]);
        assert_eq!(call::<_, (i32, i32), i32>(&mut store, second, "add", (1, 1)).unwrap(), 2, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, second, "run", 8).unwrap(), 9, "{kind}");
        let run = first.get_func(&mut store, "run").unwrap();
        let third = instantiate(
            &mut store,
            r#"(module (import "" "" (func $f (param i32) (result i32)))
                (export "f" (func $f))
                (func (export "run") (result i32) (call $f (i32.const 10))))"#,
            &[run.into()],
        );
        assert_eq!(call::<_, (), i32>(&mut store, third, "run", ()).unwrap(), 11, "{kind}");
        assert_eq!(call::<_, i32, i32>(&mut store, third, "f", 11).unwrap(), 12, "{kind}");
    }
}

#[test]
fn a_host_function_in_a_table_is_called_whenever_it_was_made() {
    for (kind, engine) in engines() {
        for made_before in [true, false] {
            let mut store = Store::new(&engine, ());
            let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, None), Ref::Func(None)).unwrap();
            if made_before {
                let add = add(&mut store);
                table.set(&mut store, 0, add.into()).unwrap();
            }
            let instance = instantiate(&mut store, INDIRECT, &[table.into()]);
            if !made_before {
                let add = add(&mut store);
                table.set(&mut store, 0, add.into()).unwrap();
            }
            for export in ["run", "tail"] {
                assert_eq!(call::<_, i32, i32>(&mut store, instance, export, 4).unwrap(), 5, "{kind}");
            }
            let other = Func::wrap(&mut store, |a: i64| a);
            table.set(&mut store, 0, other.into()).unwrap();
            let error = call::<_, i32, i32>(&mut store, instance, "run", 4).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&hotfoot::Trap::BadSignature), "{kind}");
        }
    }
}

/// The function comes in through one module that only hands it on, and is called by a module that never imported it.
#[test]
fn a_host_function_travels_through_modules_that_do_not_know_its_type() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let holder = instantiate(
        &mut store,
        r#"(module (table (export "table") 1 funcref)
            (func (export "put") (param funcref) (table.set (i32.const 0) (local.get 0))))"#,
        &[],
    );
    let add = add(&mut store);
    call::<_, Option<Func>, ()>(&mut store, holder, "put", Some(add)).unwrap();
    let table = holder.get_table(&mut store, "table").unwrap();
    let Some(Ref::Func(Some(back))) = table.get(&mut store, 0) else { panic!("the table holds a function") };
    assert_eq!(back.typed::<(i32, i32), i32>(&store).unwrap().call(&mut store, (2, 2)).unwrap(), 4);
    let user = instantiate(&mut store, INDIRECT, &[table.into()]);
    assert_eq!(call::<_, i32, i32>(&mut store, user, "run", 41).unwrap(), 42);
}

/// An element segment copies what an import is, not where it is.
#[test]
fn an_imported_function_in_an_element_segment_is_called() {
    let engine = Engine::default();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("host", "add", |a: i32, b: i32| a + b).unwrap();
    let module = compile(
        &engine,
        r#"(module
            (type $t (func (param i32 i32) (result i32)))
            (import "host" "add" (func $add (type $t)))
            (table 2 funcref) (elem (i32.const 0) $add) (elem declare func $add)
            (global $g funcref (ref.func $add))
            (func (export "run") (param i32) (result i32)
                (table.set (i32.const 1) (global.get $g))
                (i32.add
                    (call_indirect (type $t) (local.get 0) (i32.const 1) (i32.const 0))
                    (call_indirect (type $t) (local.get 0) (i32.const 2) (i32.const 1)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "run", 10).unwrap(), 23);
}

#[test]
fn a_host_function_that_returns_another_type_than_it_declares_fails() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let other = Store::new(&engine, ());
    let other_ref = {
        let mut other = other;
        ExternRef::new(&mut other, 1).unwrap()
    };
    let wrong: [(ValType, Val); 4] = [
        (ValType::I32, Val::I64(1)),
        (ValType::F32, Val::I32(1)),
        (ValType::FUNCREF, Val::ExternRef(None)),
        (ValType::EXTERNREF, Val::ExternRef(Some(other_ref))),
    ];
    for (declared, value) in wrong {
        let ty = FuncType::new(&engine, [], [declared.clone()]);
        let f = Func::new(&mut store, ty, move |_, _, results| {
            results[0] = value;
            Ok(())
        });
        let text =
            format!(r#"(module (import "" "" (func $f (result {declared}))) (func (export "run") (drop (call $f))))"#);
        let instance = instantiate(&mut store, &text, &[f.into()]);
        let error = call::<_, (), ()>(&mut store, instance, "run", ()).unwrap_err();
        let words = error.root_cause().to_string();
        assert!(words.contains("another type than it declares") && words.contains("result 0"), "{words}");
        assert!(f.call(&mut store, &[], &mut [Val::I32(0)]).is_err());
    }
}

#[test]
fn an_untyped_function_that_sets_nothing_returns_zeros_and_nulls() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let types = [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128];
    let ty = FuncType::new(&engine, [], types.into_iter().chain([ValType::FUNCREF, ValType::EXTERNREF]));
    let f = Func::new(&mut store, ty, |_, _, _| Ok(()));
    let mut results = [Val::I32(9); 7];
    f.call(&mut store, &[], &mut results).unwrap();
    assert!(matches!(
        results,
        [
            Val::I32(0),
            Val::I64(0),
            Val::F32(0),
            Val::F64(0),
            Val::V128(zero),
            Val::FuncRef(None),
            Val::ExternRef(None)
        ] if zero.as_u128() == 0
    ));
}

/// What a function does with a reference of another store must fail, not end in that store.
#[test]
fn a_typed_function_cannot_smuggle_a_reference_of_another_store() {
    let engine = Engine::default();
    let mut foreign = Store::new(&engine, ());
    let foreign_ref = ExternRef::new(&mut foreign, 5).unwrap();
    let foreign_func = Func::wrap(&mut foreign, || ());
    let mut store = Store::new(&engine, ());
    let give_ref = Func::wrap(&mut store, move || Some(foreign_ref));
    let give_func = Func::wrap(&mut store, move || Some(foreign_func));
    let instance = instantiate(
        &mut store,
        r#"(module (import "" "r" (func $r (result externref))) (import "" "f" (func $f (result funcref)))
            (func (export "r") (drop (call $r))) (func (export "f") (drop (call $f)))
            (func (export "take") (param externref)))"#,
        &[give_ref.into(), give_func.into()],
    );
    for export in ["r", "f"] {
        let error = call::<_, (), ()>(&mut store, instance, export, ()).unwrap_err();
        assert!(error.root_cause().to_string().contains("another store"), "{error:?}");
    }
    let take = instance.get_typed_func::<Option<Rooted<ExternRef>>, ()>(&mut store, "take").unwrap();
    assert!(take.call(&mut store, Some(foreign_ref)).is_err());
    assert!(take.call(&mut store, None).is_ok());
    assert!(take.func().call(&mut store, &[Val::ExternRef(Some(foreign_ref))], &mut []).is_err());
}

#[test]
fn a_caller_knows_the_instance_that_called() {
    let engine = Engine::default();
    let mut linker: Linker<Vec<String>> = Linker::new(&engine);
    linker
        .func_wrap("host", "log", |mut caller: Caller<'_, Vec<String>>, at: u32, len: u32| -> Result<()> {
            let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                caller.data_mut().push("no memory".into());
                return Ok(());
            };
            assert!(caller.get_export("nothing").is_none());
            let (bytes, log) = memory.data_and_store_mut(&mut caller);
            let text = bytes.get(at as usize..(at + len) as usize).map(String::from_utf8_lossy);
            log.push(text.map_or("outside".into(), String::from));
            memory.write(&mut caller, 0, b"seen")?;
            Ok(())
        })
        .unwrap();
    let with_memory = |text: &str| {
        format!(
            r#"(module (import "host" "log" (func $log (param i32 i32)))
                (memory (export "memory") 1) (data (i32.const 8) "{text}")
                (func (export "run") (result i32)
                    (call $log (i32.const 8) (i32.const {})) (i32.load (i32.const 0))))"#,
            text.len()
        )
    };
    let mut store = Store::new(&engine, Vec::new());
    for text in ["first", "second"] {
        let instance = linker.instantiate(&mut store, &compile(&engine, &with_memory(text))).unwrap();
        assert_eq!(call::<_, (), u32>(&mut store, instance, "run", ()).unwrap(), u32::from_le_bytes(*b"seen"));
    }
    let Some(Extern::Func(log)) = linker.get(&mut store, "host", "log") else { panic!("the function is defined") };
    log.typed::<(u32, u32), ()>(&store).unwrap().call(&mut store, (0, 0)).unwrap();
    assert_eq!(store.into_data(), ["first", "second", "no memory"]);
}

/// The caller is the instance whose code made the call, also when the function came from another one's table.
#[test]
fn the_caller_of_an_indirect_call_is_who_called() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, 0);
    let f = Func::wrap(&mut store, |mut caller: Caller<'_, i32>| {
        let Some(Extern::Global(global)) = caller.get_export("id") else { panic!("every caller has a number") };
        *caller.data_mut() = global.get(&mut caller).unwrap_i32();
    });
    let owner = instantiate(
        &mut store,
        r#"(module (import "" "" (func $f)) (global (export "id") i32 (i32.const 1))
            (table (export "t") funcref (elem $f)) (export "f" (func $f))
            (func (export "run") (call $f)))"#,
        &[f.into()],
    );
    let (table, exported) = (owner.get_table(&mut store, "t").unwrap(), owner.get_func(&mut store, "f").unwrap());
    let user = instantiate(
        &mut store,
        r#"(module (import "" "t" (table 1 funcref)) (import "" "f" (func $f))
            (global (export "id") i32 (i32.const 2))
            (func (export "indirect") (call_indirect (i32.const 0)))
            (func (export "direct") (call $f)))"#,
        &[table.into(), exported.into()],
    );
    for (instance, export, id) in [(owner, "run", 1), (user, "indirect", 2), (user, "direct", 2), (owner, "run", 1)] {
        *store.data_mut() = 0;
        call::<_, (), ()>(&mut store, instance, export, ()).unwrap();
        assert_eq!(*store.data(), id, "{export}");
    }
}

#[test]
fn a_linker_of_one_engine_is_used_by_many_threads() {
    let engine = Engine::default();
    let mut linker: Linker<u64> = Linker::new(&engine);
    linker
        .func_wrap("host", "add", |mut caller: Caller<'_, u64>, a: i32, b: i32| {
            *caller.data_mut() += 1;
            a + b
        })
        .unwrap();
    let module = compile(&engine, IMPORTS_ADD);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (linker, module, engine) = (&linker, &module, &engine);
            scope.spawn(move || {
                for round in 0..50 {
                    let mut store = Store::new(engine, 0);
                    let instance = linker.instantiate(&mut store, module).unwrap();
                    assert_eq!(
                        call::<_, i32, i32>(&mut store, instance, "run", thread * round).unwrap(),
                        thread * round + 1
                    );
                    assert_eq!(*store.data(), 1);
                }
            });
        }
    });
}

#[test]
fn a_start_function_may_be_the_hosts() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, 0);
    let f = Func::wrap(&mut store, |mut caller: Caller<'_, i32>| {
        assert!(caller.get_export("m").is_some(), "the exports are there already");
        *caller.data_mut() += 1;
    });
    let module = compile(&engine, r#"(module (import "" "" (func $f)) (memory (export "m") 1) (start $f))"#);
    Instance::new(&mut store, &module, &[f.into()]).unwrap();
    assert_eq!(*store.data(), 1);
}
