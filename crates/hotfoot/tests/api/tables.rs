//! Tables: elements of every type, growth to every limit, from both sides.

use hotfoot::{Engine, ExternRef, Func, Ref, RefType, Store, Table, TableType, Trap};

use super::{call, engines, instantiate};

#[test]
fn a_table_grown_by_either_side_is_seen_by_the_other() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 1, Some(100)), Ref::Func(None)).unwrap();
        let text = r#"(module (import "" "t" (table 1 funcref)) (elem declare func $f)
            (func $f (result i32) (i32.const 6))
            (func (export "grow") (param i32) (result i32) (table.grow (ref.func $f) (local.get 0)))
            (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
            (func (export "size") (result i32) (table.size)))"#;
        let a = instantiate(&mut store, text, &[table.into()]);
        let b = instantiate(&mut store, text, &[table.into()]);
        let seven = Func::wrap(&mut store, || 7);
        for round in 0..9 {
            let size = 1 + 11 * round;
            assert_eq!(call::<_, i32, i32>(&mut store, a, "grow", 10).unwrap(), size, "{kind}");
            assert_eq!(table.grow(&mut store, 1, seven.into()).unwrap(), size as u64 + 10, "{kind}");
            assert_eq!(call::<_, (), i32>(&mut store, b, "size", ()).unwrap(), size + 11, "{kind}");
            assert_eq!(call::<_, i32, i32>(&mut store, b, "call", size + 9).unwrap(), 6, "{kind}");
            assert_eq!(call::<_, i32, i32>(&mut store, b, "call", size + 10).unwrap(), 7, "{kind}");
            let error = call::<_, i32, i32>(&mut store, b, "call", size + 11).unwrap_err();
            assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::TableOutOfBounds), "{kind}");
        }
        assert_eq!((table.size(&store), table.ty(&store).minimum()), (100, 100), "{kind}");
        for delta in [1, -1, i32::MIN] {
            assert_eq!(call::<_, i32, i32>(&mut store, a, "grow", delta).unwrap(), -1, "{kind}");
        }
        assert!(table.grow(&mut store, 1, seven.into()).is_err(), "{kind}");
        assert!(table.grow(&mut store, u64::MAX, seven.into()).is_err(), "{kind}");
    }
}

#[test]
fn a_table_without_maximum_stops_at_the_limit_of_the_implementation() {
    let (mut store, instance) = super::start(
        r#"(module (table (export "t") 0 externref)
            (func (export "grow") (param i32) (result i32) (table.grow (ref.null extern) (local.get 0))))"#,
    );
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 10_000_001).unwrap(), -1);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 10_000_000).unwrap(), 0);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 1).unwrap(), -1);
    assert_eq!(call::<_, i32, i32>(&mut store, instance, "grow", 0).unwrap(), 10_000_000);
    let too_many = TableType::new(RefType::FUNCREF, 10_000_001, None);
    assert!(Table::new(&mut store, too_many, Ref::Func(None)).is_err());
    let impossible = TableType::new(RefType::FUNCREF, 2, Some(1));
    assert!(Table::new(&mut store, impossible, Ref::Func(None)).is_err());
}

#[test]
fn elements_are_what_the_type_says() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let mut foreign = Store::new(&engine, ());
    let (func, foreign_func) = (Func::wrap(&mut store, || 1), Func::wrap(&mut foreign, || 1));
    let (value, foreign_value) = (ExternRef::new(&mut store, 1).unwrap(), ExternRef::new(&mut foreign, 1).unwrap());
    let funcs = Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, None), func.into()).unwrap();
    let values = Table::new(&mut store, TableType::new(RefType::EXTERNREF, 2, None), value.into()).unwrap();
    for wrong in [Ref::Extern(None), value.into(), foreign_func.into(), foreign_value.into()] {
        assert!(funcs.set(&mut store, 0, wrong).is_err());
        assert!(funcs.grow(&mut store, 1, wrong).is_err());
        assert!(funcs.fill(&mut store, 0, wrong, 1).is_err());
        assert!(Table::new(&mut store, TableType::new(RefType::FUNCREF, 0, None), wrong).is_err());
    }
    assert!(values.set(&mut store, 0, foreign_value.into()).is_err());
    assert!(Table::copy(&mut store, &funcs, 0, &values, 0, 1).is_err());
    assert!(Table::copy(&mut store, &funcs, 0, &values, 0, 0).is_err(), "types are compared before lengths");
    assert_eq!((funcs.size(&store), values.size(&store)), (2, 2));
    assert!(!funcs.get(&mut store, 1).unwrap().is_null() && funcs.get(&mut store, 2).is_none());
}

