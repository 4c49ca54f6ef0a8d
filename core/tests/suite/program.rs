//! Random programs that write: a module's image, functions made of statements, and what a host does with an instance.
//!
//! Statements are generated as a tree and written as text, so that the compiler's own decisions are exercised: many stores
//! in one function off the same and other bases, in branches, loops and after calls.

use std::fmt::Write;

use proptest::collection::vec;
use proptest::prelude::*;

const PAGE: u32 = 65_536;
pub const FUNCREFS: usize = 8;

/// What an instance starts with.
#[derive(Clone, Debug)]
pub struct Image {
    pub pages: u32,
    pub more_pages: Option<u32>,
    pub segments: Vec<Segment>,
    pub start: bool,
    /// Functions of table 0, as numbers of generated functions.
    pub elements: Vec<u32>,
}

#[derive(Clone, Debug)]
pub struct Segment {
    pub place: u32,
    pub len: u32,
    pub seed: u8,
    /// At an offset that is computed for each instance.
    pub dynamic: bool,
}

impl Segment {
    fn bytes(&self) -> Vec<u8> {
        (0..self.len).map(|i| (i as u8).wrapping_mul(7).wrapping_add(self.seed) | 1).collect()
    }

    fn at(&self, pages: u32) -> u32 {
        (self.place % (pages * PAGE)).min(pages * PAGE - self.len)
    }
}

/// Bytes of the two passive segments.
pub fn passive(index: usize) -> Vec<u8> {
    (0..600u32).map(|i| (i as u8).wrapping_mul(13).wrapping_add(index as u8 * 101)).collect()
}

impl Image {
    /// The memory of a fresh instance, after its start function.
    pub fn memory(&self) -> Vec<u8> {
        let mut memory = vec![0; (self.pages * PAGE) as usize];
        for segment in &self.segments {
            let at = segment.at(self.pages) as usize;
            memory[at..at + segment.len as usize].copy_from_slice(&segment.bytes());
        }
        if self.start {
            memory[250..258].copy_from_slice(&0x0102_0304_0506_0708u64.to_le_bytes());
        }
        memory
    }
}

/// How many of [`WIDTHS`] are plain: the first.
pub const PLAIN_WIDTHS: usize = 10;

/// Operators that store, with what they take.
pub const WIDTHS: [(&str, &str); 19] = [
    ("i32.store", "i32"),
    ("i32.store8", "i32"),
    ("i32.store16", "i32"),
    ("i64.store", "i64"),
    ("i64.store8", "i64"),
    ("i64.store16", "i64"),
    ("i64.store32", "i64"),
    ("f32.store", "f32"),
    ("f64.store", "f64"),
    ("v128.store", "v128"),
    ("v128.store8_lane", "lane"),
    ("v128.store16_lane", "lane"),
    ("v128.store32_lane", "lane"),
    ("v128.store64_lane", "lane"),
    ("i64.atomic.store", "i64"),
    ("i32.atomic.store8", "i32"),
    ("i32.atomic.rmw16.xchg_u", "i32"),
    ("i64.atomic.rmw32.add_u", "i64"),
    ("i64.atomic.rmw.cmpxchg", "there"),
];

#[derive(Clone, Debug)]
pub enum Index {
    Local(u8),
    Constant(u32),
    /// `local.tee` of a local plus a constant, into `$t`.
    Tee(u8, u32),
    /// A local plus a constant, in 32 or in 64 bits.
    Sum(u8, i32, bool),
    /// One of two locals, through the result of a block that is left early.
    Either(u8, u8, u8),
    /// The value of a global.
    Global,
}

