//! `instar inspect`: what a module imports, exports and declares, and how large its parts are; for people or as JSON.

use std::io::Write;

use instar::{ExternType, GlobalType, MemoryType, Module, ModuleSummary, TableType};
use serde::Serialize;
use wasmparser::{Parser, Payload};

use crate::args::InspectArgs;
use crate::artifact;
use crate::failure::Result;
use crate::input::{Format, Input};
use crate::load;
use crate::output::{HEADING, Output};
use crate::text;

/// All there is to say about a module. The JSON output has these fields.
#[derive(Debug, Serialize)]
struct Inspection {
    file: String,
    format: &'static str,
    name: Option<String>,
    imports: Vec<Import>,
    exports: Vec<Export>,
    functions: Functions,
    start: Option<u32>,
    memories: Vec<Memory>,
    tables: Vec<Table>,
    globals: Vec<Global>,
    data: Data,
    elements: Elements,
    sizes: Sizes,
    /// Custom sections of a module that is not compiled yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    custom_sections: Vec<CustomSection>,
}

#[derive(Debug, Serialize)]
struct Import {
    module: String,
    name: String,
    #[serde(flatten)]
    ty: Type,
}

#[derive(Debug, Serialize)]
struct Export {
    name: String,
    #[serde(flatten)]
    ty: Type,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Type {
    Function { params: Vec<String>, results: Vec<String> },
    Memory(Memory),
    Table(Table),
    Global(Global),
}

#[derive(Debug, Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    imported: bool,
    /// In pages.
    minimum: u64,
    maximum: Option<u64>,
    /// In bytes.
    page_size: u64,
    memory64: bool,
    shared: bool,
}

#[derive(Debug, Serialize)]
struct Table {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    imported: bool,
    element: String,
    minimum: u64,
    maximum: Option<u64>,
    table64: bool,
}

#[derive(Debug, Serialize)]
struct Global {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    imported: bool,
    #[serde(rename = "type")]
    content: String,
    mutable: bool,
}

#[derive(Debug, Serialize)]
struct Functions {
    imported: usize,
    defined: usize,
}

#[derive(Debug, Serialize)]
struct Data {
    /// As far as the file still has them: a compiled module knows those only that are not in its images.
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<usize>,
    /// In all segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    /// Segments that are applied by each instance or by instructions.
    segments_outside_image: usize,
    /// Bytes in those.
    outside_image: usize,
}

#[derive(Debug, Serialize)]
struct Elements {
    segments: usize,
    elements: usize,
}

/// In bytes.
#[derive(Debug, Serialize)]
struct Sizes {
    /// The module in the binary format.
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm: Option<usize>,
    /// Its code section.
    #[serde(skip_serializing_if = "Option::is_none")]
    wasm_code: Option<usize>,
    /// Machine code of its functions.
    machine_code: usize,
    /// Initial contents of its memories, in whole pages of the host.
    image: usize,
}

#[derive(Debug, Serialize)]
struct CustomSection {
    name: String,
    bytes: usize,
}

/// Inspects a module.
pub fn inspect(args: &InspectArgs) -> Result<u8> {
    let input = Input::read(&args.file)?;
    let engine = args.engine.engine()?;
    let module = match args.verify {
        true => artifact::verify(&engine, &input)?,
        false => load::module(&engine, &input)?,
    };
    let inspection = Inspection::new(&module, &input)?;
    let mut out = Output::new();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &inspection).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        inspection.print(&mut out)?;
    }
    out.finish()?;
    Ok(0)
}

