//! Text from files is not trusted: names in a module may hold anything, escape sequences for the terminal too.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character changes more of a terminal than its own place: controls, and marks that reorder text.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with harmful characters as `\u{…}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_harmful(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// The text as one printable line: line breaks and the indentation around them become one space.
pub fn one_line(text: &str) -> String {
    let joined = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
    printable(&joined).into_owned()
}

/// The text as printable lines, each ending in a line break.
pub fn lines(text: &str) -> String {
    text.lines().flat_map(|line| [printable(line), "\n".into()]).collect()
}

/// A name as people write it in a shell or a sentence: in quotes if it has spaces or is empty.
pub fn name(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '"') {
        return format!("{:?}", printable(text)).into();
    }
    printable(text)
}

/// `n` with a space between groups of three digits.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `1 byte`, `2 bytes`, `12 345 pages`.
pub fn count(n: usize, unit: &str) -> String {
    format!("{} {unit}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// The words closest to `word`, best first, if any is close.
pub fn closest<'a>(word: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    among.map(|w| (distance(word, w), w)).filter(|(d, _)| *d <= limit).min().map(|(_, w)| w)
}

/// Number of characters to insert, delete or replace to make one word the other.
fn distance(a: &str, b: &str) -> usize {
    // Long names are not typing errors of each other; this keeps the work bounded.
    if a.len() > 256 || b.len() > 256 {
        return if a == b { 0 } else { usize::MAX };
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("\u{202e}x\0"), "\\u{202e}x\\u{0}");
        assert!(matches!(printable("größe 名前"), Cow::Borrowed(_)));
    }

    #[test]
    fn messages_are_one_line() {
        assert_eq!(one_line("a:\n   b\r\n\n c\t\x07"), "a: b c\\u{9}\\u{7}");
        assert_eq!(one_line("plain"), "plain");
        assert_eq!(lines("  a\u{202e}b\n  c"), "  a\\u{202e}b\n  c\n");
    }

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1234567, "1 234 567")] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(count(1, "page"), "1 page");
        assert_eq!(count(2000, "byte"), "2 000 bytes");
    }

    #[test]
    fn typing_errors_are_recognised() {
        assert_eq!(closest("simdd", ["simd", "threads"].into_iter()), Some("simd"));
        assert_eq!(closest("fibb", ["fib", "fob"].into_iter()), Some("fib"));
        assert_eq!(closest("x", ["completely", "different"].into_iter()), None);
        assert_eq!((distance("kitten", "sitting"), distance("", "abc"), distance("abc", "")), (3, 3, 3));
    }
}