#[derive(Clone, Debug)]
pub enum Statement {
    Store {
        width: usize,
        index: Index,
        offset: u32,
        value: u64,
    },
    Set(u8, Index),
    SetGlobal(u8, u64),
    Loop(u8, u32, Vec<Statement>),
    If(u8, Vec<Statement>, Vec<Statement>),
    /// A block that is left early when the bit is set.
    Block(u8, Vec<Statement>, Vec<Statement>),
    /// One of several arms, falling through to the next as in C.
    Switch(Vec<Vec<Statement>>),
    Fill(Index, u32, u8),
    Copy(Index, Index, u32),
    Init(u8, Index, u32, u32),
    DropData(u8),
    DropElements(u8),
    TableSet(u32, u8),
    TableGrow(u8, u32),
    TableFill(u8, u32, u32),
    TableCopy(u32, u32, u32),
    TableInit(u8, u32, u32, u32),
    Grow(u32),
    HostWrite(Index, u32, u8),
    Call(u8),
    CallIndirect(u32),
    ReturnIf(u8),
    Trap(u8, u8),
}

/// What the host does with an instance.
#[derive(Clone, Debug)]
pub enum Action {
    Call { function: u8, arguments: [u32; 3] },
    Write { place: u32, len: u32, byte: u8 },
    Grow(u32),
    Bytes(u32),
    SetGlobals(u64),
    SetTable(u32),
    GrowTable(u32),
}

#[derive(Clone, Debug)]
pub struct Program {
    pub image: Image,
    pub functions: Vec<Vec<Statement>>,
    /// What one tenant after the other does.
    pub tenants: Vec<Vec<Action>>,
}

/// Mostly addresses at which something ends, a few anywhere, very few beyond the memory.
fn place() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => (0u32..768, 0u32..40).prop_map(|(line, at)| (line * 256 + at).saturating_sub(20)),
        6 => (1u32..768, 1u32..9).prop_map(|(line, back)| line * 256 - back),
        3 => (0u32..48, 0u32..40).prop_map(|(page, at)| (page * 4096 + at).saturating_sub(20)),
        3 => (1u32..4, 1u32..60).prop_map(|(page, back)| page * PAGE - back),
        4 => 0u32..200_000,
        1 => 0x8000_0000u32..=0xffff_ffff,
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..20, 4 => 240u32..280, 1 => 0u32..5000]
}

fn index() -> impl Strategy<Value = Index> {
    prop_oneof![
        8 => (0u8..4).prop_map(Index::Local),
        2 => place().prop_map(Index::Constant),
        2 => (0u8..4, 0u32..300).prop_map(|(local, plus)| Index::Tee(local, plus)),
        4 => (0u8..4, -80i32..140, any::<bool>()).prop_map(|(local, plus, wide)| Index::Sum(local, plus, wide)),
        1 => (0u8..4, 0u8..4, 0u8..8).prop_map(|(a, b, bit)| Index::Either(a, b, bit)),
        1 => Just(Index::Global),
    ]
}

