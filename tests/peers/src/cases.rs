//! What is measured.
//!
//! Every module exports `run: (i32, i32) -> i32`. Guests that write do not read before: that would be a second page fault
//! for a runtime that maps images, and the cases are about writes. Instead, [`Case::peek`] looks between batches.

/// A measured case.
pub struct Case {
    pub name: String,
    /// The real use that it stands for.
    pub stands_for: &'static str,
    pub module: Source,
    pub work: Work,
    /// The parameters of `run`, and its answer. ([`Work::Callback`] sets the first parameter itself; guests of tests/guests
    /// have parameters of their own.)
    pub operation: Operation,
    /// An operation between batches, not measured, whose answer proves that a new instance has its initial contents.
    pub peek: Option<Operation>,
    pub targets: Targets,
    /// Whether the operation can be repeated in a live instance, with the same answer.
    pub repeats: bool,
    /// Whether instances grow their memory, which cannot be done without the kernel.
    pub grows: bool,
}

/// Highest ratios of Instar's time to Wasmtime's; `None`: for information.
#[derive(Clone, Copy, Default)]
pub struct Targets {
    pub default_pool: Option<f64>,
    pub best_pool: Option<f64>,
    /// Whether they are for the default tracking mode too. They always are for the best of the modes.
    pub for_default_mode: bool,
}

/// Where a module comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// Its text. It exports `run: (i32, i32) -> i32`.
    Wat(String),
    /// Lua of tests/guests: a fresh state runs [`SCRIPT`](crate::requests::SCRIPT).
    Lua,
    /// SQLite of tests/guests: open, create, insert 10 rows, select them, close.
    Sqlite,
}

impl Source {
    /// The module's bytes.
    pub fn wasm(&self) -> crate::AnyResult<Vec<u8>> {
        Ok(match self {
            Source::Wat(text) => wat::parse_str(text)?,
            Source::Lua => crate::programs::wasm("lua")?,
            Source::Sqlite => crate::programs::wasm("sqlite")?,
        })
    }

    /// Whether it is a program that does work of its own, so that a fresh instance's cost is what its run takes longer than
    /// one in a live instance.
    pub fn is_program(&self) -> bool {
        !matches!(self, Source::Wat(_))
    }
}

/// A call of `run`.
#[derive(Clone, Copy)]
pub struct Operation {
    pub params: (i32, i32),
    pub answer: u32,
}

/// What one operation is.
#[derive(Clone, Copy)]
pub enum Work {
    /// A fresh instance, one typed call of `run`, and the end of the instance.
    Fresh,
    /// A typed call of `run` in a live instance.
    Call,
    /// A call of `run` with values whose types are checked at run time, in a live instance.
    UntypedCall,
    /// A call of the imported host function `env.add` from a loop in a live instance.
    Callback,
}

/// Number of imports of the case that has many, and of different signatures among them.
pub const IMPORTS: usize = 100;
const SIGNATURES: usize = 80;

/// Size of the pages that guests write to, in bytes: the operating system's, not WebAssembly's.
const PAGE_BYTES: usize = 4096;
const WASM_PAGE_BYTES: usize = 65_536;
/// Every byte of a data segment.
const DATA_BYTE: u32 = 0x01;
const DATA_WORD: u32 = DATA_BYTE * 0x0101_0101;

/// All cases, in the order of the report.
pub fn all() -> Vec<Case> {
    vec![
        idle("empty module", "the floor: a pure function, such as a UDF in a query engine", EMPTY),
        idle(
            &format!("{IMPORTS} imports with {SIGNATURES} signatures"),
            "a plugin that is given a wide host API",
            &importer(),
        ),
        idle("1 page of memory, nothing written", "a filter that decides from its parameters", ONE_PAGE),
        one_page_written(),
        Case { targets: required(0.04, 0.12), ..writing(64, 16, 4) },
        Case { targets: required(0.15, 0.6), ..writing(64, 16, 4096) },
        filling(64, 16),
        Case { targets: wanted(0.03, 0.17), ..writing(1024, 64, 4) },
        Case { targets: wanted(0.03, 0.17), ..writing(1024, 256, 4) },
        program("Lua: fresh state, a 20-line script", "a rule or template that a user wrote", Source::Lua),
        Case {
            // Its linker gave it little heap to begin with.
            grows: true,
            ..program(
                "SQLite: open, create, insert 10, select 10, close",
                "a sandboxed library with a large heap of tables",
                Source::Sqlite,
            )
        },
        Case { targets: wanted(0.25, 0.5), ..growing() },
        live("typed call, host to wasm", "an export called in a loop", Work::Call, ADDER, 0.65),
        live("untyped call, host to wasm", "a host that learns types at run time", Work::UntypedCall, ADDER, 0.40),
        live("typed call, wasm to host", "a guest that uses its host's API", Work::Callback, CALLER, 0.80),
    ]
}

