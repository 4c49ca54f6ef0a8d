//! One module with a function for each way in which a guest can write: every operator, to memories of every shape, to
//! tables and to globals. Tests choose from it by number, so that many sequences run without many compilations.
//!
//! All functions of the menu have the type `$op`: an address (or index) and a value. `then` calls one of them and then
//! stops in a way of one's choice. The memories, tables and globals may also be those of another instance.

use std::fmt::Write;

use crate::program::{PLAIN_WIDTHS, WIDTHS};

/// Functions of type `$op`, by their place in the table `$ops`.
pub struct Menu {
    /// What each does, in words.
    pub names: Vec<String>,
    bodies: Vec<String>,
}

/// A memory of the module.
pub struct Shape {
    pub name: &'static str,
    pub text: &'static str,
    pub wide: bool,
    pub minimum_bytes: usize,
    pub page: u64,
    /// Offsets, lengths and seeds of its segments.
    segments: &'static [(usize, usize, u8)],
}

/// Memories of every shape: with an image and without, empty, with 64-bit addresses, with pages of one byte, without a maximum.
pub const MEMORIES: [Shape; 5] = [
    Shape {
        name: "memory",
        text: "2 7",
        wide: false,
        minimum_bytes: 131_072,
        page: 65_536,
        segments: &[(250, 20, 1), (4090, 300, 2), (65_530, 100, 3), (65_600, 10, 4), (131_067, 5, 5)],
    },
    Shape { name: "empty", text: "0 3", wide: false, minimum_bytes: 0, page: 65_536, segments: &[] },
    Shape {
        name: "wide",
        text: "i64 1 5",
        wide: true,
        minimum_bytes: 65_536,
        page: 65_536,
        segments: &[(100, 60, 6), (40_000, 9000, 7)],
    },
    Shape {
        name: "bytes",
        text: "300 9000 (pagesize 1)",
        wide: false,
        minimum_bytes: 300,
        page: 1,
        segments: &[(0, 40, 8), (290, 10, 9)],
    },
    Shape { name: "plain", text: "1", wide: false, minimum_bytes: 65_536, page: 65_536, segments: &[] },
];

/// Functions that elements and references may be.
pub const FUNCTIONS: usize = 4;

/// Ways in which `then` stops; 0 is that it returns.
pub const ENDINGS: u32 = 12;

/// Elements of the tables `t0` (functions), `t1` (objects) and `t2` (functions, 64-bit indices).
pub const TABLES: [(&str, &str, u64); 3] =
    [("t0", "8 20 funcref", 8), ("t1", "6 externref", 6), ("t2", "i64 4 9 funcref", 4)];

/// The functions in the tables of a fresh instance.
pub const ELEMENTS: [(usize, usize, usize); 4] = [(0, 1, 0), (0, 2, 3), (0, 7, 2), (2, 3, 1)];

/// Mutable globals and what they start as.
pub const GLOBALS: [(&str, &str, &str); 7] = [
    ("g0", "i32", "(i32.const 77)"),
    ("g1", "i64", "(i64.const -5)"),
    ("g2", "f32", "(f32.const 1.5)"),
    ("g3", "f64", "(f64.const -2.5)"),
    ("g4", "v128", "(v128.const i64x2 3 4)"),
    ("g5", "funcref", "(ref.func $f1)"),
    ("g6", "externref", "(ref.null extern)"),
];

impl Shape {
    /// The bytes of a fresh instance's memory.
    pub fn contents(&self) -> Vec<u8> {
        let mut all = vec![0; self.minimum_bytes];
        for &(at, len, seed) in self.segments {
            all[at..at + len].copy_from_slice(&pattern(len, seed));
        }
        all
    }
}

/// Bytes none of which is zero.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(7).wrapping_add(seed) | 1).collect()
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("\\{b:02x}")).collect()
}

impl Menu {
    pub fn new() -> Self {
        let mut menu = Menu { names: Vec::new(), bodies: Vec::new() };
        for memory in &MEMORIES {
            menu.stores(memory);
            menu.bulk(memory);
        }
        menu.tables();
        menu.globals();
        menu
    }

    fn add(&mut self, name: String, body: String) {
        self.names.push(name);
        self.bodies.push(body);
    }

    /// Numbers of the functions whose name contains `text`.
    pub fn matching(&self, text: &str) -> Vec<u32> {
        (0..self.names.len()).filter(|&i| self.names[i].contains(text)).map(|i| i as u32).collect()
    }

