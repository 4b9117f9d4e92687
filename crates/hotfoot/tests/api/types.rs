//! Types through the public interface: subtyping, recursive groups, and functions that are called under a supertype.

use hotfoot::{
    ArrayType, Config, Engine, Extern, FieldType, Finality, Func, FuncType, Global, GlobalType, HeapType, Instance,
    Linker, Module, Mutability, Ref, RefType, Result, StorageType, Store, StructType, Table, TableType, Trap, Val,
    ValType,
};

use super::{call, compile, engines, instantiate, start};

fn field(ty: ValType) -> FieldType {
    FieldType::new(Mutability::Const, StorageType::ValType(ty))
}

#[test]
fn abstract_types_form_four_hierarchies() {
    let below = |sub: ValType, sup: ValType| sub.matches(&sup);
    assert!(below(ValType::NULLREF, ValType::I31REF) && below(ValType::I31REF, ValType::EQREF));
    assert!(below(ValType::STRUCTREF, ValType::EQREF) && below(ValType::ARRAYREF, ValType::ANYREF));
    assert!(below(ValType::NULLFUNCREF, ValType::FUNCREF) && below(ValType::NULLEXTERNREF, ValType::EXTERNREF));
    assert!(below(ValType::NULLEXNREF, ValType::EXNREF));
    let tops = [ValType::ANYREF, ValType::FUNCREF, ValType::EXTERNREF, ValType::EXNREF];
    for (at, one) in tops.iter().enumerate() {
        for (other_at, other) in tops.iter().enumerate() {
            assert_eq!(one.matches(other), at == other_at, "{one} {other}");
        }
    }
    assert!(!below(ValType::STRUCTREF, ValType::ARRAYREF) && !below(ValType::EQREF, ValType::I31REF));
    assert_eq!(RefType::new(false, HeapType::Eq).to_string(), "(ref eq)");
    assert_eq!(ValType::NULLREF.to_string(), "nullref");
}

#[test]
fn subtypes_are_declared_and_checked() -> Result<()> {
    let engine = Engine::default();
    let open = |fields: Vec<FieldType>, sup: Option<&StructType>| {
        StructType::with_finality_and_supertype(&engine, Finality::NonFinal, sup, fields)
    };
    let point = open(vec![field(ValType::I32)], None)?;
    let deeper = open(vec![field(ValType::I32), field(ValType::I64)], Some(&point))?;
    assert!(deeper.matches(&point) && !point.matches(&deeper));
    assert_eq!(deeper.supertype(), Some(point.clone()));
    assert_eq!(deeper.finality(), Finality::NonFinal);
    assert!(HeapType::from(deeper.clone()).matches(&HeapType::Struct));
    assert!(open(vec![field(ValType::I64)], Some(&point)).is_err(), "another first field");
    let last = StructType::new(&engine, deeper.fields())?;
    assert!(open(vec![], Some(&last)).unwrap_err().to_string().contains("final"));
    assert_ne!(last, deeper, "a final type is another type");
    let bytes = ArrayType::new(&engine, FieldType::new(Mutability::Var, StorageType::I8));
    assert_eq!(bytes, ArrayType::new(&engine, bytes.field_type()));
    assert_eq!(bytes.to_string(), "(array (mut i8))");
    Ok(())
}

#[test]
fn a_type_may_have_63_supertypes_and_no_more() {
    let engine = Engine::default();
    let mut types = vec![StructType::with_finality_and_supertype(&engine, Finality::NonFinal, None, []).unwrap()];
    for _ in 0..63 {
        let sup = types.last();
        types.push(StructType::with_finality_and_supertype(&engine, Finality::NonFinal, sup, []).unwrap());
    }
    let error = StructType::with_finality_and_supertype(&engine, Finality::NonFinal, types.last(), []).unwrap_err();
    assert!(error.to_string().contains("63"), "{error}");
    assert!(types[63].matches(&types[0]) && types[63].matches(&types[62]) && !types[62].matches(&types[63]));
}

/// Two modules that write the same group, in other places and beside other types, mean the same types.
#[test]
fn equal_groups_of_two_modules_are_one() {
    let (mut store, first) = start(
        r#"(module
            (rec (type $tree (struct (field (ref null $list)))) (type $list (array (mut (ref $tree)))))
            (func (export "f") (param (ref null $tree)) (result i32) (ref.is_null (local.get 0)))
            (global (export "g") (ref null $list) (ref.null $list)))"#,
    );
    let exports = [first.get_export(&mut store, "f").unwrap(), first.get_export(&mut store, "g").unwrap()];
    let same = r#"(module
        (type (func)) (type $other (struct))
        (rec (type $t (struct (field (ref null $l)))) (type $l (array (mut (ref $t)))))
        (import "" "f" (func (param (ref null $t)) (result i32)))
        (import "" "g" (global (ref null $l))))"#;
    instantiate(&mut store, same, &exports);
    let apart = r#"(module
        (type $l (array (mut anyref))) (type $t (struct (field (ref null $l))))
        (import "" "f" (func (param (ref null $t)) (result i32)))
        (import "" "g" (global (ref null $l))))"#;
    let module = compile(&store.engine().clone(), apart);
    let error = Instance::new(&mut store, &module, &exports).unwrap_err().to_string();
    assert!(error.contains("incompatible import type for `::f`"), "{error}");
}

