//! Documents name only what exists.

use std::path::Path;

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/benchmarks.md",
    "core/cli/README.md",
    "bindings/python/README.md",
    "bindings/node/README.md",
    "bindings/dotnet/README.md",
    "bindings/go/README.md",
    "tests/conformance/README.md",
    "tests/guests/README.md",
];

/// Targets of relative Markdown links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("](").map(|(at, _)| {
        let rest = &text[at + 2..];
        &rest[..rest.find(')').unwrap_or(rest.len())]
    })
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let text = super::read(document);
        let folder = super::root().join(document);
        let folder = folder.parent().unwrap_or(Path::new("."));
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            assert!(folder.join(target).exists(), "{document} links to {target}, which does not exist");
        }
    }
}

#[test]
fn make_targets_that_documents_name_exist() {
    let makefile = super::read("Makefile");
    let targets: Vec<&str> = makefile
        .lines()
        .filter(|l| !l.starts_with(['\t', ' ', '.', '#']))
        .filter_map(|l| l.split_once(':'))
        .map(|(t, _)| t)
        .collect();
    for document in DOCUMENTS {
        for (at, _) in super::read(document).match_indices("`make ") {
            let text = super::read(document);
            let rest = &text[at + "`make ".len()..];
            let target = &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '-')).unwrap_or(rest.len())];
            assert!(targets.contains(&target), "{document} names `make {target}`, which the Makefile does not have");
        }
    }
}

#[test]
fn architecture_names_every_folder_of_core() {
    let text = super::read("ARCHITECTURE.md");
    for entry in std::fs::read_dir(super::root().join("core/src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = format!("`{}/`", path.file_name().unwrap().to_string_lossy());
            assert!(text.contains(&name), "ARCHITECTURE.md does not name {name}");
        }
    }
}