    fn stores(&mut self, memory: &Shape) {
        let name = memory.name;
        let at = address(memory);
        let value = |ty: &str| match ty {
            "i32" => "(i32.wrap_i64 (local.get $v))",
            "i64" => "(local.get $v)",
            "f32" => "(f32.reinterpret_i32 (i32.wrap_i64 (local.get $v)))",
            "f64" => "(f64.reinterpret_i64 (local.get $v))",
            _ => "(i64x2.splat (local.get $v))",
        };
        let atomic = [
            ("i32.atomic.store", "i32"),
            ("i32.atomic.store8", "i32"),
            ("i32.atomic.store16", "i32"),
            ("i64.atomic.store", "i64"),
            ("i64.atomic.store8", "i64"),
            ("i64.atomic.store16", "i64"),
            ("i64.atomic.store32", "i64"),
        ];
        for &(operator, ty) in WIDTHS[..PLAIN_WIDTHS].iter().chain(&atomic) {
            self.add(format!("{name} {operator}"), format!("({operator} ${name} {at} {})", value(ty)));
            // With an offset, where the mark may be made at another address than the store's.
            let offset = [8, 15, 16, 47, 63, 64, 255, 4096][self.names.len() / 2 % 8];
            let body = format!("({operator} ${name} offset={offset} {at} {})", value(ty));
            self.add(format!("{name} {operator} offset={offset}"), body);
        }
        for (bits, lanes) in [(8, 16), (16, 8), (32, 4), (64, 2)] {
            for lane in [0, lanes - 1] {
                let operator = format!("v128.store{bits}_lane");
                let body = format!("({operator} ${name} {lane} {at} {})", value("v128"));
                self.add(format!("{name} {operator} {lane}"), body);
            }
        }
        for (ty, widths) in [("i32", &["", "8", "16"][..]), ("i64", &["", "8", "16", "32"])] {
            for width in widths {
                let sign = if width.is_empty() { "" } else { "_u" };
                for what in ["add", "sub", "and", "or", "xor", "xchg"] {
                    let operator = format!("{ty}.atomic.rmw{width}.{what}{sign}");
                    let body = format!("(drop ({operator} ${name} {at} {}))", value(ty));
                    self.add(format!("{name} {operator}"), body);
                }
                let operator = format!("{ty}.atomic.rmw{width}.cmpxchg{sign}");
                let load = format!("{ty}.atomic.load{width}{sign}");
                // Once with what is there, so that it writes, and once with what may not be.
                let there = format!("({load} ${name} {at})");
                let body = format!("(drop ({operator} ${name} {at} {there} {}))", value(ty));
                self.add(format!("{name} {operator}"), body);
                let body = format!("(drop ({operator} ${name} {at} ({ty}.const 0) {}))", value(ty));
                self.add(format!("{name} {operator} with 0"), body);
            }
        }
    }

    fn bulk(&mut self, memory: &Shape) {
        let name = memory.name;
        let at = address(memory);
        let narrow = "(i32.and (i32.wrap_i64 (local.get $v)) (i32.const 0x3ff))";
        let length = if memory.wide { format!("(i64.extend_i32_u {narrow})") } else { narrow.to_owned() };
        let byte = "(i32.wrap_i64 (i64.shr_u (local.get $v) (i64.const 56)))";
        self.add(format!("{name} memory.fill"), format!("(memory.fill ${name} {at} {byte} {length})"));
        let from = "(i32.and (i32.wrap_i64 (i64.shr_u (local.get $v) (i64.const 32))) (i32.const 0xff))";
        let init = format!("(memory.init ${name} $passive {at} {from} {narrow})");
        self.add(format!("{name} memory.init"), init);
        for other in &MEMORIES {
            let source = if other.wide { format!("(i64.extend_i32_u {from})") } else { from.to_owned() };
            let length = if memory.wide && other.wide { length.clone() } else { narrow.to_owned() };
            let body = format!("(memory.copy ${name} ${} {at} {source} {length})", other.name);
            self.add(format!("{name} memory.copy from {}", other.name), body);
        }
        // Up to 3 pages, or as many lines.
        let pages = "(i64.and (local.get $v) (i64.const 3))";
        let delta = match (memory.wide, memory.page) {
            (true, _) => pages.to_owned(),
            (_, 1) => format!("(i32.wrap_i64 (i64.mul {pages} (i64.const 1300)))"),
            _ => format!("(i32.wrap_i64 {pages})"),
        };
        self.add(format!("{name} memory.grow"), format!("(drop (memory.grow ${name} {delta}))"));
    }

