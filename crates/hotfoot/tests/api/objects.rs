//! Structs, arrays and small integers as the host makes and reads them.

use std::num::NonZeroU32;

use hotfoot::{
    AnyRef, ArrayRef, ArrayRefPre, ArrayType, AsContextMut, Config, Engine, EqRef, ExternRef, FieldType, Finality,
    Func, GcHeapOutOfMemory, Global, GlobalType, HeapType, I31, Mutability, Ref, RefType, RootScope, Rooted,
    StorageType, Store, StoreLimits, StoreLimitsBuilder, StructRef, StructRefPre, StructType, Table, TableType, Trap,
    V128, Val, ValType,
};

/// Engines that collect when they must, and at every allocation.
fn engines() -> [Engine; 2] {
    [None, NonZeroU32::new(1)].map(|zeal| Engine::new(Config::new().gc_zeal_alloc_counter(zeal).unwrap()).unwrap())
}

fn variable(ty: impl Into<StorageType>) -> FieldType {
    FieldType::new(Mutability::Var, ty.into())
}

/// A struct type with a field of every kind, and values for it.
fn everything(store: &mut Store<()>) -> (StructRefPre, Vec<Val>) {
    let fields = [
        StorageType::I8,
        ValType::I64.into(),
        StorageType::I16,
        ValType::ANYREF.into(),
        ValType::V128.into(),
        ValType::F32.into(),
        ValType::FUNCREF.into(),
        StorageType::I8,
        ValType::EXTERNREF.into(),
        ValType::F64.into(),
        ValType::I32.into(),
        ValType::EXNREF.into(),
    ];
    let engine = store.engine().clone();
    let ty = StructType::new(&engine, fields.map(variable)).unwrap();
    let pre = StructRefPre::new(&mut *store, ty);
    let func = Func::wrap(&mut *store, || 7);
    let host = ExternRef::new(&mut *store, "host").unwrap();
    let five = AnyRef::from_i31(&mut *store, I31::wrapping_i32(5));
    let values = vec![
        Val::I32(0xab),
        Val::I64(-2),
        Val::I32(0xfedc),
        five.into(),
        V128::from(u128::MAX / 3).into(),
        Val::from(1.5f32),
        func.into(),
        Val::I32(1),
        host.into(),
        Val::from(-2.5f64),
        Val::I32(-7),
        Val::ExnRef(None),
    ];
    (pre, values)
}

