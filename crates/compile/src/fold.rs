//! Data segments whose place is known, as few long stretches of bytes.
//!
//! Linkers write a data segment for each run of bytes that are not zero: CPython has 24,000. What they make of a memory is
//! known when a module is compiled, if the memory is the module's own and the offsets are constants; so the artifact says that, and an
//! instance begins with some copies. Only segments before the first whose place is not known are folded, as those after it may write over
//! it, and it may trap.

use hotfoot_artifact::{ConstExpr, ConstOp, DataMode, DataSegment, InitialBytes, ModuleInfo};

use crate::decode::Module;

/// Stretches with fewer zeroes between them become one.
const GAP_LEN: u64 = 64;

/// A segment whose place is known.
struct Known {
    memory: u32,
    offset: u64,
    /// Where in the module's data its bytes are.
    bytes: std::ops::Range<u64>,
}

impl Known {
    fn end(&self) -> u64 {
        self.offset + (self.bytes.end - self.bytes.start)
    }
}

/// Folds what can be folded.
pub(crate) fn fold(module: &mut Module) {
    let segments = std::mem::take(&mut module.info.data);
    let imported = module.info.counts().imported_memories;
    let mut kept = Vec::new();
    let mut known = Vec::new();
    let mut may_fold = true;
    for segment in segments {
        match place(&module.info, &segment, imported) {
            Ok(place) if may_fold => known.push(place),
            Err(Unknown::Passive) => kept.push(segment),
            _ => {
                may_fold = false;
                kept.push(segment);
            }
        }
    }
    known.retain(|place| !place.bytes.is_empty());
    // Where one writes over another, their order matters, and nothing is known of what is between two.
    known.sort_by_key(|place| (place.memory, place.offset));
    let overlaps = known.windows(2).any(|pair| pair[0].memory == pair[1].memory && pair[0].end() > pair[1].offset);
    if overlaps {
        known.sort_by_key(|place| place.bytes.start);
    }
    write(module, &known, kept, if overlaps { 0 } else { GAP_LEN });
}

/// Why the place of a segment is not known.
enum Unknown {
    Passive,
    Active,
}

fn place(info: &ModuleInfo, segment: &DataSegment, imported: u32) -> Result<Known, Unknown> {
    let DataMode::Active { memory, offset: ConstExpr { ops } } = &segment.mode else { return Err(Unknown::Passive) };
    let offset = match ops[..] {
        [ConstOp::I32(offset)] => u64::from(offset as u32),
        [ConstOp::I64(offset)] => offset as u64,
        _ => return Err(Unknown::Active),
    };
    let ty = &info.memories[*memory as usize];
    let len = segment.bytes.end - segment.bytes.start;
    let fits = offset.checked_add(len).is_some_and(|end| end <= ty.minimum().saturating_mul(ty.page_size()));
    if *memory < imported || !fits {
        return Err(Unknown::Active);
    }
    Ok(Known { memory: *memory, offset, bytes: segment.bytes.clone() })
}

/// Lays the module's data out anew: what is known first.
fn write(module: &mut Module, known: &[Known], kept: Vec<DataSegment>, gap_len: u64) {
    let old = std::mem::take(&mut module.data);
    let slice = |bytes: &std::ops::Range<u64>| &old[bytes.start as usize..bytes.end as usize];
    let mut data = Vec::with_capacity(old.len());
    let initial: &mut Vec<InitialBytes> = &mut module.info.initial;
    for place in known {
        let start = data.len() as u64;
        match initial.last_mut() {
            Some(last)
                if last.memory == place.memory && (last.end()..=last.end() + gap_len).contains(&place.offset) =>
            {
                data.resize(data.len() + (place.offset - last.end()) as usize, 0);
                data.extend_from_slice(slice(&place.bytes));
                last.bytes.end = data.len() as u64;
            }
            _ => {
                data.extend_from_slice(slice(&place.bytes));
                let bytes = start..data.len() as u64;
                initial.push(InitialBytes { memory: place.memory, offset: place.offset, bytes });
            }
        }
    }
    let mut keep = |mut segment: DataSegment| {
        let start = data.len() as u64;
        data.extend_from_slice(slice(&segment.bytes));
        segment.bytes = start..data.len() as u64;
        segment
    };
    module.info.data = kept.into_iter().map(&mut keep).collect();
    module.data = data;
}