    fn tables(&mut self) {
        let at = "(i32.and (i32.wrap_i64 (local.get $at)) (i32.const 15))";
        let wide_at = "(i64.and (local.get $at) (i64.const 7))";
        let n = "(i32.and (i32.wrap_i64 (local.get $v)) (i32.const 3))";
        let wide_n = "(i64.and (local.get $v) (i64.const 3))";
        let object = "(table.get $t1 (i32.const 0))";
        for f in 0..FUNCTIONS {
            self.add(format!("t0 table.set f{f}"), format!("(table.set $t0 {at} (ref.func $f{f}))"));
        }
        let list = [
            ("t0 table.set null", format!("(table.set $t0 {at} (ref.null func))")),
            ("t1 table.set", format!("(table.set $t1 {at} (global.get $g6))")),
            ("t2 table.set", format!("(table.set $t2 {wide_at} (ref.func $f2))")),
            ("t0 table.fill", format!("(table.fill $t0 {at} (ref.func $f0) {n})")),
            ("t1 table.fill", format!("(table.fill $t1 {at} {object} {n})")),
            ("t2 table.fill", format!("(table.fill $t2 {wide_at} (ref.func $f3) {wide_n})")),
            ("t0 table.grow", format!("(drop (table.grow $t0 (ref.func $f3) {n}))")),
            ("t1 table.grow", format!("(drop (table.grow $t1 {object} {n}))")),
            ("t2 table.grow", format!("(drop (table.grow $t2 (ref.func $f0) {wide_n}))")),
            ("t0 table.copy", format!("(table.copy $t0 $t0 {at} {n} {n})")),
            ("t0 table.copy from t2", format!("(table.copy $t0 $t2 {at} (i64.const 0) {n})")),
            ("t2 table.copy from t0", format!("(table.copy $t2 $t0 {wide_at} {n} {n})")),
            ("t0 table.init", format!("(table.init $t0 $functions {at} (i32.const 0) {n})")),
            ("t2 table.init", format!("(table.init $t2 $functions {wide_at} (i32.const 1) {n})")),
            ("elem.drop", "(elem.drop $functions)".to_owned()),
            ("data.drop", "(data.drop $passive)".to_owned()),
        ];
        for (name, body) in list {
            self.add(name.to_owned(), body);
        }
    }

    fn globals(&mut self) {
        let values = [
            "(i32.wrap_i64 (local.get $v))",
            "(local.get $v)",
            "(f32.reinterpret_i32 (i32.wrap_i64 (local.get $v)))",
            "(f64.reinterpret_i64 (local.get $v))",
            "(i64x2.splat (local.get $v))",
            "(ref.func $f2)",
            "(table.get $t1 (i32.const 5))",
        ];
        for ((name, ty, _), value) in GLOBALS.iter().zip(values) {
            self.add(format!("{name} global.set {ty}"), format!("(global.set ${name} {value})"));
        }
    }

    /// A module that has everything itself.
    pub fn text(&self) -> String {
        format!("(module {IMPORTS} {} {})", definitions(), self.functions())
    }

    /// A module whose memories, tables and globals are imported from `o`.
    pub fn importing_text(&self) -> String {
        let mut out = format!("(module {IMPORTS}");
        let mut import = |name: &str, what: &str, ty: &str| {
            write!(out, "(import \"o\" \"{name}\" ({what} ${name} {ty}))").expect("strings take everything");
            write!(out, "(export \"{name}\" ({what} ${name}))").expect("strings take everything");
        };
        MEMORIES.iter().for_each(|m| import(m.name, "memory", m.text));
        TABLES.iter().for_each(|t| import(t.0, "table", t.1));
        GLOBALS.iter().for_each(|g| import(g.0, "global", &format!("(mut {})", g.1)));
        // Segments that run for each instance.
        out += "(data (memory $memory) (i32.const 8180) \"written at the start\") (elem (table $t0) (i32.const 5) func $f0)";
        format!("{out} {})", self.functions())
    }

