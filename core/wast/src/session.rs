//! [`run`]: the steps of a script, once.
//!
//! A [`Session`] is what one thread of a script has: a store, the instances in it by their names, and the definitions that
//! modules may import. The main thread's session runs the whole script; a `thread` directive starts another one that runs
//! the directives in it, and gives their verdicts back when it is waited for, at the end of the script if not before.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use instar::{Error, ErrorKind, Instance, Linker, Store, TrapCode, Val};

use crate::modules::Modules;
use crate::runner::{Runner, Verdict};
use crate::script::{Action, Script, Source, Step};
use crate::shared::SharedExports;
use crate::spectest;
use crate::value::{Argument, Expected, NotSupported, Shown};

/// Runs all steps and gives a verdict for each directive.
pub(crate) fn run(runner: &Runner, script: &Script, modules: &Modules) -> Vec<Verdict> {
    let directives = script.directives().len();
    let mut verdicts = vec![Verdict::Failed("not run: its thread did not start".to_owned()); directives];
    let everything = Everything { runner, script, modules };
    std::thread::scope(|scope| {
        for (place, verdict) in thread(everything, scope, 0..directives, None) {
            verdicts[place] = verdict;
        }
    });
    verdicts
}

/// Verdicts by the place of the directive.
type Verdicts = Vec<(usize, Verdict)>;

/// What all threads of a script share.
#[derive(Clone, Copy)]
struct Everything<'env> {
    runner: &'env Runner,
    script: &'env Script,
    modules: &'env Modules,
}

/// Runs the directives of one thread. `given` is the module whose memories it shares.
fn thread<'scope, 'env>(
    everything: Everything<'env>,
    scope: &'scope Scope<'scope, 'env>,
    directives: Range<usize>,
    given: Option<(String, SharedExports)>,
) -> Verdicts {
    let mut session = match Session::new(everything, scope) {
        Ok(session) => session,
        Err(error) => {
            return directives
                .map(|place| (place, Verdict::Failed(format!("no module spectest: {error:?}"))))
                .collect();
        }
    };
    if let Some((name, exports)) = given {
        session.named.insert(name, Named::Shared(exports));
    }
    let mut place = directives.start;
    while place < directives.end {
        let verdict = match catch_unwind(AssertUnwindSafe(|| session.step(place))) {
            Ok(Ok(())) => Verdict::Passed,
            Ok(Err(Stop::NotSupported(what))) => Verdict::NotSupported(what),
            Ok(Err(stop)) => Verdict::Failed(stop.to_string()),
            Err(panic) => Verdict::Failed(format!("panic: {}", panic_message(&*panic))),
        };
        session.verdicts.push((place, verdict));
        place += 1 + everything.script.directives()[place].nested;
    }
    for (_, started) in std::mem::take(&mut session.threads) {
        session.verdicts.extend(started.join().unwrap_or_default());
    }
    session.verdicts
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of an unknown type")
}

/// What one thread of a script has.
struct Session<'scope, 'env> {
    everything: Everything<'env>,
    scope: &'scope Scope<'scope, 'env>,
    store: Store<()>,
    linker: Linker<()>,
    named: HashMap<String, Named>,
    latest: Named,
    /// Places of module definitions.
    definitions: HashMap<String, usize>,
    latest_definition: Option<usize>,
    /// Names that modules are registered under which are not supported.
    missing: HashSet<String>,
    threads: HashMap<String, ScopedJoinHandle<'scope, Verdicts>>,
    verdicts: Verdicts,
}

/// What a module's name stands for.
#[derive(Clone)]
enum Named {
    Instance(Instance),
    /// A module of the thread that started this one.
    Shared(SharedExports),
    /// The module did not come to be, since it needs this.
    NotSupported(String),
    /// There is none, for this reason.
    Nothing(&'static str),
}

/// Why a step did not pass.
enum Stop {
    /// The engine said so.
    Error(Error),
    /// The script or this runner is at fault, or an expectation was not met.
    Failed(String),
    NotSupported(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Unsupported => Stop::NotSupported(error.message().to_owned()),
            _ => Stop::Error(error),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Error(error) => write!(f, "{error:?}"),
            Stop::Failed(message) | Stop::NotSupported(message) => f.write_str(message),
        }
    }
}

/// A [`Stop`] of an expectation that was not met.
macro_rules! failed {
    ($($argument:tt)*) => {
        Stop::Failed(format!($($argument)*))
    };
}

