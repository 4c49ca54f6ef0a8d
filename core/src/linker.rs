//! [`Linker`]: names to host functions and other definitions.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::artifact::info::{ExternType, FuncType, GlobalType, ValType};
use crate::artifact::layout::{VmFunctionImport, VmGlobal};
use crate::engine::Engine;
use crate::error::{Result, bail, error};
use crate::externs::{Extern, describe, matches};
use crate::global::Global;
use crate::host::{Caller, HostFunc, IntoFunc};
use crate::instance::Instance;
use crate::memory::Memory;
use crate::module::{ImportType, Module};
use crate::pre::InstancePre;
use crate::shared_memory::SharedMemory;
use crate::store::{AsContextMut, StoreOpaque};
use crate::table::Table;
use crate::val::Val;
use crate::vm::instance::ImportValue;

/// Names to host functions and other definitions, for stores whose host data is a `T`.
pub struct Linker<T: 'static> {
    engine: Engine,
    definitions: HashMap<String, HashMap<String, Definition>>,
    allow_shadowing: bool,
    _data: PhantomData<fn(T)>,
}

#[derive(Clone)]
enum Definition {
    Host(Arc<HostFunc>),
    /// With its type when it was defined, and the store it belongs to.
    Store {
        item: Extern,
        store: u64,
    },
    Shared(SharedMemory),
    /// The value of a constant global of numbers.
    Constant {
        value: Arc<VmGlobal>,
        ty: GlobalType,
    },
}

impl<T: 'static> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            definitions: self.definitions.clone(),
            allow_shadowing: self.allow_shadowing,
            _data: PhantomData,
        }
    }
}

