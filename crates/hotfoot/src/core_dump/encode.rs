//! The binary format, as far as core dumps need it; section numbers and bytes are those of section 5 of the specification.

use std::borrow::Cow;

use hotfoot_artifact::MemoryType;

use crate::value::Val;

/// What every file begins with.
pub const HEADER: &[u8] = b"\0asm\x01\0\0\0";
/// Memory section.
pub const MEMORY: u8 = 5;
/// Global section.
pub const GLOBAL: u8 = 6;
/// In place of a value that is not known.
pub const MISSING: u8 = 1;

const CUSTOM: u8 = 0;
const DATA: u8 = 11;
/// `end` of a constant expression.
const END: u8 = 0x0b;
/// Bytes that are left out together if all are zero.
const CHUNK: usize = 4096;

/// An unsigned number, LEB128.
pub fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A signed number, LEB128.
fn signed(out: &mut Vec<u8>, mut value: i64) {
    while !(-0x40..0x40).contains(&value) {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 & 0x7f);
}

fn string(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// A zero and a name, which is how the sections of core dumps begin what has one.
pub fn tagged_name(name: &str) -> Vec<u8> {
    let mut out = vec![0];
    string(&mut out, name);
    out
}

/// The number of items, and then the items.
pub fn list<T>(items: &[T], mut write: impl FnMut(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, items.len() as u64);
    items.iter().for_each(|item| write(item, &mut out));
    out
}

/// A section.
pub fn section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    number(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// A custom section.
pub fn custom(out: &mut Vec<u8>, name: &str, body: &[u8]) {
    let mut whole = Vec::new();
    string(&mut whole, name);
    whole.extend_from_slice(body);
    section(out, CUSTOM, &whole);
}

/// A memory of its size now. What was shared is not: the copy is nobody's.
pub fn memory_type(out: &mut Vec<u8>, ty: &MemoryType) {
    const HAS_MAXIMUM: u8 = 1;
    const INDEX_64: u8 = 4;
    const HAS_PAGE_SIZE: u8 = 8;
    const WASM_PAGE_LOG2: u8 = 16;
    let flag = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
    let has_page_size = ty.page_size_log2 != WASM_PAGE_LOG2;
    out.push(flag(HAS_MAXIMUM, ty.maximum.is_some()) | flag(INDEX_64, ty.index64) | flag(HAS_PAGE_SIZE, has_page_size));
    number(out, ty.minimum);
    if let Some(maximum) = ty.maximum {
        number(out, maximum);
    }
    if has_page_size {
        number(out, ty.page_size_log2.into());
    }
}

/// A constant global with this value; references are null.
pub fn global(out: &mut Vec<u8>, value: &Val) {
    const FUNC: u8 = 0x70;
    const EXTERN: u8 = 0x6f;
    const ANY: u8 = 0x6e;
    const EXN: u8 = 0x69;
    let null = |out: &mut Vec<u8>, ty: u8| out.extend([ty, 0, 0xd0, ty]);
    match value {
        Val::I32(value) => {
            out.extend([0x7f, 0, 0x41]);
            signed(out, (*value).into());
        }
        Val::I64(value) => {
            out.extend([0x7e, 0, 0x42]);
            signed(out, *value);
        }
        Val::F32(bits) => {
            out.extend([0x7d, 0, 0x43]);
            out.extend(bits.to_le_bytes());
        }
        Val::F64(bits) => {
            out.extend([0x7c, 0, 0x44]);
            out.extend(bits.to_le_bytes());
        }
        Val::V128(value) => {
            out.extend([0x7b, 0, 0xfd, 0x0c]);
            out.extend(value.as_u128().to_le_bytes());
        }
        Val::FuncRef(_) => null(out, FUNC),
        Val::ExternRef(_) => null(out, EXTERN),
        Val::AnyRef(_) => null(out, ANY),
        Val::ExnRef(_) => null(out, EXN),
    }
    out.push(END);
}

/// An active data segment but for its bytes.
fn segment_head(memory: u64, ty: &MemoryType, offset: usize, len: usize) -> Vec<u8> {
    const NAMES_MEMORY: u8 = 2;
    let mut head = vec![NAMES_MEMORY];
    number(&mut head, memory);
    match ty.index64 {
        true => {
            head.push(0x42);
            signed(&mut head, offset as i64);
        }
        false => {
            head.push(0x41);
            signed(&mut head, (offset as u32 as i32).into());
        }
    }
    head.push(END);
    number(&mut head, len as u64);
    head
}

/// The data section: what is in the memories, but for long stretches of zeros.
pub fn data(out: &mut Vec<u8>, memories: &[(MemoryType, Cow<'_, [u8]>)]) {
    let mut segments: Vec<(Vec<u8>, &[u8])> = Vec::new();
    for (index, (ty, memory)) in memories.iter().enumerate() {
        let mut chunks = memory.chunks(CHUNK).map(|chunk| chunk.iter().any(|byte| *byte != 0)).enumerate().peekable();
        while let Some((first, holds_something)) = chunks.next() {
            if !holds_something {
                continue;
            }
            let mut last = first;
            while let Some((next, _)) = chunks.next_if(|(_, holds_something)| *holds_something) {
                last = next;
            }
            let bytes = &memory[first * CHUNK..memory.len().min((last + 1) * CHUNK)];
            segments.push((segment_head(index as u64, ty, first * CHUNK, bytes.len()), bytes));
        }
    }
    let mut count = Vec::new();
    number(&mut count, segments.len() as u64);
    let len: usize = segments.iter().map(|(head, bytes)| head.len() + bytes.len()).sum();
    out.push(DATA);
    number(out, (count.len() + len) as u64);
    out.extend(count);
    out.reserve(len);
    for (head, bytes) in segments {
        out.extend(head);
        out.extend_from_slice(bytes);
    }
}
