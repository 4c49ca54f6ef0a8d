//! One version number serves all packages.

/// (file, the text in front of its version number).
const PLACES: &[(&str, &str)] = &[
    ("bindings/python/pyproject.toml", "\nversion = \""),
    ("bindings/node/package.json", "\"version\": \""),
    ("CHANGELOG.md", "\n## "),
];

fn after<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let rest = &text[text.find(marker)? + marker.len()..];
    Some(&rest[..rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len())])
}

#[test]
fn every_package_has_the_version_of_the_workspace() {
    let cargo = super::read("Cargo.toml");
    let version = after(&cargo, "\nversion = \"").expect("the workspace has a version");
    for (path, marker) in PLACES {
        let text = super::read(path);
        // A package may take its version from the workspace instead of repeating it.
        match after(&text, marker) {
            Some(found) => assert_eq!(found, version, "{path}"),
            None => assert!(text.contains("dynamic = [\"version\"]"), "{path} has no version"),
        }
    }
}
