//! x86-64, in Intel's syntax.

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind};

use super::{Decoded, Flow};

/// Bits of an address.
const BITNESS: u32 = 64;

/// Decodes the instruction at an offset.
pub fn decode(code: &[u8], at: u32) -> Option<Decoded> {
    let mut decoder = Decoder::with_ip(BITNESS, code, at.into(), DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        return None;
    }
    let near = (instruction.op0_kind() == OpKind::NearBranch64).then(|| instruction.near_branch64() as u32);
    let flow = match (instruction.mnemonic(), near) {
        (Mnemonic::Jmp, Some(target)) => Flow::Jump(target),
        (Mnemonic::Jmp, None) => Flow::Indirect,
        (Mnemonic::Ret | Mnemonic::Ud2 | Mnemonic::Int3 | Mnemonic::Hlt, _) => Flow::End,
        (mnemonic, Some(target)) if mnemonic != Mnemonic::Call => Flow::Branch(target),
        _ => Flow::Next,
    };
    let address = instruction.is_ip_rel_memory_operand().then(|| instruction.ip_rel_memory_address() as u32);
    Some(Decoded { len: instruction.len() as u32, text: text(&instruction), flow, names: near.or(address) })
}

fn text(instruction: &Instruction) -> String {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    options.set_show_branch_size(false);
    options.set_space_after_operand_separator(true);
    options.set_space_between_memory_add_operators(true);
    options.set_first_operand_char_index(10);
    let mut text = String::new();
    formatter.format(instruction, &mut text);
    text
}
