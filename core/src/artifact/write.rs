//! Writes artifacts. The result depends on nothing but what is written.

use std::ops::Range;

use object::Endianness;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym, Writer};

use super::code::{Compiled, FunctionRange};
use super::declarations::{self, Places};
use super::format::{FORMAT, MAGIC, NO_TRAMPOLINE, PROGRAM_HEADERS, SUMS, Section, Sums};
use super::header::Header;
use super::image::ImagePlan;
use super::info::{Elements, ModuleInfo};
use crate::config::DirtyTracking;
use crate::error::{Result, error};
use crate::sys::page_size;

/// The artifact of a compiled module whose instances are tracked in this way. For `dense_bytes` see [`ImagePlan::new`].
///
/// # Errors
///
/// `Limit` when a part is too large for the format.
pub fn write(compiled: &Compiled, header: &Header, tracking: DirtyTracking, dense_bytes: u64) -> Result<Vec<u8>> {
    let info = &compiled.info;
    let mut contents = Contents::default();
    let mut image = Vec::new();
    let plan = ImagePlan::new(info, page_size(), dense_bytes, &mut image);
    let (places, elements, data) = segments(info, plan.kept_data(info));
    contents.put(Section::Header, header.text(tracking).into_bytes());
    contents.put(Section::Info, declarations::encode(info, &plan, &places));
    contents.put(Section::Functions, words(compiled.functions.iter().flat_map(|f| [f.start, f.len])));
    contents.put(Section::Types, words(info.functions.iter().copied()));
    let trampolines = |list: &[Option<u32>]| words(list.iter().map(|t| t.unwrap_or(NO_TRAMPOLINE)));
    contents.put(Section::Entries, trampolines(&compiled.entries));
    contents.put(Section::HostCalls, trampolines(&compiled.host_calls));
    contents.put(Section::DirectHostCalls, trampolines(&compiled.direct_host_calls));
    let site = |s: &super::EntrySite| [s.return_offset, s.landing_offset, s.frame_size, s.context_offset];
    contents.put(Section::EntrySites, words(compiled.entry_sites.iter().flat_map(site)));
    contents.put(Section::Escaped, words(info.escaped_functions.iter().copied()));
    contents.put(Section::Elements, elements);
    contents.put(Section::TrapOffsets, words(compiled.traps.iter().map(|t| t.offset)));
    contents.put(Section::TrapCodes, compiled.traps.iter().map(|t| t.code.code() as u8).collect());
    contents.put(Section::AddressEnds, words(compiled.address_map.ends.iter().copied()));
    contents.put(Section::AddressEntries, compiled.address_map.entries.to_vec());
    contents.put(Section::ExportOrder, words(export_order(info).into_iter()));
    contents.put(Section::Data, data);
    contents.put(Section::Image, image);
    let symbols = symbols(compiled);
    let debug_names: Vec<String> = info.debug_sections.iter().map(|(name, _)| format!(".wasm{name}")).collect();
    let mut file = Vec::new();
    let head_len = Layout::new(&mut file, compiled, &symbols, &debug_names, contents)?.write()?;
    Sums::fill(&mut file, head_len);
    Ok(file)
}

fn words(list: impl Iterator<Item = u32>) -> Vec<u8> {
    list.flat_map(u32::to_le_bytes).collect()
}

fn export_order(info: &ModuleInfo) -> Vec<u32> {
    let mut order: Vec<u32> = (0..info.exports.len() as u32).collect();
    order.sort_by_key(|&index| &info.exports[index as usize].name);
    order
}

/// Elements and data as the runtime needs them, and where those of each segment lie. Data that is in the image's own pages
/// is not kept twice.
fn segments(info: &ModuleInfo, kept: Vec<u32>) -> (Places, Vec<u8>, Vec<u8>) {
    let (mut elements, mut data) = (Vec::new(), Vec::new());
    let mut places = Places { elements: Vec::new(), data: Vec::new(), kept };
    for segment in &info.element_segments {
        let start = elements.len() / 4;
        if let Elements::Functions(list) = &segment.elements {
            elements.extend(list.iter().flat_map(|place| place.to_le_bytes()));
        }
        places.elements.push(start..elements.len() / 4);
    }
    for &index in &places.kept {
        let start = data.len();
        data.extend_from_slice(&info.data[info.data_segments[index as usize].bytes.clone()]);
        places.data.push(start..data.len());
    }
    (places, elements, data)
}

/// Names and places of all code. Functions without a name are called by their index.
fn symbols(compiled: &Compiled) -> Vec<(String, FunctionRange)> {
    let info = &compiled.info;
    let mut names = info.function_names.iter().peekable();
    let mut symbols = Vec::with_capacity(compiled.functions.len() + compiled.trampolines.len());
    for (index, &range) in (info.imported_functions..).zip(&compiled.functions) {
        while names.next_if(|&(i, _)| i < index).is_some() {}
        let name = names.next_if(|&(i, _)| i == index).map(|(_, name)| name).filter(|name| !name.is_empty());
        symbols.push((name.map_or_else(|| format!("wasm[{index}]"), str::to_owned), range));
    }
    symbols.extend(compiled.trampolines.iter().cloned());
    symbols
}

