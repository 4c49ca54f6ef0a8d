//! [`EngineOptions`]: the options that change how modules are compiled and run, and the engine they make.

use clap::Args;
use instar::{Config, Engine};

use crate::failure::Result;
use crate::text;

/// What `-W` takes.
#[derive(Clone, Copy)]
enum Switch {
    /// On or off.
    #[allow(dead_code)]
    Toggle(fn(&mut Config, bool)),
    /// A number of bytes.
    Bytes(fn(&mut Config, usize)),
}

/// Names and meanings of what `-W` takes, under Wasmtime's names.
const SWITCHES: &[(&str, Switch)] = &[("max-wasm-stack", Switch::Bytes(|c, n| _ = c.max_wasm_stack(n)))];

/// One `NAME[=VALUE]` of `-W`.
#[derive(Clone)]
pub struct Setting {
    name: &'static str,
    change: Change,
}

#[derive(Clone, Copy)]
enum Change {
    Toggle(fn(&mut Config, bool), bool),
    Bytes(fn(&mut Config, usize), usize),
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.change {
            Change::Toggle(_, on) => write!(f, "{}={on}", self.name),
            Change::Bytes(_, bytes) => write!(f, "{}={bytes}", self.name),
        }
    }
}

fn setting(text: &str) -> Result<Setting, String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    };
    let Some((name, switch)) = SWITCHES.iter().find(|(name, _)| *name == key) else {
        let names = || SWITCHES.iter().map(|(name, _)| *name);
        return Err(match text::closest(key, names()) {
            Some(near) => format!("unknown setting `{key}`; did you mean `{near}`?"),
            None => format!("unknown setting `{key}`; there are: {}", names().collect::<Vec<_>>().join(", ")),
        });
    };
    let change = match (*switch, value) {
        (Switch::Toggle(set), None | Some("y" | "yes" | "true" | "on")) => Change::Toggle(set, true),
        (Switch::Toggle(set), Some("n" | "no" | "false" | "off")) => Change::Toggle(set, false),
        (Switch::Toggle(_), Some(other)) => return Err(format!("`{name}` is y or n, not `{other}`")),
        (Switch::Bytes(set), Some(value)) => match value.parse() {
            Ok(bytes) => Change::Bytes(set, bytes),
            Err(_) => return Err(format!("`{name}` is a number of bytes, not `{value}`")),
        },
        (Switch::Bytes(_), None) => return Err(format!("`{name}` needs a number of bytes: {name}=1048576")),
    };
    Ok(Setting { name, change })
}

/// Options that change how modules are compiled and run.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Engine options")]
pub struct EngineOptions {
    /// WebAssembly settings, comma-separated: max-wasm-stack=BYTES
    #[arg(short = 'W', long = "wasm", value_name = "NAME[=VALUE]", value_delimiter = ',', value_parser = setting)]
    settings: Vec<Setting>,
}

impl EngineOptions {
    /// The configuration that the options describe.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        for setting in &self.settings {
            match setting.change {
                Change::Toggle(set, on) => set(&mut config, on),
                Change::Bytes(set, bytes) => set(&mut config, bytes),
            }
        }
        config
    }

    /// An engine for them.
    pub fn engine(&self) -> Result<Engine> {
        Ok(Engine::new(&self.config())?)
    }
}
