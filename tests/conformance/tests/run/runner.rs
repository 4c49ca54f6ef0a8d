//! [`run`]: the commands of one case.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::channel;

use instar::{Config, Engine, Error, ErrorKind, ExportFunc, InstancePre, Linker, Module, SharedInstance};
use instar_conformance::case::{BytesCall, Call, Case, Command, Import, Value, unhex};
use instar_conformance::suite_folder;
use instar_conformance::verdict::{Line, Outcome};

use crate::host::{self, Boom, Data, Gate, PATIENCE, Shared};
use crate::typed::{self, Target};
use crate::value;

/// Executes a case and says what it saw of each command.
pub fn run(case: &Case) -> Vec<Line> {
    let unknown = case.requires.iter().find(|ability| *ability != "threads");
    assert!(unknown.is_none(), "this runner does not know the ability {unknown:?}");
    let mut runner = match Runner::new(case) {
        Ok(runner) => runner,
        Err(error) => return vec![line(case, "", "case", Err(Stop::from(error)))],
    };
    for (index, command) in case.commands.iter().enumerate() {
        let _ = runner.command(&index.to_string(), command);
    }
    // Instances refer to the list that they are in.
    runner.shared.instances.lock().unwrap().clear();
    runner.lines
}

fn line(case: &Case, line: &str, cmd: &str, result: Result<String, Stop>) -> Line {
    let (result, code, msg) = match result {
        Ok(code) => (Outcome::Pass, code, String::new()),
        Err(stop) => (Outcome::Fail, stop.code(), stop.message()),
    };
    Line { case: case.name.clone(), line: line.to_string(), cmd: cmd.to_string(), result, code, msg }
}

/// Why a command failed.
enum Stop {
    /// The engine said so.
    Engine(Error),
    /// It did something else than what was expected; with the code that was observed.
    Mismatch(String, String),
}

impl Stop {
    fn code(&self) -> String {
        match self {
            Stop::Engine(error) => observed(error),
            Stop::Mismatch(code, _) => code.clone(),
        }
    }

    fn message(&self) -> String {
        match self {
            Stop::Engine(error) => format!("{error:?}"),
            Stop::Mismatch(_, message) => message.clone(),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Engine(error)
    }
}

/// The name that the merge tool compares.
fn observed(error: &Error) -> String {
    error.trap_code().map_or(error.kind().name(), |code| code.name()).to_string()
}

fn mismatch<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Mismatch(String::new(), message.into()))
}

/// The state of a case.
struct Runner<'a> {
    case: &'a Case,
    engine: Engine,
    modules: HashMap<String, Module>,
    pres: HashMap<String, InstancePre<Data>>,
    /// Which pre an instance was made from: its tokens are the ones to call with.
    origins: HashMap<String, InstancePre<Data>>,
    shared: Arc<Shared>,
    lines: Vec<Line>,
}

impl<'a> Runner<'a> {
    fn new(case: &'a Case) -> Result<Self, Error> {
        let mut config = Config::new();
        config.paranoid(true);
        if let Some(count) = case.config.max_instances {
            config.max_instances(count);
        }
        if let Some(pages) = case.config.max_memory_pages {
            config.max_memory_pages(pages);
        }
        if let Some(bytes) = case.config.max_wasm_stack {
            config.max_wasm_stack(bytes);
        }
        Ok(Runner {
            case,
            engine: Engine::new(&config)?,
            modules: HashMap::new(),
            pres: HashMap::new(),
            origins: HashMap::new(),
            shared: Arc::default(),
            lines: Vec::new(),
        })
    }

    /// Executes a command and writes its line. The first failure of a repeated command stays.
    fn command(&mut self, at: &str, command: &Command) -> Result<(), ()> {
        let result = self.guarded(at, command);
        let seen = line(self.case, at, command.name(), result);
        let failed = seen.result == Outcome::Fail;
        match self.lines.iter_mut().find(|line| line.line == at) {
            None => self.lines.push(seen),
            Some(old) if old.result == Outcome::Pass => *old = seen,
            Some(_) => {}
        }
        if failed { Err(()) } else { Ok(()) }
    }

