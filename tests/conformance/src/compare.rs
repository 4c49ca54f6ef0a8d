//! [`Language`]: a runner's lines, checked against the cases, its expectations and the reference.

use std::collections::{BTreeMap, HashMap};

use instar_conformance::case::Case;
use instar_conformance::verdict::{Line, Outcome};

use crate::expectations::Expectations;

/// What came of one language.
pub struct Language {
    pub name: &'static str,
    /// How each case came out, for the matrix.
    pub cells: BTreeMap<String, Cell>,
    /// Commands that passed.
    pub passed: usize,
    /// Commands of all cases.
    pub commands: usize,
    pub problems: Vec<String>,
    lines: HashMap<(String, String), Line>,
}

/// How a case came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Pass,
    Skip,
    /// Something failed that had to.
    ExpectedFailure,
    Fail,
}

impl Language {
    /// Judges a runner's lines; `reference` is Rust's judgement, unless this is Rust.
    pub fn new(
        name: &'static str,
        cases: &[Case],
        lines: Vec<Line>,
        expectations: &Expectations,
        reference: Option<&Language>,
    ) -> Self {
        let mut this = Language {
            name,
            cells: cases.iter().map(|case| (case.name.clone(), Cell::Pass)).collect(),
            passed: 0,
            commands: 0,
            problems: Vec::new(),
            lines: HashMap::new(),
        };
        for line in lines {
            let key = (line.case.clone(), line.line.clone());
            if !cases.iter().any(|case| case.name == line.case) {
                this.problem(&key.0, &key.1, "there is no such case");
            } else if this.lines.insert(key.clone(), line).is_some() {
                this.problem(&key.0, &key.1, "written twice");
            }
        }
        for case in cases {
            let cell = this.judge(case, expectations, reference);
            // A problem has set the cell already.
            this.cells.entry(case.name.clone()).and_modify(|old| {
                if *old == Cell::Pass {
                    *old = cell
                }
            });
        }
        this.check_expectations(cases, expectations);
        this
    }

    fn problem(&mut self, case: &str, line: &str, what: impl std::fmt::Display) {
        if let Some(cell) = self.cells.get_mut(case) {
            *cell = Cell::Fail;
        }
        let at = if line.is_empty() { String::new() } else { format!(" command {line}") };
        self.problems.push(format!("{}: {case}{at}: {what}", self.name));
    }

    fn line(&self, case: &str, line: &str) -> Option<&Line> {
        self.lines.get(&(case.to_string(), line.to_string()))
    }

    fn judge(&mut self, case: &Case, expectations: &Expectations, reference: Option<&Language>) -> Cell {
        let expected = case.lines();
        self.commands += expected.len();
        if let Some(skipped) = self.line(&case.name, "") {
            let allowed = skipped.result == Outcome::Skip && expectations.skips(&case.name);
            if !allowed {
                let what = format!("{:?} without an entry in its expectations: {}", skipped.result, skipped.msg);
                self.problem(&case.name, "", what);
            }
            return Cell::Skip;
        }
        if !self.lines.keys().any(|(name, _)| *name == case.name) {
            self.problem(&case.name, "", "was not run");
            return Cell::Fail;
        }
        let mut expected_failure = false;
        for (at, command) in &expected {
            let Some(seen) = self.line(&case.name, at).cloned() else {
                if !self.never_reached(&case.name, at) {
                    self.problem(&case.name, at, format!("{command} has no line"));
                }
                continue;
            };
            let may_fail = expectations.allows_failure(&case.name, at);
            match seen.result {
                _ if seen.cmd != *command => {
                    self.problem(&case.name, at, format!("it is {command}, not {}; old results?", seen.cmd));
                }
                Outcome::Fail if may_fail => expected_failure = true,
                Outcome::Fail => self.problem(&case.name, at, format!("{command} failed: {} {}", seen.code, seen.msg)),
                Outcome::Skip => self.problem(&case.name, at, format!("{command} was skipped; only cases may be")),
                Outcome::Pass => {
                    self.passed += 1;
                    let same = reference
                        .and_then(|reference| reference.line(&case.name, at))
                        .is_none_or(|rust| rust.result != Outcome::Pass || rust.code == seen.code);
                    if !same && !may_fail {
                        let rust = reference.and_then(|reference| reference.line(&case.name, at));
                        let rust = rust.map_or("", |rust| &rust.code);
                        self.problem(&case.name, at, format!("{command} saw {:?}, Rust saw {rust:?}", seen.code));
                    }
                }
            }
        }
        let unknown = self.lines.keys().find(|(name, at)| *name == case.name && !expected.contains_key(at)).cloned();
        if let Some((name, at)) = unknown {
            self.problem(&name, &at, "there is no such command; old results?");
        }
        if expected_failure { Cell::ExpectedFailure } else { Cell::Pass }
    }

