//! From bytes to [`ModuleInfo`] and function bodies: every section is validated, then read.
//!
//! Function bodies are not validated here but while they are translated, in parallel.
//!
//! Invariant: nothing is allocated on the word of a count in the module. Lists grow as their elements are read, so their
//! size is bounded by the size of the module.

use wasmparser::{
    ConstExpr as WasmConstExpr, DataKind, Element, ElementItems, ElementKind, ExternalKind, FuncToValidate,
    FunctionBody, KnownCustom, Name, Operator, Parser, Payload, TableInit, TypeRef, ValidPayload, Validator,
    ValidatorResources, WasmFeatures,
};

use super::invalid;
use crate::artifact::info::{
    ConstExpr, ConstOp, DataSegment, ElementSegment, Elements, EntityIndex, Export, FuncType, GlobalDecl, GlobalType,
    HeapType, Import, MemoryType, ModuleInfo, NULL_ELEMENT, RefType, SegmentMode, TableDecl, TableType, ValType,
};
use crate::artifact::words::{Blob, FunctionNames, Words};
use crate::config::Features;
use crate::error::{Result, bail};

/// Most sections of DWARF that are kept.
const MAX_DEBUG_SECTIONS: usize = 32;

/// Our switches, and what the validator calls them.
const SWITCHED: [(Features, WasmFeatures); 13] = [
    (Features::BULK_MEMORY, WasmFeatures::BULK_MEMORY),
    (Features::REFERENCE_TYPES, WasmFeatures::REFERENCE_TYPES),
    (Features::MULTI_VALUE, WasmFeatures::MULTI_VALUE),
    (Features::SIMD, WasmFeatures::SIMD),
    (Features::RELAXED_SIMD, WasmFeatures::RELAXED_SIMD),
    (Features::MULTI_MEMORY, WasmFeatures::MULTI_MEMORY),
    (Features::MEMORY64, WasmFeatures::MEMORY64),
    (Features::TAIL_CALL, WasmFeatures::TAIL_CALL),
    (Features::EXTENDED_CONST, WasmFeatures::EXTENDED_CONST),
    (Features::FUNCTION_REFERENCES, WasmFeatures::FUNCTION_REFERENCES),
    (Features::THREADS, WasmFeatures::THREADS),
    (Features::WIDE_ARITHMETIC, WasmFeatures::WIDE_ARITHMETIC),
    (Features::CUSTOM_PAGE_SIZES, WasmFeatures::CUSTOM_PAGE_SIZES),
];

/// What modules may use: WebAssembly 1.0 with what was always on by default, and what is switched on.
pub(super) fn features(switches: Features) -> WasmFeatures {
    let mut features = WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::FLOATS
        | WasmFeatures::GC_TYPES;
    for (switch, feature) in SWITCHED {
        features.set(feature, switches.contains(switch));
    }
    features
}

/// The name of the switch that a module needs on, if there is one for what it needs.
pub(super) fn switch_for(needed: WasmFeatures) -> Option<String> {
    let (switch, _) = SWITCHED.into_iter().find(|(_, feature)| *feature == needed)?;
    Features::names(switch.bits()).pop()
}

/// A function that is still to be validated and translated.
pub(super) struct Body<'a> {
    pub validator: FuncToValidate<ValidatorResources>,
    pub body: FunctionBody<'a>,
}

/// Reads and validates everything but the function bodies.
pub(super) fn parse(wasm: &[u8], switches: Features) -> Result<(ModuleInfo, Vec<Body<'_>>)> {
    if Parser::is_component(wasm) {
        bail!(Unsupported, "this is a WebAssembly component; Instar runs core modules");
    }
    let features = features(switches);
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut sections = Sections::default();
    let mut bodies = Vec::new();
    for payload in parser.parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        if let ValidPayload::Func(validator, body) = validator.payload(&payload).map_err(invalid)? {
            bodies.push(Body { validator, body });
        } else {
            sections.read(payload)?;
        }
    }
    let mut info = sections.info;
    let escaped = info.escaped_functions.to_mut();
    escaped.sort_unstable();
    escaped.dedup();
    info.element_segments.iter_mut().for_each(|segment| place_elements(&mut segment.elements, escaped));
    info.order_exports();
    Ok((info, bodies))
}

/// Turns indices of functions into positions among the escaped functions, and expressions too where all are that simple.
fn place_elements(elements: &mut Elements, escaped: &[u32]) {
    let place = |index: u32| escaped.binary_search(&index).expect("functions of segments escape") as u32;
    match elements {
        Elements::Functions(list) => list.to_mut().iter_mut().for_each(|index| *index = place(*index)),
        Elements::Expressions(list) => {
            let simple = |expression: &ConstExpr| match **expression {
                [ConstOp::Bits(0)] => Some(NULL_ELEMENT),
                [ConstOp::RefFunc(index)] => Some(place(index)),
                _ => None,
            };
            if let Some(places) = list.iter().map(simple).collect() {
                *elements = Elements::Functions(Words::Owned(places));
            }
        }
    }
}