/// The value as text that does not depend on handles.
fn described(store: &mut impl AsContextMut, value: &Val) -> String {
    match value {
        Val::AnyRef(Some(value)) => format!("{:?}", value.as_i31(&*store).unwrap()),
        Val::ExternRef(Some(value)) => {
            format!("{:?}", value.data(store.as_context()).unwrap().unwrap().downcast_ref::<&str>())
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn fields_of_every_kind_keep_their_values() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let (pre, values) = everything(&mut store);
        let object = StructRef::new(&mut store, &pre, &values).unwrap();
        for round in 0..2 {
            let found: Vec<Val> = object.fields(&mut store).unwrap().collect();
            for (index, (found, expected)) in found.iter().zip(&values).enumerate() {
                let (found, expected) = (described(&mut store, found), described(&mut store, expected));
                assert_eq!(found, expected, "field {index}");
            }
            // Again after it moved, and every field was written once.
            store.gc(None).unwrap();
            if round == 0 {
                for (index, value) in values.iter().enumerate().rev() {
                    object.set_field(&mut store, index, *value).unwrap();
                }
            }
        }
        let func = *object.field(&mut store, 6).unwrap().unwrap_func_ref().unwrap();
        assert_eq!(func.typed::<(), i32>(&store).unwrap().call(&mut store, ()).unwrap(), 7);
        assert_eq!(object.ty(&store).unwrap(), *pre.ty());
        assert!(object.matches_ty(&store, pre.ty()).unwrap());
    }
}

#[test]
fn narrow_fields_keep_their_low_bits() {
    let mut store = Store::new(&Engine::default(), ());
    let (pre, mut values) = everything(&mut store);
    (values[0], values[2]) = (Val::I32(-1), Val::I32(0x12345));
    let object = StructRef::new(&mut store, &pre, &values).unwrap();
    assert_eq!(object.field(&mut store, 0).unwrap().i32(), Some(0xff));
    assert_eq!(object.field(&mut store, 2).unwrap().i32(), Some(0x2345));
    assert_eq!(object.field(&mut store, 7).unwrap().i32(), Some(1), "its neighbours stay");
}

#[test]
fn wrong_values_and_places_are_errors() {
    let engine = Engine::default();
    let (mut store, mut other) = (Store::new(&engine, ()), Store::new(&engine, ()));
    let constant = FieldType::new(Mutability::Const, ValType::I32.into());
    let ty = StructType::new(&engine, [variable(ValType::I32), constant.clone(), variable(ValType::ANYREF)]).unwrap();
    let pre = StructRefPre::new(&mut store, ty);
    let foreign = AnyRef::from_i31(&mut other, I31::default());
    let null = Val::AnyRef(None);
    let wrong: [&[Val]; 5] = [
        &[],
        &[Val::I32(1), Val::I32(2)],
        &[Val::I64(1), Val::I32(2), null],
        &[Val::I32(1), Val::I32(2), Val::ExternRef(None)],
        &[Val::I32(1), Val::I32(2), foreign.into()],
    ];
    for values in wrong {
        assert!(StructRef::new(&mut store, &pre, values).is_err(), "{values:?}");
    }
    let object = StructRef::new(&mut store, &pre, &[Val::I32(1), Val::I32(2), null]).unwrap();
    assert!(object.field(&mut store, 3).unwrap_err().to_string().contains('3'));
    assert!(object.set_field(&mut store, 3, Val::I32(1)).is_err());
    assert!(object.set_field(&mut store, 1, Val::I32(1)).unwrap_err().to_string().contains("immutable"));
    assert!(object.set_field(&mut store, 0, Val::I64(1)).is_err());
    assert!(object.field(&mut other, 0).is_err());
    let pre = ArrayRefPre::new(&mut store, ArrayType::new(&engine, constant));
    assert!(ArrayRef::new(&mut store, &pre, &Val::I64(1), 2).is_err());
    assert!(ArrayRef::new_fixed(&mut store, &pre, &[Val::I32(1), Val::F32(2)]).is_err());
    assert!(ArrayRef::new_from_i8_slice(&mut store, &pre, b"ab").is_err());
    let array = ArrayRef::new_fixed(&mut store, &pre, &[Val::I32(4), Val::I32(5)]).unwrap();
    assert!(array.get(&mut store, 2).unwrap_err().to_string().contains('2'));
    assert!(array.set(&mut store, 0, Val::I32(1)).is_err());
    assert!(array.copy_to_i8_slice(&mut store, &mut [0; 8]).is_err());
}

#[test]
fn arrays_of_every_kind_keep_their_elements() {
    for engine in engines() {
        let mut store = Store::new(&engine, ());
        let (pre, values) = everything(&mut store);
        let fields: Vec<FieldType> = pre.ty().fields().collect();
        for (field, value) in fields.into_iter().zip(values) {
            let mut scope = RootScope::new(&mut store);
            let ty = ArrayType::new(&engine, field);
            let pre = ArrayRefPre::new(&mut scope, ty.clone());
            let expected = described(&mut scope, &value);
            for array in [
                ArrayRef::new(&mut scope, &pre, &value, 5).unwrap(),
                ArrayRef::new_fixed(&mut scope, &pre, &[value; 5]).unwrap(),
            ] {
                scope.as_context_mut().gc(None).unwrap();
                assert_eq!((array.len(&scope).unwrap(), array.ty(&scope).unwrap()), (5, ty.clone()));
                array.set(&mut scope, 4, value).unwrap();
                let elements: Vec<Val> = array.elems(&mut scope).unwrap().collect();
                assert_eq!(elements.len(), 5);
                for element in elements {
                    assert_eq!(described(&mut scope, &element), expected, "{ty}");
                }
            }
            let empty = ArrayRef::new_fixed(&mut scope, &pre, &[]).unwrap();
            assert_eq!(empty.len(&scope).unwrap(), 0);
            assert!(empty.get(&mut scope, 0).is_err());
        }
    }
}

#[test]
fn handles_can_be_asked_for_what_they_refer_to() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let parent = StructType::with_finality_and_supertype(&engine, Finality::NonFinal, None, [variable(ValType::I32)]);
    let parent = parent.unwrap();
    let fields = [variable(ValType::I32), variable(ValType::I64)];
    let child = StructType::with_finality_and_supertype(&engine, Finality::Final, Some(&parent), fields).unwrap();
    let bytes = ArrayType::new(&engine, variable(StorageType::I8));
    let (parent_pre, child_pre) =
        (StructRefPre::new(&mut store, parent.clone()), StructRefPre::new(&mut store, child.clone()));
    let bytes_pre = ArrayRefPre::new(&mut store, bytes.clone());
    let structs = [
        StructRef::new(&mut store, &parent_pre, &[Val::I32(1)]).unwrap(),
        StructRef::new(&mut store, &child_pre, &[Val::I32(1), Val::I64(2)]).unwrap(),
    ];
    let array = ArrayRef::new_from_i8_slice(&mut store, &bytes_pre, b"bytes").unwrap();
    let small = AnyRef::from_i31(&mut store, I31::wrapping_u32(3));
    let host = ExternRef::new(&mut store, 5).unwrap();
    let host = AnyRef::convert_extern(&mut store, host).unwrap();
    let all = [structs[0].to_anyref(), structs[1].to_anyref(), array.to_anyref(), small, host];
    let types = [
        (HeapType::Any, [true; 5]),
        (HeapType::Eq, [true, true, true, true, false]),
        (HeapType::Struct, [true, true, false, false, false]),
        (HeapType::ConcreteStruct(parent), [true, true, false, false, false]),
        (HeapType::ConcreteStruct(child.clone()), [false, true, false, false, false]),
        (HeapType::Array, [false, false, true, false, false]),
        (HeapType::ConcreteArray(bytes), [false, false, true, false, false]),
        (HeapType::I31, [false, false, false, true, false]),
        (HeapType::None, [false; 5]),
    ];
    for (ty, expected) in types {
        let found = all.map(|reference| reference.matches_ty(&store, &ty).unwrap());
        assert_eq!(found, expected, "{ty}");
        let global = GlobalType::new(ValType::Ref(RefType::new(false, ty.clone())), Mutability::Const);
        let found = all.map(|reference| Global::new(&mut store, global.clone(), reference.into()).is_ok());
        assert_eq!(found, expected, "a global of {ty}");
    }
    assert_eq!(all[1].ty(&store).unwrap(), HeapType::ConcreteStruct(child));
    assert_eq!(all.map(|reference| reference.is_eqref(&store).unwrap()), [true, true, true, true, false]);
    assert_eq!(all.map(|reference| reference.is_array(&store).unwrap()), [false, false, true, false, false]);
    assert_eq!(all.map(|reference| reference.is_i31(&store).unwrap()), [false, false, false, true, false]);
    let again: Rooted<StructRef> = all[1].unwrap_struct(&store).unwrap();
    assert_eq!(again.field(&mut store, 1).unwrap().i64(), Some(2));
    let eq: Rooted<EqRef> = all[2].unwrap_eqref(&store).unwrap();
    assert_eq!(eq.unwrap_array(&store).unwrap().len(&store).unwrap(), 5);
    assert!(all[0].unwrap_array(&store).is_err() && all[4].unwrap_eqref(&store).is_err());
    let back = ExternRef::convert_any(&mut store, host).unwrap();
    assert_eq!(back.data(&store).unwrap().unwrap().downcast_ref(), Some(&5));
    let converted = ExternRef::convert_any(&mut store, all[0]).unwrap();
    assert!(converted.data(&store).unwrap().is_none(), "a guest's object is no value of the host's");
    let returned = AnyRef::convert_extern(&mut store, converted).unwrap();
    assert!(Rooted::ref_eq(&store, &returned, &all[0]).unwrap());
}

