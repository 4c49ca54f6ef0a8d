//! The listing of `objdump`: machine code, and beside it the place in the WebAssembly module that it comes from.
//!
//! ```text
//! function 1 `add`: 9 bytes at 0x40
//!     wasm     code  bytes                   instruction
//!           0x00040  55                      push rbp
//!     0x2f  0x00041  8d0437                  lea eax, [rdi+rsi]
//! ```
//!
//! A wasm offset stands where it changes; instructions before the first and after the last one of a function (frames,
//! out-of-line code without a place) have none.

use std::io::Write;
use std::ops::Range;

use crate::disasm::{Architecture, instructions};
use crate::failure::{Failure, Result};
use crate::output::{FAINT, HEADING, Output};
use crate::text;

/// A function's code.
#[derive(Clone, Debug)]
pub struct Function {
    /// Index in the module's index space.
    pub index: u32,
    pub name: Option<String>,
    /// Where its code lies.
    pub range: Range<usize>,
}

/// Machine code with what is known about it.
pub struct Listing<'a> {
    pub architecture: Architecture,
    pub code: &'a [u8],
    /// Ascending by range.
    pub functions: Vec<Function>,
    /// Ascending: from this offset in the code on, the instructions come from this offset in the module.
    pub address_map: Vec<(usize, Option<u32>)>,
}

impl Listing<'_> {
    /// The functions that the user asked for by index or name; all when nothing was asked for.
    pub fn select(&self, wanted: &[String]) -> Result<Vec<&Function>> {
        if wanted.is_empty() {
            return Ok(self.functions.iter().collect());
        }
        let mut selected = Vec::new();
        for word in wanted {
            let index = word.parse::<u32>().ok();
            let before = selected.len();
            // Names need not be unique.
            selected
                .extend(self.functions.iter().filter(|f| f.name.as_deref() == Some(word) || Some(f.index) == index));
            if selected.len() == before {
                return Err(self.not_found(word));
            }
        }
        Ok(selected)
    }

    fn not_found(&self, word: &str) -> Failure {
        let failure = Failure::new(format_args!("defines no function `{}`", text::printable(word)));
        let names = || self.functions.iter().filter_map(|f| f.name.as_deref());
        match (text::closest(word, names()), self.functions.first(), self.functions.last()) {
            (Some(near), ..) => failure.or_hint(format_args!("did you mean `{}`?", text::printable(near))),
            (None, Some(first), Some(last)) => {
                let named = names().count();
                failure.or_hint(format_args!(
                    "its functions have the indices {} to {}; {} of them {} a name",
                    first.index,
                    last.index,
                    text::grouped(named),
                    if named == 1 { "has" } else { "have" }
                ))
            }
            _ => failure.or_hint("it has imported functions only, or none"),
        }
    }

    /// Writes functions.
    pub fn print(&self, out: &mut Output, functions: &[&Function]) -> Result<()> {
        for (i, function) in functions.iter().enumerate() {
            if i > 0 {
                writeln!(out)?;
            }
            self.print_function(out, function)?;
        }
        Ok(())
    }

    fn print_function(&self, out: &mut Output, function: &Function) -> Result<()> {
        let Range { start, end } = function.range;
        if start > end || end > self.code.len() {
            return Err(Failure::new(format_args!("the code of function {} lies outside the code", function.index))
                .or_hint("the file is damaged; compile it again"));
        }
        let label = label(function);
        let size = text::count(end - start, "byte");
        writeln!(out, "{}: {size} at {start:#x}", out.paint(HEADING, format_args!("function {label}")))?;
        let header = format!("{:>8}  {:>8}  {:<22}  {}", "wasm", "code", "bytes", "instruction");
        writeln!(out, "{}", out.paint(FAINT, header))?;
        let mut place = None;
        instructions(self.architecture, self.code, start..end, |instruction| {
            let now = self.wasm_offset(instruction.range.start, start);
            let shown = match now {
                Some(offset) if now != place => format!("{offset:#x}"),
                _ => String::new(),
            };
            place = now;
            let bytes: String = self.code[instruction.range.clone()].iter().map(|b| format!("{b:02x}")).collect();
            let code = out.paint(FAINT, format_args!("{:#08x}  {bytes:<22}", instruction.range.start));
            let target = match instruction.target.and_then(|t| self.function_at(t)) {
                Some(target) => out.paint(FAINT, format_args!("  ; {target}")),
                None => String::new(),
            };
            writeln!(out, "{shown:>8}  {code}  {}{target}", instruction.text)?;
            Ok(())
        })
    }

    /// Where in the module the instruction at `offset` of a function that starts at `start` comes from.
    fn wasm_offset(&self, offset: usize, start: usize) -> Option<u32> {
        let next = self.address_map.partition_point(|(at, _)| *at <= offset);
        let (at, wasm) = *self.address_map.get(next.checked_sub(1)?)?;
        // What comes before the function says nothing about it.
        wasm.filter(|_| at >= start)
    }

    /// The function that starts at this offset in the code.
    fn function_at(&self, offset: u64) -> Option<String> {
        let target = usize::try_from(offset).ok()?;
        let index = self.functions.binary_search_by_key(&target, |f| f.range.start).ok()?;
        Some(label(&self.functions[index]))
    }
}

