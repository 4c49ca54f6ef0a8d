//! [`run`]: the steps of a script, twice over one engine.
//!
//! Round one compiles every module; round two starts over in a new store with the same compiled modules. A module whose
//! imports are all functions of the host belongs to no store: its `InstancePre` is kept, and each time it is wanted it
//! is first instantiated in a throwaway store that is dropped again. So in round two every such instance gets a slot
//! that was dirtied by all directives of round one, and must behave as if nothing had happened.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use instar::{
    Config, Engine, Error, ErrorKind, Extern, ExternType, Global, GlobalType, Instance, InstancePre, Linker, Memory,
    MemoryType, Module, RefType, Store, Table, TableType, TrapCode, Val, ValType,
};

use crate::report::Verdict;
use crate::script::{Action, Script, Source, Step};
use crate::value::{Argument, Expected};

const ROUNDS: usize = 2;

/// Runs all steps and says for each whether it passed in every round.
pub fn run(script: &Script) -> Vec<Verdict> {
    let mut config = Config::new();
    config.paranoid(true);
    let engine = match Engine::new(&config) {
        Ok(engine) => engine,
        Err(error) => return script.directives.iter().map(|_| Err(format!("no engine: {error}"))).collect(),
    };
    let mut compiled = Compiled { engine, modules: HashMap::new() };
    let mut verdicts: Vec<Verdict> = script.directives.iter().map(|_| Ok(())).collect();
    for round in 1..=ROUNDS {
        let mut session = match Session::new(&mut compiled) {
            Ok(session) => session,
            Err(error) => {
                return script.directives.iter().map(|_| Err(format!("no spectest module: {error}"))).collect();
            }
        };
        for (index, directive) in script.directives.iter().enumerate() {
            let verdict = catch_unwind(AssertUnwindSafe(|| session.step(index, &directive.step)))
                .unwrap_or_else(|panic| Err(format!("panic: {}", panic_message(&*panic))));
            if let (Err(message), Ok(())) = (verdict, &verdicts[index]) {
                verdicts[index] = Err(if round == 1 { message } else { format!("only in round {round}: {message}") });
            }
        }
    }
    verdicts
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of an unknown type")
}

/// What outlives a round: modules by the directive that they stand in.
struct Compiled {
    engine: Engine,
    modules: HashMap<usize, Reusable>,
}

#[derive(Clone)]
struct Reusable {
    module: Module,
    /// Present once the module was linked, if it belongs to no store.
    pre: Option<InstancePre<()>>,
}

/// One round.
struct Session<'a> {
    compiled: &'a mut Compiled,
    store: Store<()>,
    linker: Linker<()>,
    named: HashMap<String, Instance>,
    latest: Option<Instance>,
    definitions: HashMap<String, usize>,
    latest_definition: Option<usize>,
}

/// Why an action gave no values.
enum Stop {
    /// The engine said so.
    Error(Error),
    /// The script or this runner is at fault.
    Runner(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(error)
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Error(error) => write!(f, "{error:?}"),
            Stop::Runner(message) => f.write_str(message),
        }
    }
}

impl<'a> Session<'a> {
    fn new(compiled: &'a mut Compiled) -> Result<Self, Error> {
        let mut store = Store::new(&compiled.engine, ());
        let linker = spectest(&mut store, &compiled.engine)?;
        let (named, definitions) = (HashMap::new(), HashMap::new());
        Ok(Session { compiled, store, linker, named, latest: None, definitions, latest_definition: None })
    }

