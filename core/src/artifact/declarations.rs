//! The declarations of a module in an artifact: types, imports, exports, memories, tables, globals, segments and the plan
//! of its image. They are few, so they are decoded when a module is loaded; what there can be thousands of lies in tables
//! that are read in place.
//!
//! Numbers are LEB128, lists start with their length, optional numbers with whether they are there. Each part is written by
//! a method of [`Encoder`] and read by the method of that name of [`Decoder`].
//!
//! Invariant of what [`decode`] returns: every index that is not in a table lies within its list, constant expressions leave
//! one value, ranges lie within their sections. Decoding allocates no more than in proportion to the bytes there are.

use std::ops::Range;

use super::format::{Artifact, Section};
use super::image::{Extent, ImagePlan, MemoryContents};
use super::info::{
    ConstExpr, ConstOp, DataSegment, ElementSegment, Elements, EntityIndex, Export, FuncType, GlobalDecl, GlobalType,
    HeapType, Import, MemoryType, ModuleInfo, RefType, SegmentMode, TableDecl, TableType, ValType,
};
use super::words::{Blob, FunctionNames, Words};
use crate::error::{Error, Result, error};

/// Where the lists of segments lie, in words or bytes.
pub struct Places {
    pub elements: Vec<Range<usize>>,
    /// Indices of the data segments that an artifact keeps, ascending.
    pub kept: Vec<u32>,
    /// Of those that it keeps.
    pub data: Vec<Range<usize>>,
}

fn damaged(what: &str) -> Error {
    error!(Artifact, "the artifact is damaged: its declarations have {what}")
}

// ---- writing ----

#[cfg(feature = "compile")]
#[derive(Default)]
struct Encoder(Vec<u8>);

/// The declarations of a module whose segments lie at `places`.
#[cfg(feature = "compile")]
pub fn encode(info: &ModuleInfo, plan: &ImagePlan, places: &Places) -> Vec<u8> {
    let mut e = Encoder::default();
    e.flag(info.name.is_some());
    e.text(info.name.as_deref().unwrap_or_default());
    e.list(&info.types, |e, ty| {
        e.list(ty.params(), |e, &t| e.val_type(t));
        e.list(ty.results(), |e, &t| e.val_type(t));
    });
    e.number(info.functions.len() as u64);
    e.list(&info.imports, |e, import| {
        e.text(&import.module);
        e.text(&import.name);
        e.entity(import.entity);
    });
    e.list(&info.memories, |e, ty| e.memory_type(ty));
    e.list(&info.tables, |e, table| {
        e.table_type(&table.ty);
        e.optional_expression(table.init.as_ref());
    });
    e.list(&info.globals, |e, global| {
        e.val_type(global.ty.content);
        e.flag(global.ty.mutable);
        e.optional_expression(global.init.as_ref());
    });
    e.list(&info.exports, |e, export| {
        e.text(&export.name);
        e.entity(export.entity);
    });
    e.optional(info.start.map(u64::from));
    e.number(info.code_section_start.into());
    e.list(&places.kept, |e, &index| {
        e.number(index.into());
        e.mode(&info.data_segments[index as usize].mode);
    });
    e.list(&places.data, |e, range| e.range(range));
    e.list(&info.element_segments, |e, segment| {
        e.mode(&segment.mode);
        match &segment.elements {
            Elements::Functions(_) => e.flag(false),
            Elements::Expressions(list) => {
                e.flag(true);
                e.list(list, |e, expression| e.expression(expression));
            }
        }
    });
    e.list(&places.elements, |e, range| e.range(range));
    e.list(&info.debug_sections, |e, (name, _)| e.text(name));
    e.plan(plan);
    e.0
}

#[cfg(feature = "compile")]
impl Encoder {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn flag(&mut self, flag: bool) {
        self.number(flag.into());
    }

    fn optional(&mut self, value: Option<u64>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.number(value);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, list: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.number(list.len() as u64);
        for value in list {
            item(self, value);
        }
    }

    fn range(&mut self, range: &Range<usize>) {
        self.number(range.start as u64);
        self.number(range.len() as u64);
    }

    fn val_type(&mut self, ty: ValType) {
        let code = match ty {
            ValType::I32 => 0,
            ValType::I64 => 1,
            ValType::F32 => 2,
            ValType::F64 => 3,
            ValType::V128 => 4,
            ValType::Ref(ty) => return self.ref_type(ty),
        };
        self.number(code);
    }

    fn ref_type(&mut self, ty: RefType) {
        self.number(5 + u64::from(ty.nullable));
        self.number(match ty.heap {
            HeapType::Func => 0,
            HeapType::Extern => 1,
            HeapType::Concrete(index) => 2 + u64::from(index),
        });
    }