/// A function of the host's has no code of its own for calls from a guest: the module that calls it has, under the type
/// that it knows, which may be a supertype of the function's.
#[test]
fn host_functions_are_called_under_supertypes() -> Result<()> {
    for (kind, engine) in engines() {
        let open = |sup: Option<&FuncType>, result| {
            FuncType::with_finality_and_supertype(&engine, Finality::NonFinal, sup, [ValType::I32], [result])
        };
        let base = open(None, ValType::FUNCREF)?;
        let derived = open(Some(&base), ValType::Ref(RefType::new(false, HeapType::Func)))?;
        let text = r#"(module
            (type $base (sub (func (param i32) (result funcref))))
            (import "" "f" (func $f (type $base)))
            (table (export "t") 2 funcref)
            (elem declare func $f)
            (func (export "direct") (result i32) (ref.is_null (call $f (i32.const 1))))
            (func (export "indirect") (result i32) (ref.is_null (call_indirect (type $base) (i32.const 1) (i32.const 0))))
            (func (export "reference") (result i32) (ref.is_null (call_ref $base (i32.const 1) (ref.func $f)))))"#;
        let mut store = Store::new(&engine, ());
        let own = Func::wrap(&mut store, || {});
        let func = Func::new(&mut store, derived.clone(), move |_, _, results| {
            results[0] = Val::FuncRef(Some(own));
            Ok(())
        });
        assert_eq!(func.ty(&store), derived);
        let instance = instantiate(&mut store, text, &[func.into()]);
        let table = instance.get_table(&mut store, "t").unwrap();
        table.set(&mut store, 0, func.into())?;
        for way in ["direct", "indirect", "reference"] {
            assert_eq!(call::<_, (), i32>(&mut store, instance, way, ())?, 0, "{kind} {way}");
        }
        let other = Func::wrap(&mut store, |_: i64| {});
        table.set(&mut store, 0, other.into())?;
        let error = call::<_, (), i32>(&mut store, instance, "indirect", ()).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>(), Some(&Trap::BadSignature), "{kind}");
        // A pooled or linked module gets its functions in the same way.
        let mut linker = Linker::new(&engine);
        linker.func_new("", "f", derived, |_, _, results| {
            results[0] = Val::FuncRef(None);
            Ok(())
        })?;
        let instance = linker.instantiate(&mut store, &compile(&engine, text))?;
        let error = call::<_, (), i32>(&mut store, instance, "direct", ()).unwrap_err();
        assert!(format!("{error:#}").contains("another type than it declares"), "{error:#}");
    }
    Ok(())
}

#[test]
fn functions_are_taken_as_rust_types_that_fit() -> Result<()> {
    let (mut store, instance) = start(
        r#"(module (type $f (func)) (func $id (type $f)) (elem declare func $id)
            (func (export "exact") (result (ref $f)) (ref.func $id))
            (func (export "takes") (param funcref) (result i32) (ref.is_null (local.get 0)))
            (func (export "narrow") (param (ref null $f))))"#,
    );
    let func: Func = call(&mut store, instance, "exact", ())?;
    let same: Option<Func> = call(&mut store, instance, "exact", ())?;
    assert!(same.is_some());
    assert_eq!(call::<_, Func, i32>(&mut store, instance, "takes", func)?, 0);
    assert!(instance.get_typed_func::<Option<Func>, ()>(&mut store, "narrow").is_err(), "not every function fits");
    let narrow = instance.get_func(&mut store, "narrow").unwrap();
    narrow.call(&mut store, &[Val::FuncRef(Some(func))], &mut [])?;
    narrow.call(&mut store, &[Val::FuncRef(None)], &mut [])?;
    let wrong = Func::wrap(&mut store, |_: i32| {});
    assert!(narrow.call(&mut store, &[Val::FuncRef(Some(wrong))], &mut []).is_err());
    Ok(())
}

#[test]
fn tables_and_globals_hold_what_their_types_allow() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let callback = FuncType::new(&engine, [], []);
    let ty = RefType::new(false, HeapType::ConcreteFunc(callback));
    let (fits, other) = (Func::wrap(&mut store, || {}), Func::wrap(&mut store, |_: i32| {}));
    assert!(Table::new(&mut store, TableType::new(ty.clone(), 1, None), Ref::Func(None)).is_err());
    let table = Table::new(&mut store, TableType::new(ty.clone(), 1, None), fits.into())?;
    assert!(table.set(&mut store, 0, other.into()).is_err());
    assert!(table.grow(&mut store, 1, Ref::Func(None)).is_err());
    assert_eq!(*table.ty(&store).element(), ty);
    let ty = GlobalType::new(ValType::Ref(ty), Mutability::Var);
    let global = Global::new(&mut store, ty.clone(), Val::FuncRef(Some(fits)))?;
    assert!(global.set(&mut store, Val::FuncRef(None)).is_err());
    assert_eq!(global.ty(&store), ty);
    assert_eq!(Val::default_for_ty(ty.content()).map(|value| value.i32()), None, "there is no default");
    // A global that cannot be set may be imported under a supertype, one that can be set may not.
    let text = |mutable: &str| format!(r#"(module (import "" "g" (global {mutable})))"#);
    let fixed =
        Global::new(&mut store, GlobalType::new(ty.content().clone(), Mutability::Const), Val::FuncRef(Some(fits)))?;
    instantiate(&mut store, &text("funcref"), &[Extern::Global(fixed)]);
    let module = compile(&engine, &text("(mut funcref)"));
    assert!(Instance::new(&mut store, &module, &[global.into()]).is_err());
    Ok(())
}

#[test]
fn switches_refuse_what_is_off() {
    let refused = |change: fn(&mut Config) -> &mut Config, text: &str| {
        let engine = Engine::new(change(&mut Config::new())).unwrap();
        assert!(Module::new(&engine, text).is_err(), "{text}");
        Module::new(&Engine::default(), text).unwrap();
    };
    refused(|config| config.wasm_gc(false), "(module (type (struct)))");
    refused(|config| config.wasm_gc(false), "(module (func (param anyref)))");
    refused(|config| config.wasm_gc(false).wasm_function_references(false), "(module (func (param (ref func))))");
}
