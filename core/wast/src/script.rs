//! [`Script`]: a `.wast` file as owned steps, modules encoded, so that it can be run several times and by several threads.

use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::Id;
use wast::{QuoteWat, QuoteWatTest, Wast, WastDirective, WastExecute, WastInvoke, WastThread, Wat};

use crate::value::{self, Argument, Expected, NotSupported};

/// All directives of one file, in the order of their places in it. Those of a thread follow the `thread` directive.
#[derive(Debug)]
pub struct Script {
    directives: Vec<Directive>,
}

/// One directive and where it stands.
#[derive(Debug)]
pub struct Directive {
    /// From 1.
    pub line: usize,
    pub(crate) step: Step,
    /// How many of the directives after it are its own: those that its thread runs.
    pub(crate) nested: usize,
}

/// Why a text is no script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    pub text: String,
}

/// A module as it is given to the engine: bytes, or text if the file quotes it, or the assembler's complaint.
pub(crate) type Source = Result<Vec<u8>, String>;

/// What a directive does. Names of modules are those after `$`; none means the latest one.
#[derive(Debug)]
pub(crate) enum Step {
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
    /// Runs the nested directives on a thread that knows the shared memories of a module.
    Thread {
        name: String,
        shared: Option<String>,
    },
    Wait {
        thread: String,
    },
    NotSupported(NotSupported),
}

/// What may be asserted about.
#[derive(Debug)]
pub(crate) enum Action {
    Invoke { module: Option<String>, field: String, arguments: Vec<Argument> },
    Get { module: Option<String>, field: String },
    Instantiate { source: Source },
}

impl Script {
    /// Parses the text of a `.wast` file.
    ///
    /// # Errors
    ///
    /// Where the text is no script, and why. Modules that are quoted or binary may be wrong; that is for the directive.
    pub fn parse(text: &str) -> Result<Script, SyntaxError> {
        let error = |error: wast::Error| SyntaxError { line: line_of(error.span(), text), text: error.message() };
        let mut lexer = Lexer::new(text);
        lexer.allow_confusing_unicode(true);
        let buffer = ParseBuffer::new_with_lexer(lexer).map_err(error)?;
        let wast: Wast<'_> = parser::parse(&buffer).map_err(error)?;
        let mut directives = Vec::new();
        add(wast.directives, text, &mut directives);
        Ok(Script { directives })
    }

    /// The directives, in order.
    pub fn directives(&self) -> &[Directive] {
        &self.directives
    }
}

fn line_of(span: wast::token::Span, text: &str) -> usize {
    span.linecol_in(text).0 + 1
}

fn add(list: Vec<WastDirective<'_>>, text: &str, to: &mut Vec<Directive>) {
    for directive in list {
        let line = line_of(directive.span(), text);
        match directive {
            WastDirective::Thread(WastThread { name, shared_module, directives, .. }) => {
                let place = to.len();
                let step = Step::Thread { name: name.name().to_owned(), shared: owned(shared_module) };
                to.push(Directive { line, step, nested: 0 });
                add(directives, text, to);
                to[place].nested = to.len() - place - 1;
            }
            other => to.push(Directive { line, step: step(other).unwrap_or_else(Step::NotSupported), nested: 0 }),
        }
    }
}

fn step(directive: WastDirective<'_>) -> Result<Step, NotSupported> {
    Ok(match directive {
        WastDirective::Module(module) => Step::Module { name: owned(module.name()), source: quoted(module) },
        WastDirective::ModuleDefinition(module) => {
            Step::Definition { name: owned(module.name()), source: quoted(module) }
        }
        WastDirective::ModuleInstance { instance, module, .. } => {
            Step::InstanceOf { name: owned(instance), definition: owned(module) }
        }
        WastDirective::Register { name, module, .. } => {
            Step::Register { name: owned(module), as_module: name.to_owned() }
        }
        WastDirective::Invoke(call) => Step::Perform(invoke(call)?),
        WastDirective::AssertReturn { exec, results, .. } => Step::Return {
            action: action(exec)?,
            expected: results.into_iter().map(value::expected).collect::<Result<_, _>>()?,
        },
        WastDirective::AssertTrap { exec, message, .. } => {
            Step::Trap { action: action(exec)?, text: message.to_owned() }
        }
        WastDirective::AssertExhaustion { call, message, .. } => {
            Step::Exhaustion { action: invoke(call)?, text: message.to_owned() }
        }
        WastDirective::AssertMalformed { module, message, .. }
        | WastDirective::AssertMalformedCustom { module, message, .. }
        | WastDirective::AssertInvalid { module, message, .. } => {
            Step::Refused { source: quoted(module), text: message.to_owned() }
        }
        WastDirective::AssertUnlinkable { module, message, .. } => {
            Step::Unlinkable { source: encoded(module), text: message.to_owned() }
        }
        // An engine need not look into custom sections.
        WastDirective::AssertInvalidCustom { .. } => return Err(NotSupported("assert_invalid_custom")),
        WastDirective::AssertException { .. } => return Err(NotSupported("assert_exception")),
        WastDirective::AssertSuspension { .. } => return Err(NotSupported("assert_suspension")),
        WastDirective::Wait { thread, .. } => Step::Wait { thread: thread.name().to_owned() },
        WastDirective::Thread(_) => return Err(NotSupported("thread in this place")),
    })
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

fn owned(id: Option<Id<'_>>) -> Option<String> {
    id.map(|id| id.name().to_owned())
}

fn action(execute: WastExecute<'_>) -> Result<Action, NotSupported> {
    Ok(match execute {
        WastExecute::Invoke(call) => invoke(call)?,
        WastExecute::Wat(module) => Action::Instantiate { source: encoded(module) },
        WastExecute::Get { module, global, .. } => Action::Get { module: owned(module), field: global.to_owned() },
    })
}

fn invoke(call: WastInvoke<'_>) -> Result<Action, NotSupported> {
    Ok(Action::Invoke {
        module: owned(call.module),
        field: call.name.to_owned(),
        arguments: call.args.into_iter().map(value::argument).collect::<Result<_, _>>()?,
    })
}
