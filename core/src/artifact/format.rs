//! The artifact: an ELF file that is mapped and used in place.
//!
//! ```text
//!   0    ELF header              e_flags: magic and format version
//!   64   two program headers     the part before the code; the code, executable
//!   176  sums                    lengths and checksums
//!   200  section headers, names, .instar.header (text), .instar.info (declarations)
//!   ──── head_len ────           verified whenever an artifact is loaded, and then decoded
//!        tables                  read in place when they are needed: what lies in them is checked then
//!        .text                   page-aligned; functions, then trampolines
//!        .instar.image           page-aligned; initial contents of memories
//!        .symtab .strtab         for perf, gdb and objdump; function names lie here for the runtime too
//!        .wasm.debug_*           the module's DWARF
//!   ──── file_len ────           the second checksum covers everything from head_len on
//! ```
//!
//! Sections have fixed places in the section table, so none is looked for by name. Loading reads the head and nothing else:
//! its cost does not depend on how much code and data there is.

use std::ops::Range;

use super::words::Words;
use crate::error::{Error, Result, bail, error};
use crate::sys::mapped::Bytes;

/// Version of everything that `header` does not cover: of the sections and what they hold.
pub const FORMAT: u32 = 2;
/// Upper half of `e_flags`.
pub const MAGIC: u32 = 0x1257 << 16;

pub const ELF_HEADER_BYTES: usize = 64;
pub const PROGRAM_HEADERS: usize = 2;
/// Where the sums lie.
pub const SUMS: Range<usize> = ELF_HEADER_BYTES + PROGRAM_HEADERS * 56..200;
const SECTION_HEADER_BYTES: usize = 64;

macro_rules! sections {
    ($first:ident $first_text:literal, $($name:ident $text:literal,)*) => {
        /// A section, by its place in the section table. Place 0 is ELF's null section.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Section { $first = 1, $($name,)* }

        impl Section {
            /// All sections that every artifact has, with their names.
            pub const ALL: &'static [(Section, &'static str)] =
                &[(Section::$first, $first_text), $((Section::$name, $text),)*];
        }
    };
}

sections! {
    // The head.
    Sums ".instar.sums",
    Shstrtab ".shstrtab",
    Header ".instar.header",
    Info ".instar.info",
    // Tables. Start and length in the text of each function that the module defines.
    Functions ".instar.functions",
    // Type index of each function.
    Types ".instar.types",
    // Offset of the entry trampoline of each type.
    Entries ".instar.entries",
    // Offset of the wasm-to-host trampoline of each type.
    HostCalls ".instar.host_calls",
    // The same for host functions that take their parameters in registers.
    DirectHostCalls ".instar.direct_host_calls",
    // Return offset, landing offset, frame size and context offset of each entry site.
    EntrySites ".instar.entry_sites",
    // Indices of escaped functions, ascending.
    Escaped ".instar.escaped",
    // Elements of element segments, as positions among the escaped functions.
    Elements ".instar.elements",
    // Index of each named function, and offset and length of its name in .strtab.
    Names ".instar.names",
    // Offsets of instructions that trap, ascending, and the code of each.
    TrapOffsets ".instar.trap_offsets",
    TrapCodes ".instar.trap_codes",
    // See `address_map`.
    AddressEnds ".instar.address_ends",
    AddressEntries ".instar.address_map",
    // Indices of exports, ascending by name.
    ExportOrder ".instar.export_order",
    // Bytes of data segments that are not in the image.
    Data ".instar.data",
    // Pages.
    Text ".text",
    Image ".instar.image",
    // For tools.
    Symbols ".symtab",
    Strings ".strtab",
}

/// No trampoline of that type.
pub const NO_TRAMPOLINE: u32 = u32::MAX;

/// Lengths and checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    pub head_len: u32,
    /// Of the head without this number.
    pub head_crc: u32,
    /// Of everything after the head.
    pub content_crc: u32,
    pub file_len: u64,
}

impl Sums {
    /// The sums of a file in which everything but they has its place.
    pub fn fill(file: &mut [u8], head_len: u32) {
        let content_crc = crc32fast::hash(&file[head_len as usize..]);
        let mut sums = Sums { head_len, head_crc: 0, content_crc, file_len: file.len() as u64 };
        file[SUMS].copy_from_slice(&sums.bytes());
        sums.head_crc = head_crc(&file[..head_len as usize]);
        file[SUMS].copy_from_slice(&sums.bytes());
    }

    fn bytes(&self) -> [u8; SUMS.end - SUMS.start] {
        let mut bytes = [0; SUMS.end - SUMS.start];
        bytes[0..4].copy_from_slice(&self.head_len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.head_crc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.content_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.file_len.to_le_bytes());
        bytes
    }

    fn read(file: &[u8]) -> Option<Self> {
        let at = SUMS.start;
        Some(Sums {
            head_len: u32_at(file, at)?,
            head_crc: u32_at(file, at + 4)?,
            content_crc: u32_at(file, at + 8)?,
            file_len: u64_at(file, at + 16)?,
        })
    }
}