fn statement() -> impl Strategy<Value = Statement> {
    let offset = prop_oneof![6 => 0u32..40, 6 => 8u32..18, 4 => 40u32..140, 2 => 200u32..300, 1 => 4000u32..5000];
    let store = (0..WIDTHS.len(), index(), offset, any::<u64>())
        .prop_map(|(width, index, offset, value)| Statement::Store { width, index, offset, value });
    let leaf = prop_oneof![
        30 => store,
        4 => (0u8..3, index()).prop_map(|(local, index)| Statement::Set(local, index)),
        2 => (0u8..6, any::<u64>()).prop_map(|(global, value)| Statement::SetGlobal(global, value)),
        2 => (index(), length(), any::<u8>()).prop_map(|(to, len, byte)| Statement::Fill(to, len, byte)),
        2 => (index(), index(), length()).prop_map(|(to, from, len)| Statement::Copy(to, from, len)),
        2 => (0u8..2, index(), 0u32..300, 0u32..301).prop_map(|(s, to, from, len)| Statement::Init(s, to, from, len)),
        1 => (0u8..2).prop_map(Statement::DropData),
        1 => (0u8..2).prop_map(Statement::DropElements),
        2 => (0u32..FUNCREFS as u32, 0u8..5).prop_map(|(at, what)| Statement::TableSet(at, what)),
        1 => (0u8..2, 0u32..4).prop_map(|(table, by)| Statement::TableGrow(table, by)),
        2 => (0u8..2, 0u32..6, 0u32..4).prop_map(|(table, at, len)| Statement::TableFill(table, at, len)),
        2 => (0u32..6, 0u32..6, 0u32..3).prop_map(|(to, from, len)| Statement::TableCopy(to, from, len)),
        1 => (0u8..2, 0u32..6, 0u32..3, 0u32..3).prop_map(|(s, to, from, len)| Statement::TableInit(s, to, from, len)),
        1 => (0u32..3).prop_map(Statement::Grow),
        2 => (index(), length(), any::<u8>()).prop_map(|(to, len, byte)| Statement::HostWrite(to, len, byte)),
        2 => (0u8..4).prop_map(Statement::Call),
        1 => (0u32..FUNCREFS as u32 + 2).prop_map(Statement::CallIndirect),
        1 => (0u8..8).prop_map(Statement::ReturnIf),
        1 => (0u8..8, 0u8..4).prop_map(|(bit, kind)| Statement::Trap(bit, kind)),
    ];
    leaf.prop_recursive(3, 40, 6, |inner| {
        let body = vec(inner, 0..6);
        prop_oneof![
            3 => (1u8..4, prop_oneof![Just(0u32), 1u32..20, Just(256), 200u32..300], body.clone())
                .prop_map(|(count, step, body)| Statement::Loop(count, step, body)),
            3 => (0u8..8, body.clone(), body.clone()).prop_map(|(bit, a, b)| Statement::If(bit, a, b)),
            2 => (0u8..8, body.clone(), body.clone()).prop_map(|(bit, a, b)| Statement::Block(bit, a, b)),
            1 => vec(body, 1..4).prop_map(Statement::Switch),
        ]
    })
}

fn image() -> impl Strategy<Value = Image> {
    let segment = (place(), prop_oneof![1u32..600, 4000u32..9000], any::<u8>(), prop::bool::weighted(0.2))
        .prop_map(|(place, len, seed, dynamic)| Segment { place, len, seed, dynamic });
    (1u32..4, prop::option::of(0u32..3), vec(segment, 0..5), any::<bool>(), vec(0u32..4, 0..5)).prop_map(
        |(pages, more_pages, segments, start, elements)| Image { pages, more_pages, segments, start, elements },
    )
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (0u8..4, place(), place(), any::<u32>())
            .prop_map(|(function, a, b, c)| Action::Call { function, arguments: [a, b, c] }),
        2 => (place(), length(), any::<u8>()).prop_map(|(place, len, byte)| Action::Write { place, len, byte }),
        1 => (0u32..3).prop_map(Action::Grow),
        1 => (0u32..2000).prop_map(Action::Bytes),
        1 => any::<u64>().prop_map(Action::SetGlobals),
        1 => (0u32..FUNCREFS as u32).prop_map(Action::SetTable),
        1 => (0u32..4).prop_map(Action::GrowTable),
    ]
}

pub fn program() -> impl Strategy<Value = Program> {
    (image(), vec(vec(statement(), 0..14), 4), vec(vec(action(), 0..8), 1..6))
        .prop_map(|(image, functions, tenants)| Program { image, functions, tenants })
}

impl Program {
    /// An address as the program means it: within the first memory, but for those that are meant to lie beyond.
    pub fn address(&self, place: u32) -> u32 {
        if place >= 0x8000_0000 { place } else { place % (self.image.pages * PAGE) }
    }

    pub fn text(&self) -> String {
        let mut out = String::from(
            r#"(module
            (type $step (func (param i32 i32 i32)))
            (import "host" "write" (func $host_write (param i32 i32 i32)))
            "#,
        );
        self.declarations(&mut out);
        for (i, body) in self.functions.iter().enumerate() {
            let mut writer = Writer { program: self, out: &mut out, function: i, loops: 0 };
            writer.function(body);
        }
        out.push(')');
        out
    }

