//! Instances of generated modules in Instar.

use std::collections::BTreeSet;

use instar::{
    Engine, Error, ErrorKind, Extern, ExternRef, FuncType, Global, GlobalType, Instance, InstancePre, Linker, Memory,
    MemoryType, Module, RefType, Result, Store, Table, TableType, TrapCode, Val, ValType,
};

use crate::host::{Answers, CONSTANT, Stop, Type, VARIABLE, VECTOR, Value, View};

pub fn type_of(ty: ValType) -> Type {
    match ty {
        ValType::I32 => Type::I32,
        ValType::I64 => Type::I64,
        ValType::F32 => Type::F32,
        ValType::F64 => Type::F64,
        ValType::Ref(ty) if ty.is_function() => Type::Func,
        ValType::Ref(_) => Type::Extern,
        ValType::V128 => Type::V128,
    }
}

fn value_of(value: &Val) -> Value {
    match *value {
        Val::I32(v) => Value::I32(v as u32),
        Val::I64(v) => Value::I64(v as u64),
        Val::F32(v) => Value::f32(v),
        Val::F64(v) => Value::f64(v),
        Val::V128(v) => Value::V128(v.as_u128()),
        Val::FuncRef(f) => Value::Func(f.is_some()),
        Val::ExternRef(r) => Value::Extern(r.is_some()),
    }
}

fn to_val(value: Value, object: impl FnOnce() -> ExternRef) -> Val {
    match value {
        Value::I32(v) => Val::I32(v as i32),
        Value::I64(v) => Val::I64(v as i64),
        Value::F32(v) => Val::F32(v),
        Value::F64(v) => Val::F64(v),
        Value::V128(v) => Val::V128(v.into()),
        Value::Func(_) => Val::FuncRef(None),
        Value::Extern(there) => Val::ExternRef(there.then(object)),
    }
}

/// Why a call stopped; the error itself when no guest and no host function is the reason.
pub fn stop(error: Error) -> std::result::Result<Stop, String> {
    Ok(match (error.trap_code(), error.kind()) {
        (Some(TrapCode::Unreachable), _) => Stop::Unreachable,
        (Some(TrapCode::IntegerDivideByZero), _) => Stop::DivideByZero,
        (Some(TrapCode::IntegerOverflow), _) => Stop::IntegerOverflow,
        (Some(TrapCode::InvalidConversionToInteger), _) => Stop::BadConversion,
        (Some(TrapCode::MemoryOutOfBounds), _) => Stop::Memory,
        (Some(TrapCode::TableOutOfBounds | TrapCode::UndefinedElement), _) => Stop::Table,
        (Some(TrapCode::UninitializedElement), _) => Stop::NullElement,
        (Some(TrapCode::IndirectCallTypeMismatch), _) => Stop::Signature,
        (Some(TrapCode::StackOverflow), _) => Stop::Stack,
        (None, ErrorKind::Host) => Stop::Host,
        _ => return Err(format!("{error:?}")),
    })
}

/// A linker with the functions that the module imports.
pub fn functions(engine: &Engine, module: &Module) -> Linker<Answers> {
    let mut linker = Linker::<Answers>::new(engine);
    linker.allow_shadowing(true);
    for import in module.imports() {
        let instar::ExternType::Func(ty) = import.ty else { continue };
        let results: Vec<Type> = ty.results().iter().map(|&t| type_of(t)).collect();
        linker
            .func_new(import.module, import.name, ty, move |mut caller, params, out| {
                let params: Vec<Value> = params.iter().map(value_of).collect();
                let answer = caller.data_mut().answer(&params, &results).ok_or_else(|| Error::host("refused"))?;
                for (out, value) in out.iter_mut().zip(answer) {
                    *out = to_val(value, || ExternRef::new(&mut caller, 7u8));
                }
                Ok(())
            })
            .expect("shadowing is allowed");
    }
    linker
}

/// Defines everything else that the module imports.
fn define_rest(linker: &mut Linker<Answers>, store: &mut Store<Answers>, module: &Module) -> Result<()> {
    let rest = module.imports().filter(|i| !matches!(i.ty, instar::ExternType::Func(_)));
    // What is imported twice is one thing.
    let names: BTreeSet<&str> = rest.map(|import| import.name).collect();
    let global = |content, mutable| GlobalType { content, mutable };
    for name in names {
        let item: Extern = match name {
            "memory" => Memory::new(&mut *store, MemoryType::new(1, Some(4)))?.into(),
            "memory64" => {
                Memory::new(&mut *store, MemoryType { memory64: true, ..MemoryType::new(1, Some(4)) })?.into()
            }
            "functions" => {
                Table::new(&mut *store, TableType::new(RefType::FUNCREF, 8, Some(30)), Val::FuncRef(None))?.into()
            }
            "objects" => {
                Table::new(&mut *store, TableType::new(RefType::EXTERNREF, 5, Some(20)), Val::ExternRef(None))?.into()
            }
            "constant" => Global::new(&mut *store, global(ValType::I32, false), Val::I32(CONSTANT))?.into(),
            "variable" => Global::new(&mut *store, global(ValType::I64, true), Val::I64(VARIABLE))?.into(),
            "vector" => Global::new(&mut *store, global(ValType::V128, true), Val::V128(VECTOR.into()))?.into(),
            other => unreachable!("nothing is called `{other}`"),
        };
        linker.define(&mut *store, "host", name, item)?;
    }
    Ok(())
}