/// The type of a value, for types that the feature set lets through.
pub(super) fn val_type(ty: wasmparser::ValType) -> Result<ValType> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(ty) => ValType::Ref(ref_type(ty)?),
    })
}

fn ref_type(ty: wasmparser::RefType) -> Result<RefType> {
    Ok(RefType { nullable: ty.is_nullable(), heap: heap_type(ty.heap_type())? })
}

/// The heap type, for types that the feature set lets through.
pub(super) fn heap_type(ty: wasmparser::HeapType) -> Result<HeapType> {
    use wasmparser::{AbstractHeapType, HeapType as Wasm};
    Ok(match ty {
        Wasm::Abstract { shared: false, ty: AbstractHeapType::Func } => HeapType::Func,
        Wasm::Abstract { shared: false, ty: AbstractHeapType::Extern } => HeapType::Extern,
        Wasm::Concrete(index) => match index.as_module_index() {
            Some(index) => HeapType::Concrete(index),
            None => bail!(Bug, "a type that the validator has made its own"),
        },
        other => bail!(Unsupported, "references to {other:?}"),
    })
}

#[derive(Default)]
struct Sections {
    info: ModuleInfo,
}

impl Sections {
    /// Reads a section that the validator has accepted.
    fn read(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    let ty = ty.map_err(invalid)?;
                    let list =
                        |types: &[wasmparser::ValType]| types.iter().map(|&t| val_type(t)).collect::<Result<Vec<_>>>();
                    self.info.types.push(FuncType::new(list(ty.params())?, list(ty.results())?));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.import(import.map_err(invalid)?)?;
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.info.functions.push(ty.map_err(invalid)?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table.map_err(invalid)?;
                    let init = match &table.init {
                        TableInit::RefNull => None,
                        TableInit::Expr(expr) => Some(self.const_expr(expr)?),
                    };
                    self.info.tables.push(TableDecl { ty: table_type(&table.ty)?, init });
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.info.memories.push(memory_type(&memory.map_err(invalid)?)?);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global.map_err(invalid)?;
                    let init = Some(self.const_expr(&global.init_expr)?);
                    self.info.globals.push(GlobalDecl { ty: global_type(&global.ty)?, init });
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    self.export(export.map_err(invalid)?)?;
                }
            }
            Payload::StartSection { func, .. } => {
                self.info.start = Some(func);
                self.info.escaped_functions.push(func);
            }
            Payload::ElementSection(section) => {
                for element in section {
                    self.element(element.map_err(invalid)?)?;
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    self.data(data.map_err(invalid)?)?;
                }
            }
            Payload::CodeSectionStart { range, .. } => {
                self.info.code_section_start = u32::try_from(range.start).unwrap_or(u32::MAX);
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    self.names(names);
                } else if section.name().starts_with(".debug_") {
                    self.debug_section(section.name(), section.data());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, import: wasmparser::Import<'_>) -> Result<()> {
        let info = &mut self.info;
        let entity = match import.ty {
            TypeRef::Func(ty) => {
                info.functions.push(ty);
                info.imported_functions += 1;
                EntityIndex::Func(info.imported_functions - 1)
            }
            TypeRef::Table(ty) => {
                info.tables.push(TableDecl { ty: table_type(&ty)?, init: None });
                info.imported_tables += 1;
                EntityIndex::Table(info.imported_tables - 1)
            }
            TypeRef::Memory(ty) => {
                info.memories.push(memory_type(&ty)?);
                info.imported_memories += 1;
                EntityIndex::Memory(info.imported_memories - 1)
            }
            TypeRef::Global(ty) => {
                info.globals.push(GlobalDecl { ty: global_type(&ty)?, init: None });
                info.imported_globals += 1;
                EntityIndex::Global(info.imported_globals - 1)
            }
            TypeRef::Tag(_) | TypeRef::FuncExact(_) => bail!(Unsupported, "import of a tag or an exact function"),
        };
        let (module, name) = (info.add_name(import.module), info.add_name(import.name));
        info.imports.push(Import { module, name, entity });
        Ok(())
    }

    fn export(&mut self, export: wasmparser::Export<'_>) -> Result<()> {
        let entity = match export.kind {
            ExternalKind::Func => {
                self.info.escaped_functions.push(export.index);
                EntityIndex::Func(export.index)
            }
            ExternalKind::Table => EntityIndex::Table(export.index),
            ExternalKind::Memory => EntityIndex::Memory(export.index),
            ExternalKind::Global => EntityIndex::Global(export.index),
            ExternalKind::Tag | ExternalKind::FuncExact => bail!(Unsupported, "export of a tag or an exact function"),
        };
        let name = self.info.add_name(export.name);
        self.info.exports.push(Export { name, entity });
        Ok(())
    }

