//! Instances of generated modules in wasmi.

use std::sync::OnceLock;

use wasmi::{
    Config, Engine, Error, Extern, ExternRef, ExternType, Func, Global, Instance, Linker, Memory, MemoryType, Module,
    Mutability, Ref, Store, Table, TableType, TrapCode, Val, ValType,
};

use crate::features;
use crate::host::{Answers, CONSTANT, Stop, Type, VARIABLE, VECTOR, Value, View};

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::default();
        config.set_max_recursion_depth(100_000).set_max_stack_height(64 << 20);
        features::configure_wasmi(&mut config);
        Engine::new(&config)
    })
}

fn type_of(ty: ValType) -> Type {
    match ty {
        ValType::I32 => Type::I32,
        ValType::I64 => Type::I64,
        ValType::F32 => Type::F32,
        ValType::F64 => Type::F64,
        ValType::FuncRef => Type::Func,
        ValType::ExternRef => Type::Extern,
        ValType::V128 => Type::V128,
    }
}

fn value_of(value: &Val) -> Value {
    match value {
        Val::I32(v) => Value::I32(*v as u32),
        Val::I64(v) => Value::I64(*v as u64),
        Val::F32(v) => Value::f32(v.to_bits()),
        Val::F64(v) => Value::f64(v.to_bits()),
        Val::FuncRef(f) => Value::Func(!f.is_null()),
        Val::ExternRef(r) => Value::Extern(!r.is_null()),
        Val::V128(v) => Value::V128(v.as_u128()),
    }
}

fn to_val(value: Value, object: impl FnOnce() -> ExternRef) -> Val {
    match value {
        Value::I32(v) => Val::I32(v as i32),
        Value::I64(v) => Val::I64(v as i64),
        Value::F32(v) => Val::F32(wasmi::F32::from_bits(v)),
        Value::F64(v) => Val::F64(wasmi::F64::from_bits(v)),
        Value::V128(v) => Val::V128(wasmi::V128::from(v)),
        Value::Func(_) => Val::FuncRef(Ref::Null),
        Value::Extern(true) => Val::ExternRef(Ref::Val(object())),
        Value::Extern(false) => Val::ExternRef(Ref::Null),
    }
}

const REFUSED: &str = "refused";

fn stop(error: Error) -> Result<Stop, String> {
    use wasmi::errors::{ErrorKind, InstantiationError, TableError};
    Ok(match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => Stop::Unreachable,
        Some(TrapCode::IntegerDivisionByZero) => Stop::DivideByZero,
        Some(TrapCode::IntegerOverflow) => Stop::IntegerOverflow,
        Some(TrapCode::BadConversionToInteger) => Stop::BadConversion,
        Some(TrapCode::MemoryOutOfBounds) => Stop::Memory,
        Some(TrapCode::TableOutOfBounds) => Stop::Table,
        Some(TrapCode::IndirectCallToNull) => Stop::NullElement,
        Some(TrapCode::BadSignature) => Stop::Signature,
        Some(TrapCode::StackOverflow) => Stop::Stack,
        Some(other) => return Err(format!("{other:?}")),
        None => match error.kind() {
            ErrorKind::Message(text) if &**text == REFUSED => Stop::Host,
            ErrorKind::Instantiation(InstantiationError::ElementSegmentDoesNotFit { .. })
            | ErrorKind::Table(TableError::CopyOutOfBounds) => Stop::Table,
            _ => return Err(format!("{error}")),
        },
    })
}

/// An instance in a store of its own.
pub struct Side {
    store: Store<Answers>,
    instance: Instance,
}

impl Side {
    pub fn new(wasm: &[u8]) -> Result<Result<Self, Stop>, String> {
        let module = Module::new(engine(), wasm).map_err(|e| format!("wasmi refuses it: {e}"))?;
        let mut store = Store::new(engine(), Answers::default());
        let mut linker = Linker::new(engine());
        define(&module, &mut store, &mut linker).map_err(|e| e.to_string())?;
        Ok(match linker.instantiate_and_start(&mut store, &module) {
            Ok(instance) => Ok(Side { store, instance }),
            Err(error) => Err(stop(error)?),
        })
    }

