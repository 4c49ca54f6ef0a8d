//! The target `diff`: Instar and wasmi agree on what a module does.

use instar::{Engine, ExternType, FuncType, Module};

use crate::case::{Case, Verdict};
use crate::generate::{self, Imports};
use crate::host::{Stop, Value};
use crate::mode::{Engines, Mode};
use crate::{instar_side, wasmi_side};

fn engine(mode: &Mode) -> &'static Engine {
    static ENGINES: Engines = Engines::new();
    // Both engines have more stack than the fuel of a module lasts for.
    ENGINES.of(mode, |config| config.max_wasm_stack(256 << 20))
}

/// The exported functions of a module.
pub fn functions(module: &Module) -> Vec<(String, FuncType)> {
    let of = |e: instar::ExportType<'_>| match e.ty {
        ExternType::Func(ty) => Some((e.name.to_owned(), ty)),
        _ => None,
    };
    module.exports().filter_map(of).collect()
}

pub fn run(case: &mut Case<'_>) -> Verdict {
    let mode = Mode::any(&mut case.random);
    case.count(mode.name);
    in_mode(case, engine(mode)).map_err(|e| format!("{}: {e}", mode.name))
}

fn in_mode(case: &mut Case<'_>, engine: &Engine) -> Verdict {
    let imports = *case.random.pick(&[Imports::None, Imports::None, Imports::Functions, Imports::All]);
    let Some(wasm) = generate::terminating(&mut case.random, imports) else {
        case.count("without a module");
        return Ok(());
    };
    case.keep(&wasm);
    let module = Module::new(engine, &wasm).map_err(|e| format!("Instar refuses it: {e:?}"))?;
    let functions = functions(&module);
    case.count("modules");
    for _ in 0..2 {
        let (ours, theirs) = (instar_side::Side::new(engine, &module)?, wasmi_side::Side::new(&wasm)?);
        match (ours, theirs) {
            (Ok(mut ours), Ok(mut theirs)) => {
                compare(case, &functions, &mut ours, &mut theirs)?;
            }
            (Err(ours), Err(theirs)) if ours == theirs => case.count("failed to start"),
            (Err(Stop::Stack), _) | (_, Err(Stop::Stack)) => case.count("stack overflows"),
            (ours, theirs) => {
                return Err(format!("the start gives {:?} in Instar, {:?} in wasmi", ours.err(), theirs.err()));
            }
        }
    }
    Ok(())
}

fn compare(
    case: &mut Case<'_>,
    functions: &[(String, FuncType)],
    ours: &mut instar_side::Side,
    theirs: &mut wasmi_side::Side,
) -> Verdict {
    case.count("instances");
    check_views(ours, theirs, "at the start")?;
    for round in 0..2 {
        for (name, ty) in functions {
            let arguments: Vec<Value> =
                ty.params().iter().map(|&t| Value::any(&mut case.random, instar_side::type_of(t))).collect();
            let (a, b) = (ours.call(name, &arguments)?, theirs.call(name, &arguments)?);
            match (&a, &b) {
                (Err(Stop::Stack), _) | (_, Err(Stop::Stack)) => {
                    // How deep is deep enough is for each engine to say.
                    case.count("stack overflows");
                    return Ok(());
                }
                _ if a == b => case.count(if a.is_ok() { "calls that return" } else { "calls that stop" }),
                _ => return Err(format!("`{name}`{arguments:?} gives {a:?} in Instar, {b:?} in wasmi")),
            }
        }
        check_views(ours, theirs, &format!("after round {round}"))?;
    }
    Ok(())
}

fn check_views(ours: &mut instar_side::Side, theirs: &wasmi_side::Side, when: &str) -> Verdict {
    let view = ours.view().map_err(|e| format!("{e:?}"))?;
    match view.difference(&theirs.view()) {
        Some(difference) => Err(format!("{when}: {difference} (Instar, wasmi)")),
        None => Ok(()),
    }
}
