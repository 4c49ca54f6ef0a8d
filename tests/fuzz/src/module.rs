//! The target `module`: nearly valid modules never crash, and are accepted if and only if they are valid.

use std::sync::{Arc, OnceLock};

use instar::{Engine, ErrorKind, ExternType, Linker, Module, TrapCode};
use wasmparser::{Parser, Payload, Validator};

use crate::case::{Case, Verdict};
use crate::diff::functions;
use crate::features;
use crate::generate::{self, Imports};
use crate::mode::{Engines, Mode};
use crate::mutate::mutate;

fn engine(mode: &Mode) -> &'static Engine {
    static ENGINES: Engines = Engines::new();
    ENGINES.of(mode, |config| config.max_memory_pages(100).max_table_elements(100_000))
}

/// The modules of our own tests.
fn corpus() -> &'static [Vec<u8>] {
    static CORPUS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found: Vec<Vec<u8>> = Vec::new();
        for folder in ["tests/guests/wat", "tests/conformance/modules", "tests/fuzz/corpus", "core/src/compile"] {
            let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
            let mut files: Vec<_> = entries.flatten().map(|e| e.path()).collect();
            files.sort();
            let texts = files.iter().filter(|p| p.extension().is_some_and(|e| e == "wat"));
            found.extend(texts.filter_map(|p| wat::parse_file(p).ok()));
        }
        assert!(found.len() > 5, "the tests' modules are not where they were");
        // Large data only dilutes the damage.
        found.retain(|wasm| wasm.len() < 20_000);
        found
    })
}

/// A module before it is damaged, and whether its functions are known to end.
fn original(case: &mut Case<'_>) -> Option<(Vec<u8>, bool)> {
    match case.random.below(6) {
        0 | 1 => Some((case.random.pick(corpus()).clone(), false)),
        2 => Some((generate::terminating(&mut case.random, Imports::All)?, true)),
        3 => Some((generate::terminating(&mut case.random, Imports::None)?, true)),
        _ => Some((generate::anything(&mut case.random)?, false)),
    }
}

pub fn run(case: &mut Case<'_>) -> Verdict {
    let mode = Mode::any(&mut case.random);
    case.count(mode.name);
    in_mode(case, engine(mode)).map_err(|e| format!("{}: {e}", mode.name))
}

fn in_mode(case: &mut Case<'_>, engine: &Engine) -> Verdict {
    let (Some((mut wasm, mut ends)), Some((other, _))) = (original(case), original(case)) else {
        case.count("without a module");
        return Ok(());
    };
    if !case.random.once_in(5) {
        mutate(&mut case.random, &mut wasm, &other);
        ends = false;
    }
    case.keep(&wasm);
    let valid = Validator::new_with_features(features::valid()).validate_all(&wasm);
    let module = match (Module::new(engine, &wasm), valid) {
        (Ok(module), Ok(_)) => module,
        (Ok(_), Err(reason)) => return Err(format!("accepted, but wasmparser says: {reason}")),
        (Err(error), valid) => {
            return match (error.kind(), valid) {
                (ErrorKind::InvalidModule | ErrorKind::Unsupported, Err(_)) => {
                    case.count("refused");
                    Ok(())
                }
                (ErrorKind::Limit, _) => {
                    case.count("too large");
                    Ok(())
                }
                // wasmparser lets an import kind of custom descriptors through, whatever the features.
                (ErrorKind::Unsupported, Ok(_)) if error.message().contains("exact function") => Ok(()),
                // The text format is accepted too, and tells from the first bytes.
                (ErrorKind::InvalidModule, Ok(_)) if !wasm.starts_with(b"\0asm") => Ok(()),
                (_, Ok(_)) => Err(format!("valid, but refused: {error:?}")),
                (_, Err(reason)) => Err(format!("{error:?}; wasmparser says: {reason}")),
            };
        }
    };
    case.count("accepted");
    let starts = starts(&wasm);
    if module.imports().len() == 0 && (ends || !starts) { instantiate(case, &module, ends, starts) } else { Ok(()) }
}

/// Whether there is a start function. It may run for ever.
fn starts(wasm: &[u8]) -> bool {
    Parser::new(0).parse_all(wasm).any(|payload| matches!(payload, Ok(Payload::StartSection { .. })))
}

/// Makes instances, and calls what needs no arguments if that is known to end.
fn instantiate(case: &mut Case<'_>, module: &Module, ends: bool, starts: bool) -> Verdict {
    let data: Arc<u8> = Arc::default();
    let pre = match Linker::new(module.engine()).instantiate_pre(module) {
        Ok(pre) => pre,
        Err(error) if error.kind() == ErrorKind::Limit => return Ok(()),
        Err(error) => return Err(format!("not linked: {error:?}")),
    };
    for _ in 0..2 {
        match pre.fresh(data.clone()) {
            Ok(mut instance) => {
                case.count("instantiated");
                for export in module.exports() {
                    // A start function may have grown it.
                    if let ExternType::Memory(ty) = export.ty {
                        let memory = pre.memory(export.name).map_err(|e| format!("{e:?}"))?;
                        let size = instance.memory_size(&memory).map_err(|e| format!("{e:?}"))?;
                        if size != ty.minimum << ty.page_size_log2 && !starts {
                            return Err(format!("memory `{}` has {size} bytes, its type is {ty:?}", export.name));
                        }
                    }
                }
                for (name, ty) in functions(module) {
                    if ends && ty.params().is_empty() && !ty.has_references() {
                        let func = pre.func(&name).map_err(|e| format!("{e:?}"))?;
                        let result = instance.call_raw(&func, &mut vec![0; ty.slots()]);
                        if result.is_err_and(|e| e.trap_code().is_none()) {
                            return Err(format!("`{name}` fails without a trap"));
                        }
                        case.count("calls");
                    }
                }
            }
            Err(error) => match error.trap_code() {
                Some(_) if ends => case.count("trapping start"),
                Some(TrapCode::MemoryOutOfBounds | TrapCode::TableOutOfBounds) => case.count("trapping segment"),
                _ => return Err(format!("not instantiated: {error:?}")),
            },
        }
    }
    Ok(())
}
