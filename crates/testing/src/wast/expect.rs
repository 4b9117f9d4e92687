//! Results of calls, against the patterns that scripts write.
//!
//! A pattern is a value, a kind of NaN, a vector with a pattern in each lane, a kind of reference, or several
//! alternatives.

use hotfoot::{AnyRef, ExternRef, Rooted, Store, Val};
use wast::WastRet;
use wast::core::{NanPattern, V128Pattern, WastRetCore};
use wast::token::{F32, F64};

use super::value::{Hierarchy, hierarchy};

/// Checks all results of a call.
pub(super) fn results(store: &mut Store<()>, actual: &[Val], expected: &[WastRet<'_>]) -> Result<(), String> {
    if actual.len() != expected.len() {
        return Err(format!("returned {} values, where {} are expected", actual.len(), expected.len()));
    }
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let WastRet::Core(pattern) = expected else {
            return Err("a value of the component model is expected; scripts about components are not supported".into());
        };
        if !matches(store, actual, pattern) {
            return Err(format!("result {index} is {}, where {pattern:?} is expected", shown(actual)));
        }
    }
    Ok(())
}

fn matches(store: &mut Store<()>, actual: &Val, pattern: &WastRetCore<'_>) -> bool {
    match (actual, pattern) {
        (_, WastRetCore::Either(patterns)) => patterns.iter().any(|pattern| matches(store, actual, pattern)),
        (Val::I32(actual), WastRetCore::I32(expected)) => actual == expected,
        (Val::I64(actual), WastRetCore::I64(expected)) => actual == expected,
        (Val::F32(actual), WastRetCore::F32(expected)) => float32(*actual, expected),
        (Val::F64(actual), WastRetCore::F64(expected)) => float64(*actual, expected),
        (Val::V128(actual), WastRetCore::V128(expected)) => vector(actual.as_u128().to_le_bytes(), expected),
        (
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) | Val::AnyRef(None),
            WastRetCore::RefNull(None),
        ) => true,
        (Val::AnyRef(None), WastRetCore::RefNull(Some(heap))) => hierarchy(heap) == Some(Hierarchy::Any),
        (Val::FuncRef(None), WastRetCore::RefNull(Some(heap))) => hierarchy(heap) == Some(Hierarchy::Func),
        (Val::ExternRef(None), WastRetCore::RefNull(Some(heap))) => hierarchy(heap) == Some(Hierarchy::Extern),
        (Val::ExnRef(None), WastRetCore::RefNull(Some(heap))) => hierarchy(heap) == Some(Hierarchy::Exn),
        // Scripts name the function that they expect, but two references cannot be compared: any function will do.
        (Val::FuncRef(actual), WastRetCore::RefFunc(_)) => actual.is_some(),
        (Val::ExternRef(actual), WastRetCore::RefExtern(None)) => actual.is_some(),
        (Val::ExternRef(Some(actual)), WastRetCore::RefExtern(Some(expected))) => {
            let value = actual.data(&*store).ok().flatten().and_then(|value| value.downcast_ref::<u32>());
            value == Some(expected)
        }
        (Val::AnyRef(Some(actual)), pattern) => object(store, *actual, pattern).unwrap_or(false),
        _ => false,
    }
}

/// Whether a reference of the hierarchy `any` is what is expected.
fn object(store: &mut Store<()>, actual: Rooted<AnyRef>, pattern: &WastRetCore<'_>) -> hotfoot::Result<bool> {
    Ok(match pattern {
        WastRetCore::RefAny => true,
        WastRetCore::RefEq => actual.is_eqref(&*store)?,
        WastRetCore::RefStruct => actual.is_struct(&*store)?,
        WastRetCore::RefArray => actual.is_array(&*store)?,
        WastRetCore::RefI31 => actual.is_i31(&*store)?,
        WastRetCore::RefHost(expected) => {
            let value = ExternRef::convert_any(&mut *store, actual)?;
            value.data(&*store)?.and_then(|value| value.downcast_ref::<u32>()) == Some(expected)
        }
        _ => false,
    })
}

/// A canonical NaN has only the quiet bit in its payload; an arithmetic NaN has at least that.
fn float32(bits: u32, pattern: &NanPattern<F32>) -> bool {
    const QUIET: u32 = 0x7fc0_0000;
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == QUIET,
        NanPattern::ArithmeticNan => bits & QUIET == QUIET,
        NanPattern::Value(expected) => bits == expected.bits,
    }
}

fn float64(bits: u64, pattern: &NanPattern<F64>) -> bool {
    const QUIET: u64 = 0x7ff8_0000_0000_0000;
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == QUIET,
        NanPattern::ArithmeticNan => bits & QUIET == QUIET,
        NanPattern::Value(expected) => bits == expected.bits,
    }
}

fn vector(bytes: [u8; 16], pattern: &V128Pattern) -> bool {
    match pattern {
        V128Pattern::I8x16(expected) => lanes(&bytes, i8::from_le_bytes).eq(expected.iter().copied()),
        V128Pattern::I16x8(expected) => lanes(&bytes, i16::from_le_bytes).eq(expected.iter().copied()),
        V128Pattern::I32x4(expected) => lanes(&bytes, i32::from_le_bytes).eq(expected.iter().copied()),
        V128Pattern::I64x2(expected) => lanes(&bytes, i64::from_le_bytes).eq(expected.iter().copied()),
        V128Pattern::F32x4(expected) => {
            lanes(&bytes, u32::from_le_bytes).zip(expected).all(|(bits, pattern)| float32(bits, pattern))
        }
        V128Pattern::F64x2(expected) => {
            lanes(&bytes, u64::from_le_bytes).zip(expected).all(|(bits, pattern)| float64(bits, pattern))
        }
    }
}

fn lanes<T, const N: usize>(bytes: &[u8; 16], read: fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    let (lanes, _) = bytes.as_chunks::<N>();
    lanes.iter().map(move |lane| read(*lane))
}

/// A value as a failure shows it: floats with their bits, as that is where they differ.
fn shown(value: &Val) -> String {
    match value {
        Val::F32(bits) => format!("F32({bits:#010x} = {})", f32::from_bits(*bits)),
        Val::F64(bits) => format!("F64({bits:#018x} = {})", f64::from_bits(*bits)),
        Val::V128(vector) => format!("V128({:#034x})", vector.as_u128()),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_nan_are_told_apart() {
        assert!(float32(0x7fc0_0000, &NanPattern::CanonicalNan) && float32(0xffc0_0000, &NanPattern::CanonicalNan));
        assert!(!float32(0x7fc0_0001, &NanPattern::CanonicalNan) && float32(0x7fc0_0001, &NanPattern::ArithmeticNan));
        assert!(!float32(0x7fa0_0000, &NanPattern::ArithmeticNan) && !float32(0x7f80_0000, &NanPattern::ArithmeticNan));
        assert!(float64(0xfff8_0000_0000_0000, &NanPattern::CanonicalNan));
        assert!(!float64(0x7ff4_0000_0000_0000, &NanPattern::ArithmeticNan));
        assert!(!float64(0, &NanPattern::Value(F64 { bits: 1 << 63 })), "the two zeros differ");
    }

    #[test]
    fn lanes_are_little_endian() {
        let mut bytes = [0; 16];
        bytes[2] = 1;
        assert!(vector(bytes, &V128Pattern::I16x8([0, 1, 0, 0, 0, 0, 0, 0])));
        assert!(vector(bytes, &V128Pattern::I32x4([0x1_0000, 0, 0, 0])));
        assert!(!vector(bytes, &V128Pattern::F32x4([NanPattern::CanonicalNan; 4])));
    }
}
