//! [`EngineOptions`]: the options that change how modules are compiled and run, and the engine they make.
//!
//! `-W` and `-O` take comma-separated settings under Wasmtime's names. Each setting is one row of a table below.

use clap::Args;
use instar::{Config, DirtyTracking, Engine, InstanceAllocationStrategy, OptLevel};

use crate::failure::Result;
use crate::text;

/// What a setting takes, and what it does.
#[derive(Clone, Copy)]
enum Kind {
    /// `y` (which may be left out) or `n`.
    Switch(fn(&mut Config, bool) -> &mut Config),
    /// A number of bytes.
    Stack(fn(&mut Config, usize) -> &mut Config),
    /// A number of bytes.
    Space(fn(&mut Config, u64) -> &mut Config),
    /// A number of something else.
    Count(fn(&mut Config, u64) -> &mut Config),
    /// One of these words.
    Level(&'static [(&'static str, OptLevel)]),
    /// One of these words.
    Tracking(&'static [(&'static str, DirtyTracking)]),
}

/// A setting: its name, what it takes, and what it means.
type Row = (&'static str, Kind, &'static str);

const WASM: &[Row] = &[
    ("bulk-memory", Kind::Switch(Config::wasm_bulk_memory), "bulk memory operations"),
    ("reference-types", Kind::Switch(Config::wasm_reference_types), "reference types and several tables"),
    ("multi-value", Kind::Switch(Config::wasm_multi_value), "several results"),
    ("simd", Kind::Switch(Config::wasm_simd), "vectors of 128 bits"),
    ("relaxed-simd", Kind::Switch(Config::wasm_relaxed_simd), "vector instructions that differ between processors"),
    ("relaxed-simd-deterministic", Kind::Switch(Config::relaxed_simd_deterministic), "but let them not differ"),
    ("multi-memory", Kind::Switch(Config::wasm_multi_memory), "several memories"),
    ("memory64", Kind::Switch(Config::wasm_memory64), "memories and tables with 64-bit addresses"),
    ("tail-call", Kind::Switch(Config::wasm_tail_call), "tail calls"),
    ("extended-const", Kind::Switch(Config::wasm_extended_const), "arithmetic in constant expressions"),
    ("function-references", Kind::Switch(Config::wasm_function_references), "typed function references"),
    ("threads", Kind::Switch(Config::wasm_threads), "atomic operations and shared memories"),
    ("wide-arithmetic", Kind::Switch(Config::wasm_wide_arithmetic), "arithmetic on 128 bits"),
    ("custom-page-sizes", Kind::Switch(Config::wasm_custom_page_sizes), "memories with pages of one byte"),
    ("nan-canonicalization", Kind::Switch(Config::cranelift_nan_canonicalization), "the same NaNs on all processors"),
    ("max-wasm-stack", Kind::Stack(Config::max_wasm_stack), "bytes of stack for the guest"),
    ("max-memory-pages", Kind::Count(Config::max_memory_pages), "largest size of a memory, in units of 64 KiB"),
    ("max-table-elements", Kind::Count(Config::max_table_elements), "largest size of a table"),
];

const OPTIMIZE: &[Row] = &[
    ("opt-level", Kind::Level(LEVELS), "none, speed or speed_and_size"),
    ("signals-based-traps", Kind::Switch(Config::signals_based_traps), "faults become traps"),
    ("memory-reservation", Kind::Space(Config::memory_reservation), "bytes of address space per memory"),
    ("memory-guard-size", Kind::Space(Config::memory_guard_size), "inaccessible bytes after it"),
    ("dirty-tracking", Kind::Tracking(TRACKING), "lines or off"),
    (
        "enable-heap-access-spectre-mitigation",
        Kind::Switch(Config::enable_heap_access_spectre_mitigation),
        "mispredicted checks of memories leak nothing",
    ),
    (
        "enable-table-access-spectre-mitigation",
        Kind::Switch(Config::enable_table_access_spectre_mitigation),
        "mispredicted checks of tables leak nothing",
    ),
    ("address-map", Kind::Switch(Config::generate_address_map), "wasm offsets for backtraces and objdump"),
    ("debug-verifier", Kind::Switch(Config::cranelift_debug_verifier), "check the compiler's work; slow"),
];

