//! What is known about a module before it is instantiated: its declarations, without its code.

use std::ops::Range;
use std::sync::Arc;

use super::layout::{GlobalPlace, MEMORY32_MAX_BYTES};
use super::words::{Blob, FunctionNames, Words};

/// A value type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValType {
    I32,
    I64,
    F32,
    F64,
    V128,
    Ref(RefType),
}

impl ValType {
    /// `(ref null func)`.
    pub const FUNCREF: ValType = ValType::Ref(RefType::FUNCREF);
    /// `(ref null extern)`.
    pub const EXTERNREF: ValType = ValType::Ref(RefType::EXTERNREF);

    /// Whether it is a reference type.
    pub fn is_reference(self) -> bool {
        matches!(self, ValType::Ref(_))
    }

    /// Number of 8-byte slots that a value takes: 2 for a vector, 1 for all others.
    pub fn slots(self) -> usize {
        if self == ValType::V128 { 2 } else { 1 }
    }

    /// Whether every value of this type is one of type `other` (spec: matching of value types).
    pub fn matches(self, other: ValType) -> bool {
        match (self, other) {
            (ValType::Ref(a), ValType::Ref(b)) => a.matches(b),
            (a, b) => a == b,
        }
    }

    /// What a concrete reference mentions.
    pub(crate) fn concrete(self) -> Option<u32> {
        match self {
            ValType::Ref(RefType { heap: HeapType::Concrete(id), .. }) => Some(id),
            _ => None,
        }
    }

    /// The type with `replace` applied to what it mentions if it is a concrete reference.
    pub(crate) fn with_concrete(self, replace: impl Fn(u32) -> u32) -> Self {
        match self {
            ValType::Ref(ty) => ValType::Ref(ty.with_concrete(replace)),
            other => other,
        }
    }
}

/// A reference type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefType {
    pub nullable: bool,
    pub heap: HeapType,
}

/// What a reference points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeapType {
    /// Any function.
    Func,
    /// Any host object.
    Extern,
    /// A function of one type: the engine's id of it, see [`Engine::type_id`](crate::Engine::type_id).
    // While a module is compiled and in artifacts: its index among the module's types.
    Concrete(u32),
}

impl RefType {
    /// `(ref null func)`.
    pub const FUNCREF: RefType = RefType { nullable: true, heap: HeapType::Func };
    /// `(ref null extern)`.
    pub const EXTERNREF: RefType = RefType { nullable: true, heap: HeapType::Extern };

    /// The type with `replace` applied to what it mentions if it is concrete.
    pub(crate) fn with_concrete(self, replace: impl Fn(u32) -> u32) -> Self {
        match self.heap {
            HeapType::Concrete(id) => RefType { heap: HeapType::Concrete(replace(id)), ..self },
            _ => self,
        }
    }

    /// Whether it refers to functions.
    pub fn is_function(self) -> bool {
        self.heap != HeapType::Extern
    }

    /// Whether every reference of this type is one of type `other` (spec: matching of reference types).
    pub fn matches(self, other: RefType) -> bool {
        let heap = match (self.heap, other.heap) {
            (HeapType::Concrete(_), HeapType::Func) => true,
            (a, b) => a == b,
        };
        heap && (other.nullable || !self.nullable)
    }
}

impl std::fmt::Display for RefType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            RefType::FUNCREF => return f.write_str("funcref"),
            RefType::EXTERNREF => return f.write_str("externref"),
            _ => {}
        }
        f.write_str(if self.nullable { "(ref null " } else { "(ref " })?;
        match self.heap {
            HeapType::Func => f.write_str("func)"),
            HeapType::Extern => f.write_str("extern)"),
            HeapType::Concrete(id) => write!(f, "type {id})"),
        }
    }
}

impl std::fmt::Display for ValType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ValType::I32 => "i32",
            ValType::I64 => "i64",
            ValType::F32 => "f32",
            ValType::F64 => "f64",
            ValType::V128 => "v128",
            ValType::Ref(reference) => return reference.fmt(f),
        })
    }
}

/// The type of a function: parameters and results. Cheap to clone.
///
/// Concrete references in it are ids of one engine. Types of that engine are equal exactly if WebAssembly takes them for
/// the same type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuncType {
    /// Parameters, then results.
    types: Arc<[ValType]>,
    params: usize,
    /// The type's own id if it mentions itself. It tells such a type from one that mentions that type: the two have the
    /// same lists, but are not the same.
    recursive: Option<u32>,
}