impl<T: 'static> Linker<T> {
    /// A linker without definitions.
    pub fn new(engine: &Engine) -> Self {
        Linker { engine: engine.clone(), definitions: HashMap::new(), allow_shadowing: false, _data: PhantomData }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a name may be defined again. Default: no.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.allow_shadowing = allow;
        self
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> Result<&mut Self> {
        let names = self.definitions.entry(module.to_string()).or_default();
        if !self.allow_shadowing && names.contains_key(name) {
            bail!(Link, "`{module}.{name}` is defined already; see Linker::allow_shadowing");
        }
        names.insert(name.to_string(), definition);
        Ok(self)
    }

    /// Defines a host function by a closure of up to 16 parameters, with or without a [`Caller`] in front.
    ///
    /// # Errors
    ///
    /// `Link` when the name is taken.
    pub fn func_wrap<P, R>(&mut self, module: &str, name: &str, func: impl IntoFunc<T, P, R>) -> Result<&mut Self> {
        self.insert(module, name, Definition::Host(Arc::new(func.into_host().0)))
    }

    /// Defines a host function over values.
    ///
    /// # Errors
    ///
    /// `Link` when the name is taken; `Type` when the type mentions types that are none of the engine's.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.engine.types().check(ty.mentioned())?;
        self.insert(module, name, Definition::Host(Arc::new(HostFunc::dynamic(ty, func))))
    }

    /// Defines a host function over raw slots: parameters in, results out, 8 bytes each, `ty.slots()` of them. Integers and
    /// floats are their bits in the low end; a vector takes two slots, its low half first.
    ///
    /// # Errors
    ///
    /// `Link` when the name is taken; `Type` when a parameter or result is a reference.
    pub fn func_raw(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &mut [u64]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        if ty.has_references() {
            bail!(Type, "`{module}.{name}` has type {ty}; references cannot be passed as raw slots");
        }
        self.insert(module, name, Definition::Host(Arc::new(HostFunc::raw(ty, func))))
    }

    /// Defines a constant global by its value. It belongs to no store, so modules that import it can be instantiated in any,
    /// and in warm slots.
    ///
    /// ```
    /// use instar::{Engine, Linker, Module};
    ///
    /// let engine = Engine::default();
    /// let module = Module::new(
    ///     &engine,
    ///     r#"(module (import "env" "base" (global $base i32)) (memory (export "memory") 1)
    ///          (data (global.get $base) "hello"))"#,
    /// )?;
    /// let mut linker = Linker::<()>::new(&engine);
    /// linker.define_constant("env", "base", 1024)?;
    /// let pre = linker.instantiate_pre(&module)?;
    /// let mut bytes = [0; 5];
    /// pre.fresh(())?.memory_read(&pre.memory("memory")?, 1024, &mut bytes)?;
    /// assert_eq!(&bytes, b"hello");
    /// # Ok::<(), instar::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `Link` when the name is taken; `Type` when the value is a reference, which belongs to a store.
    pub fn define_constant(&mut self, module: &str, name: &str, value: impl Into<Val>) -> Result<&mut Self> {
        let value = value.into();
        let ty = GlobalType { content: value.ty(), mutable: false };
        let Some(bits) = value.number_bits() else {
            bail!(Type, "`{module}.{name}` is a {}: only numbers can be constants without a store", value.ty());
        };
        self.insert(module, name, Definition::Constant { value: Arc::new(VmGlobal { bits }), ty })
    }

    /// Defines something that belongs to a store: modules that import it can be instantiated in that store only. Or a shared
    /// memory, which belongs to none, or a constant global of numbers, whose value is taken: see
    /// [`Linker::define_constant`].
    ///
    /// # Errors
    ///
    /// `Link` when the name is taken, or a shared memory is one of another engine; `StaleHandle` when the item belongs to another store.
    pub fn define(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let mut context = store.as_context_mut();
        let item = match item.into() {
            Extern::SharedMemory(memory) => {
                if !Engine::same(memory.engine(), &self.engine) {
                    bail!(Link, "the shared memory for `{module}.{name}` and the linker belong to different engines");
                }
                return self.insert(module, name, Definition::Shared(memory));
            }
            item => item,
        };
        item.current_type(context.opaque())?;
        if let Extern::Global(global) = item
            && let Some(bits) = global.constant(context.opaque())?
        {
            let value = Arc::new(VmGlobal { bits });
            return self.insert(module, name, Definition::Constant { value, ty: global.ty() });
        }
        let store = context.opaque().id();
        self.insert(module, name, Definition::Store { item, store })
    }

    /// Defines all exports of an instance under a module name.
    ///
    /// # Errors
    ///
    /// As for [`Linker::define`].
    pub fn instance(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self> {
        for (name, item) in instance.exports(&mut store)? {
            self.define(&mut store, module, &name, item)?;
        }
        Ok(self)
    }

    /// Defines `module.name` once more, as `as_module.as_name`.
    ///
    /// # Errors
    ///
    /// `Link` when there is no such definition, or the new name is taken.
    pub fn alias(&mut self, module: &str, name: &str, as_module: &str, as_name: &str) -> Result<&mut Self> {
        let Some(definition) = self.definition(module, name).cloned() else {
            bail!(Link, "`{module}.{name}` is not defined, so it cannot be known as `{as_module}.{as_name}` too");
        };
        self.insert(as_module, as_name, definition)
    }

    /// Defines everything of `module` once more, under `as_module`.
    ///
    /// # Errors
    ///
    /// `Link` when nothing of that module is defined, or a new name is taken.
    pub fn alias_module(&mut self, module: &str, as_module: &str) -> Result<&mut Self> {
        let Some(names) = self.definitions.get(module).filter(|names| !names.is_empty()).cloned() else {
            bail!(Link, "nothing of module `{module}` is defined, so it cannot be known as `{as_module}` too");
        };
        for (name, definition) in names {
            self.insert(as_module, &name, definition)?;
        }
        Ok(self)
    }

    /// Instantiates a module in a store with what is defined so far, and defines its exports under a module name.
    ///
    /// A module with a function `_start` is a WASI command: then each call of one of its functions runs in an instance of its
    /// own, which lives as long as the store. Any other module is instantiated once, and its `_initialize` is called if it
    /// has one.
    ///
    /// # Errors
    ///
    /// As for [`Linker::instantiate`] and [`Linker::define`].
    pub fn module(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module_name: &str,
        module: &Module,
    ) -> Result<&mut Self> {
        let is_command = module.export("_start") == Some(ExternType::Func(FuncType::new([], [])));
        if !is_command {
            let instance = self.instantiate(&mut store, module)?;
            if let Some(ExternType::Func(ty)) = module.export("_initialize")
                && ty == FuncType::new([], [])
            {
                instance.typed_func::<(), ()>(&mut store, "_initialize")?.call(&mut store, ())?;
            }
            return self.instance(store, module_name, instance);
        }
        let pre = self.resolve(module, Some(store.as_context_mut().opaque()), false)?;
        for export in module.exports() {
            let ExternType::Func(ty) = export.ty else { continue };
            let (pre, name) = (pre.clone(), export.name.to_string());
            self.func_new(module_name, export.name, ty, move |mut caller, params, results| {
                let instance = pre.instantiate(&mut caller)?;
                match instance.func(&mut caller, &name) {
                    Some(func) => func.call(&mut caller, params, results),
                    None => bail!(Bug, "an export of the module is not one of its instance"),
                }
            })?;
        }
        Ok(self)
    }

    /// Defines every function that a module imports and that is not defined yet: called, it fails with an error that names
    /// it.
    ///
    /// # Errors
    ///
    /// `Link` when an undefined import is no function.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<()> {
        for import in self.unknown(module) {
            let what = format!("`{}.{}`", import.module, import.name);
            let ExternType::Func(ty) = import.ty else {
                bail!(
                    Link,
                    "import {what} is a {}; only functions can be defined as traps",
                    describe(&self.engine, &import.ty)
                );
            };
            let func = HostFunc::raw::<T, _>(ty, move |_, _| {
                Err(error!(Link, "the guest called {what}, an import that was never defined"))
            });
            self.insert(import.module, import.name, Definition::Host(Arc::new(func)))?;
        }
        Ok(())
    }

    /// Defines every import of a module that is not defined yet by a default: functions that return zeroes and null
    /// references, globals of zero or null, memories and tables of their smallest size. All but functions, shared memories
    /// and constant globals of numbers belong to the store.
    ///
    /// # Errors
    ///
    /// `Link` when a type has no default: a reference that cannot be null. As for [`Memory::new`], [`Table::new`] and
    /// [`Global::new`].
    pub fn define_unknown_imports_as_default_values(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<()> {
        for import in self.unknown(module) {
            let default = |ty: ValType| match ty {
                ValType::Ref(reference) if !reference.nullable => Err(error!(
                    Link,
                    "import `{}.{}` is a {}: type {ty} has no default value",
                    import.module,
                    import.name,
                    describe(&self.engine, &import.ty)
                )),
                ty => Ok(Val::default_for(ty)),
            };
            let item: Extern = match &import.ty {
                ExternType::Func(ty) => {
                    let defaults = ty.results().iter().map(|&ty| default(ty)).collect::<Result<Vec<Val>>>()?;
                    self.func_new(import.module, import.name, ty.clone(), move |_, _, results| {
                        results.copy_from_slice(&defaults);
                        Ok(())
                    })?;
                    continue;
                }
                ExternType::Global(ty) if !ty.mutable && !ty.content.is_reference() => {
                    self.define_constant(import.module, import.name, Val::default_for(ty.content))?;
                    continue;
                }
                ExternType::Global(ty) => Global::new(&mut store, *ty, default(ty.content)?)?.into(),
                ExternType::Memory(ty) if ty.shared => SharedMemory::new(&self.engine, *ty)?.into(),
                ExternType::Memory(ty) => Memory::new(&mut store, *ty)?.into(),
                ExternType::Table(ty) => Table::new(&mut store, *ty, default(ValType::Ref(ty.element))?)?.into(),
            };
            self.define(&mut store, import.module, import.name, item)?;
        }
        Ok(())
    }

    fn definition(&self, module: &str, name: &str) -> Option<&Definition> {
        self.definitions.get(module)?.get(name)
    }

    /// For the error of a missing import: what there is under the same module's name.
    fn what_is_there(&self, module: &str) -> String {
        const MOST: usize = 8;
        let Some(definitions) = self.definitions.get(module) else {
            return format!("; nothing of module `{module}` is defined");
        };
        let mut names: Vec<&str> = definitions.keys().map(String::as_str).collect();
        names.sort_unstable();
        let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
        names.truncate(MOST);
        format!("; of module `{module}` there are: {}{more}", names.join(", "))
    }

    /// Imports of a module that are not defined, each name once.
    fn unknown<'m>(&self, module: &'m Module) -> Vec<ImportType<'m>> {
        let mut seen = HashSet::new();
        let unknown = |import: &ImportType<'m>| {
            self.definition(import.module, import.name).is_none() && seen.insert((import.module, import.name))
        };
        module.imports().filter(unknown).collect()
    }

    /// Resolves and checks all imports of a module.
    ///
    /// # Errors
    ///
    /// `Link`, with module, name and type of the import that is missing or has another type, or when an import belongs to
    /// a store (then [`Linker::instantiate`] is the way). `Limit` when the module needs more memory or table elements at
    /// once than the engine allows.
    pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<T>> {
        self.resolve(module, None, false)
    }

    /// Resolves the imports and makes an instance in a store.
    ///
    /// # Errors
    ///
    /// As for [`Linker::instantiate_pre`] and [`InstancePre::instantiate`].
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance> {
        let pre = self.resolve(module, Some(store.as_context_mut().opaque()), true)?;
        pre.instantiate(store)
    }

    /// `once`: for one instance.
    fn resolve(&self, module: &Module, store: Option<&StoreOpaque>, once: bool) -> Result<InstancePre<T>> {
        if !Engine::same(module.engine(), &self.engine) {
            bail!(Link, "the module and the linker belong to different engines");
        }
        let mut imports = Vec::new();
        let mut keeps: Vec<Arc<dyn Any + Send + Sync>> = Vec::new();
        let mut bound = None;
        for import in module.imports() {
            let what = format!("`{}.{}`", import.module, import.name);
            let Some(definition) = self.definition(import.module, import.name) else {
                bail!(
                    Link,
                    "import {what} is not defined: the module wants a {}{}",
                    describe(&self.engine, &import.ty),
                    self.what_is_there(import.module)
                );
            };
            let check = |given: ExternType| match matches(&import.ty, &given) {
                true => Ok(()),
                false => Err(error!(
                    Link,
                    "import {what} is of another type: the module wants a {}, it is a {}",
                    describe(&self.engine, &import.ty),
                    describe(&self.engine, &given)
                )),
            };
            imports.push(match definition {
                Definition::Host(func) => {
                    check(ExternType::Func(func.ty().clone()))?;
                    keeps.push(func.clone());
                    func.import()
                }
                Definition::Shared(memory) => {
                    check(ExternType::Memory(memory.ty()))?;
                    keeps.push(memory.record().clone());
                    memory.import()
                }
                Definition::Constant { value, ty } => {
                    check(ExternType::Global(*ty))?;
                    keeps.push(value.clone());
                    // Nobody writes a constant.
                    ImportValue::Global(Arc::as_ptr(value).cast_mut(), *ty)
                }
                Definition::Store { item, store: owner } => {
                    let Some(store) = store.filter(|s| s.id() == *owner) else {
                        bail!(Link, "import {what} belongs to a store; use Linker::instantiate with that store");
                    };
                    check(item.current_type(store)?)?;
                    bound = Some(*owner);
                    import_value(item, store)?
                }
            });
        }
        InstancePre::new(module, imports.into(), Box::new(keeps), bound, once)
    }
}

fn import_value(item: &Extern, store: &StoreOpaque) -> Result<ImportValue> {
    Ok(match item {
        Extern::Func(func) => {
            let reference = func.raw(store)?;
            // SAFETY: the reference belongs to an instance of `store`.
            let (code, context) = unsafe { ((*reference).code, (*reference).context) };
            ImportValue::Function(VmFunctionImport { code, context })
        }
        Extern::Memory(memory) => ImportValue::Memory(memory.raw(store)?),
        Extern::Table(table) => ImportValue::Table(table.raw(store)?),
        Extern::Global(global) => ImportValue::Global(global.raw(store)?, global.ty()),
        Extern::SharedMemory(_) => bail!(Bug, "a shared memory among the items of a store"),
    })
}
