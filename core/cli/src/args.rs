//! The command line: commands, options, help with examples.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::engine::EngineOptions;
use crate::wasi::Grants;

const EXAMPLES: &str = "\
Examples:
  instar plugin.wasm                        run a program
  instar run --invoke add math.wat 1 2      call one function and print its results
  instar inspect plugin.wasm                what it imports, exports and declares

Exit codes: the program's own; 134 after a trap; 1 for any other error; 2 for wrong usage.";

/// Runs, compiles and looks into WebAssembly modules.
#[derive(Debug, Parser)]
#[command(
    name = "instar",
    version,
    after_help = EXAMPLES,
    arg_required_else_help = true,
    subcommand_required = true,
    override_usage = "instar <COMMAND>\n       instar [RUN OPTIONS] <FILE> [ARGS]..."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunArgs),
    Compile(CompileArgs),
    Validate(ValidateArgs),
    Inspect(InspectArgs),
    Objdump(ObjdumpArgs),
    Wast(WastArgs),
    Completions(CompletionsArgs),
}

/// Run a program, or call one function
///
/// Runs `_start` of a command. With --invoke, runs `_initialize` of a reactor, if it has one, and calls that function.
/// FILE is recognised by its contents: WebAssembly in the binary or text format, or a compiled module.
#[derive(Debug, Args)]
#[command(
    override_usage = "instar run [OPTIONS] <FILE> [ARGS]...",
    after_help = "\
Examples:
  instar run plugin.wasm --name value          everything after FILE goes to the program
  instar run --dir data:ro --env LANG tool.wasm
  instar run --invoke fib fib.wat 30           prints 832040
  instar run --invoke sub math.wasm -1 0x10    prints -17
  perf record instar run --profile perfmap plugin.wasm

Exit codes: the program's own; 134 after a trap; 1 for any other error; 2 for wrong usage."
)]
pub struct RunArgs {
    /// Call this exported function. ARGS are its arguments; each result is printed on a line of its own
    #[arg(long, value_name = "NAME")]
    pub invoke: Option<String>,

    /// Go on without imports that nothing defines
    #[arg(long, value_name = "WHAT")]
    pub unknown_imports: Option<UnknownImports>,

    /// The module, and the arguments for it
    #[arg(value_name = "FILE", required = true, trailing_var_arg = true, value_hint = ValueHint::FilePath)]
    file_and_args: Vec<OsString>,

    /// Run machine code from a file that is not named .cwasm. No sandbox confines it
    #[arg(long)]
    pub allow_precompiled: bool,

    /// Tell Linux's `perf` about the compiled code
    #[arg(long, value_name = "HOW")]
    pub profile: Option<Profile>,

    #[command(flatten)]
    pub grants: Grants,

    #[command(flatten)]
    pub engine: EngineOptions,
}

/// What becomes of imports that nothing defines.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum UnknownImports {
    /// Functions whose call ends the run with an error
    Trap,
    /// Functions that return zeroes and nulls, globals of zero, empty memories and tables
    Default,
}

/// What `perf` reads. Code of a .cwasm file needs neither: `perf` finds its symbols there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Names and places of functions in /tmp/perf-PID.map, for `perf report`
    Perfmap,
    /// Names and code in ./jit-PID.dump, for `perf record -k mono` and `perf inject --jit`
    Jitdump,
}

impl RunArgs {
    /// The module's file.
    pub fn file(&self) -> &Path {
        self.file_and_args.first().map_or(Path::new(""), Path::new)
    }

    /// The arguments after the file.
    pub fn args(&self) -> &[OsString] {
        self.file_and_args.get(1..).unwrap_or_default()
    }
}

/// Check that files hold valid modules
///
/// Prints `FILE: valid` for each; says what is wrong with the others and where.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  instar validate target/wasm32-wasip1/release/*.wasm")]
pub struct ValidateArgs {
    /// Modules in the binary or text format
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    pub engine: EngineOptions,
}

/// Show what a module imports, exports and declares, and how large its parts are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  instar inspect plugin.wasm
  instar inspect --json plugin.wasm | jq '.exports[].name'")]
pub struct InspectArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Compare the checksum of all bytes of a compiled module
    #[arg(long)]
    pub verify: bool,

    /// The module
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    #[command(flatten)]
    pub engine: EngineOptions,
}