    fn step(&mut self, index: usize, step: &Step) -> Verdict {
        match step {
            Step::Module { name, source } => {
                // A module that fails leaves no latest one behind, so that what follows fails as well.
                self.latest = None;
                let instance = self.instantiate(index, source).map_err(|stop| format!("module: {stop}"))?;
                self.latest = Some(instance);
                if let Some(name) = name {
                    self.named.insert(name.clone(), instance);
                }
                Ok(())
            }
            Step::Definition { name, source } => {
                self.compile(index, source).map_err(|stop| format!("module definition: {stop}"))?;
                self.latest_definition = Some(index);
                if let Some(name) = name {
                    self.definitions.insert(name.clone(), index);
                }
                Ok(())
            }
            Step::InstanceOf { name, definition } => {
                let index = match definition {
                    Some(definition) => self.definitions.get(definition).copied(),
                    None => self.latest_definition,
                };
                let index = index.ok_or("module instance: no such definition")?;
                let instance = self.link(index).map_err(|stop| format!("module instance: {stop}"))?;
                self.latest = Some(instance);
                if let Some(name) = name {
                    self.named.insert(name.clone(), instance);
                }
                Ok(())
            }
            Step::Register { name, as_module } => {
                let instance = self.instance(name).map_err(|stop| format!("register: {stop}"))?;
                self.linker
                    .instance(&mut self.store, as_module, instance)
                    .map_err(|error| format!("register: {error:?}"))?;
                Ok(())
            }
            Step::Perform(action) => self.perform(index, action).map(|_| ()).map_err(|stop| format!("invoke: {stop}")),
            Step::Return { action, expected } => self.assert_return(index, action, expected),
            Step::Trap { action, text } => self.assert_trap(index, action, text),
            Step::Exhaustion { action, text } => match self.perform(index, action) {
                Err(Stop::Error(error)) if error.trap_code() == Some(TrapCode::StackOverflow) => Ok(()),
                other => Err(format!("assert_exhaustion: expected {text:?}, got {}", describe(other))),
            },
            Step::Refused { source, text } => self.assert_refused(source, text),
            Step::Unlinkable { source, text } => self.assert_unlinkable(index, source, text),
            Step::Unknown(what) => Err(format!("{what}: out of scope")),
        }
    }

    fn assert_return(&mut self, index: usize, action: &Action, expected: &[Expected]) -> Verdict {
        let values = self.perform(index, action).map_err(|stop| format!("assert_return: {stop}"))?;
        let equal = values.len() == expected.len()
            && expected.iter().zip(&values).all(|(expected, value)| expected.matches(value, &self.store));
        if equal { Ok(()) } else { Err(format!("assert_return: expected {expected:x?}, got {values:x?}")) }
    }

    /// A trap has the expected text if one of the two texts begins with the other.
    fn assert_trap(&mut self, index: usize, action: &Action, text: &str) -> Verdict {
        match self.perform(index, action) {
            Err(Stop::Error(error)) if error.trap_code().is_some_and(|code| same_text(code.text(), text)) => Ok(()),
            other => Err(format!("assert_trap: expected {text:?}, got {}", describe(other))),
        }
    }