impl Stop {
    /// With the name of the directive in front.
    fn of(self, directive: &str) -> Stop {
        match self {
            Stop::NotSupported(what) => Stop::NotSupported(format!("{directive}: {what}")),
            other => failed!("{directive}: {other}"),
        }
    }
}

impl<'scope, 'env> Session<'scope, 'env> {
    fn new(everything: Everything<'env>, scope: &'scope Scope<'scope, 'env>) -> Result<Self, Error> {
        let mut store = Store::new(everything.runner.engine(), ());
        let linker = spectest::linker(&mut store, everything.runner)?;
        Ok(Session {
            everything,
            scope,
            store,
            linker,
            named: HashMap::new(),
            latest: Named::Nothing("there is no module before it"),
            definitions: HashMap::new(),
            latest_definition: None,
            missing: HashSet::new(),
            threads: HashMap::new(),
            verdicts: Vec::new(),
        })
    }

    /// Runs the directive at `place`.
    fn step(&mut self, place: usize) -> Result<(), Stop> {
        let directive = &self.everything.script.directives()[place];
        match &directive.step {
            Step::Module { name, source } => {
                self.define(place, name);
                let created = self.instantiate(place, source);
                self.bind(name, created).map_err(|stop| stop.of("module"))
            }
            Step::Definition { name, source } => {
                self.define(place, name);
                self.compile(place, source).map_err(|stop| stop.of("module definition"))
            }
            Step::InstanceOf { name, definition } => {
                let created = self.definition(definition).and_then(|place| self.link(place));
                self.bind(name, created).map_err(|stop| stop.of("module instance"))
            }
            Step::Register { name, as_module } => self.register(name, as_module).map_err(|stop| stop.of("register")),
            Step::Perform(action) => self.perform(place, action).map(drop).map_err(|stop| stop.of("invoke")),
            Step::Return { action, expected } => {
                self.assert_return(place, action, expected).map_err(|stop| stop.of("assert_return"))
            }
            Step::Trap { action, text } => self.assert_trap(place, action, text).map_err(|stop| stop.of("assert_trap")),
            Step::Exhaustion { action, text } => {
                self.assert_exhaustion(place, action, text).map_err(|stop| stop.of("assert_exhaustion"))
            }
            Step::Refused { source, text } => self.assert_refused(source, text),
            Step::Unlinkable { source, text } => {
                self.assert_unlinkable(place, source, text).map_err(|stop| stop.of("assert_unlinkable"))
            }
            Step::Thread { name, shared } => {
                let body = place + 1..place + 1 + directive.nested;
                self.start_thread(name, shared, body).map_err(|stop| stop.of("thread"))
            }
            Step::Wait { thread } => self.wait(thread).map_err(|stop| stop.of("wait")),
            Step::NotSupported(NotSupported(what)) => Err(Stop::NotSupported((*what).to_owned())),
        }
    }

    fn define(&mut self, place: usize, name: &Option<String>) {
        self.latest_definition = Some(place);
        if let Some(name) = name {
            self.definitions.insert(name.clone(), place);
        }
    }

    fn definition(&self, name: &Option<String>) -> Result<usize, Stop> {
        match name {
            Some(name) => self.definitions.get(name).copied().ok_or_else(|| failed!("no module definition ${name}")),
            None => self.latest_definition.ok_or_else(|| failed!("there is no module definition before it")),
        }
    }

    /// Makes an instance the latest one. One that failed leaves none behind, so that what follows fails as well.
    fn bind(&mut self, name: &Option<String>, created: Result<Instance, Stop>) -> Result<(), Stop> {
        self.latest = match &created {
            Ok(instance) => Named::Instance(*instance),
            Err(Stop::NotSupported(what)) => Named::NotSupported(what.clone()),
            Err(_) => Named::Nothing("its module failed"),
        };
        if let Some(name) = name {
            self.named.insert(name.clone(), self.latest.clone());
        }
        created.map(drop)
    }

    fn named(&self, name: &Option<String>) -> Result<&Named, Stop> {
        match name {
            Some(name) => self.named.get(name).ok_or_else(|| failed!("no module ${name}")),
            None => Ok(&self.latest),
        }
    }

    fn instance(&self, name: &Option<String>) -> Result<Instance, Stop> {
        match self.named(name)? {
            Named::Instance(instance) => Ok(*instance),
            Named::Shared(_) => Err(failed!("the module belongs to another thread; only its shared memories are here")),
            Named::NotSupported(what) => Err(Stop::NotSupported(format!("its module: {what}"))),
            Named::Nothing(reason) => Err(failed!("no module: {reason}")),
        }
    }

