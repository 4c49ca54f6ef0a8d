//! `instar run`: instantiates a module and calls what the user asked for.

use std::ffi::OsString;
use std::io::Write;

use instar::{Engine, ErrorKind, ExternType, FuncType, Instance, Linker, Module, ProfilingStrategy, Store, Val};

use crate::args::{Profile, RunArgs, UnknownImports};
use crate::artifact;
use crate::failure::{Failure, Result};
use crate::input::{Format, Input};
use crate::load;
use crate::output::Output;
use crate::text;
use crate::values;
use crate::wasi;

/// The function of a command that is its program, and that of a reactor that prepares it.
const START: &str = "_start";
const INITIALIZE: &str = "_initialize";

/// What is called after instantiation.
#[derive(Debug)]
enum Plan {
    /// `_start`.
    Command,
    /// `_initialize`, if the module has it, and then this function, or none.
    Reactor(Option<Call>),
}

#[derive(Debug)]
struct Call {
    name: String,
    ty: FuncType,
    params: Vec<Val>,
}

/// Runs the module; the exit code is the guest's.
pub fn run(args: &RunArgs) -> Result<u8> {
    let input = Input::read(args.file())?;
    artifact::check_trust(&input, args.allow_precompiled)?;
    let mut config = match input.format() {
        // Compiled with the choices that `instar compile` makes.
        Format::Artifact => args.engine.config(),
        Format::Wasm | Format::Text => args.engine.config_for_one_instance(),
    };
    config.profiler(match args.profile {
        None => ProfilingStrategy::None,
        Some(Profile::Perfmap) => ProfilingStrategy::PerfMap,
        Some(Profile::Jitdump) => ProfilingStrategy::JitDump,
    });
    let engine = Engine::new(&config)?;
    let module = load::module(&engine, &input)?;
    let plan = plan(&module, &input, args.invoke.as_deref(), args.args())?;
    // With --invoke, the arguments are the function's.
    let program_args = if args.invoke.is_some() { &[] } else { args.args() };
    let mut store = Store::new(&engine, args.grants.host(args.file(), program_args)?);
    let mut linker = Linker::new(&engine);
    wasi::define(&mut linker)?;
    let defined = match args.unknown_imports {
        None => Ok(()),
        Some(UnknownImports::Trap) => linker.define_unknown_imports_as_traps(&module),
        Some(UnknownImports::Default) => linker.define_unknown_imports_as_default_values(&mut store, &module),
    };
    let ended = defined.and_then(|()| execute(&linker, &mut store, &module, &plan));
    // Instances end before the results are said: what the program holds open is closed then.
    drop(store);
    match ended {
        Ok(results) => print(&results).map(|()| 0),
        Err(error) => {
            if let Some(code) = wasi::exit_code(&error) {
                return Ok(code);
            }
            Err(explain(error, &input, args))
        }
    }
}

/// Instantiates the module and calls what was planned.
fn execute<T: 'static>(
    linker: &Linker<T>,
    store: &mut Store<T>,
    module: &Module,
    plan: &Plan,
) -> instar::Result<Vec<Val>> {
    let instance = linker.instantiate(&mut *store, module)?;
    match plan {
        Plan::Command => instance.typed_func::<(), ()>(&mut *store, START)?.call(store, ())?,
        Plan::Reactor(call) => {
            if module.export(INITIALIZE).is_some() {
                instance.typed_func::<(), ()>(&mut *store, INITIALIZE)?.call(&mut *store, ())?;
            }
            if let Some(call) = call {
                return invoke(store, instance, call);
            }
        }
    }
    Ok(Vec::new())
}

fn explain(error: instar::Error, input: &Input, args: &RunArgs) -> Failure {
    match error.kind() {
        ErrorKind::Link => {
            let failure = Failure::from(error).in_file(input.shown());
            match args.unknown_imports {
                None => failure.or_hint("only WASI preview 1 is there; --unknown-imports trap tries to go without"),
                Some(_) => failure.or_hint("such a module needs a host of its own"),
            }
        }
        _ => error.into(),
    }
}

