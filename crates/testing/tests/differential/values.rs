//! Values for guests, made from a seed, and values of guests as text that is the same for every engine.

use super::engine::{
    AnyRef, ArrayRef, ArrayRefPre, ExternRef, Func, HeapType, I31, Ref, RefType, StorageType, StoreContextMut,
    StructRef, StructRefPre, Val, ValType,
};
use super::observe::{State, host_function};

/// How deep values that refer to others are made and shown.
const DEPTH: u32 = 3;
/// How many elements of an array are shown.
const ELEMENTS: usize = 6;

/// Numbers that are more interesting than others.
const INTEGERS: [u64; 16] = [
    0,
    1,
    2,
    7,
    16,
    255,
    4096,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];
const FLOATS: [f64; 12] =
    [0.0, -0.0, 1.0, -1.5, 0.1, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-310, 2147483648.0, -9.3e18, 1.8e19];

/// A source of numbers that depends on its seed alone.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A source; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.number() >> 8) % bound as u64) as usize
    }

    fn integer(&mut self) -> u64 {
        match self.below(4) {
            0 => self.number(),
            1 => self.below(300) as u64,
            _ => INTEGERS[self.below(INTEGERS.len())],
        }
    }

    fn float(&mut self) -> f64 {
        if self.below(3) == 0 { self.number() as f64 / 65536.0 } else { FLOATS[self.below(FLOATS.len())] }
    }
}

/// A value of a type, if one can be made.
pub fn make(store: &mut StoreContextMut<'_, State>, ty: &ValType, random: &mut Random) -> Option<Val> {
    make_within(store, ty, random, DEPTH)
}

fn make_within(store: &mut StoreContextMut<'_, State>, ty: &ValType, random: &mut Random, depth: u32) -> Option<Val> {
    Some(match ty {
        ValType::I32 => Val::I32(random.integer() as i32),
        ValType::I64 => Val::I64(random.integer() as i64),
        ValType::F32 => Val::F32((random.float() as f32).to_bits()),
        ValType::F64 => Val::F64(random.float().to_bits()),
        ValType::V128 => Val::V128((u128::from(random.integer()) << 64 | u128::from(random.integer())).into()),
        ValType::Ref(ty) => return make_reference(store, ty, random, depth),
    })
}

fn make_reference(
    store: &mut StoreContextMut<'_, State>,
    ty: &RefType,
    random: &mut Random,
    depth: u32,
) -> Option<Val> {
    let null = || ty.is_nullable().then(|| Val::null_ref(ty.heap_type()));
    if depth == 0 || (ty.is_nullable() && random.below(4) == 0) {
        return null();
    }
    let made = match ty.heap_type() {
        HeapType::Extern => {
            ExternRef::new(&mut *store, random.number() as u32).ok().map(|value| Val::ExternRef(Some(value)))
        }
        HeapType::Any | HeapType::Eq | HeapType::I31 => {
            let value = I31::wrapping_u32(random.integer() as u32);
            Some(Val::AnyRef(Some(AnyRef::from_i31(&mut *store, value))))
        }
        HeapType::ConcreteFunc(ty) => {
            let made = ty.clone();
            let func = move |caller: super::engine::Caller<'_, State>, params: &[Val], results: &mut [Val]| {
                host_function(caller, &made, params, results)
            };
            Some(Val::FuncRef(Some(Func::new(&mut *store, ty.clone(), func))))
        }
        HeapType::ConcreteStruct(ty) => {
            let fields: Vec<StorageType> = ty.fields().map(|field| field.element_type().clone()).collect();
            let fields: Option<Vec<Val>> =
                fields.iter().map(|field| make_field(store, field, random, depth - 1)).collect();
            let pre = StructRefPre::new(&mut *store, ty.clone());
            let object = fields.and_then(|fields| StructRef::new(&mut *store, &pre, &fields).ok());
            object.map(|object| Val::AnyRef(Some(object.to_anyref())))
        }
        HeapType::ConcreteArray(ty) => {
            let element = make_field(store, &ty.element_type(), random, depth - 1);
            let pre = ArrayRefPre::new(&mut *store, ty.clone());
            let len = random.below(6) as u32;
            let object = element.and_then(|element| ArrayRef::new(&mut *store, &pre, &element, len).ok());
            object.map(|object| Val::AnyRef(Some(object.to_anyref())))
        }
        _ => None,
    };
    made.or_else(null)
}

