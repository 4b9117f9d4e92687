//! Machine code to instructions, for the processors that hotfoot compiles for.
//!
//! Functions hold constants and jump tables between their instructions, and nothing marks them; so code is what can be
//! reached: from the first instruction and the handlers of exceptions, along branches, and through jump tables, which
//! are recognised by the shape that Cranelift gives them. All else is data.
//!
//! ```text
//!  lea r, [table]; … jmp r; table: i32 target − table, …          (x86-64: the table follows its jump)
//!  adr x, table;   … br  x; table: i32 target − table, …          (aarch64: likewise)
//! ```

mod aarch64;
mod x86_64;

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// Where a program goes after an instruction. Targets are code offsets.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Flow {
    /// To the next one, also after a call.
    Next,
    /// To the next one or to another place.
    Branch(u32),
    /// To another place.
    Jump(u32),
    /// Where a register says.
    Indirect,
    /// Nowhere: a return or a trap.
    End,
}

/// A decoded instruction.
#[derive(Clone, Debug)]
struct Decoded {
    len: u32,
    text: String,
    flow: Flow,
    /// A code offset that it names: what is called or jumped to, or whose address is taken.
    names: Option<u32>,
}

/// A line of disassembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Code offset.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
    /// An instruction as an assembler would take it, or data.
    pub text: String,
    /// A code offset that it calls or jumps to.
    pub target: Option<u32>,
}

/// Decodes the instruction at an offset; none if there is none.
type Decode = fn(&[u8], u32) -> Option<Decoded>;

/// Most bytes of data in one line.
const DATA_LEN: u32 = 16;

/// The processor of a triple.
///
/// # Errors
/// When it is another one.
pub fn disassembler(triple: &str) -> Result<Disassembler> {
    match triple.split('-').next() {
        Some("x86_64") => Ok(Disassembler { decode: x86_64::decode }),
        Some("aarch64") => Ok(Disassembler { decode: aarch64::decode }),
        _ => bail!("the code is for `{triple}`; hotfoot can read code for x86_64 and aarch64"),
    }
}

/// Reads the machine code of one processor.
#[derive(Copy, Clone)]
pub struct Disassembler {
    decode: Decode,
}

impl Disassembler {
    /// Disassembles one function, whose first byte has the offset `start`. `entries` are other offsets where it can be
    /// entered.
    pub fn function(self, code: &[u8], start: u32, entries: impl IntoIterator<Item = u32>) -> Vec<Line> {
        let mut reached = Reached { code, start, decode: self.decode, lines: BTreeMap::new() };
        reached.follow(std::iter::once(start).chain(entries).collect());
        reached.into_lines()
    }
}

/// What was reached of a function so far.
struct Reached<'a> {
    code: &'a [u8],
    start: u32,
    decode: Decode,
    lines: BTreeMap<u32, Decoded>,
}

