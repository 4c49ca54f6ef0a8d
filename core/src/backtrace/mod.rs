//! [`WasmBacktrace`]: where a guest was when it trapped or when a host function failed.
//!
//! An error carries places in code only. Names, offsets, and files and lines ([`dwarf`]) are looked up when somebody asks, so
//! that errors that nobody prints stay cheap. The modules are kept alive for it.

#[cfg(feature = "dwarf")]
mod dwarf;

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::error::{Attachment, Error};
use crate::vm::module::VmModule;
use crate::vm::unwind::Trace;

/// Most frames of a backtrace, whatever number of activations it spans.
const MAX_FRAMES: usize = 256;

/// The wasm frames that an error left behind, innermost first: at most 64 of each call from the host into wasm, and 256 in
/// all.
///
/// Frames of host functions between them are not shown, nor those of functions that left by a tail call. Names come from the
/// module's name section; files and lines from its DWARF, if it has any and the crate is built with feature `dwarf`. All of
/// it is the guest's word.
///
/// ```
/// # fn main() -> instar::Result<()> {
/// # use instar::{Engine, Linker, Module};
/// let engine = Engine::default();
/// let module = Module::new(&engine, r#"
///     (module $greeter
///       (func $fail unreachable)
///       (func $handle (export "handle") call $fail))
/// "#)?;
/// let pre = Linker::<()>::new(&engine).instantiate_pre(&module)?;
/// let handle = pre.export::<(), ()>("handle")?;
/// let error = pre.call((), &handle, ()).unwrap_err();
///
/// let backtrace = error.wasm_backtrace().expect("the guest trapped");
/// let names: Vec<_> = backtrace.frames().iter().filter_map(|frame| frame.func_name()).collect();
/// assert_eq!(names, ["fail", "handle"]);
/// assert!(backtrace.to_string().contains("greeter!fail"));
/// // One line for users, all of it for developers.
/// assert_eq!(error.to_string().lines().count(), 1);
/// assert!(format!("{error:?}").contains("greeter!fail"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WasmBacktrace {
    trace: Trace,
    frames: OnceLock<Box<[FrameInfo]>>,
}

/// One wasm frame of a [`WasmBacktrace`].
#[derive(Clone)]
pub struct FrameInfo {
    all: Arc<Frames>,
    index: usize,
}

/// All frames of a backtrace, so that the DWARF of a module is read once for all of its frames.
struct Frames {
    places: Vec<Place>,
    symbols: OnceLock<Vec<Vec<FrameSymbol>>>,
}

struct Place {
    module: Arc<VmModule>,
    /// Index of the function in the module's index space.
    function: u32,
    /// Offset of the frame's instruction in the function's code.
    code_offset: u32,
}

/// A place in the guest's source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameSymbol {
    name: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

impl FrameSymbol {
    /// The function as its source names it, without its surroundings; of an inlined one, its own name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The path of the source file, as the guest's compiler knew it.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Counted from 1.
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// Counted from 1.
    pub fn column(&self) -> Option<u32> {
        self.column
    }
}

impl WasmBacktrace {
    /// Adds the frames of the activation that an error has ended to it, below those that it has passed already.
    pub(crate) fn attach(error: &mut Error, mut trace: Trace) {
        // The innermost frame may be a trampoline to a host function.
        let in_function = |&(module, offset): &(u32, u32)| {
            trace.modules.get(module as usize).is_some_and(|module| module.function_at(offset).is_some())
        };
        if trace.frames.first().is_some_and(|first| !in_function(first)) {
            trace.frames.remove(0);
        }
        if trace.frames.is_empty() {
            return;
        }
        match error.attachment_mut::<WasmBacktrace>() {
            Some(inner) => inner.extend(trace),
            None => error.attach(WasmBacktrace { trace, frames: OnceLock::new() }),
        }
    }

    fn extend(&mut self, outer: Trace) {
        let trace = &mut self.trace;
        let room = MAX_FRAMES.saturating_sub(trace.frames.len());
        let first = trace.modules.len() as u32;
        trace.omitted += outer.omitted + outer.frames.len().saturating_sub(room);
        trace.frames.extend(outer.frames.iter().take(room).map(|&(module, offset)| (first + module, offset)));
        if room > 0 {
            trace.modules.extend(outer.modules);
        }
        self.frames = OnceLock::new();
    }

    /// The frames, innermost first.
    pub fn frames(&self) -> &[FrameInfo] {
        self.frames.get_or_init(|| {
            let place = |&(module, offset): &(u32, u32)| {
                let module = self.trace.modules.get(module as usize)?;
                let (function, range) = module.function_at(offset)?;
                Some(Place { module: module.clone(), function, code_offset: offset - range.start })
            };
            let places: Vec<_> = self.trace.frames.iter().filter_map(place).collect();
            let count = places.len();
            let all = Arc::new(Frames { places, symbols: OnceLock::new() });
            (0..count).map(|index| FrameInfo { all: all.clone(), index }).collect()
        })
    }

    /// How many more frames there were, outside of [`WasmBacktrace::frames`] or, in nested calls, between them.
    pub fn omitted(&self) -> usize {
        self.trace.omitted
    }
}

impl FrameInfo {
    fn place(&self) -> &Place {
        &self.all.places[self.index]
    }