/// Bytes of sections, by place in the section table.
#[derive(Default)]
struct Contents(Vec<(Section, Vec<u8>)>);

impl Contents {
    fn put(&mut self, section: Section, bytes: Vec<u8>) {
        self.0.push((section, bytes));
    }

    fn get(&self, section: Section) -> &[u8] {
        self.0.iter().find(|(s, _)| *s == section).map_or(&[], |(_, bytes)| bytes)
    }
}

/// A file whose parts have their places.
struct Layout<'a> {
    writer: Writer<'a>,
    compiled: &'a Compiled,
    symbols: &'a [(String, FunctionRange)],
    contents: Contents,
    section_names: Vec<StringId>,
    symbol_names: Vec<StringId>,
    function_names: Vec<(u32, StringId, u32)>,
    /// Where sections lie, by place in the section table.
    ranges: Vec<Range<u64>>,
    head_len: u64,
}

impl<'a> Layout<'a> {
    fn new(
        file: &'a mut Vec<u8>,
        compiled: &'a Compiled,
        symbols: &'a [(String, FunctionRange)],
        debug_names: &'a [String],
        contents: Contents,
    ) -> Result<Self> {
        let mut writer = Writer::new(Endianness::Little, true, file);
        let too_large = |e: object::write::Error| error!(Limit, "the artifact cannot be written: {e}");
        writer.reserve_null_section_index();
        let mut section_names: Vec<StringId> = Vec::new();
        for (section, name) in Section::ALL {
            match section {
                Section::Shstrtab => _ = writer.reserve_shstrtab_section_index(),
                Section::Symbols => _ = writer.reserve_symtab_section_index(),
                Section::Strings => _ = writer.reserve_strtab_section_index(),
                _ => _ = writer.reserve_section_index(),
            }
            section_names.push(writer.add_section_name(name.as_bytes()));
        }
        for name in debug_names {
            writer.reserve_section_index();
            section_names.push(writer.add_section_name(name.as_bytes()));
        }

        // The head.
        writer.reserve_file_header();
        writer.reserve_program_headers(PROGRAM_HEADERS as u32);
        let mut ranges = vec![0..0; section_names.len() + 1];
        let mut place = |section: Section, range: Range<u64>| ranges[section as usize] = range;
        let sums = writer.reserve((SUMS.end - SUMS.start) as u64, 8);
        debug_assert_eq!(sums, SUMS.start as u64);
        place(Section::Sums, SUMS.start as u64..SUMS.end as u64);
        writer.reserve_section_headers();
        let start = writer.reserved_len();
        writer.reserve_shstrtab().map_err(too_large)?;
        place(Section::Shstrtab, start..writer.reserved_len());
        let mut head_len = 0;
        let names_len = compiled.info.function_names.table.len() as u64 * 4;
        for &(section, _) in Section::ALL {
            let (len, alignment) = match section {
                Section::Sums | Section::Shstrtab | Section::Symbols | Section::Strings => continue,
                Section::Names => (names_len, 4),
                Section::Text => (compiled.text.len() as u64, page_size() as u64),
                Section::Image => (contents.get(section).len() as u64, page_size() as u64),
                Section::Header | Section::Info | Section::TrapCodes | Section::AddressEntries | Section::Data => {
                    (contents.get(section).len() as u64, 1)
                }
                _ => (contents.get(section).len() as u64, 4),
            };
            // Empty sections need no page of their own.
            let start = writer.reserve(len, if len == 0 { 1 } else { alignment });
            place(section, start..start + len);
            if section == Section::Info {
                head_len = start + len;
            }
        }

        // What only tools read.
        writer.reserve_null_symbol_index();
        let mut symbol_names = Vec::with_capacity(symbols.len());
        for (name, _) in symbols {
            symbol_names.push(writer.add_string(name.as_bytes()));
            writer.reserve_symbol_index(None);
        }
        let mut function_names = Vec::new();
        for (index, name) in compiled.info.function_names.iter() {
            function_names.push((index, writer.add_string(name.as_bytes()), name.len() as u32));
        }
        writer.reserve_symtab();
        let symtab_len = 24 * (symbols.len() as u64 + 1);
        place(Section::Symbols, writer.reserved_len() - symtab_len..writer.reserved_len());
        let start = writer.reserved_len();
        writer.reserve_strtab().map_err(too_large)?;
        place(Section::Strings, start..writer.reserved_len());
        for (i, (_, bytes)) in compiled.info.debug_sections.iter().enumerate() {
            let start = writer.reserve(bytes.len() as u64, 1);
            ranges[Section::ALL.len() + 1 + i] = start..start + bytes.len() as u64;
        }
        Ok(Layout {
            writer,
            compiled,
            symbols,
            contents,
            section_names,
            symbol_names,
            function_names,
            ranges,
            head_len,
        })
    }