    /// A command inside one that failed may never have run.
    fn never_reached(&self, case: &str, at: &str) -> bool {
        let outer = at.rsplit_once('.').map(|(outer, _)| outer);
        outer.and_then(|outer| self.line(case, outer)).is_some_and(|line| line.result == Outcome::Fail)
    }

    /// An entry that does not apply is as wrong as a failure.
    fn check_expectations(&mut self, cases: &[Case], expectations: &Expectations) {
        for entry in &expectations.skip {
            if !self.lines.contains_key(&(entry.case.clone(), String::new())) {
                self.problem(&entry.case, "", "its expectations say that it is skipped, but it is not");
            }
        }
        for entry in &expectations.xfail {
            let fails = cases.iter().filter(|case| case.name == entry.case).any(|case| {
                case.lines().keys().any(|at| {
                    entry.line.as_ref().is_none_or(|line| line == at)
                        && self.line(&case.name, at).is_some_and(|line| line.result == Outcome::Fail)
                })
            });
            if !fails {
                let line = entry.line.as_deref().unwrap_or("");
                self.problem(&entry.case, line, "its expectations say that it fails, but it does not");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        serde_json::from_str(
            r#"{"version": 1, "name": "c", "about": "", "requires": [], "config": {}, "commands": [
                 {"type": "live", "expected": 0},
                 {"type": "repeat", "count": 2, "body": [{"type": "drop", "instance": "i"}]}]}"#,
        )
        .unwrap()
    }

    /// Lines as `line cmd result code`.
    fn lines(list: &[&str]) -> Vec<Line> {
        let line = |text: &str| {
            let fields: Vec<&str> = text.split(' ').collect();
            let result = match fields[2] {
                "pass" => Outcome::Pass,
                "fail" => Outcome::Fail,
                _ => Outcome::Skip,
            };
            Line {
                case: "c".to_string(),
                line: fields[0].trim_matches('-').to_string(),
                cmd: fields[1].to_string(),
                result,
                code: fields.get(3).unwrap_or(&"").to_string(),
                msg: String::new(),
            }
        };
        list.iter().map(|text| line(text)).collect()
    }

    fn judged(list: &[&str], expectations: &str) -> Language {
        let rust = lines(&["0 live pass", "1.0 drop pass Busy", "1 repeat pass"]);
        let rust = Language::new("rust", &[case()], rust, &Expectations::default(), None);
        assert!(rust.problems.is_empty(), "{:?}", rust.problems);
        Language::new("go", &[case()], lines(list), &toml::from_str(expectations).unwrap(), Some(&rust))
    }

    #[test]
    fn the_same_verdicts_pass() {
        let go = judged(&["0 live pass", "1.0 drop pass Busy", "1 repeat pass"], "");
        assert_eq!((go.problems.len(), go.passed, go.commands, go.cells["c"]), (0, 3, 3, Cell::Pass));
    }

    #[test]
    fn every_difference_is_a_problem() {
        let different: &[&[&str]] = &[
            &["0 live fail", "1.0 drop pass Busy", "1 repeat pass"],
            &["0 live pass", "1.0 drop pass StaleHandle", "1 repeat pass"],
            &["0 live pass", "1 repeat pass"],
            &["0 live pass", "1.0 drop pass Busy", "1 repeat pass", "2 live pass"],
            &["0 live pass", "0 live pass", "1.0 drop pass Busy", "1 repeat pass"],
            &["0 drop pass", "1.0 drop pass Busy", "1 repeat pass"],
            &["0 live skip", "1.0 drop pass Busy", "1 repeat pass"],
            &["- case skip"],
            &[],
        ];
        for list in different {
            let go = judged(list, "");
            assert!(!go.problems.is_empty() && go.cells["c"] == Cell::Fail, "{list:?}");
        }
    }

    #[test]
    fn expectations_excuse_what_they_name_and_nothing_else() {
        let skip = "[[skip]]\ncase = \"c\"\nreason = \"r\"";
        let xfail = "[[xfail]]\ncase = \"c\"\nline = \"0\"\nreason = \"r\"";
        let good = ["0 live pass", "1.0 drop pass Busy", "1 repeat pass"];
        let bad = ["0 live fail", "1.0 drop pass Busy", "1 repeat pass"];
        let worse = ["0 live fail", "1.0 drop fail", "1 repeat fail"];
        assert_eq!(judged(&["- case skip"], skip).problems, Vec::<String>::new());
        assert_eq!(judged(&bad, xfail).problems, Vec::<String>::new());
        assert_eq!(judged(&bad, xfail).cells["c"], Cell::ExpectedFailure);
        assert_eq!(judged(&worse, xfail).problems.len(), 2);
        assert_eq!(judged(&good, skip).problems.len(), 1, "an entry that does not apply");
        assert_eq!(judged(&good, xfail).problems.len(), 1, "an entry that does not apply");
    }
}
