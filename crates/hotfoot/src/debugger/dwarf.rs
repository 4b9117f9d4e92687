//! DWARF 4, as far as functions and lines go. Source: [DWARF 4](https://dwarfstd.org/doc/DWARF4.pdf), sections 6.2 and 7.

use std::collections::HashMap;
use std::ops::Range;

use crate::profiling::code::{Line, Piece};

/// The sections, by name.
pub type Sections = [(&'static str, Vec<u8>); 3];

const VERSION: u16 = 4;
const ADDRESS_BYTES: u8 = 8;
/// Numbers of the two shapes of entries.
const UNIT: u8 = 1;
const FUNCTION: u8 = 2;
/// `DW_LANG_C99`: how names and expressions are read.
const LANGUAGE: u16 = 0x0c;

/// Tag, whether it has children, then attributes and their forms.
const ABBREVIATIONS: &[u8] = &[
    UNIT, 0x11, 1, // DW_TAG_compile_unit
    0x25, 0x08, // DW_AT_producer, string
    0x13, 0x05, // DW_AT_language, data2
    0x03, 0x08, // DW_AT_name, string
    0x11, 0x01, // DW_AT_low_pc, addr
    0x12, 0x07, // DW_AT_high_pc, data8
    0x10, 0x17, // DW_AT_stmt_list, sec_offset
    0, 0, //
    FUNCTION, 0x2e, 0, // DW_TAG_subprogram
    0x03, 0x08, // DW_AT_name, string
    0x3f, 0x19, // DW_AT_external, flag_present
    0x11, 0x01, // DW_AT_low_pc, addr
    0x12, 0x07, // DW_AT_high_pc, data8
    0, 0, //
    0,
];

/// Describes code at these addresses: what it consists of, and the lines of each part.
pub fn describe<'a>(name: &str, text: Range<usize>, parts: impl Iterator<Item = (&'a Piece, Vec<Line>)>) -> Sections {
    let mut info = Vec::new();
    info.push(UNIT);
    push_string(&mut info, concat!("hotfoot ", env!("CARGO_PKG_VERSION")));
    info.extend(LANGUAGE.to_le_bytes());
    push_string(&mut info, name);
    info.extend((text.start as u64).to_le_bytes());
    info.extend((text.len() as u64).to_le_bytes());
    info.extend(0u32.to_le_bytes());
    let mut program = LineProgram::default();
    for (piece, lines) in parts.filter(|(_, lines)| !lines.is_empty()) {
        info.push(FUNCTION);
        push_string(&mut info, &piece.name);
        info.extend((text.start as u64 + u64::from(piece.code_offset)).to_le_bytes());
        info.extend(u64::from(piece.len).to_le_bytes());
        program.push(text.start as u64, piece, &lines);
    }
    info.push(0);
    let mut head = VERSION.to_le_bytes().to_vec();
    head.extend(0u32.to_le_bytes());
    head.push(ADDRESS_BYTES);
    let info = with_length(&[head, info].concat());
    [(".debug_abbrev", ABBREVIATIONS.to_vec()), (".debug_info", info), (".debug_line", program.finish())]
}

/// The program of a line table, section 6.2.5.
#[derive(Default)]
struct LineProgram {
    files: Vec<String>,
    numbers: HashMap<String, u64>,
    code: Vec<u8>,
}

impl LineProgram {
    const COPY: u8 = 1;
    const ADVANCE_PC: u8 = 2;
    const ADVANCE_LINE: u8 = 3;
    const SET_FILE: u8 = 4;
    const SET_COLUMN: u8 = 5;
    const END_SEQUENCE: u8 = 1;
    const SET_ADDRESS: u8 = 2;

    /// Adds the lines of a function.
    fn push(&mut self, text: u64, piece: &Piece, lines: &[Line]) {
        let (mut offset, mut last, mut file, mut column) = (piece.code_offset, 1, 1, 0);
        self.code.extend([0, 1 + ADDRESS_BYTES, Self::SET_ADDRESS]);
        self.code.extend((text + u64::from(offset)).to_le_bytes());
        for line in lines {
            let number = self.file(&line.file);
            if number != file {
                self.code.push(Self::SET_FILE);
                push_unsigned(&mut self.code, number);
                file = number;
            }
            if line.column != column {
                self.code.push(Self::SET_COLUMN);
                push_unsigned(&mut self.code, line.column.into());
                column = line.column;
            }
            self.code.push(Self::ADVANCE_LINE);
            push_signed(&mut self.code, i64::from(line.line) - last);
            last = line.line.into();
            self.advance(&mut offset, line.code_offset);
            self.code.push(Self::COPY);
        }
        self.advance(&mut offset, piece.code_offset + piece.len);
        self.code.extend([0, 1, Self::END_SEQUENCE]);
    }

    fn advance(&mut self, offset: &mut u32, to: u32) {
        self.code.push(Self::ADVANCE_PC);
        push_unsigned(&mut self.code, to.saturating_sub(*offset).into());
        *offset = to;
    }

    /// The number of a file, counted from 1.
    fn file(&mut self, name: &str) -> u64 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.files.push(name.to_owned());
        let number = self.files.len() as u64;
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The section, with the header of section 6.2.4.
    fn finish(self) -> Vec<u8> {
        /// Instructions of one byte and one operation, which begin statements; special opcodes are not used.
        const SHAPE: [u8; 6] = [1, 1, 1, -5i8 as u8, 14, 13];
        const OPERANDS: [u8; 12] = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
        let mut tables = [&SHAPE[..], &OPERANDS].concat();
        // No directories: names of files are whole paths.
        tables.push(0);
        for file in &self.files {
            push_string(&mut tables, file);
            tables.extend([0, 0, 0]);
        }
        tables.push(0);
        let mut body = VERSION.to_le_bytes().to_vec();
        body.extend((tables.len() as u32).to_le_bytes());
        body.extend(tables);
        body.extend(self.code);
        with_length(&body)
    }
}

fn with_length(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

fn push_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn push_signed(out: &mut Vec<u8>, mut value: i64) {
    while !(-0x40..0x40).contains(&value) {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 & 0x7f);
}
