//! The matrix for people, and the figures for `report.json`.

use std::fs;
use std::io;

use instar_conformance::case::Case;
use instar_conformance::results_folder;
use serde::Serialize;

use crate::compare::{Cell, Language};

/// Prints cases × languages, and the sums.
pub fn print(cases: &[Case], languages: &[Language]) {
    let row = |label: &str, cells: &mut dyn Iterator<Item = String>| {
        println!("{label:<36}{}", cells.map(|cell| format!("{cell:>10}")).collect::<String>());
    };
    row("case", &mut languages.iter().map(|language| language.name.to_string()));
    for case in cases {
        row(&case.name, &mut languages.iter().map(|language| symbol(language.cells[&case.name]).to_string()));
    }
    row("commands passed", &mut languages.iter().map(|language| language.passed.to_string()));
    row("commands", &mut languages.iter().map(|language| language.commands.to_string()));
    println!();
}

fn symbol(cell: Cell) -> &'static str {
    match cell {
        Cell::Pass => "ok",
        Cell::Skip => "skip",
        Cell::ExpectedFailure => "xfail",
        Cell::Fail => "FAIL",
    }
}

/// One figure, in the form of all of Instar's reports.
#[derive(Serialize)]
struct Figure {
    case: String,
    unit: &'static str,
    instar: usize,
    peer: usize,
    peer_name: &'static str,
    peer_version: &'static str,
    ratio: f64,
    target: f64,
    met: bool,
}

/// Writes `report.json`: for each language, how many cases are as they must be.
pub fn write_json(languages: &[Language]) -> io::Result<()> {
    let figures: Vec<Figure> = languages
        .iter()
        .map(|language| {
            let all = language.cells.len();
            let good = language.cells.values().filter(|cell| **cell != Cell::Fail).count();
            Figure {
                case: format!("conformance/{}", language.name),
                unit: "cases as expected",
                instar: good,
                peer: all,
                peer_name: "cases of the suite",
                peer_version: env!("CARGO_PKG_VERSION"),
                ratio: if all == 0 { 0.0 } else { good as f64 / all as f64 },
                target: 1.0,
                met: good == all && language.problems.is_empty() && all > 0,
            }
        })
        .collect();
    fs::create_dir_all(results_folder())?;
    fs::write(results_folder().join("report.json"), serde_json::to_string_pretty(&figures)? + "\n")
}