impl Reached<'_> {
    fn end(&self) -> u32 {
        self.start + self.code.len() as u32
    }

    fn follow(&mut self, mut pending: Vec<u32>) {
        // Tables are read when nothing else is left, as each ends where the first code after it begins.
        let mut tables: Vec<u32> = Vec::new();
        loop {
            while let Some(mut at) = pending.pop() {
                let mut addresses: Vec<u32> = Vec::new();
                while (self.start..self.end()).contains(&at) && !self.lines.contains_key(&at) {
                    let Some(decoded) = (self.decode)(&self.code[(at - self.start) as usize..], at) else { break };
                    let (flow, next) = (decoded.flow, at + decoded.len);
                    if flow == Flow::Next {
                        addresses.extend(decoded.names);
                    }
                    self.lines.insert(at, decoded);
                    match flow {
                        Flow::Next => {}
                        Flow::Branch(target) => pending.push(target),
                        Flow::Jump(target) => pending.push(target),
                        Flow::Indirect if addresses.contains(&next) => tables.push(next),
                        Flow::Indirect | Flow::End => {}
                    }
                    if !matches!(flow, Flow::Next | Flow::Branch(_)) {
                        break;
                    }
                    at = next;
                }
            }
            let Some(table) = tables.pop() else { return };
            pending = self.table(table);
        }
    }

    /// The targets of a jump table, which goes on until code begins.
    fn table(&self, table: u32) -> Vec<u32> {
        let mut targets: Vec<u32> = Vec::new();
        let mut at = table;
        loop {
            let code_begins = self.lines.contains_key(&at) || targets.contains(&at);
            let bytes = self.code.get((at - self.start) as usize..).and_then(|rest| rest.first_chunk::<4>());
            let Some(bytes) = bytes.filter(|_| !code_begins) else { return targets };
            let target = i64::from(table) + i64::from(i32::from_le_bytes(*bytes));
            match u32::try_from(target) {
                Ok(target) if (self.start..self.end()).contains(&target) => targets.push(target),
                _ => return targets,
            }
            at += 4;
        }
    }

    fn into_lines(self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut at = self.start;
        for (offset, decoded) in &self.lines {
            // An instruction inside another one was reached by a mistaken table: the one that came first stays.
            if *offset < at {
                continue;
            }
            self.data(at, *offset, &mut lines);
            let target = decoded.names;
            lines.push(Line { offset: *offset, len: decoded.len, text: decoded.text.clone(), target });
            at = offset + decoded.len;
        }
        self.data(at, self.end(), &mut lines);
        lines
    }

    /// What lies between instructions.
    fn data(&self, from: u32, to: u32, lines: &mut Vec<Line>) {
        let mut at = from;
        while at < to {
            // Constants are aligned, so lines are, too.
            let end = to.min((at + 1).next_multiple_of(DATA_LEN));
            let bytes = &self.code[(at - self.start) as usize..(end - self.start) as usize];
            let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
            lines.push(Line { offset: at, len: end - at, text: format!(".byte {}", text.join(", ")), target: None });
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(triple: &str, code: &[u8], start: u32) -> Vec<String> {
        let lines = disassembler(triple).unwrap().function(code, start, []);
        let mut at = start;
        for line in &lines {
            assert_eq!(line.offset, at, "the lines cover the code");
            at += line.len;
        }
        assert_eq!(at, start + code.len() as u32);
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn x86_64_with_a_branch_and_a_constant() {
        // test edi, edi; je +1; nop; ret; then data.
        let code = [0x85, 0xff, 0x74, 0x01, 0x90, 0xc3, 0x01, 0x02];
        assert_eq!(
            texts("x86_64-unknown-linux-gnu", &code, 16),
            ["test      edi, edi", "je        0x15", "nop", "ret", ".byte 0x01, 0x02"]
        );
    }

    #[test]
    fn a_jump_table_is_data_and_leads_to_code() {
        // lea rcx, [rip + 8]; movsxd rdx, [rcx + rax*4]; add rcx, rdx; jmp rcx; table: 8, 9; nop; ret
        let mut code = vec![0x48, 0x8d, 0x0d, 0x09, 0, 0, 0, 0x48, 0x63, 0x14, 0x81, 0x48, 0x01, 0xd1, 0xff, 0xe1];
        code.extend([8, 0, 0, 0, 9, 0, 0, 0, 0x90, 0xc3]);
        let lines = texts("x86_64", &code, 0);
        assert_eq!(lines[4], ".byte 0x08, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00");
        assert_eq!(lines[5..], ["nop", "ret"]);
    }

    #[test]
    fn aarch64() {
        // cbz w0, +8; bl +0x100; ret; data
        let words: [u32; 4] = [0x3400_0040, 0x9400_0040, 0xd65f_03c0, 0xffff_ffff];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let lines = disassembler("aarch64-unknown-linux-gnu").unwrap().function(&code, 0x40, []);
        let shown: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.target)).collect();
        assert_eq!(
            shown,
            [
                ("cbz w0, 0x48", Some(0x48)),
                ("bl 0x144", Some(0x144)),
                ("ret", None),
                (".byte 0xff, 0xff, 0xff, 0xff", None)
            ]
        );
    }

    #[test]
    fn no_bytes_are_too_strange() {
        let mut state = 1_u64;
        for len in 0..300 {
            let mut byte = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 56) as u8
            };
            let code: Vec<u8> = (0..len).map(|_| byte()).collect();
            texts("x86_64", &code, 7);
            texts("aarch64", &code, 8);
        }
        assert!(disassembler("riscv64-linux").is_err());
    }
}