impl std::hash::Hash for FuncType {
    /// In one piece for types of ordinary length: modules bring hundreds, and loading one looks all of them up.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 64];
        for chunk in self.types.chunks(bytes.len()) {
            for (byte, ty) in bytes.iter_mut().zip(chunk) {
                *byte = match ty {
                    ValType::I32 => 0,
                    ValType::I64 => 1,
                    ValType::F32 => 2,
                    ValType::F64 => 3,
                    ValType::V128 => 4,
                    ValType::Ref(RefType { nullable, heap }) => {
                        let heap = match heap {
                            HeapType::Func => 0,
                            HeapType::Extern => 1,
                            HeapType::Concrete(id) => {
                                state.write_u32(*id);
                                2
                            }
                        };
                        5 + heap * 2 + u8::from(*nullable)
                    }
                };
            }
            state.write(&bytes[..chunk.len()]);
        }
        state.write_usize(self.params);
    }
}

impl FuncType {
    /// A function type with these parameters and results.
    pub fn new(params: impl IntoIterator<Item = ValType>, results: impl IntoIterator<Item = ValType>) -> Self {
        let mut types: Vec<ValType> = params.into_iter().collect();
        let params = types.len();
        types.extend(results);
        FuncType { types: types.into(), params, recursive: None }
    }

    /// A function type of parameters and then results.
    pub(crate) fn of_list(types: &[ValType], params: usize) -> Self {
        FuncType { types: types.into(), params, recursive: None }
    }

    /// The type with `replace` applied to what its concrete references mention, which mentions itself if `recursive` says
    /// so.
    pub(crate) fn with_concrete(&self, replace: impl Fn(u32) -> u32, recursive: Option<u32>) -> Self {
        if !self.mentioned().any(|_| true) {
            return self.clone();
        }
        let types = self.types.iter().map(|ty| ty.with_concrete(&replace)).collect();
        FuncType { types, params: self.params, recursive }
    }

    /// What the type's concrete references mention, in order.
    pub(crate) fn mentioned(&self) -> impl Iterator<Item = u32> + '_ {
        self.types.iter().filter_map(|ty| ty.concrete())
    }

    /// The type's own id if it mentions itself.
    pub(crate) fn recursive(&self) -> Option<u32> {
        self.recursive
    }

    /// Types of the parameters.
    pub fn params(&self) -> &[ValType] {
        &self.types[..self.params]
    }

    /// Types of the results.
    pub fn results(&self) -> &[ValType] {
        &self.types[self.params..]
    }

    /// Whether a parameter or result is a reference.
    pub fn has_references(&self) -> bool {
        self.types.iter().any(|t| t.is_reference())
    }

    /// Whether host functions of this type can take their parameters in registers: at most one result, and no vectors.
    pub fn is_direct(&self) -> bool {
        self.results().len() <= 1 && !self.types.contains(&ValType::V128)
    }

    /// Number of 8-byte slots that a call needs: the larger of what parameters and what results take.
    pub fn slots(&self) -> usize {
        slots(self.params()).max(slots(self.results()))
    }
}

/// Number of 8-byte slots that values of these types take.
pub fn slots(types: &[ValType]) -> usize {
    types.iter().map(|t| t.slots()).sum()
}

impl std::fmt::Display for FuncType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |f: &mut std::fmt::Formatter<'_>, types: &[ValType]| {
            f.write_str("(")?;
            for (i, t) in types.iter().enumerate() {
                write!(f, "{}{t}", if i == 0 { "" } else { ", " })?;
            }
            f.write_str(")")
        };
        list(f, self.params())?;
        f.write_str(" -> ")?;
        list(f, self.results())
    }
}

/// The type of a linear memory. Sizes count its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryType {
    pub minimum: u64,
    pub maximum: Option<u64>,
    /// Whether addresses are 64 bits wide.
    pub memory64: bool,
    /// Whether threads may share it. A shared memory has a maximum.
    pub shared: bool,
    /// Binary logarithm of the page size in bytes: 16, or 0 with custom page sizes.
    pub page_size_log2: u8,
}

impl MemoryType {
    /// An ordinary memory: 32-bit addresses, pages of 65 536 bytes, not shared.
    pub const fn new(minimum: u64, maximum: Option<u64>) -> Self {
        MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: 16 }
    }

    /// A memory that threads share, with 32-bit addresses and pages of 65 536 bytes.
    pub const fn shared(minimum: u64, maximum: u64) -> Self {
        MemoryType { shared: true, ..MemoryType::new(minimum, Some(maximum)) }
    }

    /// Size of a page in bytes.
    pub const fn page_size(&self) -> u64 {
        1 << self.page_size_log2
    }

    /// The minimum in bytes; `u64::MAX` when it is more than that.
    pub(crate) fn minimum_bytes(&self) -> u64 {
        self.minimum.saturating_mul(self.page_size())
    }

    /// Largest size in bytes that the type allows; `u64::MAX` when it is more than that. The size in pages fits an
    /// address.
    pub(crate) fn maximum_bytes(&self) -> u64 {
        let addressable =
            if self.memory64 { u64::MAX } else { MEMORY32_MAX_BYTES.min(u64::from(u32::MAX) * self.page_size()) };
        self.maximum.map_or(u64::MAX, |pages| pages.saturating_mul(self.page_size())).min(addressable)
    }
}

