//! From addresses to places in the source, by a module's DWARF.
//!
//! The DWARF comes with the module, so it may be anything. One pass over it answers for all addresses at once:
//!
//! ```text
//!   each unit ── its ranges hold an address? ──► line program: file, line, column of the address itself
//!                                            └─► entries: the function around it, and what was inlined into it
//! ```
//!
//! Invariants: every step is paid for from one [`Budget`], so the time is bounded whatever refers to whatever, and a little
//! DWARF cannot stand for a lot of work; nothing is recursive; what is kept is a few names for each address. What cannot be
//! read is left out.

use std::cell::Cell;
use std::sync::Arc;

use gimli::{AttributeValue, ColumnType, DebugInfoOffset, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian};
use gimli::{LineProgramHeader, Reader, SectionId, Unit, UnitHeader, UnitOffset, constants as c};

use super::FrameSymbol;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Steps for one module: some tenths of a second. A step is an attribute, a range, a row, or a byte of what is read as a whole.
const BUDGET: u64 = 1 << 26;
/// Largest table of abbreviations, and largest header of a line program, in bytes: both are decoded as a whole.
const MAX_TABLE_BYTES: usize = 1 << 20;
/// Most functions inlined into each other at an address.
const MAX_INLINED: usize = 32;
/// Most references from an entry to the one that has its name.
const MAX_REFERENCES: usize = 8;
/// Longest name or path, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// The places of each address, innermost first. `section` gives the bytes of a section of DWARF.
pub fn find<'a>(section: impl Fn(&str) -> Option<&'a [u8]>, addresses: &[u64]) -> Vec<Vec<FrameSymbol>> {
    let load = |id: SectionId| Ok(EndianSlice::new(section(id.name()).unwrap_or_default(), LittleEndian));
    let mut targets: Vec<Target> = addresses.iter().map(|&address| Target { address, ..Target::default() }).collect();
    if let Ok(dwarf) = Dwarf::load::<_, gimli::Error>(load) {
        let abbreviations = section(SectionId::DebugAbbrev.name()).unwrap_or_default();
        let lines = section(SectionId::DebugLine.name()).unwrap_or_default();
        let search = Search { dwarf, abbreviations, lines, budget: Budget(Cell::new(BUDGET)) };
        _ = search.run(&mut targets);
    }
    targets.into_iter().map(Target::symbols).collect()
}

/// What is left of the work that may be done.
struct Budget(Cell<u64>);

impl Budget {
    fn spend(&self, steps: usize) -> Option<()> {
        self.0.set(self.0.get().checked_sub(steps as u64)?);
        Some(())
    }
}

/// An address, and what was found about it.
#[derive(Default)]
struct Target {
    address: u64,
    place: Option<Location>,
    /// From the outside in.
    functions: Vec<Function>,
}

#[derive(Clone, Default)]
struct Location {
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

#[derive(Default)]
struct Function {
    name: Option<String>,
    /// Of an inlined function: where it was called.
    call: Location,
}

impl Target {
    /// An inlined function's call is where its caller was.
    fn symbols(self) -> Vec<FrameSymbol> {
        let symbol = |name, at: Location| FrameSymbol { name, file: at.file, line: at.line, column: at.column };
        let mut at = match (self.place, self.functions.is_empty()) {
            (None, true) => return Vec::new(),
            (place, _) => place.unwrap_or_default(),
        };
        if self.functions.is_empty() {
            return vec![symbol(None, at)];
        }
        let mut symbols = Vec::with_capacity(self.functions.len());
        for function in self.functions.into_iter().rev() {
            symbols.push(symbol(function.name, std::mem::replace(&mut at, function.call)));
        }
        symbols
    }
}

struct Search<'a> {
    dwarf: Dwarf<Slice<'a>>,
    abbreviations: &'a [u8],
    lines: &'a [u8],
    budget: Budget,
}

