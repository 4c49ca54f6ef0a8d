//! [`Grants`]: what a program may see of this machine. Nothing else is visible: no folder, no variable.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use instar::Linker;
use instar::wasi::{self, DirPerms, FilePerms, I32Exit, WasiCtx, WasiCtxBuilder};

use crate::failure::{Failure, Result, reason};
use crate::text;

/// What the user lets the program see.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What the program may see")]
pub struct Grants {
    /// A folder, under its own name or as GUEST; `:ro` at the end lets the program only read it
    #[arg(long = "dir", value_name = "HOST[::GUEST][:ro]", value_parser = directory, value_hint = ValueHint::DirPath)]
    directories: Vec<Directory>,

    /// A variable, with this value or the one it has here
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = variable)]
    variables: Vec<Variable>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directory {
    host: PathBuf,
    guest: String,
    read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    name: String,
    /// Without one, the variable is inherited.
    value: Option<String>,
}

/// Reads `HOST[::GUEST][:ro]`. A name that itself ends in `:ro` can be written with `:rw` after it.
fn directory(text: &str) -> Result<Directory, String> {
    let (names, read_only) = match (text.strip_suffix(":ro"), text.strip_suffix(":rw")) {
        // `a::ro` is folder `a` under the name `ro`.
        (Some(names), _) if !names.ends_with(':') => (names, true),
        (_, Some(names)) if !names.ends_with(':') => (names, false),
        _ => (text, false),
    };
    let (host, guest) = names.split_once("::").unwrap_or((names, names));
    if host.is_empty() || guest.is_empty() {
        return Err("a name is missing; write HOST, HOST::GUEST or HOST::GUEST:ro".to_string());
    }
    Ok(Directory { host: host.into(), guest: guest.to_string(), read_only })
}

fn variable(text: &str) -> Result<Variable, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_string())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("the name is missing; write NAME=VALUE, or NAME to inherit it".to_string());
    }
    Ok(Variable { name: name.to_string(), value })
}

/// The host data of a program that runs.
pub struct Host {
    wasi: WasiCtx,
}

impl Grants {
    /// A host that shows the program its arguments and what was granted.
    pub fn host(&self, program: &Path, args: &[OsString]) -> Result<Host> {
        let mut builder = WasiCtxBuilder::new();
        builder.inherit_stdio();
        builder.arg(program.file_name().unwrap_or(program.as_os_str()).as_encoded_bytes());
        for arg in args {
            builder.arg(arg.as_encoded_bytes());
        }
        for variable in &self.variables {
            builder.env(&variable.name, variable.value()?.as_encoded_bytes());
        }
        for directory in &self.directories {
            directory.open(&mut builder)?;
        }
        Ok(Host { wasi: builder.build() })
    }
}

impl Variable {
    fn value(&self) -> Result<OsString> {
        let inherited = || {
            let name = text::name(&self.name);
            std::env::var_os(&self.name).ok_or_else(|| {
                Failure::new(format_args!("--env {name}: there is no such variable to inherit"))
                    .or_hint(format_args!("give it a value: --env {name}=VALUE"))
            })
        };
        self.value.as_ref().map_or_else(inherited, |value| Ok(value.into()))
    }
}

impl Directory {
    fn open(&self, builder: &mut WasiCtxBuilder) -> Result<()> {
        let shown = self.host.to_string_lossy();
        let shown = text::name(&shown);
        let metadata = std::fs::metadata(&self.host).map_err(|e| {
            Failure::new(format_args!("--dir {shown}: {}", reason(&e))).or_hint("name a folder that exists")
        })?;
        if !metadata.is_dir() {
            return Err(Failure::new(format_args!("--dir {shown}: not a folder"))
                .or_hint("name the folder that the file is in"));
        }
        let (directory, file) = match self.read_only {
            true => (DirPerms::READ, FilePerms::READ),
            false => (DirPerms::all(), FilePerms::all()),
        };
        builder
            .preopened_dir(&self.host, &self.guest, directory, file)
            .map_err(|e| Failure::from(e).in_file(format_args!("--dir {shown}")))?;
        Ok(())
    }
}

/// Defines the functions of WASI.
pub fn define(linker: &mut Linker<Host>) -> instar::Result<()> {
    wasi::add_to_linker(linker, |host: &mut Host| &mut host.wasi)
}

/// The exit code, if this error is a program's wish to end.
pub fn exit_code(error: &instar::Error) -> Option<u8> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.process_exit_code() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_written_as_host_and_guest() {
        for (text, host, guest, read_only) in [
            (".", ".", ".", false),
            ("data::/", "data", "/", false),
            ("data:ro", "data", "data", true),
            ("data::/d:ro", "data", "/d", true),
            ("a::ro", "a", "ro", false),
            ("a::ro:ro", "a", "ro", true),
            ("a:ro:rw", "a:ro", "a:ro", false),
            ("a::b::c", "a", "b::c", false),
        ] {
            let expected = Directory { host: host.into(), guest: guest.into(), read_only };
            assert_eq!(directory(text), Ok(expected), "{text}");
        }
        for text in ["", "::", "a::", "::b", ":ro"] {
            assert!(directory(text).is_err(), "{text}: {:?}", directory(text));
        }
    }

    #[test]
    fn variables_have_a_value_or_inherit_it() {
        let of = |text| variable(text).map(|v| (v.name, v.value));
        assert_eq!(of("A=b=c"), Ok(("A".into(), Some("b=c".into()))));
        assert_eq!(of("A="), Ok(("A".into(), Some(String::new()))));
        assert_eq!(of("A"), Ok(("A".into(), None)));
        assert!(of("=b").is_err() && of("").is_err());
    }
}
