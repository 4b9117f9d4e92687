//! `--invoke`: words of the command line as arguments of an export, and its results as words again.

use anyhow::{Result, anyhow, bail};
use hotfoot::{FuncType, Val, ValType};

use crate::types;

/// Reads the arguments for a function of this type.
pub fn arguments(name: &str, ty: &FuncType, words: &[String]) -> Result<Vec<Val>> {
    let count = ty.params().len();
    if words.len() != count {
        let plural = if count == 1 { "" } else { "s" };
        let given = if words.len() == 1 { "1 was".to_owned() } else { format!("{} were", words.len()) };
        bail!(
            "`{name}` takes {count} argument{plural} ({}), but {given} given; write them after FILE",
            types::list(ty.params())
        );
    }
    let pairs = ty.params().zip(words).enumerate();
    pairs
        .map(|(index, (ty, word))| {
            value(&ty, word).map_err(|expected| {
                anyhow!("argument {} of `{name}` has the type {ty} and cannot be `{word}`; write {expected}", index + 1)
            })
        })
        .collect()
}

/// Reads one value, or says what could have been written.
fn value(ty: &ValType, word: &str) -> Result<Val, &'static str> {
    match ty {
        ValType::I32 => int(word, 32)
            .map(|bits| Val::I32(bits as i32))
            .ok_or("an integer from -2147483648 to 4294967295 in decimal or as 0x…"),
        ValType::I64 => int(word, 64)
            .map(|bits| Val::I64(bits as i64))
            .ok_or("an integer from -9223372036854775808 to 18446744073709551615 in decimal or as 0x…"),
        ValType::F32 => f32_bits(word).map(Val::F32).ok_or("a number such as 1.5 or -2e3, or nan or inf"),
        ValType::F64 => f64_bits(word).map(Val::F64).ok_or("a number such as 1.5 or -2e3, or nan or inf"),
        ValType::V128 => int(word, 128).map(|bits| Val::V128(bits.into())).ok_or("128 bits as an integer, as in 0x…"),
        ValType::Ref(reference) if word == "null" && reference.is_nullable() => {
            Ok(Val::null_ref(reference.heap_type()))
        }
        ValType::Ref(_) => Err("null, the only reference that can be written"),
    }
}

/// Reads an integer of so many bits, signed or not: `-1` and `0xffffffff` are the same i32.
fn int(word: &str, bits: u32) -> Option<u128> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (digits, radix) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    // `from_str_radix` takes a sign of its own, which would be a second one here.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = u128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    let (most, mask) = (if negative { 1 << (bits - 1) } else { u128::MAX >> (128 - bits) }, u128::MAX >> (128 - bits));
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    (magnitude <= most).then_some(value & mask)
}

fn f32_bits(word: &str) -> Option<u32> {
    match nan_payload(word, 23)? {
        Some((negative, payload)) => Some(u32::from(negative) << 31 | 0x7f80_0000 | payload as u32),
        None => word.parse().ok().map(f32::to_bits),
    }
}

fn f64_bits(word: &str) -> Option<u64> {
    match nan_payload(word, 52)? {
        Some((negative, payload)) => Some(u64::from(negative) << 63 | 0x7ff0_0000_0000_0000 | payload),
        None => word.parse().ok().map(f64::to_bits),
    }
}

/// Reads `nan` or `nan:0x…` with a sign if any: outside none for a wrong payload, inside none for what is no NaN.
#[allow(clippy::option_option)]
fn nan_payload(word: &str, payload_bits: u32) -> Option<Option<(bool, u64)>> {
    let (negative, rest) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    if rest.eq_ignore_ascii_case("nan") {
        return Some(Some((negative, 1 << (payload_bits - 1))));
    }
    match rest.strip_prefix("nan:0x") {
        Some(hex) => {
            let payload = u64::from_str_radix(hex, 16).ok()?;
            (payload != 0 && payload < 1 << payload_bits).then_some(Some((negative, payload)))
        }
        None => Some(None),
    }
}

/// Writes a result so that it can be given as an argument again, where it can.
pub fn text(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(bits) => {
            let value = f32::from_bits(*bits);
            if value.is_nan() { nan_text(bits >> 31 == 1, u64::from(bits & 0x7f_ffff), 23) } else { value.to_string() }
        }
        Val::F64(bits) => {
            let value = f64::from_bits(*bits);
            if value.is_nan() { nan_text(bits >> 63 == 1, bits & ((1 << 52) - 1), 52) } else { value.to_string() }
        }
        Val::V128(value) => format!("{:#034x}", value.as_u128()),
        Val::FuncRef(Some(_)) => "funcref".to_owned(),
        Val::ExternRef(Some(_)) => "externref".to_owned(),
        Val::ExnRef(Some(_)) => "exnref".to_owned(),
        Val::AnyRef(Some(_)) => "anyref".to_owned(),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) | Val::AnyRef(None) => "null".to_owned(),
    }
}

fn nan_text(negative: bool, payload: u64, payload_bits: u32) -> String {
    let sign = if negative { "-" } else { "" };
    if payload == 1 << (payload_bits - 1) { format!("{sign}nan") } else { format!("{sign}nan:{payload:#x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        assert_eq!(int("5", 32), Some(5));
        assert_eq!(int("-1", 32), Some(0xffff_ffff));
        assert_eq!(int("-0x80000000", 32), Some(0x8000_0000));
        assert_eq!(int("0xffff_ffff", 32), Some(0xffff_ffff));
        assert_eq!(int("-1", 128), Some(u128::MAX));
        for wrong in ["", "-", "--1", "-+1", "0x", "1.0", "five", "4294967296", "-2147483649", "_", "1 "] {
            assert_eq!(int(wrong, 32), None, "{wrong}");
        }
    }

    #[test]
    fn values_can_be_written_as_they_are_read() {
        let cases = [
            (ValType::I32, vec!["0", "-1", "2147483647"]),
            (ValType::I64, vec!["-9223372036854775808", "42"]),
            (ValType::F32, vec!["1.5", "-0", "inf", "-inf", "nan", "-nan", "nan:0x200000", "0.1"]),
            (ValType::F64, vec!["1.5", "-0", "inf", "-inf", "nan", "-nan", "nan:0x4000000000000", "0.1"]),
            (ValType::V128, vec!["0x000102030405060708090a0b0c0d0e0f"]),
        ];
        for (ty, words) in cases {
            for word in words {
                assert_eq!(text(&value(&ty, word).unwrap()), word, "{ty}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_could() {
        assert!(value(&ValType::I32, "x").unwrap_err().contains("0x"));
        assert!(value(&ValType::F64, "one").unwrap_err().contains("nan"));
        assert!(value(&ValType::F32, "nan:0x800000").is_err());
        assert!(value(&ValType::F32, "nan:0x0").is_err());
    }
}