    fn functions(&self) -> String {
        let mut out = String::new();
        for (i, body) in self.bodies.iter().enumerate() {
            writeln!(out, "(func $op{i} (type $op) (param $at i64) (param $v i64) {body})")
                .expect("strings take everything");
        }
        let all: String = (0..self.bodies.len()).map(|i| format!("$op{i} ")).collect();
        let passive = escape(&pattern(1300, 77));
        let functions: String =
            (0..FUNCTIONS).map(|i| format!("(func $f{i} (export \"f{i}\") (result i32) (i32.const {i}))")).collect();
        format!(
            r#"{out} {functions}
            (table $ops funcref (elem {all}))
            (elem $functions func $f2 $f1 $f0 $f3) (data $passive "{passive}")
            (global $bump (mut i32) (i32.const 30000))
            (func (export "alloc") (param i32) (result i32) (global.get $bump)
              (global.set $bump (i32.add (global.get $bump) (local.get 0))))
            (func (export "echo") (param i32 i32) (result i64)
              (memory.copy (i32.add (local.get 0) (i32.const 3)) (local.get 0) (local.get 1))
              (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
            (func $overflow (param $at i32)
              (i32.store (i32.and (local.get $at) (i32.const 0xffff)) (i32.const -1))
              (call $overflow (i32.add (local.get $at) (i32.const 777)))
              (i32.store (i32.const 0) (i32.const -1)))
            (func $end (param $end i32)
              (block (block (block (block (block (block (block (block (block (block (block (block
                (br_table 0 1 2 3 4 5 6 7 8 9 10 11 (local.get $end)))
                return) ;; 0
                unreachable) ;; 1
                (i64.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 7)) (i64.const -1)) return) ;; 2
                (v128.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (v128.const i64x2 -1 -1)) return)
                (drop (i32.div_u (i32.const 1) (i32.const 0))) return) ;; 4
                (drop (call_indirect $t0 (result i32) (i32.const 19))) return) ;; 5
                (call $overflow (i32.const 200)) return) ;; 6
                (call $host_end (i32.const 1)) return) ;; 7
                (call $host_end (i32.const 2)) return) ;; 8
                (drop (i64.atomic.rmw.add (i32.const 12) (i64.const -1))) return) ;; 9
                (memory.fill (i32.const 60000) (i32.const 1) (i32.const 0x7fffffff)) return) ;; 10
              (memory.copy $memory $bytes (i32.const 9000) (i32.const 299) (i32.const 20000))) ;; 11
            (func (export "then") (param $which i32) (param $at i64) (param $v i64) (param $end i32)
              (call_indirect $ops (type $op) (local.get $at) (local.get $v) (local.get $which))
              (call $end (local.get $end)))
            (func (export "host write") (param $memory i32) (param $at i64) (param $len i32) (param $how i32) (param $end i32)
              (call $host_write (local.get $memory) (local.get $at) (local.get $len) (local.get $how))
              (call $end (local.get $end)))
            (func (export "nested") (param $which i32) (param $at i64) (param $v i64) (param $end i32)
              (i64.store (i32.const 2040) (local.get $v))
              (call $host_call (local.get $which) (local.get $at) (local.get $v) (local.get $end))
              (i64.store (i32.const 2052) (local.get $v)))
            (func (export "load") (param i64) (result i32) (i32.load8_u (i32.wrap_i64 (local.get 0))))
            (func (export "load wide") (param i64) (result i32) (i32.load8_u $wide (local.get 0)))
            (func (export "load bytes") (param i64) (result i32) (i32.load8_u $bytes (i32.wrap_i64 (local.get 0))))"#
        )
    }
}

/// The address as an operand for a memory: 32-bit memories take the low half.
fn address(memory: &Shape) -> &'static str {
    if memory.wide { "(local.get $at)" } else { "(i32.wrap_i64 (local.get $at))" }
}

const IMPORTS: &str = r#"
    (type $op (func (param $at i64) (param $v i64)))
    (import "host" "write" (func $host_write (param i32 i64 i32 i32)))
    (import "host" "end" (func $host_end (param i32)))
    (import "host" "call" (func $host_call (param i32 i64 i64 i32)))
"#;

/// A module that only has the memories, tables and globals.
pub fn owner_text() -> String {
    let functions: String =
        (0..FUNCTIONS).map(|i| format!("(func $f{i} (export \"f{i}\") (result i32) (i32.const {i}))")).collect();
    format!("(module {} {functions})", definitions())
}

fn definitions() -> String {
    let mut out = String::new();
    let export = |name: &str| format!("(export \"{name}\")");
    for memory in &MEMORIES {
        let Shape { name, text, .. } = memory;
        writeln!(out, "(memory ${name} {} {text})", export(name)).expect("strings take everything");
        for &(at, len, seed) in memory.segments {
            let ty = if memory.wide { "i64" } else { "i32" };
            let bytes = escape(&pattern(len, seed));
            writeln!(out, "(data (memory ${name}) ({ty}.const {at}) \"{bytes}\")").expect("strings take everything");
        }
    }
    for (name, text, _) in TABLES {
        writeln!(out, "(table ${name} {} {text})", export(name)).expect("strings take everything");
    }
    for (table, at, function) in ELEMENTS {
        let ty = if table == 2 { "i64" } else { "i32" };
        writeln!(out, "(elem (table $t{table}) ({ty}.const {at}) func $f{function})").expect("strings take everything");
    }
    for (name, ty, init) in GLOBALS {
        writeln!(out, "(global ${name} {} (mut {ty}) {init})", export(name)).expect("strings take everything");
    }
    out
}
