//! Machine code as text: x86-64 as Intel writes it, AArch64 as hexadecimal words.

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, FastFormatter, OpKind};

/// Whose instructions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Aarch64,
}

impl Architecture {
    /// That of this machine: modules are compiled for no other.
    pub const HOST: Architecture =
        if cfg!(target_arch = "aarch64") { Architecture::Aarch64 } else { Architecture::X86_64 };
}

/// One instruction, or bytes that are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Where it lies in the code.
    pub range: Range<usize>,
    pub text: String,
    /// Where a direct jump or call goes, as an offset in the code.
    pub target: Option<u64>,
}

/// Calls `each` with the instructions of a part of `code`, in order, without gaps, until it fails.
pub fn instructions<E>(
    architecture: Architecture,
    code: &[u8],
    range: Range<usize>,
    mut each: impl FnMut(Instruction) -> Result<(), E>,
) -> Result<(), E> {
    match architecture {
        Architecture::X86_64 => {
            let mut decoder = Decoder::with_ip(64, &code[range.clone()], range.start as u64, DecoderOptions::NONE);
            let mut formatter = FastFormatter::new();
            let options = formatter.options_mut();
            options.set_space_after_operand_separator(true);
            options.set_use_hex_prefix(true);
            options.set_uppercase_hex(false);
            while decoder.can_decode() {
                let instruction = decoder.decode();
                let start = instruction.ip() as usize;
                let range = start..start + instruction.len();
                if instruction.is_invalid() {
                    each(Instruction { text: data(&code[range.clone()]), range, target: None })?;
                    continue;
                }
                let mut text = String::new();
                formatter.format(&instruction, &mut text);
                let near = instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64;
                let target = near.then(|| instruction.near_branch_target());
                each(Instruction { range, text, target })?;
            }
        }
        Architecture::Aarch64 => {
            for (i, word) in code[range.clone()].chunks(4).enumerate() {
                let start = range.start + 4 * i;
                let text = match <[u8; 4]>::try_from(word) {
                    Ok(word) => format!(".word {:#010x}", u32::from_le_bytes(word)),
                    Err(_) => data(word),
                };
                each(Instruction { range: start..start + word.len(), text, target: None })?;
            }
        }
    }
    Ok(())
}

/// Bytes that are no instruction.
fn data(bytes: &[u8]) -> String {
    let list: Vec<String> = bytes.iter().map(|b| format!("{b:#04x}")).collect();
    format!(".byte {}", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(architecture: Architecture, code: &[u8], range: Range<usize>) -> Vec<Instruction> {
        let mut out = Vec::new();
        instructions::<()>(architecture, code, range, |i| {
            out.push(i);
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn x86_64_instructions_have_text_and_targets() {
        // nop; push rbp; mov rbp, rsp; call +1; ud2; ret
        let code = [0x90, 0x55, 0x48, 0x89, 0xe5, 0xe8, 0x02, 0, 0, 0, 0x0f, 0x0b, 0xc3];
        let found = all(Architecture::X86_64, &code, 1..13);
        let texts: Vec<&str> = found.iter().map(|i| i.text.as_str()).collect();
        assert_eq!(texts[..2], ["push rbp", "mov rbp, rsp"]);
        assert_eq!(texts[3..], ["ud2", "ret"]);
        assert_eq!(found[2].target, Some(12));
        assert_eq!(found[2].range, 5..10);
        assert!(found.iter().filter(|i| i.target.is_some()).count() == 1);
    }

    #[test]
    fn all_bytes_are_shown() {
        for code in [&[0x06, 0x90][..], &[0xe8, 0x01], &[0xff; 20], &[0; 7]] {
            for architecture in [Architecture::X86_64, Architecture::Aarch64] {
                let found = all(architecture, code, 0..code.len());
                let mut end = 0;
                for instruction in &found {
                    assert_eq!(instruction.range.start, end);
                    end = instruction.range.end;
                }
                assert_eq!(end, code.len());
            }
        }
    }

    #[test]
    fn aarch64_instructions_are_words() {
        let found = all(Architecture::Aarch64, &[0xc0, 0x03, 0x5f, 0xd6, 1], 0..5);
        assert_eq!(found[0].text, ".word 0xd65f03c0");
        assert_eq!(found[1].text, ".byte 0x01");
    }
}
