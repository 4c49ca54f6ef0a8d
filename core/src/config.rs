//! [`Config`]: what an engine is built from. Checked in one place, `Engine::new`.

use crate::error::{Result, bail};

/// Choices that change the compiled code. Recorded with it: code runs only in an engine with the same choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunables {
    /// Mark every written line of linear memory in the memory's dirty map.
    pub mark_lines: bool,
    /// Run Cranelift's verifier on every function.
    pub debug_verifier: bool,
}

/// Configuration of an [`Engine`](crate::Engine). The default is the fast path.
#[derive(Clone, Debug)]
pub struct Config {
    max_wasm_stack: usize,
    max_instances: usize,
    max_memory_pages: u64,
    max_table_elements: u64,
    debug_verifier: bool,
    paranoid: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_wasm_stack: 512 << 10,
            max_instances: 10_000,
            max_memory_pages: 65_536,
            max_table_elements: 1_000_000,
            debug_verifier: false,
            paranoid: false,
        }
    }
}

impl Config {
    /// The default configuration.
    pub fn new() -> Self {
        Config::default()
    }

    /// Stack that guest code may use between the host's call and the deepest guest frame, in bytes. Default 512 KiB, at
    /// least 16 KiB. A thread with less stack left gives less.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Self {
        self.max_wasm_stack = bytes;
        self
    }

    /// How many instances may be alive at a time in the engine. Default 10 000; at least 1.
    pub fn max_instances(&mut self, count: usize) -> &mut Self {
        self.max_instances = count;
        self
    }

    /// Largest size of a linear memory in WebAssembly pages of 64 KiB, whatever the module allows. Default 65 536 (4 GiB).
    pub fn max_memory_pages(&mut self, pages: u64) -> &mut Self {
        self.max_memory_pages = pages;
        self
    }

    /// Largest number of elements of a table, whatever the module allows. Default 1 000 000.
    pub fn max_table_elements(&mut self, elements: u64) -> &mut Self {
        self.max_table_elements = elements;
        self
    }

    /// Run Cranelift's verifier on every function that is compiled. Default off.
    pub fn cranelift_debug_verifier(&mut self, on: bool) -> &mut Self {
        self.debug_verifier = on;
        self
    }

    /// Compare every slot with its image, byte by byte, after each reset, and abort the process when they differ. Slow;
    /// for tests. Default off.
    pub fn paranoid(&mut self, on: bool) -> &mut Self {
        self.paranoid = on;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.max_wasm_stack < 16 << 10 {
            bail!(Config, "max_wasm_stack is {} bytes; it must be at least 16384", self.max_wasm_stack);
        }
        if self.max_instances == 0 {
            bail!(Config, "max_instances is 0; it must be at least 1");
        }
        if self.max_memory_pages > 65_536 {
            bail!(Config, "max_memory_pages is {}; a 32-bit memory has at most 65536", self.max_memory_pages);
        }
        Ok(())
    }

    pub(crate) fn tunables(&self) -> Tunables {
        Tunables { mark_lines: true, debug_verifier: self.debug_verifier }
    }

    pub(crate) fn wasm_stack_bytes(&self) -> usize {
        self.max_wasm_stack
    }

    pub(crate) fn instance_limit(&self) -> usize {
        self.max_instances
    }

    pub(crate) fn memory_limit_pages(&self) -> u64 {
        self.max_memory_pages
    }

    pub(crate) fn table_limit_elements(&self) -> u64 {
        self.max_table_elements
    }

    pub(crate) fn is_paranoid(&self) -> bool {
        self.paranoid
    }
}