/// Decides what to call, and checks it, before anything runs.
fn plan(module: &Module, input: &Input, invoke: Option<&str>, args: &[OsString]) -> Result<Plan> {
    if let Some(name) = invoke {
        let call = check_call(module, name, args).map_err(|e| e.in_file(input.shown()))?;
        return Ok(Plan::Reactor(Some(call)));
    }
    if module.export(START).is_some() {
        return Ok(Plan::Command);
    }
    let names = function_names(module);
    if module.export(INITIALIZE).is_none() && !names.is_empty() {
        let failure =
            Failure::new(format_args!("has no `{START}` function: it is not a program")).in_file(input.shown());
        return Err(match args.iter().any(|arg| arg == "--invoke") {
            true => failure.or_hint("write --invoke before the file: what comes after it is for the program"),
            false => failure.or_hint(format_args!("call one of its functions with --invoke: {}", list(&names))),
        });
    }
    Ok(Plan::Reactor(None))
}

fn check_call(module: &Module, name: &str, args: &[OsString]) -> Result<Call> {
    let ty = match module.export(name) {
        Some(ExternType::Func(ty)) => ty,
        other => {
            let names = function_names(module);
            let what = match other {
                Some(_) => "is not a function",
                None => "is not exported",
            };
            let failure = Failure::new(format_args!("`{}` {what}", text::printable(name)));
            return Err(match text::closest(name, names.iter().copied()) {
                Some(near) => failure.or_hint(format_args!("did you mean `{}`?", text::printable(near))),
                None if names.is_empty() => failure.or_hint("the module exports no function"),
                None => failure.or_hint(format_args!("exported functions: {}", list(&names))),
            });
        }
    };
    let shown = text::printable(name);
    if args.len() != ty.params().len() {
        let wanted: Vec<String> = ty.params().iter().map(|t| format!("<{t}>")).collect();
        return Err(Failure::new(format_args!(
            "`{shown}` takes {}, got {}",
            text::count(ty.params().len(), "argument"),
            args.len()
        ))
        .or_hint(format_args!("instar run --invoke {shown} FILE {}", wanted.join(" "))));
    }
    let params = args.iter().zip(ty.params()).enumerate().map(|(i, (arg, &ty))| {
        arg.to_str().and_then(|arg| values::parse(ty, arg)).ok_or_else(|| {
            Failure::new(format_args!(
                "argument {} of `{shown}` must be of type {ty}, not `{}`",
                i + 1,
                text::printable(&arg.to_string_lossy())
            ))
            .or_hint(values::notation(ty))
        })
    });
    Ok(Call { name: name.to_string(), params: params.collect::<Result<_>>()?, ty })
}

/// The exported functions that a user might call.
fn function_names(module: &Module) -> Vec<&str> {
    module
        .exports()
        .filter(|e| matches!(e.ty, ExternType::Func(_)) && e.name != INITIALIZE && e.name != START)
        .map(|e| e.name)
        .collect()
}

/// The first few names, for a hint.
fn list(names: &[&str]) -> String {
    const MOST: usize = 8;
    let mut shown: Vec<_> = names.iter().take(MOST).map(|n| text::name(n).into_owned()).collect();
    if names.len() > MOST {
        shown.push(format!("and {} more (see `instar inspect`)", names.len() - MOST));
    }
    shown.join(", ")
}

fn invoke<T: 'static>(store: &mut Store<T>, instance: Instance, call: &Call) -> instar::Result<Vec<Val>> {
    let Some(func) = instance.func(&mut *store, &call.name) else {
        return Err(instar::Error::new(
            instar::ErrorKind::MissingExport,
            format!("no exported function `{}`", call.name),
        ));
    };
    let mut results: Vec<Val> = call.ty.results().iter().map(|&ty| Val::default_for(ty)).collect();
    func.call(store, &call.params, &mut results)?;
    Ok(results)
}

/// Prints one value a line.
fn print(results: &[Val]) -> Result<()> {
    let mut out = Output::new();
    for result in results {
        writeln!(out, "{}", values::show(result))?;
    }
    Ok(out.finish()?)
}
