//! What the programs of tests/guests are asked to do as plugins, and how an answer becomes a number.
//!
//! Lua: `alloc` room for the script, write it there, `run` it in a fresh Lua state, read what it printed. SQLite: `open` a
//! database in memory, `create` a table with an index, `insert` 10 rows in a transaction, `select` each by its key, `close`,
//! `shut_down`. A live instance, which is what a fresh one is compared with, does the same again and again: each time Lua and
//! SQLite start anew, and only the memory that their allocator has got stays. The room for the script it has already, as Lua's
//! guest has no way to give it back.

pub const SCRIPT: &str = include_str!("request.lua");
pub const ROWS: u32 = 10;

/// Room for the answer of the script in bytes.
pub const ANSWER_BYTES: usize = 512;

/// Where an answer lies, from `ptr << 32 | len`, and how much of it fits.
pub fn place(answer: u64) -> (u32, usize) {
    ((answer >> 32) as u32, (answer as u32 as usize).min(ANSWER_BYTES))
}

/// A number that depends on the end of the text, where the script puts its total, and on its length.
pub fn number(text: &[u8]) -> u32 {
    let end: [u8; 4] = text.last_chunk().copied().unwrap_or_default();
    u32::from_le_bytes(end).wrapping_add(text.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_twenty_lines() {
        assert_eq!(SCRIPT.lines().count(), 20);
    }

    #[test]
    fn numbers_depend_on_length_and_end() {
        assert_ne!(number(b"total 1.23"), number(b"total 1.24"));
        assert_ne!(number(b"total 1.23"), number(b"total  1.23"));
        assert_eq!(place(7 << 32 | 3), (7, 3));
    }
}