    fn declarations(&self, out: &mut String) {
        let Image { pages, more_pages, segments, start, elements } = &self.image;
        let maximum = more_pages.map_or(String::new(), |more| (pages + more).to_string());
        write!(
            out,
            r#"(memory (export "memory") {pages} {maximum})
            (global $g0 (export "g0") (mut i32) (i32.const 77)) (global $g1 (export "g1") (mut i64) (i64.const -5))
            (global $g2 (export "g2") (mut f32) (f32.const 1.5)) (global $g3 (export "g3") (mut f64) (f64.const -2.5))
            (global $g4 (export "g4") (mut funcref) (ref.func $f1))
            (global $g5 (export "g5") (mut externref) (ref.null extern))
            (global $constant (export "constant") i64 (i64.const 99))
            (global $fuel (mut i32) (i32.const 2000)) (global $bump (mut i32) (i32.const 1000))
            (table $t0 (export "t0") {FUNCREFS} 20 funcref) (table $t1 (export "t1") 6 externref)
            (elem (table $t0) (i32.const 1) func {functions})
            (elem (table $t0) (i32.add (i32.const 3) (i32.const 4)) func $f2)
            (elem $e0 func $f0 $f1 $f2) (elem $e1 funcref (ref.null func) (ref.func $f3) (ref.func $f0))
            (data $d0 "{}") (data $d1 "{}")
            (func (export "init_data") (param i32 i32 i32)
              (if (local.get 0) (then (memory.init $d1 (local.get 1) (i32.const 0) (local.get 2)))
                (else (memory.init $d0 (local.get 1) (i32.const 0) (local.get 2)))))
            (func (export "init_elements") (param i32)
              (if (local.get 0) (then (table.init $t0 $e1 (i32.const 0) (i32.const 0) (i32.const 3)))
                (else (table.init $t0 $e0 (i32.const 0) (i32.const 0) (i32.const 3)))))
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "alloc") (param i32) (result i32) (global.get $bump)
              (global.set $bump (i32.add (global.get $bump) (local.get 0))))
            (func (export "echo") (param i32 i32) (result i64)
              (memory.copy (i32.add (local.get 0) (i32.const 3)) (local.get 0) (local.get 1))
              (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
            (func $overflow (param i32) (result i32) (i32.add (i32.const 1) (call $overflow (local.get 0))))
            "#,
            escape(&passive(0)),
            escape(&passive(1)),
            functions = elements.iter().map(|f| format!("$f{f} ")).collect::<String>(),
        )
        .expect("strings take everything");
        for segment in segments {
            let at = segment.at(*pages);
            let offset = match segment.dynamic {
                true => format!("(i32.add (i32.const {}) (i32.const {}))", at / 2, at - at / 2),
                false => format!("(i32.const {at})"),
            };
            writeln!(out, "(data {offset} \"{}\")", escape(&segment.bytes())).expect("strings take everything");
        }
        if *start {
            out.push_str("(func $start (i64.store (i32.const 250) (i64.const 0x0102030405060708))) (start $start)\n");
        }
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("\\{b:02x}")).collect()
}

struct Writer<'a> {
    program: &'a Program,
    out: &'a mut String,
    function: usize,
    loops: u32,
}

macro_rules! put {
    ($writer:expr, $($arg:tt)*) => { writeln!($writer.out, $($arg)*).expect("strings take everything") };
}