    /// Writes everything but the sums, in the order of the file, and returns the length of the head.
    fn write(mut self) -> Result<u32> {
        let too_large = |e: object::write::Error| error!(Limit, "the artifact cannot be written: {e}");
        let head_len = u32::try_from(self.head_len).map_err(|_| error!(Limit, "the artifact's head is too large"))?;
        let machine = match std::env::consts::ARCH {
            "aarch64" => elf::EM_AARCH64,
            _ => elf::EM_X86_64,
        };
        self.writer
            .write_file_header(&FileHeader {
                os_abi: elf::ELFOSABI_NONE,
                abi_version: 0,
                e_type: elf::ET_DYN,
                e_machine: machine,
                e_entry: 0,
                e_flags: elf::FileFlags(MAGIC | FORMAT),
            })
            .map_err(too_large)?;
        self.program_headers();
        self.writer.write(&[0; SUMS.end - SUMS.start]);
        self.section_headers();
        self.writer.write_shstrtab();
        for &(section, _) in Section::ALL {
            let names;
            let bytes = match section {
                Section::Sums | Section::Shstrtab | Section::Symbols | Section::Strings => continue,
                Section::Names => {
                    let place = |&(index, id, len)| [index, self.writer.string_offset(Some(id)), len];
                    names = words(self.function_names.iter().flat_map(place));
                    &names
                }
                Section::Text => &self.compiled.text,
                _ => self.contents.get(section),
            };
            self.writer.pad_until(self.ranges[section as usize].start);
            self.writer.write(bytes);
        }
        self.write_symbols();
        self.writer.write_strtab();
        for (_, bytes) in &self.compiled.info.debug_sections {
            self.writer.write(bytes);
        }
        Ok(head_len)
    }

    fn program_headers(&mut self) {
        let text = self.ranges[Section::Text as usize].clone();
        let parts = [(0..text.start, elf::PF_R), (text, elf::PF_R | elf::PF_X)];
        self.writer.write_align_program_headers();
        for (range, flags) in parts {
            self.writer.write_program_header(&ProgramHeader {
                p_type: elf::PT_LOAD,
                p_flags: flags,
                p_offset: range.start,
                p_vaddr: range.start,
                p_paddr: range.start,
                p_filesz: range.end - range.start,
                p_memsz: range.end - range.start,
                p_align: page_size() as u64,
            });
        }
    }

    fn section_headers(&mut self) {
        self.writer.write_null_section_header();
        for (i, id) in self.section_names.iter().enumerate() {
            let range = &self.ranges[i + 1];
            let mut header = SectionHeader {
                sh_name: self.writer.section_name_offset(Some(*id)),
                sh_type: elf::SHT_PROGBITS,
                sh_flags: elf::SectionFlags(0),
                sh_addr: 0,
                sh_offset: range.start,
                sh_size: range.end - range.start,
                sh_link: 0,
                sh_info: 0,
                sh_addralign: 1,
                sh_entsize: 0,
            };
            match Section::ALL.get(i).map(|s| s.0) {
                Some(Section::Shstrtab | Section::Strings) => header.sh_type = elf::SHT_STRTAB,
                Some(Section::Text) => {
                    header.sh_flags = elf::SHF_ALLOC | elf::SHF_EXECINSTR;
                    header.sh_addr = range.start;
                    header.sh_addralign = page_size() as u64;
                }
                Some(Section::Symbols) => {
                    header.sh_type = elf::SHT_SYMTAB;
                    header.sh_link = Section::Strings as u32;
                    // The number of local symbols: all, and the null symbol.
                    header.sh_info = self.symbols.len() as u32 + 1;
                    header.sh_addralign = 8;
                    header.sh_entsize = 24;
                }
                _ => {}
            }
            self.writer.write_section_header(&header);
        }
    }

    fn write_symbols(&mut self) {
        self.writer.write_null_symbol();
        let text = self.ranges[Section::Text as usize].start;
        for (id, (_, range)) in self.symbol_names.iter().zip(self.symbols) {
            self.writer.write_symbol(&Sym {
                st_name: self.writer.string_offset(Some(*id)),
                section: Some(Section::Text as u32),
                st_info: elf::SymbolInfo::new(elf::STB_LOCAL, elf::STT_FUNC),
                st_other: elf::SymbolOther(0),
                st_shndx: elf::SymbolSection(0),
                st_value: text + u64::from(range.start),
                st_size: range.len.into(),
            });
        }
    }
}