fn label(function: &Function) -> String {
    match &function.name {
        Some(name) => format!("{} `{}`", function.index, text::printable(name)),
        None => function.index.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(code: &[u8]) -> Listing<'_> {
        let function = |index, name: Option<&str>, range| Function { index, name: name.map(String::from), range };
        Listing {
            architecture: Architecture::X86_64,
            code,
            functions: vec![
                function(3, Some("first"), 0..7),
                function(4, Some("second"), 7..8),
                function(5, Some("second"), 8..9),
                function(6, None, 9..10),
            ],
            address_map: vec![(1, Some(0x2f)), (6, None), (8, Some(0x40))],
        }
    }

    // push rbp; call second; ret; then three times ret.
    const CODE: [u8; 10] = [0x55, 0xe8, 1, 0, 0, 0, 0xc3, 0xc3, 0xc3, 0xc3];

    fn text(listing: &Listing<'_>, wanted: &[&str]) -> Result<String> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let mut out = Output::to_memory();
        listing.print(&mut out, &listing.select(&wanted)?)?;
        Ok(out.into_text())
    }

    #[test]
    fn a_listing_shows_both_sides() {
        let text = text(&listing(&CODE), &["first"]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "function 3 `first`: 7 bytes at 0x0");
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["0x000000", "55", "push", "rbp"]);
        assert!(lines[3].trim_start().starts_with("0x2f  0x000001  e801000000 "), "{}", lines[3]);
        assert!(lines[3].ends_with("; 4 `second`"), "{}", lines[3]);
        assert!(lines[4].trim_start().starts_with("0x000006"), "{}", lines[4]);
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn functions_are_selected_by_name_and_index() {
        let listing = listing(&CODE);
        let select = |wanted: &[&str]| -> Vec<u32> {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            listing.select(&wanted).unwrap().iter().map(|f| f.index).collect()
        };
        assert_eq!(select(&[]), [3, 4, 5, 6]);
        assert_eq!(select(&["second"]), [4, 5]);
        assert_eq!(select(&["6", "first"]), [6, 3]);
        for (wanted, part) in [("secnd", "did you mean `second`"), ("99", "3 to 6"), ("-1", "3 to 6")] {
            match listing.select(&[wanted.to_string()]) {
                Err(Failure::Error { hint: Some(hint), .. }) => assert!(hint.contains(part), "{hint}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn tables_of_a_damaged_file_are_refused() {
        let mut listing = listing(&CODE);
        listing.functions[0].range = 5..11;
        assert!(text(&listing, &["3"]).is_err());
        listing.functions[0].range = Range { start: 3, end: 2 };
        assert!(text(&listing, &["3"]).is_err());
    }

    #[test]
    fn a_function_without_instructions_of_its_own_has_no_wasm_offsets() {
        let text = text(&listing(&CODE), &["4"]).unwrap();
        assert!(!text.contains("0x2f") && !text.contains("0x40"), "{text}");
    }
}