    pub fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Result<Vec<Value>, Stop>, String> {
        let func = self.instance.get_func(&self.store, name).ok_or_else(|| format!("no function `{name}`"))?;
        let ty = func.ty(&self.store);
        let mut arguments: Vec<Val> =
            arguments.iter().map(|&v| to_val(v, || ExternRef::new(&mut self.store, 1u8))).collect();
        for value in &mut arguments {
            if let Val::FuncRef(f) = value {
                *f = Ref::Val(func);
            }
        }
        let mut results: Vec<Val> = ty.results().iter().map(|&t| Val::default(t)).collect();
        Ok(match func.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => Ok(results.iter().map(value_of).collect()),
            Err(error) => Err(stop(error)?),
        })
    }

    pub fn view(&self) -> View {
        let mut view = View::default();
        for export in self.instance.exports(&self.store) {
            let name = export.name().to_owned();
            match export.into_extern() {
                Extern::Memory(memory) => view.memories.push((name, memory.data(&self.store).to_vec())),
                Extern::Global(global) => view.globals.push((name, value_of(&global.get(&self.store)))),
                Extern::Table(table) => {
                    let element = |i| table.get(&self.store, i).expect("an element below the size");
                    let there = (0..table.size(&self.store))
                        .map(|i| matches!(value_of(&element(i)), Value::Func(true) | Value::Extern(true)))
                        .collect();
                    view.tables.push((name, there));
                }
                Extern::Func(_) => {}
            }
        }
        view.sorted()
    }
}

fn define(module: &Module, store: &mut Store<Answers>, linker: &mut Linker<Answers>) -> Result<(), Error> {
    for import in module.imports() {
        // What is imported twice is one thing.
        if linker.get(&*store, import.module(), import.name()).is_some() {
            continue;
        }
        let table = |ty, minimum, maximum| TableType::new(ty, minimum, Some(maximum));
        let item: Extern = match (import.ty(), import.name()) {
            (ExternType::Func(ty), _) => {
                let results: Vec<Type> = ty.results().iter().map(|&t| type_of(t)).collect();
                Func::new(&mut *store, ty.clone(), move |mut caller, params, out| {
                    let params: Vec<Value> = params.iter().map(value_of).collect();
                    let answer = caller.data_mut().answer(&params, &results).ok_or_else(|| Error::new(REFUSED))?;
                    for (out, value) in out.iter_mut().zip(answer) {
                        *out = to_val(value, || ExternRef::new(&mut caller, 7u8));
                    }
                    Ok(())
                })
                .into()
            }
            (_, "memory") => Memory::new(&mut *store, MemoryType::new(1, Some(4)))?.into(),
            (_, "memory64") => Memory::new(&mut *store, MemoryType::new64(1, Some(4)))?.into(),
            (_, "functions") => {
                Table::new(&mut *store, table(ValType::FuncRef, 8, 30), Val::FuncRef(Ref::Null))?.into()
            }
            (_, "objects") => {
                Table::new(&mut *store, table(ValType::ExternRef, 5, 20), Val::ExternRef(Ref::Null))?.into()
            }
            (_, "constant") => Global::new(&mut *store, Val::I32(CONSTANT), Mutability::Const).into(),
            (_, "variable") => Global::new(&mut *store, Val::I64(VARIABLE), Mutability::Var).into(),
            (_, "vector") => Global::new(&mut *store, Val::V128(VECTOR.into()), Mutability::Var).into(),
            (ty, name) => unreachable!("import `{name}`: {ty:?}"),
        };
        linker.define(import.module(), import.name(), item)?;
    }
    Ok(())
}
