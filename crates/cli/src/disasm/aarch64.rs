//! 64-bit ARM. Every instruction has four bytes.

use yaxpeax_arch::{Decoder, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Instruction, Opcode, Operand};

use super::{Decoded, Flow};

const LEN: u32 = 4;

/// Decodes the instruction at an offset.
pub fn decode(code: &[u8], at: u32) -> Option<Decoded> {
    let word = code.first_chunk::<{ LEN as usize }>()?;
    let instruction = InstDecoder::default().decode(&mut U8Reader::new(word)).ok()?;
    let target = instruction.operands.iter().find_map(|operand| match operand {
        Operand::PCOffset(distance) => Some(at.wrapping_add(*distance as u32)),
        _ => None,
    });
    let flow = match (instruction.opcode, target) {
        (Opcode::B, Some(target)) => Flow::Jump(target),
        (Opcode::Bcc(_) | Opcode::CBZ | Opcode::CBNZ | Opcode::TBZ | Opcode::TBNZ, Some(target)) => {
            Flow::Branch(target)
        }
        (Opcode::BR | Opcode::BRAA | Opcode::BRAB | Opcode::BRAAZ | Opcode::BRABZ, _) => Flow::Indirect,
        (Opcode::RET | Opcode::RETAA | Opcode::RETAB | Opcode::UDF | Opcode::BRK, _) => Flow::End,
        _ => Flow::Next,
    };
    Some(Decoded { len: LEN, text: text(&instruction, target), flow, names: target })
}

/// The instruction, with the offset that it goes to in place of the distance.
fn text(instruction: &Instruction, target: Option<u32>) -> String {
    let text = instruction.to_string();
    match (target, text.rsplit_once('$')) {
        (Some(target), Some((before, _))) => format!("{before}{target:#x}"),
        _ => text,
    }
}