/// An instance in a store of its own.
pub struct Side {
    store: Store<Answers>,
    instance: Instance,
}

impl Side {
    /// Links and starts a module that may import anything.
    pub fn new(engine: &Engine, module: &Module) -> std::result::Result<std::result::Result<Self, Stop>, String> {
        let mut store = Store::new(engine, Answers::default());
        let mut linker = functions(engine, module);
        define_rest(&mut linker, &mut store, module).map_err(|e| format!("{e:?}"))?;
        Ok(match linker.instantiate(&mut store, module) {
            Ok(instance) => Ok(Side { store, instance }),
            Err(error) => Err(stop(error)?),
        })
    }

    /// Starts another instance of a pre.
    pub fn of(pre: &InstancePre<Answers>) -> std::result::Result<std::result::Result<Self, Stop>, String> {
        let mut store = Store::new(pre.engine(), Answers::default());
        Ok(match pre.instantiate(&mut store) {
            Ok(instance) => Ok(Side { store, instance }),
            Err(error) => Err(stop(error)?),
        })
    }

    pub fn call(
        &mut self,
        name: &str,
        arguments: &[Value],
    ) -> std::result::Result<std::result::Result<Vec<Value>, Stop>, String> {
        let func = self.instance.func(&mut self.store, name).ok_or_else(|| format!("no function `{name}`"))?;
        let ty: FuncType = func.ty(&self.store).map_err(|e| format!("{e:?}"))?;
        let mut arguments: Vec<Val> =
            arguments.iter().map(|&v| to_val(v, || ExternRef::new(&mut self.store, 1u8))).collect();
        // Some function references are this very function.
        for value in &mut arguments {
            if let Val::FuncRef(f) = value {
                *f = Some(func);
            }
        }
        let mut results: Vec<Val> = ty.results().iter().map(|&t| Val::default_for(t)).collect();
        Ok(match func.call(&mut self.store, &arguments, &mut results) {
            Ok(()) => Ok(results.iter().map(value_of).collect()),
            Err(error) => Err(stop(error)?),
        })
    }

    /// Does to the instance what a host may do, by numbers.
    pub fn meddle(&mut self, random: &mut crate::random::Random) -> Result<()> {
        for (_, item) in self.instance.exports(&mut self.store)? {
            match item {
                Extern::Memory(memory) => {
                    // Also into what it has just grown into.
                    for _ in 0..2 {
                        let size = memory.data_size(&self.store)?;
                        let len = random.below(700);
                        if size > len {
                            let end = random.once_in(3);
                            let at = if end { size - len } else { random.below(size - len) } as u64;
                            let bytes = random.bytes(len);
                            match random.below(2) {
                                0 => memory.write(&mut self.store, at, &bytes)?,
                                _ => memory.slice_mut(&mut self.store, at..at + len as u64)?.copy_from_slice(&bytes),
                            }
                        }
                        if !random.once_in(4) {
                            break;
                        }
                        let _ = memory.grow(&mut self.store, 1 + random.below(3) as u64);
                    }
                }
                Extern::Global(global) if global.ty().mutable && !global.ty().content.is_reference() => {
                    let value = Value::any(random, type_of(global.ty().content));
                    global.set(&mut self.store, to_val(value, || unreachable!("a number")))?;
                }
                Extern::Table(table) => {
                    let null = Val::default_for(ValType::Ref(table.ty(&self.store)?.element));
                    if table.size(&self.store)? > 0 && random.once_in(2) {
                        let at = random.below(table.size(&self.store)? as usize) as u64;
                        table.set(&mut self.store, at, null)?;
                    }
                    let _ = table.grow(&mut self.store, random.below(3) as u64, null);
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn view(&mut self) -> Result<View> {
        let mut view = View::default();
        for (name, item) in self.instance.exports(&mut self.store)? {
            match item {
                Extern::Memory(memory) => {
                    let mut bytes = vec![0; memory.data_size(&self.store)?];
                    memory.read(&self.store, 0, &mut bytes)?;
                    view.memories.push((name, bytes));
                }
                Extern::Global(global) => view.globals.push((name, value_of(&global.get(&self.store)?))),
                Extern::Table(table) => {
                    let size = table.size(&self.store)?;
                    let there = (0..size).map(|i| {
                        let value = table.get(&self.store, i)?.expect("an element below the size");
                        Ok(matches!(value_of(&value), Value::Func(true) | Value::Extern(true)))
                    });
                    let there = there.collect::<Result<Vec<bool>>>()?;
                    view.tables.push((name, there));
                }
                Extern::SharedMemory(memory) => {
                    let mut bytes = vec![0; memory.data_size()];
                    memory.read(0, &mut bytes)?;
                    view.memories.push((name, bytes));
                }
                Extern::Func(_) => {}
            }
        }
        Ok(view.sorted())
    }
}