impl<'a> Search<'a> {
    /// `None` when the budget is used up; what was found by then is good.
    fn run(&self, targets: &mut [Target]) -> Option<()> {
        let mut headers = self.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            self.budget.spend(1)?;
            let Some(unit) = self.unit(header)? else { continue };
            let wanted = self.targets_in(&unit, targets)?;
            if !wanted.is_empty() {
                self.find_lines(&unit, targets, &wanted)?;
                self.find_functions(&unit, targets, &wanted)?;
            }
        }
        Some(())
    }

    /// `Some(None)` when the unit cannot be read.
    fn unit(&self, header: UnitHeader<Slice<'a>>) -> Option<Option<Unit<Slice<'a>>>> {
        let offset = header.debug_abbrev_offset();
        let Some(table) = self.abbreviations.get(offset.0..) else { return Some(None) };
        let Some(bytes) = abbreviation_bytes(&table[..table.len().min(MAX_TABLE_BYTES)]) else {
            self.budget.spend(table.len().min(MAX_TABLE_BYTES))?;
            return Some(None);
        };
        self.budget.spend(bytes)?;
        let Ok(abbreviations) = self.dwarf.debug_abbrev.abbreviations(offset) else { return Some(None) };
        // Making a unit decodes the header of its line program.
        let Ok(mut entries) = header.entries_raw(&abbreviations, None) else { return Some(None) };
        let mut root = DebuggingInformationEntry::null();
        if !entries.read_entry(&mut root).unwrap_or(false) {
            return Some(None);
        }
        self.budget.spend(root.attrs().len())?;
        if let Some(AttributeValue::DebugLineRef(offset)) = value(&root, c::DW_AT_stmt_list) {
            let bytes = line_header_bytes(self.lines, offset.0).unwrap_or(0);
            if bytes > MAX_TABLE_BYTES {
                return Some(None);
            }
            self.budget.spend(bytes)?;
        }
        Some(Unit::new_with_abbreviations(&self.dwarf, header, Arc::new(abbreviations)).ok())
    }

    /// Which targets a unit covers.
    fn targets_in(&self, unit: &Unit<Slice<'a>>, targets: &[Target]) -> Option<Vec<usize>> {
        let mut root = DebuggingInformationEntry::null();
        let read = unit.entries_raw(None).is_ok_and(|mut entries| entries.read_entry(&mut root).unwrap_or(false));
        if !read {
            return Some(Vec::new());
        }
        // A unit that does not say what it covers may cover anything.
        if value(&root, c::DW_AT_ranges).or_else(|| value(&root, c::DW_AT_high_pc)).is_none() {
            let open = |&i: &usize| targets[i].place.is_none() || targets[i].functions.is_empty();
            return Some((0..targets.len()).filter(open).collect());
        }
        self.within(unit, &root, targets, &(0..targets.len()).collect::<Vec<_>>())
    }

    /// Which of the targets `among` lie in the ranges of an entry.
    fn within(
        &self,
        unit: &Unit<Slice<'a>>,
        entry: &DebuggingInformationEntry<Slice<'a>>,
        targets: &[Target],
        among: &[usize],
    ) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        let mut add = |begin: u64, end: u64| {
            // Nothing starts at 0, where the code section counts its functions: linkers leave such ranges of functions that
            // they drop.
            if begin != 0 || entry.tag() == c::DW_TAG_compile_unit {
                let within = |&&i: &&usize| (begin..end).contains(&targets[i].address);
                found.extend(among.iter().filter(within));
            }
        };
        if let Some(list) = value(entry, c::DW_AT_ranges) {
            if let Ok(Some(mut ranges)) = self.dwarf.attr_ranges(unit, list) {
                while let Ok(Some(raw)) = ranges.next_raw() {
                    self.budget.spend(1 + among.len())?;
                    match ranges.convert_raw(raw) {
                        Ok(Some(range)) => add(range.begin, range.end),
                        Ok(None) => {}
                        Err(_) => break,
                    }
                }
            }
        } else if let Some(begin) = value(entry, c::DW_AT_low_pc).and_then(|low| self.address(unit, low)) {
            self.budget.spend(among.len())?;
            let end = value(entry, c::DW_AT_high_pc).and_then(|high| match high.udata_value() {
                Some(size) => begin.checked_add(size),
                None => self.address(unit, high),
            });
            add(begin, end.unwrap_or(begin));
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    fn address(&self, unit: &Unit<Slice<'a>>, value: AttributeValue<Slice<'a>>) -> Option<u64> {
        self.dwarf.attr_address(unit, value).ok().flatten()
    }

    /// Runs the unit's line program.
    fn find_lines(&self, unit: &Unit<Slice<'a>>, targets: &mut [Target], wanted: &[usize]) -> Option<()> {
        let Some(program) = unit.line_program.clone() else { return Some(()) };
        self.budget.spend(program.header().raw_program_buf().len())?;
        let mut rows = program.rows();
        // Where the sequence of rows starts, and the row before this one.
        let (mut start, mut last) = (0, None::<(u64, u64, Option<u32>, Option<u32>)>);
        while let Ok(Some((header, row))) = rows.next_row() {
            self.budget.spend(1 + wanted.len())?;
            let address = row.address();
            match last {
                None => start = address,
                // See `within`.
                Some((from, file, line, column)) if start != 0 => {
                    for &i in wanted {
                        let target = &mut targets[i];
                        if (from..address).contains(&target.address) && target.place.is_none() {
                            target.place = Some(Location { file: self.path(unit, header, file)?, line, column });
                        }
                    }
                }
                Some(_) => {}
            }
            let column = match row.column() {
                ColumnType::LeftEdge => None,
                ColumnType::Column(column) => u32::try_from(column.get()).ok(),
            };
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok());
            last = (!row.end_sequence()).then_some((address, row.file_index(), line, column));
        }
        Some(())
    }

    /// `Some(None)` when there is no such file.
    fn path(&self, unit: &Unit<Slice<'a>>, header: &LineProgramHeader<Slice<'a>>, file: u64) -> Option<Option<String>> {
        let Some(file) = header.file(file) else { return Some(None) };
        let mut parts = vec![unit.comp_dir];
        for part in [file.directory(header), Some(file.path_name())] {
            parts.push(part.and_then(|part| self.dwarf.attr_string(unit, part).ok()));
        }
        let mut path = String::new();
        for part in parts.into_iter().flatten() {
            let part = self.text(part)?;
            // An absolute path needs nothing in front; the directory of version 5 repeats that of the unit.
            if part.starts_with('/') || part.as_bytes().get(1) == Some(&b':') {
                path.clear();
            }
            if !path.is_empty() && !path.ends_with('/') && !part.is_empty() {
                path.push('/');
            }
            path.push_str(&part);
        }
        Some((!path.is_empty()).then_some(path))
    }

    /// Walks all entries of a unit.
    fn find_functions(&self, unit: &Unit<Slice<'a>>, targets: &mut [Target], wanted: &[usize]) -> Option<()> {
        let Ok(mut entries) = unit.entries_raw(None) else { return Some(()) };
        let mut entry = DebuggingInformationEntry::null();
        while !entries.is_empty() {
            let Ok(there) = entries.read_entry(&mut entry) else { break };
            self.budget.spend(1 + entry.attrs().len())?;
            let inlined = entry.tag() == c::DW_TAG_inlined_subroutine;
            if !there || !inlined && entry.tag() != c::DW_TAG_subprogram {
                continue;
            }
            let found = self.within(unit, &entry, targets, wanted)?;
            if found.is_empty() {
                continue;
            }
            let name = self.name(unit, &entry)?;
            let call = if inlined { self.call(unit, &entry)? } else { Location::default() };
            for i in found {
                let functions = &mut targets[i].functions;
                // A function comes before what was inlined into it, and there is one function at an address.
                if inlined != functions.is_empty() && functions.len() < MAX_INLINED {
                    functions.push(Function { name: name.clone(), call: call.clone() });
                }
            }
        }
        Some(())
    }

    /// Where an inlined function was called.
    fn call(&self, unit: &Unit<Slice<'a>>, entry: &DebuggingInformationEntry<Slice<'a>>) -> Option<Location> {
        let file = match value(entry, c::DW_AT_call_file) {
            Some(AttributeValue::FileIndex(file)) => Some(file),
            Some(other) => other.udata_value(),
            None => None,
        };
        let path = match (file, &unit.line_program) {
            (Some(file), Some(program)) => self.path(unit, program.header(), file)?,
            _ => None,
        };
        let number = |name| value(entry, name).and_then(|v| u32::try_from(v.udata_value()?).ok()).filter(|&n| n != 0);
        Some(Location { file: path, line: number(c::DW_AT_call_line), column: number(c::DW_AT_call_column) })
    }

    /// The name of an entry, or of the one that it stands for. `Some(None)` when there is none.
    fn name(&self, unit: &Unit<Slice<'a>>, entry: &DebuggingInformationEntry<Slice<'a>>) -> Option<Option<String>> {
        let mut entry = entry.clone();
        let mut other: Option<Unit<Slice<'a>>> = None;
        for _ in 0..MAX_REFERENCES {
            let here = other.as_ref().unwrap_or(unit);
            if let Some(Ok(name)) = value(&entry, c::DW_AT_name).map(|name| self.dwarf.attr_string(here, name)) {
                return self.text(name).map(Some);
            }
            let reference = value(&entry, c::DW_AT_abstract_origin).or_else(|| value(&entry, c::DW_AT_specification));
            let offset = match reference {
                Some(AttributeValue::UnitRef(offset)) => offset,
                Some(AttributeValue::DebugInfoRef(offset)) => {
                    let Some((unit, offset)) = self.unit_at(offset)? else { return Some(None) };
                    other = Some(unit);
                    offset
                }
                _ => return Some(None),
            };
            let Ok(next) = other.as_ref().unwrap_or(unit).entry(offset) else { return Some(None) };
            self.budget.spend(1 + next.attrs().len())?;
            entry = next;
        }
        Some(None)
    }

    /// The unit that an offset in the whole section lies in. `Some(None)` when there is none.
    fn unit_at(&self, offset: DebugInfoOffset) -> Option<Option<(Unit<Slice<'a>>, UnitOffset)>> {
        let mut headers = self.dwarf.units();
        while let Ok(Some(header)) = headers.next() {
            self.budget.spend(1)?;
            if let Some(offset) = offset.to_unit_offset(&header) {
                return Some(self.unit(header)?.map(|unit| (unit, offset)));
            }
        }
        Some(None)
    }

    /// A guest's string, shortened if need be.
    fn text(&self, bytes: Slice<'a>) -> Option<String> {
        self.budget.spend(bytes.len())?;
        let bytes = bytes.slice();
        Some(String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME_BYTES)]).into_owned())
    }
}