impl Writer<'_> {
    fn function(&mut self, body: &[Statement]) {
        let i = self.function;
        put!(self, "(func $f{i} (export \"f{i}\") (type $step) (param $a i32) (param $b i32) (param $c i32)");
        put!(self, "(local $t i32) {}", (0..8).map(|n| format!("(local $n{n} i32) ")).collect::<String>());
        self.statements(body);
        put!(self, ")");
    }

    fn index(&self, index: &Index) -> String {
        let local = |n: &u8| ["$a", "$b", "$c", "$t"][*n as usize % 4];
        // $c holds bits to decide by; as an address it must be a small one.
        let get = |n: &u8| match n % 4 {
            2 => "(i32.and (local.get $c) (i32.const 0xffff))".to_owned(),
            _ => format!("(local.get {})", local(n)),
        };
        match index {
            Index::Local(n) => get(n),
            Index::Constant(place) => format!("(i32.const {})", self.program.address(*place)),
            Index::Tee(n, plus) => format!("(local.tee $t (i32.add {} (i32.const {plus})))", get(n)),
            Index::Sum(n, plus, false) => format!("(i32.add {} (i32.const {plus}))", get(n)),
            Index::Sum(n, plus, true) => {
                format!("(i32.wrap_i64 (i64.add (i64.const {plus}) (i64.extend_i32_u {})))", get(n))
            }
            Index::Either(a, b, bit) => {
                format!("(block (result i32) {} (br_if 0 {}) (drop) {})", get(a), condition(*bit), get(b))
            }
            Index::Global => "(global.get $g0)".to_owned(),
        }
    }

    fn statements(&mut self, list: &[Statement]) {
        list.iter().for_each(|s| self.statement(s));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Store { width, index, offset, value } => {
                let (operator, ty) = WIDTHS[*width];
                let mut index = self.index(index);
                let mut offset = *offset;
                if operator.contains("atomic") {
                    // Others trap.
                    (index, offset) = (format!("(i32.and {index} (i32.const -8))"), offset & !7);
                }
                let vector = format!("(i64x2.splat (i64.const {value}))");
                let value = match ty {
                    "i32" => format!("(i32.const {})", *value as u32),
                    "i64" => format!("(i64.const {value})"),
                    "f32" => format!("(f32.reinterpret_i32 (i32.const {}))", *value as u32),
                    "f64" => format!("(f64.reinterpret_i64 (i64.const {value}))"),
                    // A lane that all of them have.
                    "lane" => return put!(self, "({operator} offset={offset} 1 {index} {vector})"),
                    "v128" => vector,
                    _ => format!("(i64.const 0) (i64.const {value})"),
                };
                match operator.contains("rmw") {
                    true => put!(self, "(drop ({operator} offset={offset} {index} {value}))"),
                    false => put!(self, "({operator} offset={offset} {index} {value})"),
                }
            }
            Statement::Set(local, index) => {
                let local = ["$a", "$b", "$t"][*local as usize % 3];
                put!(self, "(local.set {local} {})", self.index(index));
            }
            Statement::SetGlobal(global, value) => match global {
                0 => put!(self, "(global.set $g0 (i32.const {}))", self.program.address(*value as u32)),
                1 => put!(self, "(global.set $g1 (i64.const {value}))"),
                2 => put!(self, "(global.set $g2 (f32.reinterpret_i32 (i32.const {})))", *value as u32),
                3 => put!(self, "(global.set $g3 (f64.reinterpret_i64 (i64.const {value})))"),
                4 => put!(self, "(global.set $g4 (ref.func $f{}))", value % 4),
                _ => put!(self, "(global.set $g5 (table.get $t1 (i32.const {})))", value % 6),
            },
            Statement::Loop(count, step, body) => self.repeat(*count, *step, body),
            Statement::If(bit, then, otherwise) => {
                put!(self, "(if {} (then", condition(*bit));
                self.statements(then);
                put!(self, ") (else");
                self.statements(otherwise);
                put!(self, "))");
            }
            Statement::Block(bit, before, after) => {
                put!(self, "(block");
                self.statements(before);
                put!(self, "(br_if 0 {})", condition(*bit));
                self.statements(after);
                put!(self, ")");
            }
            Statement::Switch(arms) => {
                put!(self, "{}", "(block ".repeat(arms.len() + 1));
                let targets: String = (0..arms.len()).map(|i| format!("{i} ")).collect();
                put!(self, "(br_table {targets} {} (i32.and (local.get $c) (i32.const 3))))", arms.len());
                for arm in arms {
                    self.statements(arm);
                    put!(self, ")");
                }
            }
            other => self.simple(other),
        }
    }

    fn repeat(&mut self, count: u8, step: u32, body: &[Statement]) {
        let n = self.loops;
        self.loops += 1;
        put!(self, "(local.set $n{n} (i32.const {count})) (loop $l{n}");
        put!(self, "(if (i32.eqz (global.get $fuel)) (then unreachable))");
        put!(self, "(global.set $fuel (i32.sub (global.get $fuel) (i32.const 1)))");
        self.statements(body);
        put!(self, "(local.set $a (i32.add (local.get $a) (i32.const {step})))");
        put!(self, "(br_if $l{n} (local.tee $n{n} (i32.sub (local.get $n{n}) (i32.const 1)))))");
        self.loops -= 1;
    }

    fn simple(&mut self, statement: &Statement) {
        let function = self.function;
        match statement {
            Statement::Fill(to, len, byte) => {
                put!(self, "(memory.fill {} (i32.const {byte}) (i32.const {len}))", self.index(to));
            }
            Statement::Copy(to, from, len) => {
                put!(self, "(memory.copy {} {} (i32.const {len}))", self.index(to), self.index(from));
            }
            Statement::Init(segment, to, from, len) => {
                put!(self, "(memory.init $d{segment} {} (i32.const {from}) (i32.const {len}))", self.index(to));
            }
            Statement::DropData(segment) => put!(self, "(data.drop $d{segment})"),
            Statement::DropElements(segment) => put!(self, "(elem.drop $e{segment})"),
            Statement::TableSet(at, 4) => put!(self, "(table.set $t0 (i32.const {at}) (ref.null func))"),
            Statement::TableSet(at, f) => put!(self, "(table.set $t0 (i32.const {at}) (ref.func $f{f}))"),
            Statement::TableGrow(0, by) => put!(self, "(drop (table.grow $t0 (ref.func $f3) (i32.const {by})))"),
            Statement::TableGrow(_, by) => {
                put!(self, "(drop (table.grow $t1 (table.get $t1 (i32.const 0)) (i32.const {by})))");
            }
            Statement::TableFill(0, at, len) => {
                put!(self, "(table.fill $t0 (i32.const {at}) (ref.func $f0) (i32.const {len}))");
            }
            Statement::TableFill(_, at, len) => {
                put!(self, "(table.fill $t1 (i32.const {at}) (table.get $t1 (i32.const 1)) (i32.const {len}))");
            }
            Statement::TableCopy(to, from, len) => {
                put!(self, "(table.copy $t0 $t0 (i32.const {to}) (i32.const {from}) (i32.const {len}))");
            }
            Statement::TableInit(segment, to, from, len) => {
                put!(self, "(table.init $t0 $e{segment} (i32.const {to}) (i32.const {from}) (i32.const {len}))");
            }
            Statement::Grow(pages) => put!(self, "(drop (memory.grow (i32.const {pages})))"),
            Statement::HostWrite(to, len, byte) => {
                put!(self, "(call $host_write {} (i32.const {len}) (i32.const {byte}))", self.index(to));
            }
            // Only functions before this one, so that calls end.
            Statement::Call(callee) if (*callee as usize) < function => {
                put!(self, "(call $f{callee} (local.get $b) (local.get $a) (local.get $c))");
            }
            // Loops of calls through the table end when the fuel does.
            Statement::CallIndirect(at) => {
                put!(self, "(if (i32.eqz (global.get $fuel)) (then unreachable))");
                put!(self, "(global.set $fuel (i32.sub (global.get $fuel) (i32.const 1)))");
                put!(
                    self,
                    "(call_indirect $t0 (type $step) (local.get $t) (local.get $a) (i32.const 5) (i32.const {at}))"
                );
            }
            Statement::ReturnIf(bit) => put!(self, "(if {} (then (return)))", condition(*bit)),
            Statement::Trap(bit, kind) => {
                let trap = match kind {
                    0 => "unreachable",
                    1 => "(i32.store (i32.const -1) (i32.const 1))",
                    2 => "(drop (call $overflow (i32.const 0)))",
                    _ => "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
                };
                put!(self, "(if {} (then {trap}))", condition(*bit));
            }
            _ => {}
        }
    }
}

/// A bit of the parameter `$c`.
fn condition(bit: u8) -> String {
    format!("(i32.and (local.get $c) (i32.const {}))", 1u32 << (bit + 8))
}