fn make_field(
    store: &mut StoreContextMut<'_, State>,
    ty: &StorageType,
    random: &mut Random,
    depth: u32,
) -> Option<Val> {
    match ty {
        StorageType::I8 | StorageType::I16 => Some(Val::I32((random.number() as i32) & 0x7f)),
        StorageType::ValType(ty) => make_within(store, ty, random, depth),
    }
}

/// A value as a reference, if it is one.
pub fn reference(value: Val) -> Option<Ref> {
    match value {
        Val::FuncRef(func) => Some(Ref::Func(func)),
        Val::ExternRef(value) => Some(Ref::Extern(value)),
        Val::AnyRef(value) => Some(Ref::Any(value)),
        Val::ExnRef(value) => Some(Ref::Exn(value)),
        _ => None,
    }
}

/// Values as text, with a space before each. All NaNs are the same.
pub fn show_all(store: &mut StoreContextMut<'_, State>, values: &[Val]) -> String {
    values.iter().map(|value| format!(" {}", show(store, value))).collect()
}

/// A value as text.
pub fn show(store: &mut StoreContextMut<'_, State>, value: &Val) -> String {
    show_within(store, value, DEPTH)
}

fn show_within(store: &mut StoreContextMut<'_, State>, value: &Val, depth: u32) -> String {
    match value {
        Val::I32(value) => format!("{value}"),
        Val::I64(value) => format!("{value}"),
        Val::F32(bits) if f32::from_bits(*bits).is_nan() => "nan".to_owned(),
        Val::F32(bits) => format!("{:?}", f32::from_bits(*bits)),
        Val::F64(bits) if f64::from_bits(*bits).is_nan() => "nan".to_owned(),
        Val::F64(bits) => format!("{:?}", f64::from_bits(*bits)),
        Val::V128(value) => format!("{:#034x}", value.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => "null".to_owned(),
        Val::FuncRef(Some(func)) => {
            let ty = func.ty(&*store);
            format!("func({}->{})", ty.params().len(), ty.results().len())
        }
        Val::ExternRef(Some(value)) => match value.data(&*store) {
            Ok(data) => data
                .and_then(|data| data.downcast_ref::<u32>())
                .map_or("extern".to_owned(), |number| format!("extern({number})")),
            Err(error) => format!("extern: {error}"),
        },
        Val::AnyRef(Some(value)) => show_object(store, value, depth),
        _ => "exn".to_owned(),
    }
}

fn show_object(store: &mut StoreContextMut<'_, State>, value: &AnyRef, depth: u32) -> String {
    if let Ok(Some(number)) = value.as_i31(&*store) {
        return format!("i31({})", number.get_u32());
    }
    if let Ok(Some(object)) = value.as_struct(&*store) {
        let count = object.ty(&*store).map_or(0, |ty| ty.fields().len());
        let fields = (0..count).map(|index| object.field(&mut *store, index).ok());
        let fields: Vec<Option<Val>> = fields.collect();
        return format!("struct({})", show_parts(store, &fields, depth).trim_start());
    }
    if let Ok(Some(object)) = value.as_array(&*store) {
        let len = object.len(&*store).unwrap_or(0);
        let elements = (0..len.min(ELEMENTS as u32)).map(|index| object.get(&mut *store, index).ok());
        let elements: Vec<Option<Val>> = elements.collect();
        return format!("array({len}:{})", show_parts(store, &elements, depth));
    }
    "any".to_owned()
}

fn show_parts(store: &mut StoreContextMut<'_, State>, parts: &[Option<Val>], depth: u32) -> String {
    let mut text = String::new();
    for part in parts {
        text.push(' ');
        match part {
            Some(_) if depth == 0 => text.push('…'),
            Some(part) => text.push_str(&show_within(store, part, depth - 1)),
            None => text.push('?'),
        }
    }
    text
}