impl Inspection {
    fn new(module: &Module, input: &Input) -> Result<Self> {
        let ModuleSummary {
            imported_functions,
            defined_functions,
            memories,
            imported_memories,
            tables,
            imported_tables,
            globals,
            imported_globals,
            start,
            data_segments,
            data_bytes,
            element_segments,
            elements,
            image_bytes,
            code_bytes,
            ..
        } = module.summary();
        let (mut wasm, mut wasm_code, mut wasm_data, mut custom_sections) = (None, None, (None, None), Vec::new());
        if input.format() != Format::Artifact {
            let bytes = input.wasm()?;
            wasm = Some(bytes.len());
            (wasm_code, wasm_data) = (Some(0), (Some(0), Some(0)));
            // The module has been validated: what cannot be parsed is not in it.
            for payload in Parser::new(0).parse_all(&bytes).map_while(|p| p.ok()) {
                match payload {
                    Payload::CodeSectionStart { range, .. } => wasm_code = Some(range.len()),
                    Payload::DataSection(section) => {
                        let segments = section.count() as usize;
                        let lengths = section.into_iter().map_while(|s| s.ok()).map(|s| s.data.len());
                        wasm_data = (Some(segments), Some(lengths.sum()));
                    }
                    Payload::CustomSection(section) => custom_sections
                        .push(CustomSection { name: section.name().to_string(), bytes: section.data().len() }),
                    _ => {}
                }
            }
        }
        Ok(Inspection {
            file: input.path().to_string_lossy().into_owned(),
            format: match input.format() {
                Format::Wasm => "wasm",
                Format::Text => "wat",
                Format::Artifact => "cwasm",
            },
            name: module.name().map(String::from),
            imports: module
                .imports()
                .map(|i| Import { module: i.module.into(), name: i.name.into(), ty: Type::new(&i.ty) })
                .collect(),
            exports: module.exports().map(|e| Export { name: e.name.into(), ty: Type::new(&e.ty) }).collect(),
            functions: Functions { imported: imported_functions, defined: defined_functions },
            start,
            memories: memories.iter().enumerate().map(|(i, m)| Memory::new(m, i < imported_memories)).collect(),
            tables: tables.iter().enumerate().map(|(i, t)| Table::new(t, i < imported_tables)).collect(),
            globals: globals.iter().enumerate().map(|(i, g)| Global::new(g, i < imported_globals)).collect(),
            data: Data {
                segments: wasm_data.0,
                bytes: wasm_data.1,
                segments_outside_image: data_segments,
                outside_image: data_bytes,
            },
            elements: Elements { segments: element_segments, elements },
            sizes: Sizes { wasm, wasm_code, machine_code: code_bytes, image: image_bytes },
            custom_sections,
        })
    }
}

impl Type {
    fn new(ty: &ExternType) -> Self {
        match ty {
            ExternType::Func(ty) => Type::Function {
                params: ty.params().iter().map(ToString::to_string).collect(),
                results: ty.results().iter().map(ToString::to_string).collect(),
            },
            ExternType::Memory(ty) => Type::Memory(Memory::new(ty, false)),
            ExternType::Table(ty) => Type::Table(Table::new(ty, false)),
            ExternType::Global(ty) => Type::Global(Global::new(ty, false)),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Type::Function { .. } => "function",
            Type::Memory(_) => "memory",
            Type::Table(_) => "table",
            Type::Global(_) => "global",
        }
    }

    fn text(&self) -> String {
        match self {
            Type::Function { params, results } => format!("({}) -> ({})", params.join(", "), results.join(", ")),
            Type::Memory(ty) => ty.text(),
            Type::Table(ty) => ty.text(),
            Type::Global(ty) => ty.text(),
        }
    }
}

impl Memory {
    fn new(ty: &MemoryType, imported: bool) -> Self {
        Memory {
            imported,
            minimum: ty.minimum,
            maximum: ty.maximum,
            page_size: ty.page_size(),
            memory64: ty.memory64,
            shared: ty.shared,
        }
    }

    fn text(&self) -> String {
        let mut text = limits(self.minimum, self.maximum, "page");
        if self.page_size != 65_536 {
            text += &format!(" of {}", text::count(self.page_size as usize, "byte"));
        }
        if self.memory64 {
            text += ", 64-bit";
        }
        if self.shared {
            text += ", shared";
        }
        text
    }
}

impl Table {
    fn new(ty: &TableType, imported: bool) -> Self {
        let (minimum, maximum) = (ty.minimum, ty.maximum);
        Table { imported, element: ty.element.to_string(), minimum, maximum, table64: ty.table64 }
    }

    fn text(&self) -> String {
        let wide = if self.table64 { ", 64-bit" } else { "" };
        format!("{}, {}{wide}", self.element, limits(self.minimum, self.maximum, "element"))
    }
}

impl Global {
    fn new(ty: &GlobalType, imported: bool) -> Self {
        Global { imported, content: ty.content.to_string(), mutable: ty.mutable }
    }

    fn text(&self) -> String {
        format!("{}{}", if self.mutable { "mutable " } else { "" }, self.content)
    }
}

impl Data {
    fn text(&self) -> String {
        match (self.segments, self.bytes, self.segments_outside_image) {
            (Some(0), ..) => "none".to_string(),
            (Some(segments), Some(bytes), _) => of(bytes, "byte", segments),
            (_, _, 0) => "none outside the image".to_string(),
            (_, _, segments) => format!("{} outside the image", of(self.outside_image, "byte", segments)),
        }
    }
}

fn limits(minimum: u64, maximum: Option<u64>, unit: &str) -> String {
    let minimum = text::count(minimum as usize, unit);
    match maximum {
        Some(maximum) => format!("{minimum}, at most {}", text::grouped(maximum as usize)),
        None => minimum,
    }
}

/// Names longer than this do not widen the column for all others.
const WIDEST_NAME: usize = 60;

