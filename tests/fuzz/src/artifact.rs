//! The target `artifact`: a damaged artifact is refused, whatever the damage.
//!
//! `Module::deserialize` trusts what it loads, but compares a hash of all of it first; so no damage may get through, and
//! looking at damaged bytes must not crash.

use instar::{Engine, ErrorKind, Module};

use crate::case::{Case, Verdict};
use crate::generate::{self, Imports};
use crate::mode::{Engines, Mode};
use crate::random::Random;

fn engine(mode: &Mode) -> &'static Engine {
    static ENGINES: Engines = Engines::new();
    ENGINES.of(mode, |config| config)
}

/// How many damaged copies of an artifact are tried.
const COPIES: usize = 30;

pub fn run(case: &mut Case<'_>) -> Verdict {
    let mode = Mode::any(&mut case.random);
    case.count(mode.name);
    in_mode(case, engine(mode)).map_err(|e| format!("{}: {e}", mode.name))
}

fn in_mode(case: &mut Case<'_>, engine: &Engine) -> Verdict {
    let (Some(wasm), Some(other)) = (
        generate::terminating(&mut case.random, Imports::All),
        generate::terminating(&mut case.random, Imports::Functions),
    ) else {
        case.count("without a module");
        return Ok(());
    };
    case.keep(&wasm);
    let module = Module::new(engine, &wasm).map_err(|e| format!("Instar refuses it: {e:?}"))?;
    let artifact = serialize(&module)?;
    let other = serialize(&Module::new(engine, &other).map_err(|e| format!("Instar refuses it: {e:?}"))?)?;
    check_good(engine, &module, &artifact)?;
    for _ in 0..COPIES {
        let mut damaged = artifact.clone();
        let what = damage(&mut case.random, &mut damaged, &other);
        if damaged == artifact || damaged == other {
            continue;
        }
        // The runtime's own complaint is worth more than that of the session when it crashes.
        case.keep(&damaged);
        // SAFETY: that a damaged artifact is refused before anything in it is used is what is tested.
        match unsafe { Module::deserialize(engine, &damaged) } {
            Ok(_) => return Err(format!("accepted although damaged: {what}")),
            Err(error) if matches!(error.kind(), ErrorKind::Bug | ErrorKind::Os) => {
                return Err(format!("{what}: {error:?}"));
            }
            Err(error) => case.count(error.kind().name()),
        }
    }
    Ok(())
}

fn serialize(module: &Module) -> Result<Vec<u8>, String> {
    module.serialize().map_err(|e| format!("not serialized: {e:?}"))
}

/// An artifact without damage loads as the module that it was made from, and gives the same artifact again.
fn check_good(engine: &Engine, module: &Module, artifact: &[u8]) -> Verdict {
    // SAFETY: the artifact was made by this process.
    let loaded = unsafe { Module::deserialize(engine, artifact) }.map_err(|e| format!("refused undamaged: {e:?}"))?;
    if !loaded.imports().eq(module.imports()) || !loaded.exports().eq(module.exports()) {
        return Err("the loaded module has other imports or exports".to_owned());
    }
    match serialize(&loaded)? == artifact {
        true => Ok(()),
        false => Err("the loaded module gives another artifact".to_owned()),
    }
}

/// Damages an artifact, and says how.
fn damage(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) -> String {
    // Half of the damage goes to the ends, where headers and tables of sections are.
    let at = match random.below(4) {
        0 => random.below(bytes.len().min(256)),
        1 => bytes.len() - 1 - random.below(bytes.len().min(1024)),
        _ => random.below(bytes.len()),
    };
    match random.below(9) {
        0 | 1 => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit of byte {at:#x} is flipped")
        }
        2 => {
            bytes[at] = random.next() as u8;
            format!("byte {at:#x} is another")
        }
        3 => {
            bytes.truncate(at);
            format!("only {at:#x} bytes are left")
        }
        4 => {
            let number = *random.pick(&[0, 1, 8, u64::MAX, 1 << 63, 1 << 31, u64::from(u32::MAX), bytes.len() as u64]);
            let width = *random.pick(&[2, 4, 8]);
            let start = at / width * width;
            let end = (start + width).min(bytes.len());
            bytes[start..end].copy_from_slice(&number.to_le_bytes()[..end - start]);
            format!("{width} bytes at {start:#x} are {number:#x}")
        }
        5 => {
            let len = (1 + random.below(64)).min(bytes.len() - at);
            bytes[at..at + len].fill(0);
            format!("{len} bytes at {at:#x} are zero")
        }
        6 => {
            let count = 1 + random.below(16);
            let extra = random.bytes(count);
            let at = if random.once_in(2) { bytes.len() } else { at };
            bytes.splice(at..at, extra);
            format!("{count} bytes are put in at {at:#x}")
        }
        7 => {
            let end = (at + 1 + random.below(16)).min(bytes.len());
            bytes.drain(at..end);
            format!("bytes {at:#x} to {end:#x} are gone")
        }
        _ => {
            // A piece of another artifact, at the same place.
            let at = at.min(other.len());
            let len = (1 + random.below(4096)).min(other.len() - at).min(bytes.len().saturating_sub(at));
            let end = at + len;
            bytes[at..end].copy_from_slice(&other[at..end]);
            format!("bytes {at:#x} to {end:#x} are those of another artifact")
        }
    }
}