    fn element(&mut self, element: Element<'_>) -> Result<()> {
        let mode = match element.kind {
            ElementKind::Passive => SegmentMode::Passive,
            ElementKind::Declared => SegmentMode::Declared,
            ElementKind::Active { table_index, offset_expr } => {
                SegmentMode::Active { target: table_index.unwrap_or(0), offset: self.const_expr(&offset_expr)? }
            }
        };
        let elements = match element.items {
            ElementItems::Functions(section) => {
                let list = section.into_iter().collect::<Result<Vec<u32>, _>>().map_err(invalid)?;
                self.info.escaped_functions.extend_from_slice(&list);
                Elements::Functions(Words::Owned(list))
            }
            ElementItems::Expressions(_, section) => {
                let mut list = Vec::new();
                for expr in section {
                    list.push(self.const_expr(&expr.map_err(invalid)?)?);
                }
                Elements::Expressions(list.into())
            }
        };
        self.info.element_segments.push(ElementSegment { mode, elements });
        Ok(())
    }

    fn data(&mut self, data: wasmparser::Data<'_>) -> Result<()> {
        let mode = match data.kind {
            DataKind::Passive => SegmentMode::Passive,
            DataKind::Active { memory_index, offset_expr } => {
                SegmentMode::Active { target: memory_index, offset: self.const_expr(&offset_expr)? }
            }
        };
        let start = self.info.data.len();
        self.info.data.extend_from_slice(data.data);
        self.info.data_segments.push(DataSegment { mode, bytes: start..start + data.data.len() });
        Ok(())
    }

    fn const_expr(&mut self, expr: &WasmConstExpr<'_>) -> Result<ConstExpr> {
        let mut ops = Vec::new();
        for op in expr.get_operators_reader() {
            ops.push(match op.map_err(invalid)? {
                Operator::I32Const { value } => ConstOp::Bits(u64::from(value as u32)),
                Operator::I64Const { value } => ConstOp::Bits(value as u64),
                Operator::F32Const { value } => ConstOp::Bits(u64::from(value.bits())),
                Operator::F64Const { value } => ConstOp::Bits(value.bits()),
                Operator::V128Const { value } => ConstOp::Vector(value.i128() as u128),
                Operator::RefNull { .. } => ConstOp::Bits(0),
                Operator::RefFunc { function_index } => {
                    self.info.escaped_functions.push(function_index);
                    ConstOp::RefFunc(function_index)
                }
                Operator::GlobalGet { global_index } => ConstOp::GlobalGet(global_index),
                Operator::I32Add => ConstOp::I32Add,
                Operator::I32Sub => ConstOp::I32Sub,
                Operator::I32Mul => ConstOp::I32Mul,
                Operator::I64Add => ConstOp::I64Add,
                Operator::I64Sub => ConstOp::I64Sub,
                Operator::I64Mul => ConstOp::I64Mul,
                Operator::End => continue,
                other => bail!(Unsupported, "{other:?} in a constant expression"),
            });
        }
        Ok(ops.into())
    }

    /// Keeps a section of DWARF, which has a name that DWARF could have given it. There are some dozen names.
    fn debug_section(&mut self, name: &str, data: &[u8]) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._".contains(&b);
        let sections = &mut self.info.debug_sections;
        if name.bytes().all(plain) && sections.len() < MAX_DEBUG_SECTIONS && sections.iter().all(|s| s.0 != name) {
            sections.push((name.to_owned(), Blob::Owned(data.to_vec())));
        }
    }

    /// Takes what can be read of the name section. It is for people, so its errors are nobody's.
    fn names(&mut self, section: wasmparser::NameSectionReader<'_>) {
        let total = self.info.functions.len() as u32;
        let mut functions = Vec::new();
        for subsection in section.into_iter().map_while(Result::ok) {
            match subsection {
                Name::Module { name, .. } => self.info.name = Some(name.to_owned()),
                Name::Function(names) => {
                    let names = names.into_iter().map_while(Result::ok).filter(|n| n.index < total);
                    functions.extend(names.map(|n| (n.index, n.name.to_owned())));
                }
                _ => {}
            }
        }
        functions.sort_by_key(|&(index, _)| index);
        functions.dedup_by_key(|&mut (index, _)| index);
        self.info.function_names = FunctionNames::new(&functions);
    }
}

fn memory_type(ty: &wasmparser::MemoryType) -> Result<MemoryType> {
    Ok(MemoryType {
        minimum: ty.initial,
        maximum: ty.maximum,
        memory64: ty.memory64,
        shared: ty.shared,
        page_size_log2: ty.page_size_log2.unwrap_or(16) as u8,
    })
}

fn table_type(ty: &wasmparser::TableType) -> Result<TableType> {
    if ty.shared {
        bail!(Unsupported, "shared table");
    }
    let element = ref_type(ty.element_type)?;
    Ok(TableType { element, minimum: ty.initial, maximum: ty.maximum, table64: ty.table64 })
}

fn global_type(ty: &wasmparser::GlobalType) -> Result<GlobalType> {
    if ty.shared {
        bail!(Unsupported, "shared global");
    }
    Ok(GlobalType { content: val_type(ty.content_type)?, mutable: ty.mutable })
}