    fn memory_type(&mut self, ty: &MemoryType) {
        self.number(ty.minimum);
        self.optional(ty.maximum);
        self.flag(ty.memory64);
        self.flag(ty.shared);
        self.number(ty.page_size_log2.into());
    }

    fn table_type(&mut self, ty: &TableType) {
        self.ref_type(ty.element);
        self.number(ty.minimum);
        self.optional(ty.maximum);
        self.flag(ty.table64);
    }

    fn entity(&mut self, entity: EntityIndex) {
        let (kind, index) = match entity {
            EntityIndex::Func(i) => (0, i),
            EntityIndex::Table(i) => (1, i),
            EntityIndex::Memory(i) => (2, i),
            EntityIndex::Global(i) => (3, i),
        };
        self.number(kind);
        self.number(index.into());
    }

    fn mode(&mut self, mode: &SegmentMode) {
        match mode {
            SegmentMode::Passive => self.number(0),
            SegmentMode::Declared => self.number(1),
            SegmentMode::Active { target, offset } => {
                self.number(2);
                self.number((*target).into());
                self.expression(offset);
            }
        }
    }

    fn optional_expression(&mut self, expression: Option<&ConstExpr>) {
        self.expression(expression.map_or(&[], |e| e));
    }

    fn expression(&mut self, expression: &[ConstOp]) {
        self.list(expression, |e, op| match *op {
            ConstOp::Bits(bits) => {
                e.number(0);
                e.number(bits);
            }
            ConstOp::Vector(bits) => {
                e.number(1);
                e.number(bits as u64);
                e.number((bits >> 64) as u64);
            }
            ConstOp::GlobalGet(index) => {
                e.number(2);
                e.number(index.into());
            }
            ConstOp::RefFunc(index) => {
                e.number(3);
                e.number(index.into());
            }
            ConstOp::I32Add => e.number(4),
            ConstOp::I32Sub => e.number(5),
            ConstOp::I32Mul => e.number(6),
            ConstOp::I64Add => e.number(7),
            ConstOp::I64Sub => e.number(8),
            ConstOp::I64Mul => e.number(9),
        });
    }

    fn plan(&mut self, plan: &ImagePlan) {
        self.list(&plan.memories, |e, memory| match memory {
            MemoryContents::Zero => e.number(0),
            MemoryContents::Extents(extents) => {
                e.number(1);
                e.list(extents, |e, extent| {
                    e.range(&extent.at);
                    e.number(extent.offset as u64);
                });
            }
            MemoryContents::Segments => e.number(2),
        });
        self.flag(plan.depends_on_imports);
    }
}

// ---- reading ----

struct Decoder<'a>(&'a [u8]);