    fn register(&mut self, name: &Option<String>, as_module: &str) -> Result<(), Stop> {
        if let Named::Shared(exports) = self.named(name)? {
            let exports = exports.clone();
            return Ok(exports.define(&mut self.linker, &mut self.store, as_module)?);
        }
        let instance = match self.instance(name) {
            Err(stop @ Stop::NotSupported(_)) => {
                self.missing.insert(as_module.to_owned());
                return Err(stop);
            }
            other => other?,
        };
        self.linker.instance(&mut self.store, as_module, instance)?;
        Ok(())
    }

    fn assert_return(&mut self, place: usize, action: &Action, expected: &[Expected]) -> Result<(), Stop> {
        let values = self.perform(place, action)?;
        let equal = values.len() == expected.len()
            && expected.iter().zip(&values).all(|(expected, value)| expected.matches(value, &self.store));
        if equal {
            return Ok(());
        }
        let list = |list: Vec<String>| if list.is_empty() { "nothing".to_owned() } else { list.join(" ") };
        let wanted = list(expected.iter().map(Expected::to_string).collect());
        let got = list(values.iter().map(|value| Shown(value, Some(&self.store)).to_string()).collect());
        Err(failed!("expected {wanted}, got {got}"))
    }

    /// A trap has the expected text if one of the two texts begins with the other.
    fn assert_trap(&mut self, place: usize, action: &Action, text: &str) -> Result<(), Stop> {
        match self.perform(place, action) {
            Err(Stop::Error(error)) if error.trap_code().is_some_and(|code| same_text(code.text(), text)) => Ok(()),
            other => Err(self.unexpected(text, other)),
        }
    }

    fn assert_exhaustion(&mut self, place: usize, action: &Action, text: &str) -> Result<(), Stop> {
        match self.perform(place, action) {
            Err(Stop::Error(error)) if error.trap_code() == Some(TrapCode::StackOverflow) => Ok(()),
            other => Err(self.unexpected(text, other)),
        }
    }