    fn guarded(&mut self, at: &str, command: &Command) -> Result<String, Stop> {
        catch_unwind(AssertUnwindSafe(|| self.execute(at, command))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            mismatch(format!("panic: {}", text.unwrap_or_default()))
        })
    }

    /// Executes a command; gives the code that an assert observed.
    fn execute(&mut self, at: &str, command: &Command) -> Result<String, Stop> {
        match command {
            Command::Compile { r#as, filename, text, hex } => self.compile(r#as, filename, text, hex)?,
            Command::Pre { r#as, module, imports } => self.pre(r#as, module, imports)?,
            Command::Instantiate { pre, r#as, data } => {
                let pre = self.pres[pre].clone();
                let instance = Arc::new(pre.shared(self.data(*data))?);
                self.shared.instances.lock().unwrap().insert(r#as.clone(), instance);
                self.origins.insert(r#as.clone(), pre);
            }
            Command::Call { instance, call } => {
                let (instance, pre) = self.instance(instance);
                self.call(&pre, Target::Instance(&instance), call)?;
            }
            Command::PreCall { pre, data, call } => {
                let target = Target::Fresh(self.data(*data));
                self.call(&self.pres[pre], target, call)?;
            }
            Command::CallRaw { instance, call } => self.call_raw(instance, call)?,
            Command::CallBytes { instance, call } => {
                let (instance, pre) = self.instance(instance);
                let token = pre.bytes_func(&call.field)?;
                check_bytes(call, instance.enter()?.call_bytes(&token, &call.input.to_vec())?)?;
            }
            Command::PreCallBytes { pre, data, call } => {
                let pre = &self.pres[pre];
                let token = pre.bytes_func(&call.field)?;
                check_bytes(call, pre.call_bytes(self.data(*data), &token, &call.input.to_vec())?)?;
            }
            Command::Drop { instance } => self.instance(instance).0.close()?,
            Command::MemSize { instance, expected } => {
                let (instance, pre) = self.instance(instance);
                let size = instance.enter()?.memory_size(&pre.memory("memory")?)?;
                if expected.is_some_and(|expected| expected != size) {
                    return mismatch(format!("the memory has {size} bytes"));
                }
            }
            Command::MemRead { instance, offset, len, hex } => {
                let (instance, pre) = self.instance(instance);
                let mut bytes = vec![0; *len];
                instance.enter()?.memory_read(&pre.memory("memory")?, *offset, &mut bytes)?;
                if hex.as_deref().is_some_and(|hex| unhex(hex) != bytes) {
                    return mismatch(format!("the memory has {bytes:02x?}"));
                }
            }
            Command::MemWrite { instance, offset, hex } => {
                let (instance, pre) = self.instance(instance);
                instance.enter()?.memory_write(&pre.memory("memory")?, *offset, &unhex(hex))?;
            }
            Command::Live { expected } => {
                let live = self.engine.live_instances();
                if live != *expected {
                    return mismatch(format!("{live} instances are alive, not {expected}"));
                }
            }
            Command::AssertRecorded { values } => {
                let recorded = std::mem::take(&mut *self.shared.recorded.lock().unwrap());
                compare("recorded", values, &recorded)?;
            }
            Command::Repeat { count, body } => {
                for round in 0..*count {
                    for (index, command) in body.iter().enumerate() {
                        let at = format!("{at}.{index}");
                        self.command(&at, command)
                            .or_else(|()| mismatch(format!("command {at} failed in round {round}")))?;
                    }
                }
            }
            Command::TwoThreads { instance, call, during } => self.two_threads(at, instance, call, during)?,
            Command::AssertTrap { code, action } => {
                return self.assert_error(action, code, |error| {
                    error.kind() == ErrorKind::Trap && error.trap_code().is_some_and(|seen| seen.name() == code)
                });
            }
            Command::AssertError { kind, action } => {
                return self.assert_error(action, kind, |error| error.kind().name() == kind);
            }
            Command::AssertThrow { message, action } => {
                return self.assert_error(action, message, |error| {
                    error.kind() == ErrorKind::Host
                        && error.downcast_ref::<Boom>().is_some_and(|boom| boom.0 == *message)
                });
            }
        }
        Ok(String::new())
    }

    fn data(&self, number: i64) -> Data {
        Data { number, shared: Arc::clone(&self.shared) }
    }

    fn instance(&self, name: &str) -> (Arc<SharedInstance<Data>>, InstancePre<Data>) {
        (Arc::clone(&self.shared.instances.lock().unwrap()[name]), self.origins[name].clone())
    }

    fn compile(
        &mut self,
        name: &str,
        filename: &Option<String>,
        text: &Option<String>,
        hex: &Option<String>,
    ) -> Result<(), Stop> {
        let module = match (filename, text, hex) {
            (Some(filename), _, _) => Module::from_file(&self.engine, suite_folder().join("modules").join(filename))?,
            (_, Some(text), _) => Module::new(&self.engine, text)?,
            (_, _, Some(hex)) => Module::new(&self.engine, unhex(hex))?,
            (None, None, None) => return mismatch("compile needs filename, text or hex"),
        };
        self.modules.insert(name.to_string(), module);
        Ok(())
    }

    fn pre(
        &mut self,
        name: &str,
        module: &str,
        imports: &std::collections::BTreeMap<String, Import>,
    ) -> Result<(), Stop> {
        let mut linker = Linker::new(&self.engine);
        for (path, import) in imports {
            let (module, name) = path.split_once('.').expect("imports are named module.name");
            host::define(&mut linker, module, name, import)?;
        }
        self.pres.insert(name.to_string(), linker.instantiate_pre(&self.modules[module])?);
        Ok(())
    }

    fn call(&self, pre: &InstancePre<Data>, target: Target<'_>, call: &Call) -> Result<(), Stop> {
        let func = pre.func(&call.field)?;
        if call.args.iter().any(|arg| arg.ty == "text") {
            // Rust has no call with a text: another wrong signature stands for it.
            return match pre.export::<(i64, f32, i64), f32>(&call.field) {
                Ok(_) => mismatch("a wrong signature was accepted"),
                Err(error) => Err(error.into()),
            };
        }
        let params: Vec<String> = call.args.iter().map(|arg| arg.ty.clone()).collect();
        let results: Vec<String> = func.ty().results().iter().map(|ty| ty.to_string()).collect();
        let slots = value::to_slots(&call.args);
        match typed::call(pre, target, &call.field, &params, &results, &slots) {
            Some(answer) => check_results(call, &func, &answer?),
            None => mismatch(format!("typed.rs lacks the signature {params:?} -> {results:?}")),
        }
    }

    fn call_raw(&self, instance: &str, call: &Call) -> Result<(), Stop> {
        let (instance, pre) = self.instance(instance);
        let func = pre.func(&call.field)?;
        let mut slots = value::to_slots(&call.args);
        let results = func.ty().results().iter().map(|ty| ty.slots()).sum();
        slots.resize(slots.len().max(results), 0);
        instance.enter()?.call_raw(&func, &mut slots)?;
        check_results(call, &func, &slots)
    }

    fn assert_error(
        &mut self,
        action: &Command,
        wanted: &str,
        is_it: impl FnOnce(&Error) -> bool,
    ) -> Result<String, Stop> {
        match self.guarded("", action) {
            Err(Stop::Engine(error)) if is_it(&error) => Ok(observed(&error)),
            Err(Stop::Engine(error)) => {
                Err(Stop::Mismatch(observed(&error), format!("expected {wanted}, got {error:?}")))
            }
            Err(stop) => Err(stop),
            Ok(_) => mismatch(format!("expected {wanted}, but it succeeded")),
        }
    }

    fn two_threads(&mut self, at: &str, instance: &str, call: &Call, during: &[Command]) -> Result<(), Stop> {
        let (instance, pre) = self.instance(instance);
        let (entered_sender, entered) = channel();
        let (release, release_receiver) = channel();
        *self.shared.gate.lock().unwrap() = Some(Gate { entered: entered_sender, release: release_receiver });
        let func = pre.func(&call.field)?;
        let mut slots = value::to_slots(&call.args);
        slots.resize(func.ty().slots(), 0);
        let answer = std::thread::scope(|scope| {
            let first = scope.spawn(|| instance.enter()?.call_raw(&func, &mut slots));
            if entered.recv_timeout(PATIENCE).is_ok() {
                for (index, command) in during.iter().enumerate() {
                    let _ = self.command(&format!("{at}.{index}"), command);
                }
            }
            let _ = release.send(());
            first.join()
        });
        *self.shared.gate.lock().unwrap() = None;
        match answer {
            Ok(answer) => answer?,
            Err(_) => return mismatch("the first thread panicked"),
        }
        check_results(call, &func, &slots)
    }
}

fn check_results(call: &Call, func: &ExportFunc, slots: &[u64]) -> Result<(), Stop> {
    let Some(expected) = &call.expected else { return Ok(()) };
    compare(&call.field, expected, &value::from_slots(func.ty().results(), slots))
}

fn compare(what: &str, expected: &[Value], actual: &[Value]) -> Result<(), Stop> {
    let equal = expected.len() == actual.len() && expected.iter().zip(actual).all(|(e, a)| value::matches(e, a));
    if equal { Ok(()) } else { mismatch(format!("{what}: expected {expected:?}, got {actual:?}")) }
}

fn check_bytes(call: &BytesCall, actual: Vec<u8>) -> Result<(), Stop> {
    match &call.expected {
        Some(expected) if expected.to_vec() != actual => {
            let text = String::from_utf8_lossy(&actual[..actual.len().min(100)]).into_owned();
            mismatch(format!("{}: got {} bytes: {text:?}", call.field, actual.len()))
        }
        _ => Ok(()),
    }
}
