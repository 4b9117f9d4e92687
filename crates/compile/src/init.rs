//! What an instance starts from: constant expressions, element segments, data segments.

use hotfoot_artifact::{ConstExpr, ConstOp, DataMode, DataSegment, ElementItems, ElementMode, ElementSegment, RefType};
use wasmparser::{DataKind, ElementKind, Operator};

use crate::Error;
use crate::decode::Module;
use crate::types::Types;

/// Decodes a constant expression that the validator accepted.
pub(crate) fn const_expr(types: &Types, expr: &wasmparser::ConstExpr<'_>) -> Result<ConstExpr, Error> {
    use Operator as O;
    let mut ops = Vec::new();
    let mut reader = expr.get_operators_reader();
    while !reader.eof() {
        let (op, offset) = reader.read_with_offset()?;
        ops.push(match op {
            O::End => break,
            O::I32Const { value } => ConstOp::I32(value),
            O::I64Const { value } => ConstOp::I64(value),
            O::F32Const { value } => ConstOp::F32(value.bits()),
            O::F64Const { value } => ConstOp::F64(value.bits()),
            O::V128Const { value } => ConstOp::V128(*value.bytes()),
            O::GlobalGet { global_index } => ConstOp::GlobalGet(global_index),
            O::RefNull { hty } => {
                types.heap_type(hty, offset)?;
                ConstOp::RefNull
            }
            O::RefFunc { function_index } => ConstOp::RefFunc(function_index),
            O::I32Add => ConstOp::I32Add,
            O::I32Sub => ConstOp::I32Sub,
            O::I32Mul => ConstOp::I32Mul,
            O::I64Add => ConstOp::I64Add,
            O::I64Sub => ConstOp::I64Sub,
            O::I64Mul => ConstOp::I64Mul,
            O::RefI31 => ConstOp::RefI31,
            O::StructNew { struct_type_index } => ConstOp::StructNew(struct_type_index),
            O::StructNewDefault { struct_type_index } => ConstOp::StructNewDefault(struct_type_index),
            O::ArrayNew { array_type_index } => ConstOp::ArrayNew(array_type_index),
            O::ArrayNewDefault { array_type_index } => ConstOp::ArrayNewDefault(array_type_index),
            O::ArrayNewFixed { array_type_index, array_size } => {
                ConstOp::ArrayNewFixed { ty: array_type_index, len: array_size }
            }
            O::AnyConvertExtern => ConstOp::AnyConvertExtern,
            O::ExternConvertAny => ConstOp::ExternConvertAny,
            other => return Err(Error::unsupported(format!("{other:?} in a constant expression"), offset)),
        });
    }
    Ok(ConstExpr { ops })
}

/// Decodes an element segment. Items that are all functions or null go to the module's element table.
pub(crate) fn element(module: &mut Module, segment: wasmparser::Element<'_>) -> Result<ElementSegment, Error> {
    let mode = match segment.kind {
        ElementKind::Passive => ElementMode::Passive,
        ElementKind::Declared => ElementMode::Declared,
        ElementKind::Active { table_index, offset_expr } => {
            ElementMode::Active { table: table_index.unwrap_or(0), offset: const_expr(&module.types, &offset_expr)? }
        }
    };
    let start = module.elements.len();
    let (element, expressions) = match segment.items {
        wasmparser::ElementItems::Functions(items) => {
            for item in items {
                let function = item?;
                module.elements.push(function);
                module.escaping.push(function);
            }
            (RefType::FUNCREF, None)
        }
        wasmparser::ElementItems::Expressions(ty, items) => {
            let element = module.types.ref_type(ty, segment.range.start)?;
            let items =
                items.into_iter().map(|item| const_expr(&module.types, &item?)).collect::<Result<Vec<_>, Error>>()?;
            for item in &items {
                module.escape(item);
            }
            (element, element_functions(module, items))
        }
    };
    let items = match expressions {
        Some(expressions) => ElementItems::Expressions(expressions),
        None => ElementItems::Functions(start as u32..module.elements.len() as u32),
    };
    Ok(ElementSegment { element, mode, items })
}

/// Moves items that are all functions or null to the element table; gives others back.
fn element_functions(module: &mut Module, items: Vec<ConstExpr>) -> Option<Vec<ConstExpr>> {
    let functions = items
        .iter()
        .map(|item| match item.ops.as_slice() {
            [ConstOp::RefFunc(function)] => Some(*function),
            [ConstOp::RefNull] => Some(hotfoot_artifact::NONE),
            _ => None,
        })
        .collect::<Option<Vec<u32>>>();
    match functions {
        Some(functions) => {
            module.elements.extend(functions);
            None
        }
        None => Some(items),
    }
}

/// Decodes a data segment; its bytes stay where they are in the binary.
pub(crate) fn data(module: &mut Module, segment: wasmparser::Data<'_>) -> Result<DataSegment, Error> {
    let mode = match segment.kind {
        DataKind::Passive => DataMode::Passive,
        DataKind::Active { memory_index, offset_expr } => {
            DataMode::Active { memory: memory_index, offset: const_expr(&module.types, &offset_expr)? }
        }
    };
    let index = module.info.data.len() as u32;
    let end = segment.range.end;
    Ok(DataSegment { index, mode, bytes: end - segment.data.len() as u64..end })
}