/// Writes rows with aligned columns, indented.
fn rows(out: &mut Output, rows: &[[String; 3]]) -> Result<()> {
    let width =
        |column: usize| rows.iter().map(|r| r[column].chars().count()).filter(|w| *w <= WIDEST_NAME).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [a, b, c] in rows {
        writeln!(out, "{}", format!("  {a:first$}  {b:second$}  {c}").trim_end())?;
    }
    Ok(())
}

impl Inspection {
    fn print(&self, out: &mut Output) -> Result<()> {
        let name = self.name.as_deref().map(|n| format!(" `{}`", text::printable(n))).unwrap_or_default();
        let what = match self.format {
            "wasm" => "module",
            "wat" => "module in the text format",
            _ => "compiled module",
        };
        writeln!(out, "{}: {what}{name}", text::name(&self.file))?;

        self.heading(out, "imports", self.imports.len())?;
        let row = |i: &Import| {
            [format!("{}.{}", text::name(&i.module), text::name(&i.name)), i.ty.kind().into(), i.ty.text()]
        };
        rows(out, &self.imports.iter().map(row).collect::<Vec<_>>())?;

        self.heading(out, "exports", self.exports.len())?;
        let row = |e: &Export| [text::name(&e.name).into_owned(), e.ty.kind().into(), e.ty.text()];
        rows(out, &self.exports.iter().map(row).collect::<Vec<_>>())?;

        self.heading(out, "memories", self.memories.len())?;
        let origin = |imported: bool| if imported { "imported" } else { "" }.to_string();
        let row = |(i, m): (usize, &Memory)| [i.to_string(), m.text(), origin(m.imported)];
        rows(out, &self.memories.iter().enumerate().map(row).collect::<Vec<_>>())?;

        self.heading(out, "tables", self.tables.len())?;
        let row = |(i, t): (usize, &Table)| [i.to_string(), t.text(), origin(t.imported)];
        rows(out, &self.tables.iter().enumerate().map(row).collect::<Vec<_>>())?;

        writeln!(out)?;
        let imported_globals = self.globals.iter().filter(|g| g.imported).count();
        let own = |imported: usize, all: usize| {
            format!("{} imported, {} defined", text::grouped(imported), text::grouped(all - imported))
        };
        let mut facts = vec![
            ("functions", own(self.functions.imported, self.functions.imported + self.functions.defined)),
            ("globals", own(imported_globals, self.globals.len())),
        ];
        if let Some(start) = self.start {
            facts.push(("start", format!("function {start}")));
        }
        facts.push(("data", self.data.text()));
        facts.push(("elements", of(self.elements.elements, "element", self.elements.segments)));
        facts.push(("image", text::count(self.sizes.image, "byte")));
        facts.push(("machine code", text::count(self.sizes.machine_code, "byte")));
        if let (Some(wasm), Some(code)) = (self.sizes.wasm, self.sizes.wasm_code) {
            facts.push(("WebAssembly", format!("{}, {} of them code", text::count(wasm, "byte"), text::grouped(code))));
        }
        for (label, fact) in facts {
            writeln!(out, "{}  {fact}", out.paint(HEADING, format_args!("{label:12}")))?;
        }

        if !self.custom_sections.is_empty() {
            self.heading(out, "custom sections", self.custom_sections.len())?;
            let row =
                |s: &CustomSection| [text::name(&s.name).into_owned(), text::count(s.bytes, "byte"), String::new()];
            rows(out, &self.custom_sections.iter().map(row).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn heading(&self, out: &mut Output, title: &str, count: usize) -> Result<()> {
        let heading = out.paint(HEADING, title);
        let count = if count == 0 { "none".to_string() } else { text::grouped(count) };
        Ok(writeln!(out, "\n{heading}: {count}")?)
    }
}

fn of(count: usize, unit: &str, segments: usize) -> String {
    match segments {
        0 => "none".to_string(),
        _ => format!("{} in {}", text::count(count, unit), text::count(segments, "segment")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_say_what_is_unusual_about_them() {
        let mut memory = MemoryType::new(1, None);
        assert_eq!(Memory::new(&memory, false).text(), "1 page");
        memory.memory64 = true;
        memory.maximum = Some(2000);
        assert_eq!(Memory::new(&memory, false).text(), "1 page, at most 2 000, 64-bit");
        memory.shared = true;
        memory.page_size_log2 = 0;
        assert_eq!(Memory::new(&memory, false).text(), "1 page, at most 2 000 of 1 byte, 64-bit, shared");
        let mut table = TableType::new(instar::RefType::EXTERNREF, 2, Some(3));
        table.table64 = true;
        assert_eq!(Table::new(&table, false).text(), "externref, 2 elements, at most 3, 64-bit");
    }
}