const LEVELS: &[(&str, OptLevel)] = &[
    ("none", OptLevel::None),
    ("speed", OptLevel::Speed),
    ("speed_and_size", OptLevel::SpeedAndSize),
    ("0", OptLevel::None),
    ("1", OptLevel::Speed),
    ("2", OptLevel::Speed),
    ("s", OptLevel::SpeedAndSize),
];

const TRACKING: &[(&str, DirtyTracking)] = &[
    ("auto", DirtyTracking::Auto),
    ("lines", DirtyTracking::Lines),
    ("touched", DirtyTracking::Touched),
    ("pages", DirtyTracking::Pages),
    ("off", DirtyTracking::Off),
];

/// One setting that was given.
#[derive(Clone, Copy)]
pub struct Setting(Change);

#[derive(Clone, Copy)]
enum Change {
    Switch(fn(&mut Config, bool) -> &mut Config, bool),
    Stack(fn(&mut Config, usize) -> &mut Config, usize),
    Space(fn(&mut Config, u64) -> &mut Config, u64),
    Level(OptLevel),
    Tracking(DirtyTracking),
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Change::Switch(_, on) => on.fmt(f),
            Change::Stack(_, bytes) => bytes.fmt(f),
            Change::Space(_, bytes) => bytes.fmt(f),
            Change::Level(level) => level.fmt(f),
            Change::Tracking(tracking) => tracking.fmt(f),
        }
    }
}

impl Setting {
    fn apply(self, config: &mut Config) {
        match self.0 {
            Change::Switch(set, on) => set(config, on),
            Change::Stack(set, bytes) => set(config, bytes),
            Change::Space(set, bytes) => set(config, bytes),
            Change::Level(level) => config.cranelift_opt_level(level),
            Change::Tracking(tracking) => config.dirty_tracking(tracking),
        };
    }
}

fn wasm_setting(text: &str) -> Result<Setting, String> {
    setting(WASM, text)
}

/// A level, or a setting by name.
fn optimize_setting(text: &str) -> Result<Setting, String> {
    match LEVELS.iter().find(|(word, _)| *word == text) {
        Some((_, level)) => Ok(Setting(Change::Level(*level))),
        None => setting(OPTIMIZE, text),
    }
}

fn setting(table: &[Row], text: &str) -> Result<Setting, String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    };
    let Some((name, kind, _)) = table.iter().find(|(name, ..)| *name == key) else {
        let names = || table.iter().map(|(name, ..)| *name);
        return Err(match text::closest(key, names()) {
            Some(near) => format!("unknown setting; did you mean `{near}`?"),
            None => format!("unknown setting; there are {}", names().collect::<Vec<_>>().join(", ")),
        });
    };
    let bytes = || format!("`{name}` needs a number of bytes, such as {name}=1048576");
    let count = || format!("`{name}` needs a number, such as {name}=1000");
    Ok(Setting(match *kind {
        Kind::Switch(set) => match value.unwrap_or("y") {
            "y" | "yes" | "true" | "on" => Change::Switch(set, true),
            "n" | "no" | "false" | "off" => Change::Switch(set, false),
            _ => return Err(format!("`{name}` needs y or n, such as {name}=n")),
        },
        Kind::Stack(set) => Change::Stack(set, value.and_then(|v| v.parse().ok()).ok_or_else(bytes)?),
        Kind::Space(set) => Change::Space(set, value.and_then(|v| v.parse().ok()).ok_or_else(bytes)?),
        Kind::Count(set) => Change::Space(set, value.and_then(|v| v.parse().ok()).ok_or_else(count)?),
        Kind::Level(words) => Change::Level(word(name, words, value)?),
        Kind::Tracking(words) => Change::Tracking(word(name, words, value)?),
    }))
}

fn word<T: Copy>(name: &str, words: &[(&str, T)], value: Option<&str>) -> Result<T, String> {
    match words.iter().find(|(word, _)| Some(*word) == value) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Err(format!("`{name}` needs one of {}, such as {name}={}", words.join(", "), words[0]))
        }
    }
}