    /// Malformed and invalid modules are one thing to an engine. The assembler may refuse first.
    fn assert_refused(&mut self, source: &Source, text: &str) -> Verdict {
        let Ok(bytes) = source else { return Ok(()) };
        match Module::new(&self.compiled.engine, bytes) {
            Ok(_) => Err(format!("expected {text:?}, but it compiles")),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidModule | ErrorKind::Unsupported) => Ok(()),
            Err(error) => Err(format!("expected {text:?} as InvalidModule, got {error:?}")),
        }
    }

    /// 1.0 checked active segments before it wrote anything and called misfits unlinkable; since 2.0 they trap.
    fn assert_unlinkable(&mut self, index: usize, source: &Source, text: &str) -> Verdict {
        let segment = text.ends_with("does not fit") || text.ends_with("segment does not fit in memory");
        match self.instantiate(index, source) {
            Err(Stop::Error(error)) if error.kind() == ErrorKind::Link => Ok(()),
            Err(Stop::Error(error))
                if segment
                    && matches!(error.trap_code(), Some(TrapCode::MemoryOutOfBounds | TrapCode::TableOutOfBounds)) =>
            {
                Ok(())
            }
            other => Err(format!("assert_unlinkable: expected {text:?}, got {}", describe(other))),
        }
    }

    /// The values that an action gives.
    fn perform(&mut self, index: usize, action: &Action) -> Result<Vec<Val>, Stop> {
        match action {
            Action::Instantiate { source } => {
                self.instantiate(index, source)?;
                Ok(Vec::new())
            }
            Action::Get { module, field } => {
                let instance = self.instance(module)?;
                let global = instance.global(&mut self.store, field);
                let global = global.ok_or_else(|| Stop::Runner(format!("no global {field:?}")))?;
                Ok(vec![global.get(&self.store)?])
            }
            Action::Invoke { module, field, arguments } => self.invoke(module, field, arguments),
        }
    }

    fn invoke(&mut self, module: &Option<String>, field: &str, arguments: &[Argument]) -> Result<Vec<Val>, Stop> {
        let instance = self.instance(module)?;
        let func = instance.func(&mut self.store, field);
        let func = func.ok_or_else(|| Stop::Runner(format!("no function {field:?}")))?;
        let arguments: Vec<Val> = arguments
            .iter()
            .map(|argument| argument.value(&mut self.store))
            .collect::<Result<_, _>>()
            .map_err(Stop::Runner)?;
        let ty = func.ty(&self.store)?;
        let mut results: Vec<Val> = ty.results().iter().map(|&ty| Val::default_for(ty)).collect();
        func.call(&mut self.store, &arguments, &mut results)?;
        Ok(results)
    }

    fn instance(&self, name: &Option<String>) -> Result<Instance, Stop> {
        match name {
            Some(name) => self.named.get(name).copied().ok_or_else(|| Stop::Runner(format!("no instance ${name}"))),
            None => self.latest.ok_or_else(|| Stop::Runner("no instance".to_string())),
        }
    }

    fn compile(&mut self, index: usize, source: &Source) -> Result<(), Stop> {
        if !self.compiled.modules.contains_key(&index) {
            let bytes = source.as_ref().map_err(|message| Stop::Runner(message.clone()))?;
            let module = Module::new(&self.compiled.engine, bytes)?;
            self.compiled.modules.insert(index, Reusable { module, pre: None });
        }
        Ok(())
    }

    fn instantiate(&mut self, index: usize, source: &Source) -> Result<Instance, Stop> {
        self.compile(index, source)?;
        self.link(index)
    }

    /// Instantiates the module of a directive; before that in a throwaway store, if the module belongs to none.
    fn link(&mut self, index: usize) -> Result<Instance, Stop> {
        let Reusable { module, pre } = self.compiled.modules[&index].clone();
        if !belongs_to_no_store(&module) {
            return Ok(self.linker.instantiate(&mut self.store, &module)?);
        }
        let pre = match pre {
            Some(pre) => pre,
            None => self.linker.instantiate_pre(&module)?,
        };
        self.compiled.modules.insert(index, Reusable { module, pre: Some(pre.clone()) });
        let rehearsal = outcome(&pre.instantiate(&mut Store::new(&self.compiled.engine, ())));
        let instance = pre.instantiate(&mut self.store);
        let real = outcome(&instance);
        if rehearsal != real {
            return Err(Stop::Runner(format!("first instance: {rehearsal}, second one: {real}")));
        }
        Ok(instance?)
    }
}

/// Whether all imports are functions of the host, which no store owns.
fn belongs_to_no_store(module: &Module) -> bool {
    module.imports().all(|import| import.module == "spectest" && matches!(import.ty, ExternType::Func(_)))
}

/// What came of an instantiation, by name.
fn outcome(result: &Result<Instance, Error>) -> String {
    match result {
        Ok(_) => "created".to_string(),
        Err(error) => error.trap_code().map_or(error.kind().name(), |code| code.name()).to_string(),
    }
}

fn describe<V>(result: Result<V, Stop>) -> String {
    match result {
        Ok(_) => "success".to_string(),
        Err(stop) => stop.to_string(),
    }
}

fn same_text(ours: &str, theirs: &str) -> bool {
    ours.starts_with(theirs) || theirs.starts_with(ours)
}