/// Compile a module to machine code, which loads at once
///
/// The result runs in engines of this version with the same options, on processors like this one. Running it is running
/// native code: load only what you compiled yourself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  instar compile plugin.wasm                writes plugin.cwasm
  instar compile -O speed_and_size -o /srv/plugin.cwasm plugin.wasm")]
pub struct CompileArgs {
    /// The file to write; it is replaced as a whole or not at all [default: FILE with the extension .cwasm]
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// The module
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    #[command(flatten)]
    pub engine: EngineOptions,
}

/// Show the machine code of a module beside the WebAssembly offsets that it comes from
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  instar objdump plugin.wasm | less
  instar objdump --func fib --func 12 plugin.wasm")]
pub struct ObjdumpArgs {
    /// Show this function only; may be given several times
    #[arg(long = "func", value_name = "NAME|INDEX")]
    pub functions: Vec<String>,

    /// The module
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    #[command(flatten)]
    pub engine: EngineOptions,
}

/// Run scripts in the format of WebAssembly's official test suite
///
/// Prints what failed, and a line of counts for each file.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  instar wast -W threads=n test/core/*.wast")]
pub struct WastArgs {
    /// Print directives that are not supported, too
    #[arg(short, long)]
    pub verbose: bool,

    /// Scripts
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    pub engine: EngineOptions,
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  instar completions bash > ~/.local/share/bash-completion/completions/instar
  instar completions zsh > ~/.zfunc/_instar
  instar completions fish > ~/.config/fish/completions/instar.fish")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// The command line, with `run` put in front of `instar FILE …`.
pub fn with_command(mut args: Vec<OsString>) -> Vec<OsString> {
    if let Some(first) = args.get(1)
        && means_run(first)
    {
        args.insert(1, "run".into());
    }
    args
}

/// Whether the first argument belongs to `run`: an option that only `run` has, or a file.
fn means_run(first: &OsStr) -> bool {
    if ["-h", "--help", "-V", "--version"].iter().any(|own| first == *own) {
        return false;
    }
    let is_command = Cli::command().get_subcommands().any(|c| first == c.get_name()) || first == "help";
    // Other words are probably mistyped commands; clap has a suggestion for those.
    let text = first.to_string_lossy();
    !is_command && (text.starts_with('-') || text.contains(['.', '/']) || Path::new(first).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(with_command(line.split_whitespace().map(OsString::from).collect()))
    }

    /// The commands in a help text or a README, without what the shell does with them and what is said about them.
    fn commands(text: &str) -> impl Iterator<Item = &str> {
        text.lines()
            .map(str::trim)
            .filter(|l| l.starts_with("instar ") && !l.contains(['<', '[']))
            .map(|l| l.split(['>', '|', '#']).next().unwrap_or(l))
            .map(|l| l.split("   ").next().unwrap_or(l))
    }

    #[test]
    fn documented_commands_parse() {
        let mut texts = vec![EXAMPLES.to_string(), include_str!("../README.md").to_string()];
        for command in Cli::command().get_subcommands() {
            texts.push(command.get_after_help().map(ToString::to_string).unwrap_or_default());
        }
        let mut seen = 0;
        for text in &texts {
            for line in commands(text) {
                seen += 1;
                assert!(parse(line.trim()).is_ok(), "`{line}` is documented: {}", parse(line.trim()).unwrap_err());
            }
        }
        assert!(seen > 10, "{seen}");
    }

    fn run(line: &str) -> RunArgs {
        match parse(line).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_after_the_file_is_the_programs() {
        let args = run("instar run x.wasm --invoke a -h -- b");
        assert_eq!(args.file(), "x.wasm");
        assert_eq!(args.args(), ["--invoke", "a", "-h", "--", "b"]);
        assert_eq!(args.invoke, None);
        assert_eq!(run("instar run x.wasm -- -1").args(), ["--", "-1"]);
        assert_eq!(run("instar run -- x.wasm -1").args(), ["-1"]);
        assert_eq!(run("instar run --invoke f x.wasm -1").args(), ["-1"]);
        assert!(run("instar run x.wasm").args().is_empty());
    }

    #[test]
    fn run_can_be_left_out() {
        assert_eq!(run("instar x.wasm a b").args(), ["a", "b"]);
        assert_eq!(run("instar --invoke f x.wasm 1").invoke.as_deref(), Some("f"));
        assert_eq!(run("instar ./run").file(), "./run");
        assert!(parse("instar inspekt x.wasm").unwrap_err().to_string().contains("inspect"));
        assert!(parse("instar").is_err());
    }
}