/// The declarations of an artifact, and the plan of its image. Lists of any length are left where they are.
///
/// # Errors
///
/// `Artifact` when the invariant above does not hold.
pub fn decode(artifact: &Artifact) -> Result<(ModuleInfo, ImagePlan)> {
    let section = artifact.section(Section::Info)?;
    let mut d = Decoder(section.as_slice());
    let mut info = ModuleInfo { functions: artifact.words(Section::Types, 1)?, ..ModuleInfo::default() };
    let named = d.flag()?;
    let name = d.text()?;
    info.name = named.then_some(name);
    let mut values = Vec::new();
    info.types = d.list(|d| {
        values.clear();
        d.extend(&mut values, |d| d.val_type())?;
        let params = values.len();
        d.extend(&mut values, |d| d.val_type())?;
        Ok(FuncType::of_list(&values, params))
    })?;
    if d.number()? != info.functions.len() as u64 {
        return Err(damaged("another number of functions than its table"));
    }
    info.imports = d.list(|d| Ok(Import { module: d.text()?, name: d.text()?, entity: d.entity()? }))?;
    info.memories = d.list(|d| d.memory_type())?;
    info.tables = d.list(|d| Ok(TableDecl { ty: d.table_type()?, init: d.optional_expression()? }))?;
    info.globals = d.list(|d| {
        let ty = GlobalType { content: d.val_type()?, mutable: d.flag()? };
        Ok(GlobalDecl { ty, init: d.optional_expression()? })
    })?;
    info.exports = d.list(|d| Ok(Export { name: d.text()?, entity: d.entity()? }))?;
    info.start = d.optional()?.map(|i| d.index(i)).transpose()?;
    let start = d.number()?;
    info.code_section_start = d.index(start)?;

    info.data = Blob::InPlace(artifact.section(Section::Data)?);
    let kept = d.list(|d| {
        let index = d.number()?;
        Ok((d.index(index)?, d.mode()?))
    })?;
    let ranges = d.list(|d| d.range(info.data.len()))?;
    info.data_indices = kept.iter().map(|&(index, _)| index).collect();
    if !info.data_indices.is_sorted_by(|a, b| a < b) {
        return Err(damaged("data segments out of order"));
    }
    info.data_segments = zip(kept, ranges)?.map(|((_, mode), bytes)| DataSegment { mode, bytes }).collect();

    let words = artifact.section(Section::Elements)?;
    let segments = d.list(|d| {
        let mode = d.mode()?;
        let expressions = if d.flag()? { Some(d.list(|d| d.expression())?) } else { None };
        Ok((mode, expressions))
    })?;
    let ranges = d.list(|d| d.range(words.as_slice().len() / 4))?;
    for ((mode, expressions), range) in zip(segments, ranges)? {
        let elements = match expressions {
            Some(list) => Elements::Expressions(list.into()),
            None => {
                let words = words.part(range.start * 4..range.end * 4)?;
                Elements::Functions(Words::in_place(words, 1, "an element segment")?)
            }
        };
        info.element_segments.push(ElementSegment { mode, elements });
    }
    for (i, name) in d.list(|d| d.text())?.into_iter().enumerate() {
        info.debug_sections.push((name, Blob::InPlace(artifact.debug_section(i)?)));
    }
    info.escaped_functions = artifact.words(Section::Escaped, 1)?;
    info.export_order = artifact.words(Section::ExportOrder, 1)?;
    info.function_names = FunctionNames {
        table: artifact.words(Section::Names, 3)?,
        text: Blob::InPlace(artifact.section(Section::Strings)?),
    };
    count_imports(&mut info)?;
    check(&info)?;
    let plan = d.plan(&info, artifact.section(Section::Image)?.as_slice().len())?;
    if !d.0.is_empty() {
        return Err(damaged("bytes after their end"));
    }
    Ok((info, plan))
}

fn zip<A, B>(a: Vec<A>, b: Vec<B>) -> Result<impl Iterator<Item = (A, B)>> {
    if a.len() != b.len() {
        return Err(damaged("segments without a place"));
    }
    Ok(a.into_iter().zip(b))
}

/// Counts the imports of each kind, and checks that they are numbered as they come.
fn count_imports(info: &mut ModuleInfo) -> Result<()> {
    let (mut functions, mut memories, mut tables, mut globals) = (0, 0, 0, 0);
    for import in &info.imports {
        let (index, count) = match import.entity {
            EntityIndex::Func(i) => (i, &mut functions),
            EntityIndex::Memory(i) => (i, &mut memories),
            EntityIndex::Table(i) => (i, &mut tables),
            EntityIndex::Global(i) => (i, &mut globals),
        };
        if index != *count {
            return Err(damaged("imports out of order"));
        }
        *count += 1;
    }
    info.imported_functions = functions;
    info.imported_memories = memories;
    info.imported_tables = tables;
    info.imported_globals = globals;
    Ok(())
}

/// Most items of a list: what validators of WebAssembly allow. It bounds the size of a context.
const MAX_ITEMS: usize = 1_000_000;