/// The case that stands for many: an initialised memory, and a little of it written.
pub fn one_page_written() -> Case {
    Case { targets: required(0.05, 0.10), ..writing(64, 1, 4) }
}

/// Targets for the best of the modes and for the default.
fn required(default_pool: f64, best_pool: f64) -> Targets {
    Targets { for_default_mode: true, ..wanted(default_pool, best_pool) }
}

/// Targets for the best of the modes.
fn wanted(default_pool: f64, best_pool: f64) -> Targets {
    Targets { default_pool: Some(default_pool), best_pool: Some(best_pool), for_default_mode: false }
}

/// A fresh instance of a program that works.
fn program(name: &str, stands_for: &'static str, module: Source) -> Case {
    Case {
        name: name.to_string(),
        stands_for,
        module,
        work: Work::Fresh,
        // What the first request answers is what all must answer.
        operation: Operation { params: (0, 0), answer: 0 },
        peek: None,
        targets: required(0.35, 0.5),
        repeats: true,
        grows: false,
    }
}

/// A fresh instance that writes nothing.
fn idle(name: &str, stands_for: &'static str, wat: &str) -> Case {
    let operation = Operation { params: (7, 0), answer: 7 };
    Case {
        name: name.to_string(),
        stands_for,
        module: Source::Wat(wat.to_string()),
        work: Work::Fresh,
        operation,
        peek: None,
        targets: required(0.10, 0.10),
        repeats: true,
        grows: false,
    }
}

/// A fresh instance that writes to its initialised memory.
fn writing(data_kib: usize, pages: usize, bytes_per_page: usize) -> Case {
    let data = if data_kib < 1024 { format!("{data_kib} KiB") } else { format!("{} MiB", data_kib / 1024) };
    let bytes =
        if bytes_per_page < 1024 { format!("{bytes_per_page} B") } else { format!("{} KiB", bytes_per_page / 1024) };
    let (plural, each) = if pages == 1 { ("", "") } else { ("s", " each") };
    Case {
        name: format!("{data} data, {pages} page{plural} written ({bytes}{each})"),
        stands_for: "a plugin that runs on its initialised heap and writes a little of it",
        module: Source::Wat(toucher(data_kib * 1024, 0)),
        work: Work::Fresh,
        operation: Operation { params: (pages as i32, bytes_per_page as i32), answer: 0 },
        // Two words a page.
        peek: Some(Operation { params: (pages as i32, 0), answer: DATA_WORD.wrapping_mul(2 * pages as u32) }),
        targets: Targets::default(),
        repeats: true,
        grows: false,
    }
}

/// A fresh instance that writes whole pages of its initialised memory by one instruction.
fn filling(data_kib: usize, pages: usize) -> Case {
    let case = writing(data_kib, pages, PAGE_BYTES);
    Case {
        name: format!("{data_kib} KiB data, {pages} pages written (4 KiB each, by memory.fill)"),
        // The sign tells the guest to fill.
        operation: Operation { params: (pages as i32, -(PAGE_BYTES as i32)), ..case.operation },
        ..case
    }
}

/// A fresh instance that writes to memory which it grows first.
fn growing() -> Case {
    let grow_by = 4;
    let pages = (grow_by * WASM_PAGE_BYTES / PAGE_BYTES) as i32;
    Case {
        name: format!("64 KiB data, grows by {pages} pages, all written (4 B each)"),
        stands_for: "a guest whose allocator asks for more than it was born with",
        module: Source::Wat(toucher(WASM_PAGE_BYTES, grow_by)),
        work: Work::Fresh,
        // The answer is the size before, to which a peek adds words that must be zero.
        operation: Operation { params: (pages, 4), answer: 1 },
        peek: Some(Operation { params: (pages, 0), answer: 1 }),
        targets: Targets::default(),
        // It would grow again.
        repeats: false,
        grows: true,
    }
}

