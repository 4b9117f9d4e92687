//! What code refers to: segments, which must keep their numbers, and functions, which must be declared.

use std::collections::BTreeSet;

use wasmparser::Operator;

use crate::error::PreinitError;
use crate::input::Input;

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    pub elements: BTreeSet<u32>,
    pub data: BTreeSet<u32>,
    /// Functions that a `ref.func` in code names.
    pub funcs: BTreeSet<u32>,
}

impl Uses {
    /// Reads all code.
    pub fn new(input: &Input<'_>) -> Result<Uses, PreinitError> {
        let mut uses = Uses::default();
        for body in &input.bodies {
            let mut operators = body.get_operators_reader()?;
            while !operators.eof() {
                uses.add(&operators.read()?);
            }
        }
        Ok(uses)
    }

    fn add(&mut self, operator: &Operator<'_>) {
        match *operator {
            Operator::TableInit { elem_index, .. } | Operator::ElemDrop { elem_index } => {
                self.elements.insert(elem_index);
            }
            Operator::ArrayNewElem { array_elem_index, .. } | Operator::ArrayInitElem { array_elem_index, .. } => {
                self.elements.insert(array_elem_index);
            }
            Operator::MemoryInit { data_index, .. } | Operator::DataDrop { data_index } => {
                self.data.insert(data_index);
            }
            Operator::ArrayNewData { array_data_index, .. } | Operator::ArrayInitData { array_data_index, .. } => {
                self.data.insert(array_data_index);
            }
            Operator::RefFunc { function_index } => {
                self.funcs.insert(function_index);
            }
            _ => {}
        }
    }
}
