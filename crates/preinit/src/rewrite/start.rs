//! The start function of the output: what constant expressions cannot do. Its parts are functions of their own, behind
//! all others, so that no function gets another number.

use wasm_encoder::reencode::Reencode;
use wasm_encoder::{CodeSection, Encode, Function, FunctionSection, Instruction, RawSection, SectionId, ValType};
use wasmparser::FunctionSectionReader;

use super::Writer;
use super::objects::{scratch_ref, scratch_type};
use crate::error::PreinitError;

impl Writer<'_, '_> {
    /// Whether there is something to do that only code can.
    pub(super) fn needs_start(&self) -> bool {
        !self.plan.code.is_empty()
    }

    /// Whether the parts of the start function are functions of their own.
    fn has_parts(&self) -> bool {
        self.plan.code.len() > 1
    }

    /// Index of the type of the start function.
    fn start_type(&self) -> u32 {
        self.input.empty_func_type.unwrap_or(self.input.types.len() as u32)
    }

    /// Index of the type of its parts, which get the array of objects.
    fn part_type(&self) -> u32 {
        if self.plan.scratch > 0 { scratch_type(self.input) + 1 } else { self.start_type() }
    }

    /// Adds the types of the start function, of the array of objects, and of the parts.
    pub(super) fn types(&mut self) -> Result<(), PreinitError> {
        let mut types: Vec<Vec<u8>> = Vec::new();
        if self.input.empty_func_type.is_none() {
            types.push(vec![0x60, 0, 0]);
        }
        if self.plan.scratch > 0 {
            // An array of mutable anyref.
            types.push(vec![0x5e, 0x6e, 0x01]);
            if self.has_parts() {
                let mut part = vec![0x60, 1];
                ValType::Ref(scratch_ref(self.input)).encode(&mut part);
                part.push(0);
                types.push(part);
            }
        }
        let old = self.input.section(SectionId::Type as u8).unwrap_or(&[0]);
        let (count, rest) = split_count(old);
        let mut data = Vec::with_capacity(old.len() + 16);
        (count + types.len() as u32).encode(&mut data);
        data.extend_from_slice(rest);
        types.iter().for_each(|ty| data.extend(ty));
        self.section(&RawSection { id: SectionId::Type as u8, data: &data });
        Ok(())
    }

    pub(super) fn functions(&mut self) -> Result<(), PreinitError> {
        let mut section = FunctionSection::new();
        if let Some(old) = self.input.section(SectionId::Function as u8) {
            for ty in FunctionSectionReader::new(wasmparser::BinaryReader::new(old, 0))? {
                section.function(ty?);
            }
        }
        section.function(self.start_type());
        if self.has_parts() {
            for _ in &self.plan.code {
                section.function(self.part_type());
            }
        }
        self.section(&section);
        Ok(())
    }

    pub(super) fn start(&mut self) {
        if self.needs_start() {
            let function_index = self.input.funcs.len() as u32;
            self.section(&wasm_encoder::StartSection { function_index });
        }
    }

    pub(super) fn code(&mut self) -> Result<(), PreinitError> {
        let mut section = CodeSection::new();
        for body in &self.input.bodies {
            if self.indices.is_identity() {
                section.raw(body.as_bytes());
            } else {
                self.indices.parse_function_body(&mut section, body.clone())?;
            }
        }
        if self.needs_start() {
            self.start_code(&mut section);
        }
        self.section(&section);
        Ok(())
    }

    fn start_code(&self, section: &mut CodeSection) {
        let has_scratch = self.plan.scratch > 0;
        let mut start = Function::new(has_scratch.then_some((1, ValType::Ref(scratch_ref(self.input)))));
        if has_scratch {
            start.instruction(&Instruction::I32Const(self.plan.scratch as i32));
            start.instruction(&Instruction::ArrayNewDefault(scratch_type(self.input)));
            start.instruction(&Instruction::LocalSet(0));
        }
        let mut parts = Vec::new();
        for (number, code) in (self.input.funcs.len() as u32 + 1..).zip(&self.plan.code) {
            if !self.has_parts() {
                extend(&mut start, code);
                continue;
            }
            if has_scratch {
                start.instruction(&Instruction::LocalGet(0));
            }
            start.instruction(&Instruction::Call(number));
            let mut part = Function::new([]);
            extend(&mut part, code);
            part.instruction(&Instruction::End);
            parts.push(part);
        }
        if !self.plan.bytes.is_empty() {
            start.instruction(&Instruction::DataDrop(self.object_data));
        }
        start.instruction(&Instruction::End);
        section.function(&start);
        for part in &parts {
            section.function(part);
        }
    }

    /// Whether places in the code section are where they were.
    pub(super) fn code_moved(&self) -> bool {
        let count = self.input.bodies.len() as u64;
        let added = match self.plan.code.len() as u64 {
            0 => 0,
            1 => 1,
            parts => 1 + parts,
        };
        leb_len(count) != leb_len(count + added) || !self.indices.is_identity()
    }
}

fn extend(function: &mut Function, code: &[Instruction<'_>]) {
    for instruction in code {
        function.instruction(instruction);
    }
}

/// The count at the start of a section, and the rest.
fn split_count(section: &[u8]) -> (u32, &[u8]) {
    let mut reader = wasmparser::BinaryReader::new(section, 0);
    let count = reader.read_var_u32().unwrap_or_default();
    (count, section.get(reader.original_position() as usize..).unwrap_or_default())
}

/// Bytes of an unsigned number in LEB128.
fn leb_len(value: u64) -> usize {
    (64 - value.leading_zeros()).div_ceil(7).max(1) as usize
}