/// Calls into or out of an instance that stays.
fn live(name: &str, stands_for: &'static str, work: Work, wat: &str, target: f64) -> Case {
    let operation = Operation { params: (20, 22), answer: if matches!(work, Work::Callback) { 22 } else { 42 } };
    Case {
        name: name.to_string(),
        stands_for,
        module: Source::Wat(wat.to_string()),
        work,
        operation,
        peek: None,
        targets: Targets { best_pool: Some(target), ..Targets::default() },
        repeats: true,
        grows: false,
    }
}

const EMPTY: &str = r#"(module (func (export "run") (param i32 i32) (result i32) local.get 0))"#;

const ONE_PAGE: &str = r#"(module (memory 1) (func (export "run") (param i32 i32) (result i32) local.get 0))"#;

const ADDER: &str = r#"(module
  (func (export "run") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))"#;

/// Calls the host as often as its first parameter says, and answers with the sum.
const CALLER: &str = r#"(module
  (import "env" "add" (func $add (param i32 i32) (result i32)))
  (func (export "run") (param $times i32) (param $step i32) (result i32)
    (local $sum i32)
    (if (local.get $times)
      (then
        (loop $again
          (local.set $sum (call $add (local.get $sum) (local.get $step)))
          (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))))
    (local.get $sum)))"#;

/// Whether each parameter of import `index` is an i64 (or else an i32).
pub fn import_parameters(index: usize) -> [bool; 7] {
    let signature = index % SIGNATURES;
    std::array::from_fn(|bit| signature >> bit & 1 == 1)
}

fn importer() -> String {
    let import = |index: usize| {
        let parameters = import_parameters(index).map(|wide| if wide { "i64" } else { "i32" }).join(" ");
        format!("(import \"env\" \"f{index}\" (func (param {parameters})))")
    };
    let imports: Vec<String> = (0..IMPORTS).map(import).collect();
    let function = r#"(func (export "run") (param i32 i32) (result i32) local.get 0)"#;
    format!("(module {} {function})", imports.join("\n"))
}

/// A module with `data_bytes` of data whose `run` is `touch(pages, bytes_per_page)`: it writes the first bytes of as many
/// consecutive pages word by word, or for a negative number of bytes by `memory.fill`, or for 0 bytes only reads the first and the last word of each and answers with their sum. With
/// `grow_by` it grows by as many WebAssembly pages first, touches from there on, and adds the old size to the answer.
fn toucher(data_bytes: usize, grow_by: usize) -> String {
    let data = format!("\\{DATA_BYTE:02x}").repeat(data_bytes);
    let start = match grow_by {
        0 => String::new(),
        pages => format!(
            "(local.set $answer (memory.grow (i32.const {pages})))
             (local.set $page (i32.const {data_bytes}))"
        ),
    };
    format!(
        r#"(module
  (memory (export "memory") {memory_pages})
  (data (i32.const 0) "{data}")
  (func (export "run") (param $pages i32) (param $bytes i32) (result i32)
    (local $page i32) (local $at i32) (local $end i32) (local $answer i32)
    {start}
    (loop $next_page
      (if (i32.eq (local.get $bytes) (i32.const 4))
        (then (i32.store (local.get $page) (i32.const -1)))
        (else (if (i32.lt_s (local.get $bytes) (i32.const 0))
          (then (memory.fill (local.get $page) (i32.const 255) (i32.sub (i32.const 0) (local.get $bytes))))
        (else (if (local.get $bytes)
          (then
            (local.set $at (local.get $page))
            (local.set $end (i32.add (local.get $page) (local.get $bytes)))
            (loop $next_word
              (i64.store (local.get $at) (i64.const -1))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br_if $next_word (i32.lt_u (local.get $at) (local.get $end)))))
          (else
            (local.set $answer (i32.add (local.get $answer)
              (i32.add (i32.load (local.get $page)) (i32.load offset={last} (local.get $page)))))))))))
      (local.set $page (i32.add (local.get $page) (i32.const {PAGE_BYTES})))
      (br_if $next_page (local.tee $pages (i32.sub (local.get $pages) (i32.const 1)))))
    (local.get $answer)))"#,
        memory_pages = data_bytes.div_ceil(WASM_PAGE_BYTES),
        last = PAGE_BYTES - 4,
    )
}