/// The module that the suite's scripts import from.
fn spectest(store: &mut Store<()>, engine: &Engine) -> Result<Linker<()>, Error> {
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    linker.func_wrap("spectest", "print", || {})?;
    linker.func_wrap("spectest", "print_i32", |_: i32| {})?;
    linker.func_wrap("spectest", "print_i64", |_: i64| {})?;
    linker.func_wrap("spectest", "print_f32", |_: f32| {})?;
    linker.func_wrap("spectest", "print_f64", |_: f64| {})?;
    linker.func_wrap("spectest", "print_i32_f32", |_: i32, _: f32| {})?;
    linker.func_wrap("spectest", "print_f64_f64", |_: f64, _: f64| {})?;
    let globals = [
        ("global_i32", ValType::I32, Val::I32(666)),
        ("global_i64", ValType::I64, Val::I64(666)),
        ("global_f32", ValType::F32, Val::F32(666.6_f32.to_bits())),
        ("global_f64", ValType::F64, Val::F64(666.6_f64.to_bits())),
    ];
    for (name, content, value) in globals {
        let global = Global::new(&mut *store, GlobalType { content, mutable: false }, value)?;
        linker.define(&mut *store, "spectest", name, Extern::from(global))?;
    }
    let table_type = TableType::new(RefType::FUNCREF, 10, Some(20));
    let table = Table::new(&mut *store, table_type, Val::FuncRef(None))?;
    linker.define(&mut *store, "spectest", "table", Extern::from(table))?;
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    linker.define(&mut *store, "spectest", "memory", Extern::from(memory))?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"
        (module
          (memory 1)
          (global (export "g") (mut i32) (i32.const 7))
          (func (export "one") (result i32) (i32.const 1))
          (func (export "nan") (result f32) (f32.const nan:0x200000))
          (func (export "null") (result funcref) (ref.null func))
          (func (export "same") (param externref) (result externref) (local.get 0))
          (func (export "count") (result i32)
            (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
            (i32.load (i32.const 0)))
          (func (export "trap") (unreachable))
          (func $deep (export "deep") (call $deep)))
    "#;

    fn verdicts(directives: &str) -> Vec<Verdict> {
        let script = Script::parse(&format!("{MODULE}{directives}")).unwrap_or_else(|error| panic!("{error}"));
        run(&script).split_off(1)
    }

    #[test]
    fn what_is_true_passes_in_both_rounds() {
        let right = r#"
            (assert_return (invoke "one") (i32.const 1))
            (assert_return (get "g") (i32.const 7))
            (assert_return (invoke "count") (i32.const 1))
            (assert_return (invoke "count") (i32.const 2))
            (assert_return (invoke "null") (ref.null func))
            (assert_return (invoke "same" (ref.extern 5)) (ref.extern 5))
            (assert_trap (invoke "trap") "unreachable")
            (assert_exhaustion (invoke "deep") "call stack exhausted")
            (assert_invalid (module (func (result i32))) "type mismatch")
            (assert_malformed (module quote "(modul)") "unexpected token")
            (assert_unlinkable (module (import "spectest" "nothing" (func))) "unknown import")
            (assert_unlinkable (module (import "spectest" "print" (func (param i32)))) "incompatible import type")
        "#;
        for (index, verdict) in verdicts(right).into_iter().enumerate() {
            assert_eq!(verdict, Ok(()), "directive {index}");
        }
    }

    #[test]
    fn what_is_wrong_fails() {
        let wrong = r#"
            (assert_return (invoke "one") (i32.const 2))
            (assert_return (invoke "one"))
            (assert_return (invoke "one") (i64.const 1))
            (assert_return (invoke "nan") (f32.const nan:canonical))
            (assert_return (invoke "null") (ref.func))
            (assert_return (invoke "same" (ref.extern 5)) (ref.extern 6))
            (assert_return (invoke "missing"))
            (assert_return (get "missing") (i32.const 7))
            (assert_return (invoke "trap"))
            (assert_trap (invoke "one") "unreachable")
            (assert_trap (invoke "trap") "integer overflow")
            (assert_exhaustion (invoke "trap") "call stack exhausted")
            (assert_invalid (module) "type mismatch")
            (assert_malformed (module quote "(module)") "unexpected token")
            (assert_unlinkable (module) "unknown import")
            (assert_unlinkable (module (memory 1) (data (i32.const 65536) "a")) "unknown import")
            (invoke "trap")
            (register "x" $missing)
        "#;
        for (index, verdict) in verdicts(wrong).into_iter().enumerate() {
            assert!(verdict.is_err(), "directive {index} passes");
        }
    }
}