#[test]
fn copies_and_fills_of_the_host_do_all_or_nothing() {
    let mut store = Store::new(&Engine::default(), ());
    let table = Table::new(&mut store, TableType::new(RefType::EXTERNREF, 6, None), Ref::Extern(None)).unwrap();
    for at in 0..6u64 {
        let value = ExternRef::new(&mut store, at).unwrap();
        table.set(&mut store, at, value.into()).unwrap();
    }
    let contents = |store: &mut Store<()>| -> Vec<Option<u64>> {
        let number = |store: &mut Store<()>, at| match table.get(&mut *store, at) {
            Some(Ref::Extern(Some(value))) => value.data(&*store).unwrap()?.downcast_ref().copied(),
            _ => None,
        };
        (0..6).map(|at| number(store, at)).collect()
    };
    Table::copy(&mut store, &table, 1, &table, 0, 4).unwrap();
    assert_eq!(contents(&mut store), [0, 0, 1, 2, 3, 5].map(Some));
    Table::copy(&mut store, &table, 0, &table, 2, 4).unwrap();
    assert_eq!(contents(&mut store), [1, 2, 3, 5, 3, 5].map(Some));
    assert!(Table::copy(&mut store, &table, 3, &table, 0, 4).is_err());
    assert!(Table::copy(&mut store, &table, 0, &table, u64::MAX, 2).is_err());
    assert!(table.fill(&mut store, 5, Ref::Extern(None), 2).is_err());
    assert!(table.fill(&mut store, u64::MAX, Ref::Extern(None), 2).is_err());
    assert!(table.fill(&mut store, 6, Ref::Extern(None), 0).is_ok());
    assert_eq!(contents(&mut store), [1, 2, 3, 5, 3, 5].map(Some));
    table.fill(&mut store, 0, Ref::Extern(None), 5).unwrap();
    assert_eq!(contents(&mut store), [None, None, None, None, None, Some(5)]);
}

#[test]
fn huge_indices_of_64_bits_are_out_of_bounds() {
    for (kind, engine) in engines() {
        let mut store = Store::new(&engine, ());
        let instance = instantiate(
            &mut store,
            r#"(module (table i64 2 funcref)
                (func (export "get") (param i64) (drop (table.get (local.get 0))))
                (func (export "set") (param i64) (table.set (local.get 0) (ref.null func)))
                (func (export "call") (param i64) (call_indirect (local.get 0)))
                (func (export "fill") (param i64) (table.fill (local.get 0) (ref.null func) (i64.const 2)))
                (func (export "grow") (param i64) (result i64) (table.grow (ref.null func) (local.get 0))))"#,
            &[],
        );
        for index in [2, u64::MAX, 1 << 32, 1 << 61, 1 << 63] {
            for export in ["get", "set", "call", "fill"] {
                let error = call::<_, u64, ()>(&mut store, instance, export, index).unwrap_err();
                assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::TableOutOfBounds), "{kind}: {export} {index:#x}");
            }
            if index > 2 {
                assert_eq!(call::<_, u64, u64>(&mut store, instance, "grow", index).unwrap(), u64::MAX, "{kind}");
            }
        }
        call::<_, u64, ()>(&mut store, instance, "get", 1).unwrap();
    }
}
