//! Valid modules from wasm-smith, with the features that Instar has.

use arbitrary::Unstructured;
use wasm_smith::Config;

use crate::features;
use crate::host;
use crate::random::Random;

/// What a module may import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imports {
    None,
    /// Functions of [`host::IMPORTS`].
    Functions,
    /// All of [`host::IMPORTS`].
    All,
}

/// Steps (calls and rounds of loops) after which a generated module traps.
pub const FUEL: u32 = 2_000;

/// A module whose functions all end, that exports everything it has. `None` when the seed gives none.
pub fn terminating(random: &mut Random, imports: Imports) -> Option<Vec<u8>> {
    // A few large ones among many small ones.
    let large = random.once_in(12);
    let len = 500 + random.below(if large { 60_000 } else { 12_000 });
    let bytes = random.bytes(len);
    let mut config = features::generator(random, true);
    config.export_everything = true;
    config.memory_max_size_required = true;
    config.table_max_size_required = true;
    config.max_memory32_bytes = 6 << 16;
    config.max_memory64_bytes = 6 << 16;
    config.max_table_elements = 200;
    config.min_funcs = 1 + random.below(4);
    config.max_funcs = 8;
    config.min_memories = u32::from(!random.once_in(8));
    config.max_tables = 3;
    config.max_instructions = 20 + random.below(if large { 3_000 } else { 400 });
    config.max_imports = 0;
    config.canonicalize_nans = true;
    config.disallow_traps = random.once_in(4);
    if random.once_in(3) {
        // Accesses that stay in the memory: writes that leave something to undo.
        config.memory_offset_choices = wasm_smith::MemoryOffsetChoices(100, 0, 0);
    }
    if imports != Imports::None {
        config.max_imports = 8;
        let generated = config.features();
        let list = host::IMPORTS
            .iter()
            .filter(|i| (imports == Imports::All || i.text.starts_with("(func")) && generated.contains(i.needs));
        let text: String = list.map(|i| format!("(import \"host\" \"{}\" {}) ", i.name, i.text)).collect();
        config.available_imports = Some(wat::parse_str(format!("(module {text})")).expect("the list is good"));
        // Where there can be one memory only, it may be an imported one.
        config.min_memories = 0;
    }
    let mut module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).ok()?;
    module.ensure_termination(FUEL).ok()?;
    Some(module.to_bytes())
}

/// Any module, of any feature: Instar may refuse it.
pub fn anything(random: &mut Random) -> Option<Vec<u8>> {
    let len = 200 + random.below(6_000);
    let bytes = random.bytes(len);
    let mut input = Unstructured::new(&bytes);
    let config = match random.below(3) {
        0 => {
            let mut config: Config = input.arbitrary().ok()?;
            config.max_funcs = config.max_funcs.min(20);
            config.max_instructions = config.max_instructions.min(300);
            config
        }
        1 => Config { max_funcs: 10, ..Config::default() },
        _ => Config {
            max_funcs: 10,
            max_tables: 5,
            allow_invalid_funcs: random.once_in(4),
            ..features::generator(random, false)
        },
    };
    Some(wasm_smith::Module::new(config, &mut input).ok()?.to_bytes())
}