    /// The module's name, from its name section.
    pub fn module_name(&self) -> Option<&str> {
        self.place().module.info.name.as_deref()
    }

    /// Index of the function in its module's index space, imports first.
    pub fn func_index(&self) -> u32 {
        self.place().function
    }

    /// The function's name, from the name section.
    pub fn func_name(&self) -> Option<&str> {
        self.place().module.info.function_names.get(self.place().function)
    }

    /// Offset of the frame's instruction in the wasm binary, in bytes; of the function's first instruction that has code when
    /// the function had not begun (its stack frame did not fit). `None` when the module was compiled without
    /// [`Config::generate_address_map`](crate::Config::generate_address_map).
    pub fn module_offset(&self) -> Option<usize> {
        self.place().module_offset().map(|offset| offset as usize)
    }

    /// Where the frame was in the source by the module's DWARF: first the innermost function that was inlined there, last the
    /// function itself. Empty without DWARF, as far as it is damaged, and in builds without feature `dwarf`.
    ///
    /// The DWARF is read at the first call for any frame of a backtrace: some milliseconds when it is large.
    pub fn symbols(&self) -> &[FrameSymbol] {
        let symbols = self.all.symbols.get_or_init(|| self.all.find_symbols());
        symbols.get(self.index).map_or(&[], |list| list)
    }
}

impl Place {
    fn module_offset(&self) -> Option<u32> {
        let index = self.function.checked_sub(self.module.info.imported_functions)? as usize;
        self.module.address_map().ok()?.find(index, self.code_offset)
    }
}

impl Frames {
    #[cfg(feature = "dwarf")]
    fn find_symbols(&self) -> Vec<Vec<FrameSymbol>> {
        let mut symbols = vec![Vec::new(); self.places.len()];
        let mut seen: Vec<&Arc<VmModule>> = Vec::new();
        for Place { module, .. } in &self.places {
            if module.info.debug_sections.is_empty() || seen.iter().any(|s| Arc::ptr_eq(s, module)) {
                continue;
            }
            seen.push(module);
            let (mut indices, mut addresses) = (Vec::new(), Vec::new());
            for (i, place) in self.places.iter().enumerate().filter(|(_, p)| Arc::ptr_eq(&p.module, module)) {
                // DWARF of WebAssembly counts addresses from the contents of the code section.
                let address = place.module_offset().and_then(|at| at.checked_sub(module.info.code_section_start));
                if let Some(address) = address {
                    indices.push(i);
                    addresses.push(u64::from(address));
                }
            }
            let sections = &module.info.debug_sections;
            let section = |wanted: &str| sections.iter().find(|(name, _)| name == wanted).map(|(_, bytes)| &**bytes);
            for (i, found) in indices.into_iter().zip(dwarf::find(section, &addresses)) {
                symbols[i] = found;
            }
        }
        symbols
    }

    #[cfg(not(feature = "dwarf"))]
    fn find_symbols(&self) -> Vec<Vec<FrameSymbol>> {
        Vec::new()
    }
}

impl Attachment for WasmBacktrace {}

impl fmt::Display for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wasm backtrace:")?;
        for (i, frame) in self.frames().iter().enumerate() {
            write!(f, "\n{i:>5}: ")?;
            if let Some(offset) = frame.module_offset() {
                write!(f, "{offset:#6x} - ")?;
            }
            write!(f, "{}!", Plain(frame.module_name().unwrap_or("<unknown>")))?;
            match frame.func_name() {
                Some(name) => write!(f, "{}", Plain(name))?,
                None => write!(f, "<wasm function {}>", frame.func_index())?,
            }
            for symbol in frame.symbols() {
                write!(f, "\n{:>18} {}", "at", Plain(symbol.file().unwrap_or("<unknown>")))?;
                if let Some(line) = symbol.line {
                    write!(f, ":{line}")?;
                    if let Some(column) = symbol.column {
                        write!(f, ":{column}")?;
                    }
                }
                // The last one is the function that was named above.
                if let (Some(name), true) = (symbol.name(), frame.symbols().len() > 1) {
                    write!(f, " ({})", Plain(name))?;
                }
            }
        }
        if self.omitted() > 0 {
            write!(f, "\n       … and {} more frames", self.omitted())?;
        }
        Ok(())
    }
}

/// Text of a guest, without what could move a terminal's cursor or forge lines of a log.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::fmt::Write;
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        })
    }
}

impl fmt::Debug for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmBacktrace").field("frames", &self.frames()).field("omitted", &self.omitted()).finish()
    }
}

impl fmt::Debug for FrameInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameInfo")
            .field("module", &self.module_name())
            .field("func_index", &self.func_index())
            .field("func_name", &self.func_name())
            .field("module_offset", &self.module_offset())
            .field("symbols", &self.symbols())
            .finish()
    }
}

impl Error {
    /// The wasm frames that were abandoned, when a guest trapped or a host function that it called failed. An error that
    /// passes several calls of nested hosts and guests collects the frames of all of them. `None` when no wasm was on the
    /// way, or [`Config::wasm_backtrace`](crate::Config::wasm_backtrace) is off.
    pub fn wasm_backtrace(&self) -> Option<&WasmBacktrace> {
        self.attachment()
    }
}