/// The checksum of a head, whose own place counts as zero.
fn head_crc(head: &[u8]) -> u32 {
    let at = SUMS.start + 4;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..at]);
    hasher.update(&[0; 4]);
    hasher.update(&head[at + 4..]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether these are the first bytes of an artifact, of any version. Looks at the first 64.
pub fn detect(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF\x02\x01\x01") && u32_at(bytes, 48).is_some_and(|flags| flags & 0xffff_0000 == MAGIC)
}

/// The error of bytes that [`detect`] does not know.
pub fn no_artifact(bytes: &[u8]) -> Error {
    match bytes.starts_with(b"\0asm") {
        true => error!(Artifact, "not a precompiled module: this is WebAssembly, which Module::new compiles"),
        false => error!(
            Artifact,
            "not a precompiled module: those are made by Module::serialize, Engine::precompile_module and `instar compile`"
        ),
    }
}

/// Whether the content is verified too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Header, section table, lengths and their checksum.
    Head,
    /// All of it.
    Content,
}

/// An artifact whose head has been verified.
#[derive(Debug)]
pub struct Artifact {
    bytes: Bytes,
    /// By place in the section table.
    sections: Box<[Range<usize>]>,
}

impl Artifact {
    /// Verifies an artifact as far as is asked for.
    ///
    /// # Errors
    ///
    /// `Artifact`, with what differs.
    pub fn open(bytes: Bytes, verify: Verify) -> Result<Self> {
        let file = bytes.as_slice();
        let sums = read_head(file)?;
        let sections = section_table(file)?;
        let end = |range: &Range<usize>| range.end <= file.len();
        if (file.len() as u64) < sums.file_len {
            let first = sections.iter().position(|range| !end(range)).unwrap_or(sections.len());
            let name = name_of(first);
            bail!(Artifact, "the artifact is truncated in {name}: it has {} bytes of {}", file.len(), sums.file_len);
        }
        if file.len() as u64 != sums.file_len || !sections.iter().all(end) {
            bail!(Artifact, "the artifact is damaged: it has {} bytes instead of {}", file.len(), sums.file_len);
        }
        if verify == Verify::Content {
            let sum = crc32fast::hash(&file[sums.head_len as usize..]);
            if sum != sums.content_crc {
                let recorded = sums.content_crc;
                bail!(Artifact, "the artifact is damaged: its checksum is {sum:08x}, and {recorded:08x} is recorded");
            }
        }
        Ok(Artifact { bytes, sections })
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of a section.
    ///
    /// # Errors
    ///
    /// None for an artifact that was opened.
    pub fn section(&self, section: Section) -> Result<Bytes> {
        self.bytes.part(self.sections[section as usize].clone())
    }

    /// Numbers of a section, in groups of `group`.
    ///
    /// # Errors
    ///
    /// `Artifact` when there is a rest.
    pub fn words(&self, section: Section, group: usize) -> Result<Words> {
        Words::in_place(self.section(section)?, group, name_of(section as usize))
    }

    /// Bytes of the `index`-th section of DWARF.
    ///
    /// # Errors
    ///
    /// `Artifact` when there is none.
    pub fn debug_section(&self, index: usize) -> Result<Bytes> {
        match self.sections.get(Section::ALL.len() + 1 + index) {
            Some(range) => self.bytes.part(range.clone()),
            None => bail!(Artifact, "the artifact is damaged: section {index} of its DWARF is missing"),
        }
    }
}

fn name_of(section: usize) -> &'static str {
    section.checked_sub(1).map_or("its headers", |i| Section::ALL.get(i).map_or(".wasm.debug", |s| s.1))
}

fn read_head(file: &[u8]) -> Result<Sums> {
    if !detect(file) {
        return Err(no_artifact(file));
    }
    let format = u32_at(file, 48).unwrap_or(0) & !MAGIC;
    if format != FORMAT {
        bail!(Artifact, "the artifact has format version {format}; this is Instar {VERSION}, which reads {FORMAT}");
    }
    let sums = Sums::read(file).filter(|sums| sums.head_len as usize <= file.len());
    let Some(sums) = sums else {
        bail!(Artifact, "the artifact is truncated in its headers: it has {} bytes", file.len());
    };
    let head_len = sums.head_len as usize;
    if head_len < SUMS.end {
        bail!(Artifact, "the artifact is damaged: its headers have {head_len} bytes");
    }
    let sum = head_crc(&file[..head_len]);
    if sum != sums.head_crc {
        let recorded = sums.head_crc;
        bail!(
            Artifact,
            "the artifact is damaged: the checksum of its headers is {sum:08x}, and {recorded:08x} is recorded"
        );
    }
    Ok(sums)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where each section lies. They may lie beyond the end.
fn section_table(file: &[u8]) -> Result<Box<[Range<usize>]>> {
    let damaged = || error!(Artifact, "the artifact is damaged: its section table cannot be read");
    let table = u64_at(file, 40).and_then(|at| usize::try_from(at).ok()).ok_or_else(damaged)?;
    let count = usize::from(u32_at(file, 60).ok_or_else(damaged)? as u16);
    if count <= Section::ALL.len() {
        return Err(damaged());
    }
    (0..count)
        .map(|i| {
            let header = file.get(table.checked_add(i * SECTION_HEADER_BYTES)?..)?;
            let start = usize::try_from(u64_at(header, 24)?).ok()?;
            Some(start..start.checked_add(usize::try_from(u64_at(header, 32)?).ok()?)?)
        })
        .collect::<Option<_>>()
        .ok_or_else(damaged)
}