fn value<'a>(entry: &DebuggingInformationEntry<Slice<'a>>, name: gimli::DwAt) -> Option<AttributeValue<Slice<'a>>> {
    entry.attrs().iter().find(|attribute| attribute.name() == name).map(|attribute| attribute.value())
}

/// Length of a table of abbreviations; `None` when it does not end.
fn abbreviation_bytes(table: &[u8]) -> Option<usize> {
    let mut rest = EndianSlice::new(table, LittleEndian);
    while rest.read_uleb128().ok()? != 0 {
        let (_tag, _children) = (rest.read_uleb128().ok()?, rest.read_u8().ok()?);
        loop {
            let (name, form) = (rest.read_uleb128().ok()?, rest.read_uleb128().ok()?);
            if (name, form) == (0, 0) {
                break;
            }
            if form == u64::from(c::DW_FORM_implicit_const.0) {
                rest.read_sleb128().ok()?;
            }
        }
    }
    Some(table.len() - rest.len())
}

/// Length of a line program's header; `None` when there is none.
fn line_header_bytes(lines: &[u8], offset: usize) -> Option<usize> {
    let mut rest = EndianSlice::new(lines.get(offset..)?, LittleEndian);
    let (_length, format) = rest.read_initial_length().ok()?;
    if rest.read_u16().ok()? >= 5 {
        rest.read_u16().ok()?;
    }
    Some(rest.read_length(format).ok()?.min(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sections of a module of two files, by hand: `outer` (0x10..0x40) holds `inlined` (0x20..0x30), whose name lies in
    /// another unit; `dropped` starts at 0.
    struct Sections {
        abbrev: Vec<u8>,
        info: Vec<u8>,
        line: Vec<u8>,
        ranges: Vec<u8>,
    }

    fn leb(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    /// A unit or a line program, with its length in front.
    fn sized(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_le_bytes(), body].concat()
    }

    fn abbreviation(
        code: u8,
        tag: gimli::DwTag,
        children: bool,
        attributes: &[(gimli::DwAt, gimli::DwForm)],
    ) -> Vec<u8> {
        let mut out = [leb(code.into()), leb(tag.0.into()), vec![children.into()]].concat();
        for (name, form) in attributes {
            out.extend([leb(name.0.into()), leb(form.0.into())].concat());
        }
        out.extend([0, 0]);
        out
    }

    fn sections() -> Sections {
        let abbrev = [
            abbreviation(
                1,
                c::DW_TAG_compile_unit,
                true,
                &[
                    (c::DW_AT_comp_dir, c::DW_FORM_string),
                    (c::DW_AT_stmt_list, c::DW_FORM_sec_offset),
                    (c::DW_AT_low_pc, c::DW_FORM_addr),
                    (c::DW_AT_ranges, c::DW_FORM_sec_offset),
                ],
            ),
            abbreviation(
                2,
                c::DW_TAG_subprogram,
                true,
                &[
                    (c::DW_AT_name, c::DW_FORM_string),
                    (c::DW_AT_low_pc, c::DW_FORM_addr),
                    (c::DW_AT_high_pc, c::DW_FORM_data4),
                ],
            ),
            abbreviation(
                3,
                c::DW_TAG_inlined_subroutine,
                false,
                &[
                    (c::DW_AT_abstract_origin, c::DW_FORM_ref_addr),
                    (c::DW_AT_low_pc, c::DW_FORM_addr),
                    (c::DW_AT_high_pc, c::DW_FORM_data4),
                    (c::DW_AT_call_file, c::DW_FORM_data1),
                    (c::DW_AT_call_line, c::DW_FORM_data1),
                    (c::DW_AT_call_column, c::DW_FORM_data1),
                ],
            ),
            abbreviation(4, c::DW_TAG_compile_unit, true, &[]),
            abbreviation(5, c::DW_TAG_subprogram, false, &[(c::DW_AT_name, c::DW_FORM_string)]),
            vec![0],
        ]
        .concat();
        let word = |n: u32| n.to_le_bytes().to_vec();
        let header = [&4u16.to_le_bytes()[..], &word(0), &[4]].concat();
        let other = sized(&[&header[..], &[4, 5], b"inlined\0", &[0]].concat());
        let inlined_at = 11 + 1;
        let function = |name: &[u8], low, len| [&[2], name, &[0], &word(low), &word(len)].concat();
        let unit = sized(
            &[
                header,
                [&[1], &b"/src\0"[..], &word(0), &word(0), &word(0)].concat(),
                function(b"dropped", 0, 0x100),
                vec![0],
                function(b"outer", 0x10, 0x30),
                [&[3], &word(inlined_at)[..], &word(0x20), &word(0x10), &[1, 7, 3]].concat(),
                vec![0, 0],
            ]
            .concat(),
        );
        let files = [&b"lib\0\0"[..], b"main.c\0\0\0\0", b"tiny.h\0\x01\0\0", b"\0"].concat();
        let opcode_lengths = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
        let head = [&[1, 1, 1, 0xfb, 14, 13], &opcode_lengths[..], &files].concat();
        // (address, file, line, column)
        let mut program = Vec::new();
        for (end, rows) in
            [(0x100, &[(0x01, 1, 1, 1)][..]), (0x40, &[(0x10, 1, 5, 2), (0x20, 2, 90, 4), (0x30, 1, 8, 0)])]
        {
            let start = if end == 0x100 { 0 } else { rows[0].0 };
            program.extend([&[0, 5, c::DW_LNE_set_address.0], &word(start)[..], &[c::DW_LNS_copy.0]].concat());
            let (mut address, mut line) = (start, 1i32);
            for &(to, file, at, column) in rows {
                program.extend([&[c::DW_LNS_advance_pc.0][..], &leb((to - address).into())].concat());
                program.extend([c::DW_LNS_set_file.0, file, c::DW_LNS_set_column.0, column]);
                program.extend([c::DW_LNS_advance_line.0]);
                // As a signed LEB128 of two bytes.
                let delta = (at - line) as u16 & 0x3fff;
                program.extend([delta as u8 & 0x7f | 0x80, (delta >> 7) as u8 & 0x7f]);
                program.push(c::DW_LNS_copy.0);
                (address, line) = (to, at);
            }
            program.extend([&[c::DW_LNS_advance_pc.0][..], &leb((end - address).into()), &[0, 1, 1]].concat());
        }
        let line = sized(&[&4u16.to_le_bytes()[..], &(head.len() as u32).to_le_bytes(), &head, &program].concat());
        let ranges = [word(0x10), word(0x40), word(0), word(0)].concat();
        Sections { abbrev, info: [other, unit].concat(), line, ranges }
    }

    impl Sections {
        fn find(&self, addresses: &[u64]) -> Vec<Vec<FrameSymbol>> {
            let section = |name: &str| match name {
                ".debug_abbrev" => Some(&self.abbrev[..]),
                ".debug_info" => Some(&self.info[..]),
                ".debug_line" => Some(&self.line[..]),
                ".debug_ranges" => Some(&self.ranges[..]),
                _ => None,
            };
            find(section, addresses)
        }

        fn parts(&mut self) -> [&mut Vec<u8>; 4] {
            [&mut self.abbrev, &mut self.info, &mut self.line, &mut self.ranges]
        }
    }

    fn symbol(name: &str, file: &str, line: u32, column: u32) -> FrameSymbol {
        FrameSymbol {
            name: Some(name.into()),
            file: Some(file.into()),
            line: Some(line),
            column: (column != 0).then_some(column),
        }
    }

    #[test]
    fn addresses_become_places_with_what_was_inlined_there() {
        let found = sections().find(&[0x3f, 0x10, 0x20, 0x2f, 0x0f, 0x40, u64::MAX]);
        assert_eq!(found[0], [symbol("outer", "/src/main.c", 8, 0)]);
        assert_eq!(found[1], [symbol("outer", "/src/main.c", 5, 2)]);
        let both = [symbol("inlined", "/src/lib/tiny.h", 90, 4), symbol("outer", "/src/main.c", 7, 3)];
        assert_eq!(found[2], both);
        assert_eq!(found[3], both);
        assert!(found[4..].iter().all(Vec::is_empty), "{found:?}");
    }

    #[test]
    fn a_unit_need_not_say_what_it_covers() {
        let mut silent = sections();
        let at = silent.abbrev.windows(2).position(|w| w == [c::DW_AT_ranges.0 as u8, c::DW_FORM_sec_offset.0 as u8]);
        silent.abbrev[at.unwrap()] = c::DW_AT_macros.0 as u8;
        assert_eq!(silent.find(&[0x10, 0x20, 0x50]), sections().find(&[0x10, 0x20, 0x50]));
        assert_eq!(silent.find(&[0x20])[0].len(), 2);
    }

    #[test]
    fn missing_sections_leave_out_what_they_hold() {
        let none = |change: fn(&mut Sections)| {
            let mut sections = sections();
            change(&mut sections);
            sections.find(&[0x20])
        };
        assert_eq!(none(|s| s.abbrev.clear()), [[]]);
        assert_eq!(none(|s| s.info.clear()), [[]]);
        assert_eq!(none(|s| s.ranges.clear()), [[]]);
        assert_eq!(sections().find(&[]), [[]; 0]);
    }

    #[test]
    fn damaged_dwarf_is_read_without_panic() {
        // Every byte of every section in turn takes several values, and every section ends at every place.
        for part in 0..4 {
            let len = sections().parts()[part].len();
            for at in 0..len {
                for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                    let mut damaged = sections();
                    damaged.parts()[part][at] = value;
                    assert_eq!(damaged.find(&[0x20, 0x3f]).len(), 2);
                }
                for bit in 0..8 {
                    let mut damaged = sections();
                    damaged.parts()[part][at] ^= 1 << bit;
                    damaged.find(&[0x20, 0x3f]);
                }
                let mut damaged = sections();
                damaged.parts()[part].truncate(at);
                damaged.find(&[0x20, 0x3f]);
            }
        }
    }

    #[test]
    fn a_little_dwarf_cannot_ask_for_a_lot_of_work() {
        let start = std::time::Instant::now();
        // Thousands of functions that all have the same long list of ranges.
        let mut many = sections();
        let ranges = abbreviation(6, c::DW_TAG_subprogram, false, &[(c::DW_AT_ranges, c::DW_FORM_sec_offset)]);
        many.abbrev.splice(many.abbrev.len() - 1.., [&ranges[..], &[0]].concat());
        let entries = [6, 0, 0, 0, 0].repeat(100_000);
        let body = [&4u16.to_le_bytes()[..], &[0; 4], &[4, 1], b"/src\0", &[0; 4], &[0; 4], &[0; 4], &entries].concat();
        many.info = sized(&body);
        many.ranges = [&0x10u32.to_le_bytes()[..], &0x40u32.to_le_bytes()].concat().repeat(100_000);
        assert_eq!(many.find(&[0x20]).len(), 1);

        // Inlined functions within each other, as deep as one likes.
        let mut deep = sections();
        let nested = abbreviation(
            6,
            c::DW_TAG_inlined_subroutine,
            true,
            &[(c::DW_AT_low_pc, c::DW_FORM_addr), (c::DW_AT_high_pc, c::DW_FORM_data1)],
        );
        deep.abbrev.splice(deep.abbrev.len() - 1.., [&nested[..], &[0]].concat());
        let function = [&[2][..], b"f\0", &0x10u32.to_le_bytes(), &0x30u32.to_le_bytes()].concat();
        let entries = [6, 0x10, 0, 0, 0, 0x30].repeat(200_000);
        let root = [&[1], &b"/src\0"[..], &[0; 12]].concat();
        deep.info = sized(&[&4u16.to_le_bytes()[..], &[0; 4], &[4], &root, &function, &entries].concat());
        assert_eq!(deep.find(&[0x20])[0].len(), MAX_INLINED);

        // Units that all have the same large table of abbreviations, and the same line program.
        let mut units = sections();
        let more: Vec<u8> = (6..=90).flat_map(|code| abbreviation(code, c::DW_TAG_variable, false, &[])).collect();
        units.abbrev.splice(units.abbrev.len() - 1.., [&more[..], &[0]].concat());
        units.info = sections().info.repeat(20_000);
        assert_eq!(units.find(&[0x20]).len(), 1);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }
}