/// Checks all counts, and all indices but those in tables.
fn check(info: &ModuleInfo) -> Result<()> {
    let counts = [info.types.len(), info.imports.len(), info.functions.len(), info.memories.len(), info.tables.len()];
    if counts.into_iter().chain([info.globals.len()]).any(|count| count > MAX_ITEMS)
        || info.escaped_functions.len() > info.functions.len()
    {
        return Err(damaged("more items than a module can have"));
    }
    let within = |index: u32, len: usize, what: &str| match (index as usize) < len {
        true => Ok(()),
        false => Err(error!(Artifact, "the artifact is damaged: {what} {index} of {len}")),
    };
    let entity = |entity: EntityIndex| match entity {
        EntityIndex::Func(i) => {
            within(i, info.functions.len(), "function")?;
            within(info.functions[i as usize], info.types.len(), "type")
        }
        EntityIndex::Memory(i) => within(i, info.memories.len(), "memory"),
        EntityIndex::Table(i) => within(i, info.tables.len(), "table"),
        EntityIndex::Global(i) => within(i, info.globals.len(), "global"),
    };
    let reference = |ty: RefType| match ty.heap {
        HeapType::Concrete(index) => within(index, info.types.len(), "type"),
        HeapType::Func | HeapType::Extern => Ok(()),
    };
    let value = |ty: &ValType| match ty {
        ValType::Ref(ty) => reference(*ty),
        _ => Ok(()),
    };
    let expression = |expression: &ConstExpr| {
        expression.iter().try_for_each(|op| match *op {
            ConstOp::GlobalGet(i) => within(i, info.globals.len(), "global"),
            ConstOp::RefFunc(i) => within(i, info.functions.len(), "function"),
            _ => Ok(()),
        })
    };
    for ty in &info.types {
        ty.params().iter().chain(ty.results()).try_for_each(value)?;
    }
    info.imports.iter().try_for_each(|i| entity(i.entity))?;
    info.exports.iter().try_for_each(|e| entity(e.entity))?;
    if let Some(start) = info.start {
        entity(EntityIndex::Func(start))?;
        if info.func_type(start).slots() > 0 {
            return Err(damaged("a start function with parameters or results"));
        }
    }
    for ty in &info.memories {
        if ty.page_size_log2 > 16 {
            return Err(damaged("an unknown page size"));
        }
    }
    for table in &info.tables {
        reference(table.ty.element)?;
        table.init.iter().try_for_each(expression)?;
    }
    for (i, global) in info.globals.iter().enumerate() {
        value(&global.ty.content)?;
        if global.init.is_none() && i >= info.imported_globals as usize {
            return Err(damaged("a global without a value"));
        }
        global.init.iter().try_for_each(expression)?;
    }
    for segment in &info.data_segments {
        if let SegmentMode::Active { target, offset } = &segment.mode {
            entity(EntityIndex::Memory(*target))?;
            expression(offset)?;
        }
    }
    for segment in &info.element_segments {
        if let SegmentMode::Active { target, offset } = &segment.mode {
            entity(EntityIndex::Table(*target))?;
            expression(offset)?;
        }
        if let Elements::Expressions(list) = &segment.elements {
            list.iter().try_for_each(expression)?;
        }
    }
    Ok(())
}