/// A table as lines of a help text.
fn help(intro: &str, table: &[Row]) -> String {
    let named = |(name, kind, _): &Row| match kind {
        Kind::Switch(_) => format!("{name}[=y|n]"),
        Kind::Stack(_) | Kind::Space(_) => format!("{name}=BYTES"),
        Kind::Count(_) => format!("{name}=N"),
        Kind::Level(_) | Kind::Tracking(_) => format!("{name}=WORD"),
    };
    let width = table.iter().map(|row| named(row).len()).max().unwrap_or(0);
    let lines = table.iter().map(|row| format!("\n  {:width$}  {}", named(row), row.2));
    std::iter::once(intro.to_string()).chain(lines).collect()
}

/// Options that change how modules are compiled and run.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Engine options")]
pub struct EngineOptions {
    /// Switch parts of WebAssembly on or off: -W threads=n,simd (see --help)
    #[arg(
        short = 'W',
        long = "wasm",
        value_name = "NAME[=VALUE],…",
        value_delimiter = ',',
        value_parser = wasm_setting,
        long_help = help("Switch parts of WebAssembly on or off:", WASM)
    )]
    wasm: Vec<Setting>,

    /// How to compile: none, speed or speed_and_size, and settings (see --help)
    #[arg(
        short = 'O',
        long = "optimize",
        value_name = "LEVEL|NAME=VALUE,…",
        value_delimiter = ',',
        value_parser = optimize_setting,
        long_help = help("How to compile: none, speed or speed_and_size; and settings:", OPTIMIZE)
    )]
    optimize: Vec<Setting>,
}

impl EngineOptions {
    /// The configuration that the options describe.
    pub fn config(&self) -> Config {
        self.on(Config::new())
    }

    fn on(&self, mut config: Config) -> Config {
        for setting in self.wasm.iter().chain(&self.optimize) {
            setting.apply(&mut config);
        }
        config
    }

    /// An engine for them.
    pub fn engine(&self) -> Result<Engine> {
        Ok(Engine::new(&self.config())?)
    }

    /// The configuration for code that is compiled now and run in one instance: there is nothing to go back to after it, so
    /// nothing keeps book of what it writes, unless the options say so.
    pub fn config_for_one_instance(&self) -> Config {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand).dirty_tracking(DirtyTracking::Off);
        self.on(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debug(parsed: Result<Setting, String>) -> String {
        parsed.map_or_else(|e| e, |s| format!("{s:?}"))
    }

    #[test]
    fn settings_are_read() {
        for (text, value) in
            [("simd", "true"), ("simd=y", "true"), ("threads=n", "false"), ("max-wasm-stack=65536", "65536")]
        {
            assert_eq!(debug(wasm_setting(text)), value, "{text}");
        }
        for (text, value) in [
            ("none", "None"),
            ("speed_and_size", "SpeedAndSize"),
            ("s", "SpeedAndSize"),
            ("opt-level=2", "Speed"),
            ("memory-reservation=0", "0"),
            ("enable-heap-access-spectre-mitigation=n", "false"),
            ("address-map=n", "false"),
            ("dirty-tracking=off", "Off"),
            ("signals-based-traps=n", "false"),
        ] {
            assert_eq!(debug(optimize_setting(text)), value, "{text}");
        }
    }

    #[test]
    fn wrong_settings_say_what_would_be_right() {
        for (text, part) in [
            ("simdd", "did you mean `simd`"),
            ("nothing-like-it", "there are bulk-memory"),
            ("simd=maybe", "simd=n"),
            ("max-wasm-stack", "max-wasm-stack=1048576"),
            ("max-wasm-stack=-1", "number of bytes"),
            ("max-memory-pages=all", "max-memory-pages=1000"),
            ("max-wasm-stack=99999999999999999999999", "number of bytes"),
            ("", "unknown setting"),
            ("=", "unknown setting"),
        ] {
            let message = wasm_setting(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(optimize_setting("fast").unwrap_err().contains("opt-level"));
        assert!(optimize_setting("opt-level=9").unwrap_err().contains("speed_and_size"));
        assert!(optimize_setting("dirty-tracking").unwrap_err().contains("lines"));
    }

    #[test]
    fn settings_change_the_configuration() {
        let options = EngineOptions { wasm: vec![wasm_setting("simd=n").unwrap()], optimize: Vec::new() };
        // Relaxed vector instructions need vectors, so the engine refuses: the setting has arrived.
        assert!(Engine::new(&options.config()).is_err());
    }
}