/// A list as long as there is room for is built, kept in a table, and walked.
#[test]
fn long_lists_are_followed_and_cycles_are_freed() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(8 << 20).build());
    store.limiter(|limits| limits);
    let ty = StructType::new(&engine, [variable(ValType::I32), variable(ValType::ANYREF)]).unwrap();
    let pre = StructRefPre::new(&mut store, ty);
    let table = Table::new(&mut store, TableType::new(RefType::ANYREF, 1, None), Ref::Any(None)).unwrap();
    let push = |store: &mut Store<StoreLimits>, number| {
        let mut scope = RootScope::new(store);
        let next = table.get(&mut scope, 0).unwrap();
        let node = StructRef::new(&mut scope, &pre, &[Val::I32(number), next.into()])?;
        table.set(&mut scope, 0, Ref::Any(Some(node.to_anyref())))
    };
    for round in 0..3 {
        table.set(&mut store, 0, Ref::Any(None)).unwrap();
        let mut count = 0;
        let error = loop {
            match push(&mut store, count) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
        };
        assert!(error.is::<GcHeapOutOfMemory<()>>(), "{error:#}");
        assert_eq!(count, (4 << 20) / 16, "each node takes 16 bytes, and half of the heap is used, in round {round}");
        let mut scope = RootScope::new(&mut store);
        let (first, last) = (table.get(&mut scope, 0).unwrap(), count - 1);
        let first = first.as_any().unwrap().unwrap().unwrap_struct(&scope).unwrap();
        assert_eq!(first.field(&mut scope, 0).unwrap().i32(), Some(last));
        // The second node leads back to the first: what is behind is garbage, and the cycle too once the table lets go.
        let second = *first.field(&mut scope, 1).unwrap().unwrap_any_ref().unwrap();
        second.unwrap_struct(&scope).unwrap().set_field(&mut scope, 1, first.into()).unwrap();
        scope.as_context_mut().gc(None).unwrap();
    }
}

#[test]
fn an_array_that_could_never_fit_is_a_trap() {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let pre = ArrayRefPre::new(&mut store, ArrayType::new(&engine, variable(ValType::V128)));
    let error = ArrayRef::new(&mut store, &pre, &V128::from(1).into(), u32::MAX).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::AllocationTooLarge));
    let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(1 << 20).build());
    store.limiter(|limits| limits);
    let pre = ArrayRefPre::new(&mut store, ArrayType::new(&engine, variable(StorageType::I8)));
    let most = (1 << 19) - 8;
    ArrayRef::new(RootScope::new(&mut store), &pre, &Val::I32(1), most).unwrap();
    let error = ArrayRef::new(&mut store, &pre, &Val::I32(1), most + 1).unwrap_err();
    assert!(error.is::<GcHeapOutOfMemory<()>>(), "{error:#}");
}