impl Decoder<'_> {
    fn number(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some((&byte, rest)) = self.0.split_first() else { break };
            self.0 = rest;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number that does not end"))
    }

    /// A number that is an index.
    fn index(&self, value: u64) -> Result<u32> {
        u32::try_from(value).map_err(|_| damaged("an index beyond 32 bits"))
    }

    fn size(&mut self) -> Result<usize> {
        usize::try_from(self.number()?).map_err(|_| damaged("a size beyond the address space"))
    }

    fn flag(&mut self) -> Result<bool> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(damaged("a flag that is neither 0 nor 1")),
        }
    }

    fn optional(&mut self) -> Result<Option<u64>> {
        if self.flag()? { self.number().map(Some) } else { Ok(None) }
    }

    fn text(&mut self) -> Result<String> {
        let len = self.size()?;
        let (text, rest) = self.0.split_at_checked(len).ok_or_else(|| damaged("a name beyond their end"))?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| damaged("a name that is not UTF-8"))
    }

    fn list<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut list = Vec::new();
        self.extend(&mut list, item)?;
        Ok(list)
    }

    /// Appends the items of a list.
    fn extend<T>(&mut self, list: &mut Vec<T>, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<()> {
        let len = self.size()?;
        // Every item takes a byte at least, so a wrong length ends early, and allocates nothing ahead of the items.
        if len > self.0.len() {
            return Err(damaged("a list beyond their end"));
        }
        for _ in 0..len {
            list.push(item(self)?);
        }
        Ok(())
    }

    /// A range within `len`.
    fn range(&mut self, len: usize) -> Result<Range<usize>> {
        let (start, size) = (self.size()?, self.size()?);
        match start.checked_add(size) {
            Some(end) if end <= len => Ok(start..end),
            _ => Err(damaged("a range outside its section")),
        }
    }

    fn val_type(&mut self) -> Result<ValType> {
        Ok(match self.number()? {
            0 => ValType::I32,
            1 => ValType::I64,
            2 => ValType::F32,
            3 => ValType::F64,
            4 => ValType::V128,
            code => ValType::Ref(self.ref_type(code)?),
        })
    }

    fn ref_type(&mut self, code: u64) -> Result<RefType> {
        let nullable = match code {
            5 => false,
            6 => true,
            _ => return Err(damaged("an unknown type")),
        };
        let heap = match self.number()? {
            0 => HeapType::Func,
            1 => HeapType::Extern,
            index => HeapType::Concrete(self.index(index - 2)?),
        };
        Ok(RefType { nullable, heap })
    }

    fn memory_type(&mut self) -> Result<MemoryType> {
        Ok(MemoryType {
            minimum: self.number()?,
            maximum: self.optional()?,
            memory64: self.flag()?,
            shared: self.flag()?,
            page_size_log2: u8::try_from(self.number()?).map_err(|_| damaged("an unknown page size"))?,
        })
    }

    fn table_type(&mut self) -> Result<TableType> {
        let code = self.number()?;
        Ok(TableType {
            element: self.ref_type(code)?,
            minimum: self.number()?,
            maximum: self.optional()?,
            table64: self.flag()?,
        })
    }

    fn entity(&mut self) -> Result<EntityIndex> {
        let (kind, index) = (self.number()?, self.number()?);
        let index = self.index(index)?;
        Ok(match kind {
            0 => EntityIndex::Func(index),
            1 => EntityIndex::Table(index),
            2 => EntityIndex::Memory(index),
            3 => EntityIndex::Global(index),
            _ => return Err(damaged("an unknown kind of entity")),
        })
    }

    fn mode(&mut self) -> Result<SegmentMode> {
        Ok(match self.number()? {
            0 => SegmentMode::Passive,
            1 => SegmentMode::Declared,
            2 => {
                let target = self.number()?;
                SegmentMode::Active { target: self.index(target)?, offset: self.expression()? }
            }
            _ => return Err(damaged("an unknown kind of segment")),
        })
    }

    fn optional_expression(&mut self) -> Result<Option<ConstExpr>> {
        match self.0.split_first() {
            Some((0, rest)) => {
                self.0 = rest;
                Ok(None)
            }
            _ => self.expression().map(Some),
        }
    }

    fn expression(&mut self) -> Result<ConstExpr> {
        let mut depth = 0usize;
        let ops = self.list(|d| {
            let code = d.number()?;
            depth = match code {
                0..=3 => depth + 1,
                // Two operands, one result.
                _ => {
                    depth.checked_sub(1).filter(|&d| d > 0).ok_or_else(|| damaged("an expression without operands"))?
                }
            };
            Ok(match code {
                0 => ConstOp::Bits(d.number()?),
                1 => ConstOp::Vector(u128::from(d.number()?) | u128::from(d.number()?) << 64),
                2 => {
                    let index = d.number()?;
                    ConstOp::GlobalGet(d.index(index)?)
                }
                3 => {
                    let index = d.number()?;
                    ConstOp::RefFunc(d.index(index)?)
                }
                4 => ConstOp::I32Add,
                5 => ConstOp::I32Sub,
                6 => ConstOp::I32Mul,
                7 => ConstOp::I64Add,
                8 => ConstOp::I64Sub,
                9 => ConstOp::I64Mul,
                _ => return Err(damaged("an unknown operator")),
            })
        })?;
        match depth {
            1 => Ok(ops.into()),
            _ => Err(damaged("an expression that does not leave one value")),
        }
    }

    fn plan(&mut self, info: &ModuleInfo, image_bytes: usize) -> Result<ImagePlan> {
        let memories: Box<[MemoryContents]> = self
            .list(|d| {
                Ok(match d.number()? {
                    0 => MemoryContents::Zero,
                    1 => MemoryContents::Extents(d.list(|d| d.extent(image_bytes))?.into()),
                    2 => MemoryContents::Segments,
                    _ => return Err(damaged("an unknown kind of image")),
                })
            })?
            .into();
        let plan = ImagePlan { memories, depends_on_imports: self.flag()? };
        check_plan(info, &plan)?;
        Ok(plan)
    }

    fn extent(&mut self, image_bytes: usize) -> Result<Extent> {
        let (at, offset) = (self.range(usize::MAX)?, self.size()?);
        let page = crate::sys::page_size();
        let aligned = [at.start, at.end, offset].iter().all(|n| n.is_multiple_of(page));
        match offset.checked_add(at.len()) {
            Some(end) if end <= image_bytes && aligned && !at.is_empty() => Ok(Extent { at, offset }),
            _ => Err(damaged("an image outside its section")),
        }
    }
}

/// Checks that the image fits what the module defines.
fn check_plan(info: &ModuleInfo, plan: &ImagePlan) -> Result<()> {
    let memories = &info.memories[info.imported_memories as usize..];
    if memories.len() != plan.memories.len() {
        return Err(damaged("an image of another number of memories"));
    }
    for (ty, memory) in memories.iter().zip(&plan.memories) {
        let MemoryContents::Extents(list) = memory else { continue };
        let size = ty.minimum.saturating_mul(ty.page_size()) as usize;
        let end = size.checked_next_multiple_of(crate::sys::page_size()).unwrap_or(size);
        if !list.iter().all(|e| e.at.end <= end) || !list.is_sorted_by(|a, b| a.at.end <= b.at.start) {
            return Err(damaged("an image that is larger than its memory"));
        }
    }
    Ok(())
}