    /// Malformed and invalid modules are one thing to an engine. The assembler may refuse first.
    fn assert_refused(&mut self, source: &Source, text: &str) -> Result<(), Stop> {
        let Ok(bytes) = source else { return Ok(()) };
        match instar::Module::new(self.everything.runner.engine(), bytes) {
            Ok(_) => Err(failed!("expected {text:?}, but it compiles")),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidModule | ErrorKind::Unsupported) => Ok(()),
            Err(error) => Err(failed!("expected {text:?} as InvalidModule, got {error:?}")),
        }
    }

    /// 1.0 checked active segments before it wrote anything and called misfits unlinkable; since 2.0 they trap.
    fn assert_unlinkable(&mut self, place: usize, source: &Source, text: &str) -> Result<(), Stop> {
        let segment = text.ends_with("does not fit") || text.ends_with("segment does not fit in memory");
        match self.instantiate(place, source) {
            Err(Stop::Error(error)) if error.kind() == ErrorKind::Link => Ok(()),
            Err(Stop::Error(error))
                if segment
                    && matches!(error.trap_code(), Some(TrapCode::MemoryOutOfBounds | TrapCode::TableOutOfBounds)) =>
            {
                Ok(())
            }
            other => Err(self.unexpected(text, other.map(|_| Vec::new()))),
        }
    }

    /// What to say when something else happened than the trap or error of this text.
    fn unexpected(&self, text: &str, happened: Result<Vec<Val>, Stop>) -> Stop {
        match happened {
            Err(stop @ Stop::NotSupported(_)) => stop,
            Err(stop) => failed!("expected {text:?}, got {stop}"),
            Ok(values) if values.is_empty() => failed!("expected {text:?}, but it succeeds"),
            Ok(values) => {
                let values: Vec<String> =
                    values.iter().map(|value| Shown(value, Some(&self.store)).to_string()).collect();
                failed!("expected {text:?}, got {}", values.join(" "))
            }
        }
    }

    /// The values that an action gives.
    fn perform(&mut self, place: usize, action: &Action) -> Result<Vec<Val>, Stop> {
        match action {
            Action::Instantiate { source } => {
                self.instantiate(place, source)?;
                Ok(Vec::new())
            }
            Action::Get { module, field } => {
                let instance = self.instance(module)?;
                let global = instance.global(&mut self.store, field);
                let global = global.ok_or_else(|| failed!("no global {field:?}"))?;
                Ok(vec![global.get(&self.store)?])
            }
            Action::Invoke { module, field, arguments } => self.invoke(module, field, arguments),
        }
    }

    fn invoke(&mut self, module: &Option<String>, field: &str, arguments: &[Argument]) -> Result<Vec<Val>, Stop> {
        let instance = self.instance(module)?;
        let func = instance.func(&mut self.store, field);
        let func = func.ok_or_else(|| failed!("no function {field:?}"))?;
        let arguments: Vec<Val> = arguments.iter().map(|argument| argument.value(&mut self.store)).collect();
        let ty = func.ty(&self.store)?;
        let mut results: Vec<Val> = ty.results().iter().map(|&ty| Val::default_for(ty)).collect();
        func.call(&mut self.store, &arguments, &mut results)?;
        Ok(results)
    }

    fn compile(&mut self, place: usize, source: &Source) -> Result<(), Stop> {
        let bytes = source.as_ref().map_err(|message| Stop::Failed(message.clone()))?;
        self.everything.modules.compile(place, self.everything.runner.engine(), bytes)?;
        Ok(())
    }

    fn instantiate(&mut self, place: usize, source: &Source) -> Result<Instance, Stop> {
        self.compile(place, source)?;
        self.link(place)
    }

    /// Instantiates the module of a directive; before that in a store that is dropped again, if that is wanted and the
    /// module belongs to no store.
    fn link(&mut self, place: usize) -> Result<Instance, Stop> {
        let modules = self.everything.modules;
        let reusable = modules.of(place).ok_or_else(|| failed!("its module did not compile"))?;
        let rehearse = self.everything.runner.rehearse;
        if !rehearse || !reusable.belongs_to_no_store() {
            return match self.linker.instantiate(&mut self.store, &reusable.module) {
                Err(error) if error.kind() == ErrorKind::Link => {
                    let missing = reusable.module.imports().find(|import| self.missing.contains(import.module));
                    match missing {
                        Some(import) => {
                            Err(Stop::NotSupported(format!("it imports from {:?}, which is not", import.module)))
                        }
                        None => Err(error.into()),
                    }
                }
                other => Ok(other?),
            };
        }
        let pre = match reusable.pre {
            Some(pre) => pre,
            None => self.linker.instantiate_pre(&reusable.module)?,
        };
        modules.keep(place, &pre);
        let rehearsal = outcome(&pre.instantiate(&mut Store::new(self.everything.runner.engine(), ())));
        let instance = pre.instantiate(&mut self.store);
        let real = outcome(&instance);
        if rehearsal != real {
            return Err(failed!("first instance: {rehearsal}, second one: {real}"));
        }
        Ok(instance?)
    }

    fn start_thread(&mut self, name: &str, shared: &Option<String>, body: Range<usize>) -> Result<(), Stop> {
        if self.threads.contains_key(name) {
            return Err(failed!("there is a thread ${name} that nobody waited for"));
        }
        let given = match shared {
            Some(module) => {
                let exports = match self.named(&Some(module.clone()))? {
                    Named::Shared(exports) => exports.clone(),
                    _ => SharedExports::of(self.instance(&Some(module.clone()))?, &mut self.store)?,
                };
                Some((module.clone(), exports))
            }
            None => None,
        };
        let (everything, scope) = (self.everything, self.scope);
        let started = Builder::new()
            .name(format!("wast ${name}"))
            .spawn_scoped(scope, move || thread(everything, scope, body, given))
            .map_err(|error| failed!("the system gives no thread: {error}"))?;
        self.threads.insert(name.to_owned(), started);
        Ok(())
    }

    fn wait(&mut self, name: &str) -> Result<(), Stop> {
        let started = self.threads.remove(name).ok_or_else(|| failed!("no thread ${name}"))?;
        match started.join() {
            Ok(verdicts) => {
                self.verdicts.extend(verdicts);
                Ok(())
            }
            Err(panic) => Err(failed!("thread ${name} panicked: {}", panic_message(&*panic))),
        }
    }
}

/// What came of an instantiation, by name.
fn outcome(result: &Result<Instance, Error>) -> String {
    match result {
        Ok(_) => "created".to_owned(),
        Err(error) => error.trap_code().map_or(error.kind().name(), |code| code.name()).to_owned(),
    }
}

fn same_text(ours: &str, theirs: &str) -> bool {
    ours.starts_with(theirs) || theirs.starts_with(ours)
}
