//! Lists that the compiler grows and the runtime reads in place.
//!
//! A module has thousands of functions and megabytes of data; loading it touches none of them. So these lists are either
//! a `Vec`, while a module is compiled, or a part of a mapped artifact.

use std::ops::Deref;

use crate::error::{Result, bail};
use crate::sys::mapped::Bytes;

/// A list of numbers.
#[derive(Clone)]
pub enum Words {
    Owned(Vec<u32>),
    InPlace(Bytes),
}

impl Words {
    /// The numbers that lie in `bytes`.
    ///
    /// # Errors
    ///
    /// `Artifact` when they are not aligned, or are no whole number of groups of `group` numbers.
    pub fn in_place(bytes: Bytes, group: usize, what: &str) -> Result<Self> {
        let slice = bytes.as_slice();
        if !slice.len().is_multiple_of(4 * group) || (!slice.is_empty() && !slice.as_ptr().addr().is_multiple_of(4)) {
            bail!(Artifact, "the artifact is damaged: {what} has {} bytes at {:?}", slice.len(), bytes.range());
        }
        Ok(Words::InPlace(bytes))
    }

    /// The list to be changed. One that is read in place is copied.
    pub fn to_mut(&mut self) -> &mut Vec<u32> {
        if let Words::InPlace(bytes) = self {
            *self = Words::Owned(bytes.as_words().to_vec());
        }
        match self {
            Words::Owned(list) => list,
            Words::InPlace(_) => unreachable!("replaced above"),
        }
    }

    pub fn push(&mut self, value: u32) {
        self.to_mut().push(value);
    }

    pub fn extend_from_slice(&mut self, values: &[u32]) {
        self.to_mut().extend_from_slice(values);
    }
}

impl Default for Words {
    fn default() -> Self {
        Words::Owned(Vec::new())
    }
}

impl Deref for Words {
    type Target = [u32];

    #[inline]
    fn deref(&self) -> &[u32] {
        match self {
            Words::Owned(list) => list,
            Words::InPlace(bytes) => bytes.as_words(),
        }
    }
}

impl<'a> IntoIterator for &'a Words {
    type Item = &'a u32;
    type IntoIter = std::slice::Iter<'a, u32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} words", self.len())
    }
}

/// A block of bytes.
#[derive(Clone)]
pub enum Blob {
    Owned(Vec<u8>),
    InPlace(Bytes),
}

impl Blob {
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        if let Blob::InPlace(old) = self {
            *self = Blob::Owned(old.as_slice().to_vec());
        }
        if let Blob::Owned(list) = self {
            list.extend_from_slice(bytes);
        }
    }
}

impl Default for Blob {
    fn default() -> Self {
        Blob::Owned(Vec::new())
    }
}

impl Deref for Blob {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Blob::Owned(list) => list,
            Blob::InPlace(bytes) => bytes.as_slice(),
        }
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// Names of functions, from the name section.
#[derive(Clone, Debug, Default)]
pub struct FunctionNames {
    /// Three numbers for each: the function's index, ascending, and where in `text` its name starts and how long it is.
    pub table: Words,
    pub text: Blob,
}

impl FunctionNames {
    /// Collects names, ascending by index. A NUL in a name becomes U+FFFD: symbol tables cannot hold it.
    pub fn new(names: &[(u32, String)]) -> Self {
        let (mut table, mut text) = (Vec::with_capacity(names.len() * 3), Vec::new());
        for (index, name) in names {
            let name = name.replace('\0', "\u{fffd}");
            // Names come from a module of less than 4 GiB.
            table.extend([*index, text.len() as u32, name.len() as u32]);
            text.extend_from_slice(name.as_bytes());
        }
        FunctionNames { table: Words::Owned(table), text: Blob::Owned(text) }
    }

    /// Name of function `index`.
    pub fn get(&self, index: u32) -> Option<&str> {
        let (entries, _) = self.table.as_chunks::<3>();
        let place = entries.binary_search_by_key(&index, |e| e[0]).ok()?;
        self.name(entries[place])
    }

    /// All names, ascending by index.
    #[cfg_attr(not(feature = "compile"), expect(dead_code, reason = "artifacts are written by the compiler only"))]
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.table.as_chunks::<3>().0.iter().filter_map(|&entry| Some((entry[0], self.name(entry)?)))
    }

    fn name(&self, [_, start, len]: [u32; 3]) -> Option<&str> {
        std::str::from_utf8(self.text.get(start as usize..)?.get(..len as usize)?).ok()
    }
}
