//! From the bytes of a memory to few data segments.
//!
//! ```text
//!  memory:    0 0 0 a b c 0 d 0 0 0 0 … 0 e f 0 0 …
//!  segments:        └─────────┘           └─┘         short gaps are kept, long ones are left out
//! ```
//!
//! A gap is left out where its zeroes would cost more than another segment does: [`SEGMENT_COST`].

use std::ops::Range;

/// What a segment costs, in bytes of zeroes. Its header takes 6 to 12 bytes; an engine that runs it does some more. Of
/// the two guests of `docs/preinit.md`, the output is smallest at 8 (regex: 9,180 segments, user agents: 90,470); at 16
/// it is 0.15 and 0.26 % larger with 8,989 and 28,806 segments, at 32 it is 19 and 1.1 % larger.
pub const SEGMENT_COST: usize = 16;

/// Most data segments of a module. Engines take 100,000; what is not ours to merge has room.
pub const MAX_SEGMENTS: usize = 90_000;

/// Bytes that are looked at together while skipping zeroes.
const BLOCK: usize = 64;

/// The parts of the memory that are to become segments, ascending and apart.
pub fn segments(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(start) = next_nonzero(bytes, at) {
        let end = run_end(bytes, start);
        match segments.last_mut() {
            Some(last) if start - last.end <= SEGMENT_COST => last.end = end,
            _ => segments.push(start..end),
        }
        at = end;
    }
    segments
}

/// Merges the neighbours with the smallest gaps until there are at most `max` ranges. Neighbours for which `apart` says
/// so stay apart.
pub fn limit<T>(ranges: &mut Vec<(T, Range<usize>)>, max: usize, apart: impl Fn(&T, &T) -> bool) {
    let Some(excess) = ranges.len().checked_sub(max).filter(|excess| *excess > 0) else { return };
    let pairs = ranges.windows(2).enumerate().filter(|(_, pair)| !apart(&pair[0].0, &pair[1].0));
    let mut gaps: Vec<(usize, usize)> = pairs.map(|(at, pair)| (pair[1].1.start - pair[0].1.end, at)).collect();
    if excess < gaps.len() {
        gaps.select_nth_unstable(excess);
        gaps.truncate(excess);
    }
    let mut closed = vec![false; ranges.len()];
    for (_, at) in gaps {
        closed[at + 1] = true;
    }
    let mut merged: Vec<(T, Range<usize>)> = Vec::with_capacity(max);
    for ((tag, range), closed) in ranges.drain(..).zip(closed) {
        match merged.last_mut() {
            Some((_, last)) if closed => last.end = range.end,
            _ => merged.push((tag, range)),
        }
    }
    *ranges = merged;
}

/// Where the next byte that is not zero is.
fn next_nonzero(bytes: &[u8], mut at: usize) -> Option<usize> {
    let is_zero = |block: &[u8; BLOCK]| block.iter().fold(0, |all, byte| all | byte) == 0;
    while bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>).is_some_and(is_zero) {
        at += BLOCK;
    }
    bytes.get(at..)?.iter().position(|byte| *byte != 0).map(|offset| at + offset)
}

/// Where the bytes from `start` on begin to be zero for so long that it may pay to leave them out.
fn run_end(bytes: &[u8], start: usize) -> usize {
    // Zeroes for this long contain a word of zeroes at a multiple of the word's size.
    const WORD: usize = 8;
    const { assert!(SEGMENT_COST >= 2 * WORD) };
    let mut at = start;
    loop {
        let word = bytes.get(at..).and_then(<[u8]>::first_chunk::<WORD>);
        match word.map(|word| u64::from_ne_bytes(*word)) {
            Some(0) => break,
            Some(_) => at += WORD,
            None => {
                at = bytes.len();
                break;
            }
        }
    }
    let zeroes = bytes[start..at].iter().rev().take_while(|byte| **byte == 0).count();
    at - zeroes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the segments say the memory is.
    fn rebuilt(bytes: &[u8]) -> Vec<u8> {
        let mut rebuilt = vec![0; bytes.len()];
        for range in segments(bytes) {
            assert!(bytes[range.start] != 0 && bytes[range.end - 1] != 0, "a segment begins or ends with zero");
            rebuilt[range.clone()].copy_from_slice(&bytes[range]);
        }
        rebuilt
    }

    #[test]
    fn segments_hold_every_byte_that_is_not_zero() {
        let mut state = 1u32;
        for len in [0, 1, 7, 8, 63, 64, 65, 1000, 4096] {
            for density in [1, 3, 40, 200] {
                let bytes: Vec<u8> = (0..len)
                    .map(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if (state >> 16).is_multiple_of(density) { (state >> 24) as u8 } else { 0 }
                    })
                    .collect();
                assert_eq!(rebuilt(&bytes), bytes);
            }
        }
    }

    #[test]
    fn gaps_are_left_out_when_they_cost_more_than_a_segment() {
        for (gap, count) in [(1, 1), (SEGMENT_COST, 1), (SEGMENT_COST + 1, 2), (100_000, 2)] {
            for before in 0..9 {
                let bytes = [&vec![0; before][..], b"a", &vec![0; gap], b"b"].concat();
                assert_eq!(segments(&bytes).len(), count, "gap of {gap} at {before}");
            }
        }
    }

    #[test]
    fn the_smallest_gaps_are_closed_first() {
        let ranges = |list: &[Range<usize>]| list.iter().map(|range| (0, range.clone())).collect::<Vec<_>>();
        let mut all = ranges(&[0..1, 5..6, 100..101, 102..110]);
        limit(&mut all, 4, |_, _| false);
        assert_eq!(all.len(), 4);
        limit(&mut all, 3, |_, _| false);
        assert_eq!(all, ranges(&[0..1, 5..6, 100..110]));
        limit(&mut all, 2, |_, _| false);
        assert_eq!(all, ranges(&[0..6, 100..110]));
        let mut apart = vec![(0, 0..1), (1, 2..3), (1, 9..10)];
        limit(&mut apart, 2, |left, right| left != right);
        assert_eq!(apart, [(0, 0..1), (1, 2..10)]);
    }
}
