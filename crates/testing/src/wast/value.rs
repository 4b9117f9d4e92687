//! Arguments of calls, from how scripts write them to values of the engine.

use hotfoot::{AnyRef, ExternRef, Store, V128, Val};
use wast::WastArg;
use wast::core::{AbstractHeapType, HeapType, WastArgCore};

/// The value of an argument. `(ref.extern 7)` becomes a host value holding the number 7;
/// `(ref.host 7)` the same within `any`.
pub(super) fn argument(store: &mut Store<()>, argument: &WastArg<'_>) -> Result<Val, String> {
    let WastArg::Core(argument) = argument else {
        return Err("a value of the component model was given; scripts about components are not supported".into());
    };
    Ok(match argument {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(V128::from(u128::from_le_bytes(value.to_le_bytes()))),
        WastArgCore::RefNull(heap) => match hierarchy(heap) {
            Some(Hierarchy::Func) => Val::FuncRef(None),
            Some(Hierarchy::Extern) => Val::ExternRef(None),
            Some(Hierarchy::Exn) => Val::ExnRef(None),
            Some(Hierarchy::Any) => Val::AnyRef(None),
            None => return Err(format!("there is no such null in this engine: {heap:?}")),
        },
        WastArgCore::RefExtern(number) => {
            let reference = ExternRef::new(&mut *store, *number).map_err(|error| format!("{error:#}"))?;
            Val::ExternRef(Some(reference))
        }
        WastArgCore::RefHost(number) => {
            let reference = ExternRef::new(&mut *store, *number).map_err(|error| format!("{error:#}"))?;
            let reference = AnyRef::convert_extern(&mut *store, reference).map_err(|error| format!("{error:#}"))?;
            Val::AnyRef(Some(reference))
        }
    })
}

/// The kinds of references that cannot become one another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Hierarchy {
    Func,
    Extern,
    Exn,
    Any,
}

/// Where a heap type belongs, or `None` when the engine has no such references.
pub(super) fn hierarchy(heap: &HeapType<'_>) -> Option<Hierarchy> {
    match heap {
        HeapType::Abstract { ty: AbstractHeapType::Func | AbstractHeapType::NoFunc, .. } => Some(Hierarchy::Func),
        HeapType::Abstract { ty: AbstractHeapType::Extern | AbstractHeapType::NoExtern, .. } => Some(Hierarchy::Extern),
        HeapType::Abstract { ty: AbstractHeapType::Exn | AbstractHeapType::NoExn, .. } => Some(Hierarchy::Exn),
        HeapType::Abstract {
            ty:
                AbstractHeapType::Any
                | AbstractHeapType::Eq
                | AbstractHeapType::I31
                | AbstractHeapType::Struct
                | AbstractHeapType::Array
                | AbstractHeapType::None,
            ..
        } => Some(Hierarchy::Any),
        _ => None,
    }
}
