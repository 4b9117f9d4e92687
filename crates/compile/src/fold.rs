//! Data segments whose place is known, as few long stretches of bytes.
//!
//! Linkers write a data segment for each run of bytes that are not zero: CPython has 24,000. What they make of a memory is
//! known when a module is compiled, if the memory is the module's own and the offsets are constants; so the artifact says that, and an
//! instance begins with some copies. Only segments before the first whose place is not known are folded, as those after it may write over
//! it, and it may trap.
//!
//! A long stretch lies in the data as it lies in the memory's pages, so that these can be mapped from the artifact's file
//! instead of being copied:
//!
//! ```text
//!  memory     …│  ▒▒│▒▒▒▒│▒▒▒▒│▒   │…        │ a page's boundary, ▒ the stretch
//!  data     …██│  ▒▒│▒▒▒▒│▒▒▒▒│▒███│…
//! ```

use std::ops::Range;

use hotfoot_artifact::{ConstExpr, ConstOp, DataMode, DataSegment, InitialBytes, MAPPED_LEN, ModuleInfo, PAGE};

use crate::decode::Module;

/// Stretches with fewer zeroes between them become one.
const GAP_LEN: u64 = 64;
/// And those with fewer between them than bytes before, up to so many: a few long stretches can be mapped.
const LONG_GAP_LEN: u64 = 16 * PAGE;

/// A segment whose place is known.
struct Known {
    memory: u32,
    offset: u64,
    /// Where in the binary its bytes are.
    bytes: Range<u64>,
}

impl Known {
    fn end(&self) -> u64 {
        self.offset + (self.bytes.end - self.bytes.start)
    }
}

/// Collects the data of a module's segments from its binary, and folds what can be folded.
pub(crate) fn fold(module: &mut Module, wasm: &[u8]) {
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
    let stretches = stretches(&known, overlaps);
    write(module, wasm, &known, &stretches, kept);
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

/// Neighbours that become one stretch each.
fn stretches(known: &[Known], overlaps: bool) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for (at, place) in known.iter().enumerate() {
        if let Some(last) = stretches.last_mut() {
            let (first, before) = (&known[last.start], &known[at - 1]);
            let gap_len = (before.end().saturating_sub(first.offset)).clamp(GAP_LEN, LONG_GAP_LEN);
            let gap_len = if overlaps { 0 } else { gap_len };
            let near = before.end()..=before.end().saturating_add(gap_len);
            if before.memory == place.memory && near.contains(&place.offset) {
                last.end = at + 1;
                continue;
            }
        }
        stretches.push(at..at + 1);
    }
    stretches
}

/// Lays the module's data out: what is known first.
fn write(module: &mut Module, wasm: &[u8], known: &[Known], stretches: &[Range<usize>], kept: Vec<DataSegment>) {
    let slice = |bytes: &Range<u64>| &wasm[bytes.start as usize..bytes.end as usize];
    let all = known.iter().map(|place| &place.bytes).chain(kept.iter().map(|segment| &segment.bytes));
    let mut data = Vec::with_capacity(all.map(|bytes| bytes.end - bytes.start).sum::<u64>() as usize);
    for stretch in stretches {
        let places = &known[stretch.clone()];
        let (first, last) = (&places[0], &places[places.len() - 1]);
        if last.end() - first.offset >= MAPPED_LEN {
            let padding = first.offset.wrapping_sub(data.len() as u64) % PAGE;
            data.resize(data.len() + padding as usize, 0);
        }
        let start = data.len();
        for place in places {
            data.resize(start + (place.offset - first.offset) as usize, 0);
            data.extend_from_slice(slice(&place.bytes));
        }
        let bytes = start as u64..data.len() as u64;
        module.info.initial.push(InitialBytes { memory: first.memory, offset: first.offset, bytes });
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
