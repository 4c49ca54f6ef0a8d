//! The buffer that JavaScript and Rust share, one per environment, in words of 8 bytes.
//!
//! ```text
//!   word  0        1       2      3      4        5         6            8            2008
//!         STATUS   ENTRY   CELL   ID     SELECT   ADDRESS   LENGTH   …   ARGS …       SCRATCH (64 KiB)
//!         i32      i32     bits   bits   i32      f64       f64          u64 slots    bytes
//! ```
//!
//! JavaScript reads the numbers from here through [`layout`], so they are written once.
//!
//! `CELL` and `ID` are the raw bits of a `u64`, which JavaScript carries around as a (denormal) double without looking.

use napi_derive::napi;

/// 0, or why the call failed: [`FAILED`] or [`THROWN`]. Written on failure only; JavaScript sets it back to 0.
pub const STATUS: usize = 0;
/// The number of the operation to run, see [`crate::ticket::Ticket`].
pub const ENTRY: usize = 1;
/// The instance's cell.
pub const CELL: usize = 2;
/// The instance's id, never reused.
pub const ID: usize = 3;
/// What to do with a memory, or which host function to call.
pub const SELECT: usize = 4;
/// An address in linear memory, or a number of pages.
pub const ADDRESS: usize = 5;
/// A length in bytes.
pub const LENGTH: usize = 6;
/// Parameters before a call, results after it.
pub const ARGS: usize = 8;
/// Enough for the parameters or results of any function: validation allows 1000 of each, and a vector takes two words.
pub const ARGS_WORDS: usize = 2000;
/// Bytes on their way in or out, when there are few of them.
pub const SCRATCH: usize = ARGS + ARGS_WORDS;
/// Size of [`SCRATCH`] in bytes.
pub const SCRATCH_BYTES: usize = 64 << 10;
/// Size of the buffer in bytes.
pub const BUFFER_BYTES: usize = SCRATCH * 8 + SCRATCH_BYTES;

/// [`STATUS`]: an [`instar::Error`] waits in the state.
pub const FAILED: i32 = 1;
/// [`STATUS`]: a host function threw; JavaScript keeps the exception.
pub const THROWN: i32 = 2;

/// [`SELECT`] of a memory: its size in bytes goes to [`LENGTH`].
pub const MEMORY_SIZE: i32 = 0;
/// [`SELECT`] of a memory: copy [`LENGTH`] bytes from [`ADDRESS`].
pub const MEMORY_READ: i32 = 1;
/// [`SELECT`] of a memory: copy [`LENGTH`] bytes to [`ADDRESS`].
pub const MEMORY_WRITE: i32 = 2;
/// [`SELECT`] of a memory: add [`ADDRESS`] pages; the old number of pages goes to [`LENGTH`].
pub const MEMORY_GROW: i32 = 3;

/// The constants of this file under their own names.
#[napi(object)]
pub struct Layout {
    pub status: u32,
    pub entry: u32,
    pub cell: u32,
    pub id: u32,
    pub select: u32,
    pub address: u32,
    pub length: u32,
    pub args: u32,
    pub args_words: u32,
    pub scratch: u32,
    pub scratch_bytes: u32,
    pub buffer_bytes: u32,
    pub thrown: i32,
    pub memory_size: i32,
    pub memory_read: i32,
    pub memory_write: i32,
    pub memory_grow: i32,
}

/// Where everything is.
#[napi]
pub fn layout() -> Layout {
    Layout {
        status: STATUS as u32,
        entry: ENTRY as u32,
        cell: CELL as u32,
        id: ID as u32,
        select: SELECT as u32,
        address: ADDRESS as u32,
        length: LENGTH as u32,
        args: ARGS as u32,
        args_words: ARGS_WORDS as u32,
        scratch: SCRATCH as u32,
        scratch_bytes: SCRATCH_BYTES as u32,
        buffer_bytes: BUFFER_BYTES as u32,
        thrown: THROWN,
        memory_size: MEMORY_SIZE,
        memory_read: MEMORY_READ,
        memory_write: MEMORY_WRITE,
        memory_grow: MEMORY_GROW,
    }
}

/// The shared buffer. Copies of the words only: no reference into it outlives an access, since JavaScript writes to it.
pub struct Slots(*mut u64);

impl Slots {
    /// # Safety
    ///
    /// `words` points to [`BUFFER_BYTES`] bytes that stay readable and writable as long as the result is used, and that
    /// nobody else touches while one of its methods runs.
    pub unsafe fn new(words: *mut u64) -> Self {
        Slots(words)
    }

    pub fn word(&self, index: usize) -> u64 {
        assert!(index < SCRATCH);
        // SAFETY: inside the buffer by the assertion; `new` promises the rest.
        unsafe { self.0.add(index).read() }
    }

    pub fn set_word(&self, index: usize, value: u64) {
        assert!(index < SCRATCH);
        // SAFETY: inside the buffer by the assertion; `new` promises the rest.
        unsafe { self.0.add(index).write(value) }
    }

    pub fn int(&self, index: usize) -> i32 {
        self.word(index) as u32 as i32
    }

    /// Zeroes the upper half of the word.
    pub fn set_int(&self, index: usize, value: i32) {
        self.set_word(index, value as u32 as u64);
    }

    /// The number that JavaScript wrote as a double. Fractions and negative numbers, which JavaScript refuses before, are
    /// cut to the next valid value.
    pub fn size(&self, index: usize) -> u64 {
        f64::from_bits(self.word(index)) as u64
    }

    pub fn set_size(&self, index: usize, value: u64) {
        self.set_word(index, (value as f64).to_bits());
    }

    pub fn read_args(&self, into: &mut [u64]) {
        assert!(into.len() <= ARGS_WORDS);
        // SAFETY: inside the buffer by the assertion; `into` is Rust's own memory, so the two do not overlap.
        unsafe { self.0.add(ARGS).copy_to_nonoverlapping(into.as_mut_ptr(), into.len()) }
    }

    pub fn write_args(&self, from: &[u64]) {
        assert!(from.len() <= ARGS_WORDS);
        // SAFETY: inside the buffer by the assertion; `from` is Rust's own memory, so the two do not overlap.
        unsafe { self.0.add(ARGS).copy_from_nonoverlapping(from.as_ptr(), from.len()) }
    }

    /// The first `len` bytes of [`SCRATCH`].
    ///
    /// # Safety
    ///
    /// No JavaScript runs, and no other slice of it is made, as long as the result is used.
    #[expect(
        clippy::mut_from_ref,
        reason = "the memory is JavaScript's; the caller promises that the slice is the only one"
    )]
    pub unsafe fn scratch(&self, len: usize) -> &mut [u8] {
        assert!(len <= SCRATCH_BYTES);
        // SAFETY: inside the buffer by the assertion; bytes are always initialised; the caller promises exclusiveness.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(SCRATCH).cast(), len) }
    }
}
