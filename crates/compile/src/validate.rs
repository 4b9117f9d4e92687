//! Validating the bodies of a module's functions without compiling them, on all cores.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use wasmparser::FuncValidatorAllocations;

use crate::decode::Body;
use crate::{Error, driver};

/// What functions do that the runtime wants to know of before it runs them.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Uses {
    /// There is a `table.set`.
    pub(crate) table_set: bool,
    /// There are instructions about structs, arrays and casts.
    pub(crate) objects: bool,
}

/// First byte of `table.set`.
const TABLE_SET: u8 = 0x26;
/// First byte of all instructions about garbage-collected objects.
const OBJECTS: u8 = 0xfb;

/// Validates bodies; when several are invalid, the first one in the module is reported.
pub(crate) fn bodies(bodies: Vec<Body<'_>>, parallel: bool) -> Result<Uses, Error> {
    let size: u64 = bodies.iter().map(|(_, body)| body.as_bytes().len() as u64).sum();
    let (table_set, objects) = (AtomicBool::new(false), AtomicBool::new(false));
    let validate = |buffers: &mut FuncValidatorAllocations, body: Body<'_>| {
        let uses = body_uses(body, buffers)?;
        table_set.fetch_or(uses.table_set, Ordering::Relaxed);
        objects.fetch_or(uses.objects, Ordering::Relaxed);
        Ok::<(), Error>(())
    };
    if parallel && size > driver::SMALL_MODULE {
        let all = || bodies.into_par_iter().map_init(Default::default, validate);
        let first = driver::pool()?.install(|| all().find_first(Result::is_err));
        first.unwrap_or(Ok(()))?;
    } else {
        let mut buffers = Default::default();
        bodies.into_iter().try_for_each(|body| validate(&mut buffers, body))?;
    }
    Ok(Uses { table_set: table_set.into_inner(), objects: objects.into_inner() })
}

fn body_uses((function, body): Body<'_>, buffers: &mut FuncValidatorAllocations) -> Result<Uses, Error> {
    let mut uses = Uses::default();
    let mut validator = function.into_validator(std::mem::take(buffers));
    let mut reader = body.get_binary_reader();
    validator.read_locals(&mut reader)?;
    while !reader.eof() {
        let offset = reader.original_position();
        match body.as_bytes()[(offset - body.range().start) as usize] {
            TABLE_SET => uses.table_set = true,
            OBJECTS => uses.objects = true,
            _ => {}
        }
        reader.visit_operator(&mut validator.visitor(offset))??;
    }
    reader.finish_expression(&validator.visitor(reader.original_position()))?;
    *buffers = validator.into_allocations();
    Ok(uses)
}
