//! [`Input`]: a file argument, recognised by its first bytes and never by its name.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use wast::Wat;
use wast::parser::{self, ParseBuffer};

use crate::failure::{Failure, Result, reason};
use crate::text;

/// Larger files are refused: no module of a gigabyte compiles, and a device may never end.
const MOST_BYTES: u64 = 1 << 30;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A module in the binary format.
    Wasm,
    /// A module in the text format.
    Text,
    /// A compiled module (`.cwasm`).
    Artifact,
}

/// How a compiled module starts.
const ELF: &[u8] = b"\x7fELF";

/// A file argument.
#[derive(Debug)]
pub struct Input {
    path: PathBuf,
    format: Format,
    /// Of a compiled module in a file: its first bytes only, since it is mapped and not read.
    bytes: Vec<u8>,
}

impl Input {
    /// Reads a file; `-` is the standard input.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_bytes(path)?;
        let format = recognise(&bytes).map_err(|e| e.in_file(shown(path)))?;
        Ok(Input { path: path.to_path_buf(), format, bytes })
    }

    /// What the file holds.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The file as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name in messages.
    pub fn shown(&self) -> String {
        shown(&self.path)
    }

    /// The bytes of a compiled module that came through the standard input and lies in no file.
    pub fn piped(&self) -> Option<&[u8]> {
        (self.path.as_os_str() == "-").then_some(&self.bytes)
    }

    /// The module in the binary format. Nothing but the encoding of text has been checked.
    pub fn wasm(&self) -> Result<Cow<'_, [u8]>> {
        match self.format {
            Format::Wasm => Ok(self.bytes.as_slice().into()),
            Format::Text => encode_text(&self.shown(), &self.bytes).map(Into::into),
            Format::Artifact => Err(Failure::new("is compiled already; this command needs WebAssembly")
                .or_hint("name the .wasm or .wat file that it was compiled from")
                .in_file(self.shown())),
        }
    }
}

/// A path in messages.
pub fn shown(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_string(),
        false => text::name(&path.to_string_lossy()).into_owned(),
    }
}

/// The text of a file; `-` is the standard input.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_bytes(path)?).map_err(|e| {
        Failure::new(format_args!("is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
            .or_hint("name a file of text")
            .in_file(shown(path))
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| {
        let failure = Failure::new(format_args!("cannot read {}: {}", shown(path), reason(&e)));
        match e.kind() {
            std::io::ErrorKind::NotFound => match similar(path) {
                Some(other) => failure.or_hint(format_args!("did you mean {}?", shown(&other))),
                None => failure.or_hint("name a .wasm, .wat or .cwasm file, or `-` for the standard input"),
            },
            std::io::ErrorKind::PermissionDenied => failure.or_hint("give yourself the right to read it"),
            _ => failure,
        }
    };
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            let hint = match modules_in(path).first() {
                Some(found) => format!("name a file in it, such as {}", shown(found)),
                None => "name a .wasm, .wat or .cwasm file".to_string(),
            };
            return Err(Failure::new(format_args!("{} is a directory", shown(path))).or_hint(hint));
        }
        let mut file = file.take(MOST_BYTES + 1);
        file.by_ref().take(ELF.len() as u64).read_to_end(&mut bytes).map_err(failed)?;
        if bytes != ELF {
            file.read_to_end(&mut bytes).map_err(failed)?;
        }
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Failure::new("has more than 1 GiB").or_hint("no module is that large").in_file(shown(path)));
    }
    Ok(bytes)
}

/// Files of a folder that look like modules, ascending.
fn modules_in(folder: &Path) -> Vec<PathBuf> {
    let is_module = |p: &PathBuf| p.extension().is_some_and(|e| e == "wasm" || e == "wat" || e == "cwasm");
    let mut found: Vec<PathBuf> = match std::fs::read_dir(folder) {
        // A folder may hold millions of files; a hint is not worth reading them all.
        Ok(entries) => entries.take(1000).flatten().map(|e| e.path()).filter(is_module).collect(),
        Err(_) => Vec::new(),
    };
    found.sort();
    found
}

/// The file that was probably meant by one that does not exist.
fn similar(path: &Path) -> Option<PathBuf> {
    if path.extension().is_none() {
        for extension in ["wasm", "wat", "cwasm"] {
            let with = path.with_extension(extension);
            if with.is_file() {
                return Some(with);
            }
        }
    }
    let wanted = path.file_stem()?.to_str()?;
    let folder = path.parent()?;
    let found = modules_in(if folder == Path::new("") { Path::new(".") } else { folder });
    // Names that have no more than their extension in common are not alike.
    let stem = |p: &PathBuf| p.file_stem().and_then(OsStr::to_str).map(String::from);
    let stems: Vec<String> = found.iter().filter_map(stem).collect();
    let closest = text::closest(wanted, stems.iter().map(String::as_str))?;
    let name = found.iter().find(|p| stem(p).as_deref() == Some(closest))?.file_name()?;
    Some(folder.join(name))
}