/// The type of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableType {
    pub element: RefType,
    pub minimum: u64,
    pub maximum: Option<u64>,
    /// Whether indices are 64 bits wide.
    pub table64: bool,
}

impl TableType {
    /// A table with 32-bit indices.
    pub const fn new(element: RefType, minimum: u64, maximum: Option<u64>) -> Self {
        TableType { element, minimum, maximum, table64: false }
    }

    /// Largest number of elements that the type allows.
    pub(crate) fn maximum_elements(&self) -> u64 {
        let addressable = if self.table64 { u64::MAX } else { u64::from(u32::MAX) };
        self.maximum.unwrap_or(addressable).min(addressable)
    }
}

/// The type of a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalType {
    pub content: ValType,
    pub mutable: bool,
}

/// The type of an import or export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExternType {
    Func(FuncType),
    Memory(MemoryType),
    Table(TableType),
    Global(GlobalType),
}

/// An index space and an index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityIndex {
    Func(u32),
    Memory(u32),
    Table(u32),
    Global(u32),
}

/// One import, in the order of the import section. The n-th import of a kind is entity n of that kind.
#[derive(Clone, Debug)]
pub struct Import {
    pub module: String,
    pub name: String,
    pub entity: EntityIndex,
}

/// One export.
#[derive(Clone, Debug)]
pub struct Export {
    pub name: String,
    pub entity: EntityIndex,
}

/// One step of a constant expression, on a small operand stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConstOp {
    /// Push these bits: any numeric constant, or a null reference as 0.
    Bits(u64),
    /// Push a vector.
    Vector(u128),
    /// Push the value of global `index`.
    GlobalGet(u32),
    /// Push a reference to function `index`; it is in [`ModuleInfo::escaped_functions`].
    RefFunc(u32),
    I32Add,
    I32Sub,
    I32Mul,
    I64Add,
    I64Sub,
    I64Mul,
}

/// A constant expression: validated, leaves exactly one value.
pub type ConstExpr = Box<[ConstOp]>;

/// What becomes of a segment when the module is instantiated.
#[derive(Clone, Debug)]
pub enum SegmentMode {
    /// Copied into memory or table `target` at `offset`, then dropped.
    Active { target: u32, offset: ConstExpr },
    /// Waits for `memory.init` or `table.init`.
    Passive,
    /// (Element segments only.) Declares references and is dropped at once.
    Declared,
}

/// A data segment.
#[derive(Clone, Debug)]
pub struct DataSegment {
    pub mode: SegmentMode,
    /// Where the bytes lie in [`ModuleInfo::data`].
    pub bytes: Range<usize>,
}

/// A null reference among [`Elements::Functions`].
pub const NULL_ELEMENT: u32 = u32::MAX;

/// The elements of an element segment.
#[derive(Clone, Debug)]
pub enum Elements {
    /// Functions by their positions in [`ModuleInfo::escaped_functions`], or [`NULL_ELEMENT`].
    Functions(Words),
    /// One constant expression per element.
    Expressions(Box<[ConstExpr]>),
}

impl Elements {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Elements::Functions(list) => list.len(),
            Elements::Expressions(list) => list.len(),
        }
    }
}

/// An element segment.
#[derive(Clone, Debug)]
pub struct ElementSegment {
    pub mode: SegmentMode,
    pub elements: Elements,
}

/// A table as declared: its type and the initial value of its elements.
#[derive(Clone, Debug)]
pub struct TableDecl {
    pub ty: TableType,
    /// `None` means null.
    pub init: Option<ConstExpr>,
}

/// A global as declared. Imported ones have no initialiser.
#[derive(Clone, Debug)]
pub struct GlobalDecl {
    pub ty: GlobalType,
    pub init: Option<ConstExpr>,
}

