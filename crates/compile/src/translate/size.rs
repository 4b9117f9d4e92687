//! How large a function may become, so that no module, whatever is in it, takes minutes or gigabytes to compile.
//!
//! A few bytes of WebAssembly can stand for much: a block with a thousand parameters takes three, and fifty thousand
//! locals six. What the code generator spends grows with the values of a function, and where values live in many blocks,
//! with the product of both. So these are counted after each operator. Past the first limit a function is compiled in
//! one pass, without optimisation; past the second it is refused.

use cranelift_codegen::ir::DataFlowGraph;

/// Most values that may be live at once in a function that is optimised: locals and operands. The allocator of registers
/// takes time and memory with the square of them (40,000 took 18 GB), and no program that a person wrote has so many.
const MAX_OPTIMISED_LIVE: usize = 4000;
/// Most values live at once, times blocks, of a function that is optimised. Large interpreters have some millions.
const MAX_OPTIMISED_LIVE_TIMES_BLOCKS: usize = 1 << 25;
/// The same of any function: each pair takes four bytes while its locals are renamed, and 50 ns in the one pass.
const MAX_LIVE_TIMES_BLOCKS: usize = 1 << 28;
/// Most values of a function that is optimised.
const MAX_OPTIMISED_VALUES: usize = 1 << 20;
/// Most values of any function. Ordinary instructions of two bytes make about one, and the largest valid body has 7.6 MB.
const MAX_VALUES: usize = 1 << 22;

/// Whether a function can be compiled that has so many values live at once.
pub(super) fn is_bounded(dfg: &DataFlowGraph, live: usize) -> bool {
    dfg.num_values() <= MAX_VALUES && live.saturating_mul(dfg.num_blocks()) <= MAX_LIVE_TIMES_BLOCKS
}

/// Whether it can be optimised, too.
pub(super) fn is_optimisable(dfg: &DataFlowGraph, live: usize) -> bool {
    live <= MAX_OPTIMISED_LIVE
        && dfg.num_values() <= MAX_OPTIMISED_VALUES
        && live.saturating_mul(dfg.num_blocks()) <= MAX_OPTIMISED_LIVE_TIMES_BLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_where_they_say() {
        let mut dfg = DataFlowGraph::new();
        for _ in 0..1 << 14 {
            dfg.make_block();
        }
        assert!(is_bounded(&dfg, MAX_LIVE_TIMES_BLOCKS >> 14));
        assert!(!is_bounded(&dfg, (MAX_LIVE_TIMES_BLOCKS >> 14) + 1));
        assert!(!is_bounded(&dfg, usize::MAX));
        assert!(is_optimisable(&dfg, MAX_OPTIMISED_LIVE_TIMES_BLOCKS >> 14));
        assert!(!is_optimisable(&dfg, (MAX_OPTIMISED_LIVE_TIMES_BLOCKS >> 14) + 1));
        assert!(is_optimisable(&DataFlowGraph::new(), MAX_OPTIMISED_LIVE));
        assert!(!is_optimisable(&DataFlowGraph::new(), MAX_OPTIMISED_LIVE + 1));
    }
}