/// The binary format's version of a core module and of a component.
const MODULE_VERSION: [u8; 4] = [1, 0, 0, 0];
const COMPONENT_LAYER: [u8; 2] = [1, 0];

fn recognise(bytes: &[u8]) -> Result<Format> {
    if bytes.is_empty() {
        return Err(Failure::new("is empty").or_hint("build it again: whatever should have written it did not"));
    }
    if bytes.starts_with(b"\0asm") {
        let version = &bytes[4..bytes.len().min(8)];
        return match version {
            [_, _, layer @ ..] if layer == COMPONENT_LAYER => Err(Failure::new("is a component, not a module")
                .or_hint("Instar runs core modules: take the module out of it, or build for wasm32-wasip1")),
            _ if version != MODULE_VERSION && version.len() == 4 => Err(Failure::new(format_args!(
                "is WebAssembly of version {}, which Instar does not know",
                u32::from_le_bytes([version[0], version[1], version[2], version[3]])
            ))
            .or_hint("build it with a toolchain that writes version 1")),
            _ => Ok(Format::Wasm),
        };
    }
    if bytes.starts_with(ELF) {
        return Ok(Format::Artifact);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with(['(', ';']) {
            return Ok(Format::Text);
        }
    }
    let start: Vec<String> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
    Err(Failure::new(format_args!("is not WebAssembly: it starts with the bytes {}", start.join(" "))).or_hint(
        "a module starts with 00 61 73 6d (binary), `(` or `;;` (text), or 7f 45 4c 46 (compiled by `instar compile`)",
    ))
}

/// The binary format of a module in the text format.
fn encode_text(file: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Failure::new(format_args!("is not UTF-8 at byte {}", e.valid_up_to())).in_file(file))?;
    let failed = |e: wast::Error| {
        let (line, column) = e.span().linecol_in(text);
        Failure::new(e.message()).in_file(format_args!("{file}:{}:{}", line + 1, column + 1))
    };
    let mut buffer = ParseBuffer::new(text).map_err(failed)?;
    buffer.track_instr_spans(true);
    match parser::parse::<Wat<'_>>(&buffer).map_err(failed)? {
        Wat::Component(_) => Err(Failure::new("is a component, not a module")
            .or_hint("Instar runs core modules, which start with `(module`")
            .in_file(file)),
        mut module => module.encode().map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        match recognise(bytes) {
            Err(Failure::Error { message, hint: Some(hint), .. }) => format!("{message} | {hint}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn formats_are_recognised_by_their_bytes() {
        assert_eq!(recognise(b"\0asm\x01\0\0\0").unwrap(), Format::Wasm);
        assert_eq!(recognise(b"\x7fELF\x02").unwrap(), Format::Artifact);
        for text in ["(module)", " \n(module)", ";; hi\n(module)", "\u{feff}(module)"] {
            assert_eq!(recognise(text.as_bytes()).unwrap(), Format::Text, "{text:?}");
        }
        // A cut header is the validator's to explain.
        assert_eq!(recognise(b"\0asm\x01").unwrap(), Format::Wasm);
    }

    #[test]
    fn what_is_no_module_is_named() {
        assert!(refused(b"").contains("empty"));
        assert!(refused(b"hello").contains("68 65 6c 6c"));
        assert!(refused(b"\xff(module)").contains("ff 28"));
        assert!(refused(b"\0asm\x0d\0\x01\0").contains("component"));
        assert!(refused(b"\0asm\x02\0\0\0").contains("version 2"));
    }

    #[test]
    fn text_errors_have_line_and_column() {
        let Err(Failure::Error { message, .. }) = encode_text("x.wat", b"(module\n  (fnuc))") else { panic!() };
        assert!(message.starts_with("x.wat:2:4: "), "{message}");
        assert!(!message.contains('\n'));
        let wasm = encode_text("x.wat", b"(module $m (func))").unwrap();
        assert!(wasm.starts_with(b"\0asm"));
    }

    #[test]
    fn a_component_in_text_is_named() {
        let Err(Failure::Error { message, .. }) = encode_text("x.wat", b"(component)") else { panic!() };
        assert!(message.contains("component"), "{message}");
    }
}
