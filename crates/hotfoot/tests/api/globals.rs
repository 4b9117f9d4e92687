//! Globals: shared between instances and the host, of every type.

use hotfoot::{Engine, ExternRef, Func, Global, GlobalType, Mutability, Store, V128, Val, ValType};

use super::{call, instantiate};

#[test]
fn every_type_is_kept() {
    let mut store = Store::new(&Engine::default(), ());
    let func = Func::wrap(&mut store, || 1);
    let value = ExternRef::new(&mut store, 1).unwrap();
    let values = [
        Val::I32(-1),
        Val::I64(i64::MIN),
        Val::F32(0x7f80_0001),
        Val::F64(0xfff0_0000_0000_0001),
        Val::V128(V128::from(u128::MAX / 3)),
        Val::FuncRef(Some(func)),
        Val::ExternRef(Some(value)),
    ];
    let types =
        [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128, ValType::FUNCREF, ValType::EXTERNREF];
    for (value, ty) in values.into_iter().zip(types) {
        let initial = Val::default_for_ty(&ty).unwrap();
        let global = Global::new(&mut store, GlobalType::new(ty.clone(), Mutability::Var), initial).unwrap();
        let text = format!(
            r#"(module (import "" "g" (global $g (mut {ty}))) (import "" "fixed" (global $fixed {ty}))
                (global $own (export "own") (mut {ty}) (global.get $fixed))
                (func (export "swap") (local $old {ty})
                    (local.set $old (global.get $g)) (global.set $g (global.get $own)) (global.set $own (local.get $old))))"#
        );
        let fixed = Global::new(&mut store, GlobalType::new(ty.clone(), Mutability::Const), value).unwrap();
        let instance = instantiate(&mut store, &text, &[global.into(), fixed.into()]);
        call::<_, (), ()>(&mut store, instance, "swap", ()).unwrap();
        let own = instance.get_global(&mut store, "own").unwrap();
        let shown = |store: &Store<()>, value: Val| match value {
            Val::ExternRef(Some(value)) => format!("{:?}", value.data(store).unwrap().unwrap().downcast_ref::<i32>()),
            value => format!("{value:?}"),
        };
        let held = [global.get(&mut store), own.get(&mut store)].map(|held| shown(&store, held));
        assert_eq!(held, [value, initial].map(|value| shown(&store, value)));
        own.set(&mut store, value).unwrap();
        let held = own.get(&mut store);
        assert_eq!(shown(&store, held), shown(&store, value));
        assert!(fixed.set(&mut store, value).is_err(), "it is constant");
        assert_eq!(own.ty(&store), GlobalType::new(ty, Mutability::Var));
    }
}

#[test]
fn wrong_values_are_refused() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let foreign = ExternRef::new(&mut Store::new(&engine, ()), 1).unwrap();
    let foreign_func = Func::wrap(&mut Store::new(&engine, ()), || ());
    let variable = |ty| GlobalType::new(ty, Mutability::Var);
    assert!(Global::new(&mut store, variable(ValType::I32), Val::I64(0)).is_err());
    assert!(Global::new(&mut store, variable(ValType::EXTERNREF), Val::ExternRef(Some(foreign))).is_err());
    assert!(Global::new(&mut store, variable(ValType::FUNCREF), Val::FuncRef(Some(foreign_func))).is_err());
    let global = Global::new(&mut store, variable(ValType::EXTERNREF), Val::ExternRef(None)).unwrap();
    for wrong in [Val::ExternRef(Some(foreign)), Val::FuncRef(None), Val::I32(0)] {
        assert!(global.set(&mut store, wrong).is_err());
    }
    assert!(matches!(global.get(&mut store), Val::ExternRef(None)));
}

#[test]
fn a_global_is_shared_by_all_who_import_it() {
    let mut store = Store::new(&Engine::default(), ());
    let owner = instantiate(&mut store, r#"(module (global (export "g") (mut i64) (i64.const 1)))"#, &[]);
    let global = owner.get_global(&mut store, "g").unwrap();
    let text = r#"(module (import "" "g" (global $g (mut i64))) (export "g" (global $g))
        (func (export "double") (global.set $g (i64.mul (global.get $g) (i64.const 2)))))"#;
    let a = instantiate(&mut store, text, &[global.into()]);
    let exported = a.get_global(&mut store, "g").unwrap();
    let b = instantiate(&mut store, text, &[exported.into()]);
    for instance in [a, b, a] {
        call::<_, (), ()>(&mut store, instance, "double", ()).unwrap();
    }
    assert_eq!(global.get(&mut store).unwrap_i64(), 8);
    exported.set(&mut store, Val::I64(3)).unwrap();
    call::<_, (), ()>(&mut store, b, "double", ()).unwrap();
    assert_eq!(global.get(&mut store).unwrap_i64(), 6);
}
