//! Random bytes become a module, and the way it is run.

use arbitrary::{Result, Unstructured};
use wasm_smith::{Config, InstructionKinds};

use crate::ours::settings::Settings;
use crate::ours::values::Random;

/// Most loop iterations, calls and elements of bulk operations in the life of an instance.
const FUEL: std::ops::RangeInclusive<u32> = 50..=20_000;

/// A module and how it is run.
pub struct Case {
    /// The module.
    pub wasm: Vec<u8>,
    /// How hotfoot is set up.
    pub settings: Settings,
    /// Whether both engines make all NaNs the same; if not, the module itself does.
    pub canonical: bool,
    /// Whether the peer optimises.
    pub peer_optimised: bool,
    /// Whether the bytes were changed, so that the module is most likely invalid and may never end.
    pub damaged: bool,
}

/// As many random bytes as a module takes.
fn bytes(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let len = 2048 << random.below(5);
    (0..len).map(|_| random.number() as u8).collect()
}

impl Case {
    /// The case of a seed; not all have one.
    pub fn of_seed(seed: u64) -> Option<Case> {
        Case::new(&bytes(seed)).ok()
    }

    /// The case of these bytes, if they are enough for one.
    pub fn new(bytes: &[u8]) -> Result<Case> {
        let source = &mut Unstructured::new(bytes);
        let settings = *source.choose(&Settings::ALL)?;
        let (canonical, peer_optimised): (bool, bool) = (source.arbitrary()?, source.arbitrary()?);
        let damaged = source.ratio(1, 12)?;
        let fuel = source.int_in_range(FUEL)?;
        let damages: [(u16, u8); 3] = if damaged { source.arbitrary()? } else { [(0, 0); 3] };
        let mut wasm = module(source, canonical, fuel)?;
        for (place, change) in damages {
            let place = usize::from(place) % wasm.len();
            wasm[place] ^= change;
        }
        Ok(Case { wasm, settings, canonical, peer_optimised, damaged })
    }
}

/// A valid module whose functions end.
fn module(source: &mut Unstructured<'_>, canonical: bool, fuel: u32) -> Result<Vec<u8>> {
    let swarm: Config = source.arbitrary()?;
    // What a swarm leaves out it leaves out half of the time, which is much for what is rare anyway.
    let often = |source: &mut Unstructured<'_>, enabled: bool| Ok(enabled || source.arbitrary()?);
    let (gc, exceptions) = (often(source, swarm.gc_enabled)?, often(source, swarm.exceptions_enabled)?);
    let everything: bool = source.arbitrary()?;
    let least = |source: &mut Unstructured<'_>, most: usize| source.int_in_range(0..=most);
    let config = Config {
        canonicalize_nans: !canonical,
        export_everything: true,
        allowed_instructions: if everything { InstructionKinds::all() } else { swarm.allowed_instructions },
        gc_enabled: gc,
        reference_types_enabled: gc || swarm.reference_types_enabled,
        exceptions_enabled: exceptions,
        min_funcs: 1 + least(source, 7)?,
        max_funcs: 12,
        max_imports: swarm.max_imports.min(8),
        min_globals: least(source, 4)?,
        max_globals: 12,
        min_types: least(source, 10)?,
        max_types: 24,
        min_tags: if exceptions { least(source, 2)? } else { 0 },
        max_tags: 4,
        min_memories: u32::from(source.ratio(2, 3)?),
        max_memories: swarm.max_memories.clamp(1, 3),
        max_memory32_bytes: 10 << 16,
        max_memory64_bytes: 10 << 16,
        min_tables: u32::from(source.arbitrary::<bool>()?),
        max_tables: swarm.max_tables.clamp(1, 4),
        max_table_elements: 500,
        max_instructions: *source.choose(&[20, 60, 150, 400])?,
        max_data_segments: swarm.max_data_segments.min(8),
        max_element_segments: swarm.max_element_segments.min(8),
        max_elements: swarm.max_elements.min(20),
        limit_arrays_in_const_exprs: true,
        allow_invalid_funcs: false,
        compact_imports_enabled: false,
        custom_descriptors_enabled: false,
        shared_everything_threads_enabled: false,
        acquire_release_atomics_enabled: false,
        multibyte_array_access_enabled: false,
        generate_custom_sections: false,
        ..swarm
    };
    let mut module = wasm_smith::Module::new(config, source)?;
    module.ensure_termination(fuel).map_err(|_| arbitrary::Error::IncorrectFormat)?;
    let wasm = module.to_bytes();
    if waits(&wasm) { Err(arbitrary::Error::IncorrectFormat) } else { Ok(wasm) }
}

/// Whether a module has a shared memory and waits: nobody would wake it.
fn waits(wasm: &[u8]) -> bool {
    use wasmparser::{Operator, Parser, Payload, TypeRef};
    let (mut shared, mut wait) = (false, false);
    for payload in Parser::new(0).parse_all(wasm).flatten() {
        match payload {
            Payload::ImportSection(section) => {
                shared |= section
                    .into_imports()
                    .flatten()
                    .any(|import| matches!(import.ty, TypeRef::Memory(ty) if ty.shared));
            }
            Payload::MemorySection(section) => shared |= section.into_iter().flatten().any(|ty| ty.shared),
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().into_iter().flatten().flatten();
                let waits = |operator| {
                    matches!(operator, Operator::MemoryAtomicWait32 { .. } | Operator::MemoryAtomicWait64 { .. })
                };
                wait |= operators.into_iter().any(waits);
            }
            _ => {}
        }
    }
    shared && wait
}