/// The declarations of a module. Index spaces start with the imports, as in the spec.
#[derive(Clone, Debug, Default)]
pub struct ModuleInfo {
    /// From the name section.
    pub name: Option<String>,
    pub types: Vec<FuncType>,
    pub imports: Vec<Import>,
    pub exports: Vec<Export>,
    /// Of a loaded module: indices of exports, ascending by name.
    pub export_order: Words,
    /// Type index of every function. Those of imports, exports and the start function were checked when the module was
    /// loaded, all others are to be checked when they are used.
    pub functions: Words,
    pub memories: Vec<MemoryType>,
    pub tables: Vec<TableDecl>,
    pub globals: Vec<GlobalDecl>,
    pub imported_functions: u32,
    pub imported_memories: u32,
    pub imported_tables: u32,
    pub imported_globals: u32,
    pub start: Option<u32>,
    /// Functions that can be reached other than by a direct call (exported, in an element segment, named by `ref.func`,
    /// or the start function), ascending, without repetition: each has a function reference in the context.
    pub escaped_functions: Words,
    /// Of a loaded module: only those whose bytes are still needed, see [`ModuleInfo::data_place`].
    pub data_segments: Vec<DataSegment>,
    /// Of a loaded module: the index in wasm of each of `data_segments`, ascending.
    pub data_indices: Box<[u32]>,
    pub element_segments: Vec<ElementSegment>,
    /// The bytes of data segments. Of a loaded module: of those that are not in its image.
    pub data: Blob,
    /// From the name section.
    pub function_names: FunctionNames,
    /// Where the contents of the code section start in the wasm binary. Addresses in wasm's DWARF count from there.
    pub code_section_start: u32,
    /// Custom sections `.debug_*`, as they are.
    pub debug_sections: Vec<(String, Blob)>,
}

impl ModuleInfo {
    /// Type of function `index`.
    pub fn func_type(&self, index: u32) -> &FuncType {
        &self.types[self.functions[index as usize] as usize]
    }

    /// Types of the globals that the module defines, in order.
    pub fn defined_globals(&self) -> impl Iterator<Item = GlobalType> + '_ {
        self.globals[self.imported_globals as usize..].iter().map(|g| g.ty)
    }

    /// Indices of the mutable globals that the module defines and exports, ascending: others can write them.
    fn public_globals(&self) -> Vec<u32> {
        let mutable = |index: u32| self.globals.get(index as usize).is_some_and(|g| g.ty.mutable);
        let public = |export: &Export| match export.entity {
            EntityIndex::Global(i) if i >= self.imported_globals && mutable(i) => Some(i),
            _ => None,
        };
        let mut list: Vec<u32> = self.exports.iter().filter_map(public).collect();
        list.sort_unstable();
        list.dedup();
        list
    }

    /// How many of the mutable globals that the module defines are exported.
    pub fn public_global_count(&self) -> usize {
        self.public_globals().len()
    }

    /// Where each defined global lies in the context, in order. Of the mutable ones, those that are exported come first.
    pub fn global_places(&self) -> impl Iterator<Item = GlobalPlace> + '_ {
        let public = self.public_globals();
        let (mut constant, mut first, mut rest) = (0, 0, public.len() as u32);
        self.defined_globals().zip(self.imported_globals..).map(move |(g, index)| {
            let next = match g.mutable {
                false => &mut constant,
                true if public.binary_search(&index).is_ok() => &mut first,
                true => &mut rest,
            };
            let place = *next;
            *next += 1;
            if g.mutable { GlobalPlace::Mutable(place) } else { GlobalPlace::Constant(place) }
        })
    }

    /// Where in `data_segments` of a loaded module wasm's data segment `index` is; `None` when it lies in the image, so that
    /// it has no bytes of its own and counts as dropped in every instance. There may be ten thousands of such segments.
    pub fn data_place(&self, index: u32) -> Option<usize> {
        self.data_indices.binary_search(&index).ok()
    }

    /// Position of function `index` among the escaped functions.
    pub fn escaped_index(&self, index: u32) -> Option<u32> {
        self.escaped_functions.binary_search(&index).ok().map(|i| i as u32)
    }

    /// Type of an import or export.
    pub fn entity_type(&self, entity: EntityIndex) -> ExternType {
        match entity {
            EntityIndex::Func(i) => ExternType::Func(self.func_type(i).clone()),
            EntityIndex::Memory(i) => ExternType::Memory(self.memories[i as usize]),
            EntityIndex::Table(i) => ExternType::Table(self.tables[i as usize].ty),
            EntityIndex::Global(i) => ExternType::Global(self.globals[i as usize].ty),
        }
    }

    /// The export of that name. There may be ten thousands.
    pub fn export(&self, name: &str) -> Option<EntityIndex> {
        let export = |index: u32| self.exports.get(index as usize);
        let found = self.export_order.binary_search_by(|&i| export(i).map(|e| e.name.as_str()).cmp(&Some(name)));
        Some(export(self.export_order[found.ok()?])?.entity)
    }
}
