//! [`Runner`]: an engine and how often scripts run on it; [`Outcome`]: what came of a script.

use instar::{Config, Engine, Result};

use crate::modules::Modules;
use crate::script::Script;
use crate::session;

/// What came of one directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// What was expected, and what happened.
    Failed(String),
    /// What the directive needs.
    NotSupported(String),
}

/// A directive that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// From 1.
    pub line: usize,
    /// What was expected and what happened; or what is not supported.
    pub text: String,
}

/// What came of a script. Its `Display` is a line for each directive that failed, in the form `name:line: text`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What the script was called.
    pub name: String,
    /// How many directives passed.
    pub passed: usize,
    /// Directives that failed, in the order of lines.
    pub failures: Vec<Failure>,
    /// Directives that are not supported, in the order of lines.
    pub skipped: Vec<Failure>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.failures.iter().try_for_each(|failure| writeln!(f, "{}:{}: {}", self.name, failure.line, failure.text))
    }
}

/// Runs scripts on an engine. Can be shared by threads.
#[derive(Clone, Debug)]
pub struct Runner {
    engine: Engine,
    pub(crate) rounds: usize,
    pub(crate) rehearse: bool,
    pub(crate) print: bool,
}

impl Runner {
    /// A runner with an engine of this configuration.
    ///
    /// # Errors
    ///
    /// As for [`Engine::new`].
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Runner { engine: Engine::new(config)?, rounds: 1, rehearse: false, print: false })
    }

    /// How many times a script runs, each time in a new store but with the modules compiled in the first round. A directive
    /// passes if it does in every round. Default 1; 0 is taken as 1.
    pub fn rounds(&mut self, rounds: usize) -> &mut Self {
        self.rounds = rounds.max(1);
        self
    }

    /// Whether each module whose imports are host functions is first instantiated in a store that is dropped again, so that
    /// the instance that the script sees gets a slot that was used before. Default: no.
    pub fn rehearse(&mut self, on: bool) -> &mut Self {
        self.rehearse = on;
        self
    }

    /// Whether the functions `print…` of `spectest` write their arguments to standard output. Default: no.
    pub fn print(&mut self, on: bool) -> &mut Self {
        self.print = on;
        self
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs the text of a script, which is called `name` in the outcome. Text that is no script is one failure.
    pub fn run_text(&self, name: &str, text: &str) -> Outcome {
        let mut outcome = Outcome { name: name.to_owned(), ..Outcome::default() };
        let script = match Script::parse(text) {
            Ok(script) => script,
            Err(error) => {
                outcome.failures.push(Failure { line: error.line, text: error.text });
                return outcome;
            }
        };
        for (directive, verdict) in script.directives().iter().zip(self.run(&script)) {
            match verdict {
                Verdict::Passed => outcome.passed += 1,
                Verdict::Failed(text) => outcome.failures.push(Failure { line: directive.line, text }),
                Verdict::NotSupported(text) => outcome.skipped.push(Failure { line: directive.line, text }),
            }
        }
        outcome
    }

    /// Runs a script and gives a verdict for each of its directives, in order.
    pub fn run(&self, script: &Script) -> Vec<Verdict> {
        let modules = Modules::default();
        let mut verdicts = session::run(self, script, &modules);
        for round in 2..=self.rounds {
            for (first, later) in verdicts.iter_mut().zip(session::run(self, script, &modules)) {
                if let (Verdict::Passed, Verdict::Failed(text) | Verdict::NotSupported(text)) = (&*first, later) {
                    *first = Verdict::Failed(format!("only in round {round}: {text}"));
                }
            }
        }
        verdicts
    }
}
