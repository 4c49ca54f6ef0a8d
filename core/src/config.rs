//! [`Config`]: what an engine is built from. Checked in one place, `Engine::new`.

use crate::error::{Result, bail};

/// Sizes of address space in a configuration are at most this in bytes, so that sums of them fit any that we run in.
const ADDRESS_SPACE_MAX: u64 = 1 << 46;
/// The unit of `max_memory_pages` in bytes.
const PAGE_BYTES: u64 = 64 << 10;

/// Choices that change the compiled code. Recorded with it: code runs only in an engine with the same choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunables {
    /// What modules may use.
    pub features: Features,
    /// How writes to linear memory are tracked. Not [`DirtyTracking::Auto`] in an engine.
    pub dirty_tracking: DirtyTracking,
    pub opt_level: OptLevel,
    /// Replace every NaN that an operation makes by the canonical one.
    pub nan_canonicalization: bool,
    /// Relaxed vector instructions give the same results on all processors.
    pub relaxed_simd_deterministic: bool,
    /// Faults become traps. If not, compiled code checks everything itself.
    pub signals_based_traps: bool,
    /// Address space of a memory in bytes.
    pub memory_reservation: u64,
    /// Inaccessible bytes after the reservation.
    pub memory_guard_size: u64,
    /// Checked accesses to memories are safe from mispredicted checks.
    pub heap_spectre_mitigation: bool,
    /// Checked accesses to tables are safe from mispredicted checks.
    pub table_spectre_mitigation: bool,
    /// Keep the wasm offset of each instruction.
    pub address_map: bool,
    /// Run Cranelift's verifier on every function.
    pub debug_verifier: bool,
}

/// How much the compiler optimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptLevel {
    /// Compile fast.
    None,
    /// Make code fast.
    #[default]
    Speed,
    /// Make code fast and small.
    SpeedAndSize,
}

/// How the runtime knows what an instance has written to its memories, when it brings them back to their image. Code compiled
/// for `Lines` marks what it writes; that for the other three is the same: plain stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DirtyTracking {
    /// What suits the engine: `Lines` where instances come from a pool, `Off` where each is made anew.
    #[default]
    Auto,
    /// Compiled code marks every written line of 256 bytes, and those are copied back. Costs stores some time; no system
    /// call and no page fault.
    Lines,
    /// Plain stores. Pages that instances have never written are read-only; the first write to one is a fault, after which it
    /// is among those that each reset copies back. Needs [`Config::signals_based_traps`].
    Touched,
    /// Plain stores. The system is asked which pages were written (Linux 6.7, `PAGEMAP_SCAN`).
    Pages,
    /// Plain stores. It is not known what was written, and memories are rebuilt after each use.
    Off,
}

impl DirtyTracking {
    /// All but `Auto`.
    pub(crate) const MODES: [DirtyTracking; 4] =
        [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off];

    /// Whether compiled code marks what it writes.
    pub(crate) fn marks(self) -> bool {
        self == DirtyTracking::Lines
    }
}

/// Where instances live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstanceAllocationStrategy {
    /// In slots that are reset and used again.
    #[default]
    Pooling,
    /// Each in its own mappings, made for it and released after it.
    OnDemand,
}

/// What is written about compiled code for Linux's `perf`. Code of artifacts that are mapped from files needs neither: `perf`
/// finds its symbols there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfilingStrategy {
    /// Nothing.
    #[default]
    None,
    /// Names and places of functions are appended to `/tmp/perf-PID.map`, where `perf report` looks by itself. It may be wrong
    /// about code that took the place of code that was dropped.
    PerfMap,
    /// Names and code of functions are written to `jit-PID.dump` in the current directory. After `perf record -k mono`,
    /// `perf inject --jit` merges it in; `perf annotate` then shows instructions.
    JitDump,
}

macro_rules! features {
    ($($(#[$doc:meta])* $method:ident, $name:ident = $bit:literal, default $default:literal $(, needs $needs:ident)?;)*) => {
        /// Parts of WebAssembly that can be switched.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Features(u32);

        impl Features {
            $(pub const $name: Features = Features(1 << $bit);)*

            /// Each feature with the name of its switch, the one it needs, and whether it is on by default.
            const ALL: &'static [(Features, &'static str, Option<Features>, bool)] =
                &[$((Features::$name, stringify!($method), features!(@needs $($needs)?), $default),)*];
        }

        /// Parts of WebAssembly, under the names of their proposals.
        impl Config {
            $($(#[$doc])*
            pub fn $method(&mut self, on: bool) -> &mut Self {
                self.tunables.features.set(Features::$name, on);
                self
            })*
        }
    };
    (@needs) => { None };
    (@needs $needs:ident) => { Some(Features::$needs) };
}

features! {
    /// Bulk memory operations and passive segments. Default on.
    wasm_bulk_memory, BULK_MEMORY = 0, default true;
    /// Reference types and several tables. Default on; needs [`Config::wasm_bulk_memory`].
    wasm_reference_types, REFERENCE_TYPES = 1, default true, needs BULK_MEMORY;
    /// Several results, and blocks with parameters. Default on.
    wasm_multi_value, MULTI_VALUE = 2, default true;
    /// Vectors of 128 bits. Default on.
    wasm_simd, SIMD = 3, default true;
    /// Vector instructions whose results may differ between processors, see
    /// [`Config::relaxed_simd_deterministic`]. Default on; needs [`Config::wasm_simd`].
    wasm_relaxed_simd, RELAXED_SIMD = 4, default true, needs SIMD;
    /// Several memories in a module. Default on.
    wasm_multi_memory, MULTI_MEMORY = 5, default true;
    /// Memories and tables with 64-bit addresses. Default on.
    wasm_memory64, MEMORY64 = 6, default true;
    /// Tail calls. Default on.
    wasm_tail_call, TAIL_CALL = 7, default true;
    /// Arithmetic in constant expressions. Default on.
    wasm_extended_const, EXTENDED_CONST = 8, default true;
    /// Typed function references. Default on; needs [`Config::wasm_reference_types`].
    wasm_function_references, FUNCTION_REFERENCES = 9, default true, needs REFERENCE_TYPES;
    /// Atomic operations and shared memories. Default on; needs [`Config::wasm_bulk_memory`].
    wasm_threads, THREADS = 10, default true, needs BULK_MEMORY;
    /// Arithmetic on 128 bits in two halves. Default off, as the proposal is not finished.
    wasm_wide_arithmetic, WIDE_ARITHMETIC = 11, default false;
    /// Memories with pages of one byte. Default off, as the proposal is not finished.
    wasm_custom_page_sizes, CUSTOM_PAGE_SIZES = 12, default false;
}

impl Features {
    #[cfg(test)]
    pub const NONE: Features = Features(0);

    /// Whether all features of `other` are in `self`.
    pub fn contains(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }

    /// The features as a number that stays the same from version to version.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The names of their switches; a bit that this version does not know is called by its number.
    pub fn names(bits: u32) -> Vec<String> {
        let name = |bit: u32| match Features::ALL.iter().find(|f| f.0.0 == 1 << bit) {
            Some((_, name, ..)) => name.to_string(),
            None => format!("feature {bit}"),
        };
        (0..u32::BITS).filter(|bit| bits >> bit & 1 == 1).map(name).collect()
    }

    fn set(&mut self, other: Features, on: bool) {
        if on { self.0 |= other.0 } else { self.0 &= !other.0 }
    }

    fn check(self) -> Result<()> {
        for &(feature, name, needs, _) in Features::ALL {
            let Some(needs) = needs else { continue };
            if self.contains(feature) && !self.contains(needs) {
                let needed = Features::ALL.iter().find(|f| f.0 == needs).map_or("", |f| f.1);
                bail!(Config, "{name} is on but needs {needed}, which is off: switch both off, or both on");
            }
        }
        Ok(())
    }
}

impl Default for Features {
    fn default() -> Self {
        let mut features = Features(0);
        for &(feature, _, _, on) in Features::ALL {
            features.set(feature, on);
        }
        features
    }
}

impl Tunables {
    /// Everything that changes the compiled code, by name, but the features: what an artifact records.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let Tunables {
            features: _,
            // A module has its own, and any engine can run it.
            dirty_tracking: _,
            opt_level,
            nan_canonicalization,
            relaxed_simd_deterministic,
            signals_based_traps,
            memory_reservation,
            memory_guard_size,
            heap_spectre_mitigation,
            table_spectre_mitigation,
            // What a debugger or a backtrace sees, not what runs.
            address_map: _,
            debug_verifier: _,
        } = self;
        vec![
            ("cranelift_opt_level", format!("{opt_level:?}")),
            ("cranelift_nan_canonicalization", nan_canonicalization.to_string()),
            ("relaxed_simd_deterministic", relaxed_simd_deterministic.to_string()),
            ("signals_based_traps", signals_based_traps.to_string()),
            ("memory_reservation", memory_reservation.to_string()),
            ("memory_guard_size", memory_guard_size.to_string()),
            ("enable_heap_access_spectre_mitigation", heap_spectre_mitigation.to_string()),
            ("enable_table_access_spectre_mitigation", table_spectre_mitigation.to_string()),
        ]
    }
}

impl Default for Tunables {
    fn default() -> Self {
        Tunables {
            features: Features::default(),
            dirty_tracking: DirtyTracking::default(),
            opt_level: OptLevel::default(),
            nan_canonicalization: false,
            relaxed_simd_deterministic: false,
            signals_based_traps: true,
            memory_reservation: 4 << 30,
            memory_guard_size: 32 << 20,
            heap_spectre_mitigation: true,
            table_spectre_mitigation: true,
            address_map: true,
            debug_verifier: false,
        }
    }
}

impl Tunables {
    fn check_sizes(&self) -> Result<()> {
        for (name, bytes) in
            [("memory_reservation", self.memory_reservation), ("memory_guard_size", self.memory_guard_size)]
        {
            if bytes > ADDRESS_SPACE_MAX {
                bail!(Config, "{name} is {bytes} bytes; it must be at most {ADDRESS_SPACE_MAX} (64 TiB)");
            }
        }
        let sum = self.memory_reservation + self.memory_guard_size;
        if sum > ADDRESS_SPACE_MAX {
            bail!(
                Config,
                "memory_reservation and memory_guard_size are {sum} bytes together; they must be at most {ADDRESS_SPACE_MAX} (64 TiB)"
            );
        }
        Ok(())
    }
}

/// Configuration of an [`Engine`](crate::Engine). The default is the fast path.
///
/// Nothing is checked here: [`Engine::new`](crate::Engine::new) says what is out of range or contradicts what. What changes
/// compiled code (how it is compiled and reaches memories, dirty tracking) must be the same where a precompiled module is
/// made and where it is loaded; of the parts of WebAssembly, all must be on there that were on here.
///
/// ```
/// use instar::{Config, Engine, ErrorKind};
///
/// let mut config = Config::new();
/// config.max_memory_pages(256).max_instances(1000).wasm_threads(false);
/// let engine = Engine::new(&config)?;
///
/// let error = Engine::new(Config::new().wasm_simd(false)).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Config);
/// assert!(error.message().contains("wasm_relaxed_simd is on but needs wasm_simd"));
/// # Ok::<(), instar::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    tunables: Tunables,
    allocation_strategy: InstanceAllocationStrategy,
    max_wasm_stack: usize,
    max_instances: usize,
    max_memory_pages: u64,
    max_table_elements: u64,
    images: Images,
    seal_artifacts: bool,
    background_reset: Option<usize>,
    paranoid: bool,
    wasm_backtrace: bool,
    profiler: ProfilingStrategy,
}

/// Where images of memories come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Images {
    pub cow: bool,
    pub force_memfd: bool,
    pub dense_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            tunables: Tunables::default(),
            allocation_strategy: InstanceAllocationStrategy::default(),
            max_wasm_stack: 512 << 10,
            max_instances: 10_000,
            max_memory_pages: 65_536,
            max_table_elements: 1_000_000,
            images: Images { cow: true, force_memfd: false, dense_bytes: 64 << 10 },
            seal_artifacts: false,
            background_reset: None,
            paranoid: false,
            wasm_backtrace: true,
            profiler: ProfilingStrategy::None,
        }
    }
}

impl Config {
    /// The default configuration.
    pub fn new() -> Self {
        Config::default()
    }
}

/// Limits of each instance, memory and table. [`Store::limiter`](crate::Store::limiter) sets limits of one store.
impl Config {
    /// How many instances may be alive at a time in the engine. Default 10 000; at least 1.
    pub fn max_instances(&mut self, count: usize) -> &mut Self {
        self.max_instances = count;
        self
    }

    /// Largest size of a linear memory in units of 64 KiB, whatever the module allows and whatever its pages are. Default
    /// 65 536 (4 GiB), which is also the largest size of memories with 32-bit addresses; at most 2^30 (64 TiB).
    pub fn max_memory_pages(&mut self, pages: u64) -> &mut Self {
        self.max_memory_pages = pages;
        self
    }

    /// Largest number of elements of a table, whatever the module allows. Default 1 000 000.
    pub fn max_table_elements(&mut self, elements: u64) -> &mut Self {
        self.max_table_elements = elements;
        self
    }

    /// Stack that guest code may use between the host's call and the deepest guest frame, in bytes. Default 512 KiB, at
    /// least 16 KiB. A thread with less stack left gives less.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Self {
        self.max_wasm_stack = bytes;
        self
    }
}

/// How instances are made and undone.
impl Config {
    /// Where instances live. Default [`InstanceAllocationStrategy::Pooling`].
    pub fn allocation_strategy(&mut self, strategy: InstanceAllocationStrategy) -> &mut Self {
        self.allocation_strategy = strategy;
        self
    }

    /// How the runtime knows what an instance has written. Default [`DirtyTracking::Auto`]. A module that is compiled with
    /// [`ModuleOptions`](crate::ModuleOptions) can have another one, and precompiled modules keep theirs.
    pub fn dirty_tracking(&mut self, tracking: DirtyTracking) -> &mut Self {
        self.tunables.dirty_tracking = tracking;
        self
    }

    /// Reset slots whose memories have more than this many bytes to restore or discard on a thread of the engine, so that
    /// whoever drops an instance with a big heap does not wait for it. Default `None`: all are reset by whoever drops them.
    ///
    /// How much was written is counted with [`DirtyTracking::Lines`] and [`DirtyTracking::Pages`]; with others, all bytes of
    /// the memories count. Host data is always dropped by whoever drops the instance. Up to 8 slots wait for the thread;
    /// beyond them, or when it cannot be started, slots are reset at once. A slot counts as alive until it is reset, but an
    /// instantiation that finds the engine full resets it by itself. The thread starts with the first such slot and ends
    /// with the engine; a forked child starts its own, and loses a slot that was being reset when it was forked.
    pub fn background_reset(&mut self, threshold_bytes: Option<usize>) -> &mut Self {
        self.background_reset = threshold_bytes;
        self
    }
}

/// Images: where the initial contents of memories come from.
impl Config {
    /// Map the initial contents of memories copy-on-write, so that slots share what they do not write. Default on. Without
    /// it each slot gets a copy when it is made. What instances start with is the same.
    pub fn memory_init_cow(&mut self, on: bool) -> &mut Self {
        self.images.cow = on;
        self
    }

    /// Map images from memory (a sealed `memfd`), even if the module was loaded from a file that they could be mapped from: so
    /// no page of an image is ever read from disk. It costs a copy of the image. Default off.
    pub fn force_memory_init_memfd(&mut self, on: bool) -> &mut Self {
        self.images.force_memfd = on;
        self
    }

    /// Up to this size in bytes, a memory's image goes into the artifact as it is, however much of it are zeroes. Beyond, only
    /// if at least half of it is data; if not, the artifact has the segments, and a sparse image is made in memory when it is
    /// first needed. Only pages between segments that lie close count: an image has up to 16 parts. Default 64 KiB.
    pub fn memory_guaranteed_dense_image_size(&mut self, bytes: u64) -> &mut Self {
        self.images.dense_bytes = bytes;
        self
    }
}

/// How code is compiled.
impl Config {
    /// How much the compiler optimises. Default [`OptLevel::Speed`].
    pub fn cranelift_opt_level(&mut self, level: OptLevel) -> &mut Self {
        self.tunables.opt_level = level;
        self
    }

    /// Replace every NaN that an operation makes by the canonical one, so that results are the same on all processors.
    /// Default off.
    pub fn cranelift_nan_canonicalization(&mut self, on: bool) -> &mut Self {
        self.tunables.nan_canonicalization = on;
        self
    }

    /// Relaxed vector instructions give the same results on all processors, at some cost. Default off.
    pub fn relaxed_simd_deterministic(&mut self, on: bool) -> &mut Self {
        self.tunables.relaxed_simd_deterministic = on;
        self
    }

    /// Run Cranelift's verifier on every function that is compiled. Default off.
    pub fn cranelift_debug_verifier(&mut self, on: bool) -> &mut Self {
        self.tunables.debug_verifier = on;
        self
    }
}

/// How memories lie in address space, and how code reaches them and tables.
impl Config {
    /// Turn faults of compiled code into traps. Default on. Without it this engine installs no signal handler, and no
    /// instruction of its compiled code faults: it checks bounds, divisors and its stack itself, which is slower. For hosts
    /// that own the signal handlers.
    pub fn signals_based_traps(&mut self, on: bool) -> &mut Self {
        self.tunables.signals_based_traps = on;
        self
    }

    /// Address space that each memory reserves, in bytes, rounded up to 64 KiB. Default 4 GiB, at most 64 TiB. With 4 GiB
    /// or more, accesses to memories with 32-bit addresses and pages of 64 KiB need no check; with less, compiled code
    /// checks bounds. A memory that outgrows its reservation moves to a larger one, which copies it.
    pub fn memory_reservation(&mut self, bytes: u64) -> &mut Self {
        self.tunables.memory_reservation = bytes;
        self
    }

    /// Inaccessible bytes after each memory's reservation, rounded up to 64 KiB. Default 32 MiB, at most 64 TiB together
    /// with the reservation. Constant offsets below it need no check of their own.
    pub fn memory_guard_size(&mut self, bytes: u64) -> &mut Self {
        self.tunables.memory_guard_size = bytes;
        self
    }

    /// Make checked accesses to memories safe from processors that mispredict the check (Spectre variant 1). Default on.
    pub fn enable_heap_access_spectre_mitigation(&mut self, on: bool) -> &mut Self {
        self.tunables.heap_spectre_mitigation = on;
        self
    }

    /// Make accesses to tables safe from processors that mispredict the check (Spectre variant 1). Default on.
    pub fn enable_table_access_spectre_mitigation(&mut self, on: bool) -> &mut Self {
        self.tunables.table_spectre_mitigation = on;
        self
    }
}

/// What can be seen of code that runs or has failed.
impl Config {
    /// Keep where the guest was with each error that stops it: [`Error::wasm_backtrace`](crate::Error::wasm_backtrace).
    /// Default on. It costs a trap or a failed host call some 50 to 150 ns, and other calls nothing.
    pub fn wasm_backtrace(&mut self, on: bool) -> &mut Self {
        self.wasm_backtrace = on;
        self
    }

    /// Keep the wasm offset of each instruction, for backtraces. Default on.
    pub fn generate_address_map(&mut self, on: bool) -> &mut Self {
        self.tunables.address_map = on;
        self
    }

    /// What is written about compiled code for profilers, each time a module is loaded. Default [`ProfilingStrategy::None`].
    pub fn profiler(&mut self, strategy: ProfilingStrategy) -> &mut Self {
        self.profiler = strategy;
        self
    }
}

/// Precompiled files, and tests of Instar itself.
impl Config {
    /// Copy files that [`Module::deserialize_file`](crate::Module::deserialize_file) loads into sealed memory instead of
    /// mapping them, so that they may change or go away afterwards. Costs a copy of each file. Default off.
    pub fn seal_artifacts(&mut self, on: bool) -> &mut Self {
        self.seal_artifacts = on;
        self
    }

    /// Compare every slot with its image, byte by byte, after each reset, and abort the process when they differ. Slow;
    /// for tests. Default off.
    pub fn paranoid(&mut self, on: bool) -> &mut Self {
        self.paranoid = on;
        self
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<()> {
        self.tunables.features.check()?;
        self.check_tracking(self.tunables.dirty_tracking)?;
        if self.max_wasm_stack < 16 << 10 {
            bail!(Config, "max_wasm_stack is {} bytes; it must be at least 16384", self.max_wasm_stack);
        }
        if self.max_instances == 0 {
            bail!(Config, "max_instances is 0; it must be at least 1");
        }
        if self.max_memory_pages > ADDRESS_SPACE_MAX / PAGE_BYTES {
            let limit = ADDRESS_SPACE_MAX / PAGE_BYTES;
            bail!(Config, "max_memory_pages is {}; it must be at most {limit} (64 TiB)", self.max_memory_pages);
        }
        self.tunables.check_sizes()
    }

    /// The choices for compiled code; `Auto` is none of them any more.
    pub(crate) fn tunables(&self) -> Tunables {
        Tunables { dirty_tracking: self.resolve(self.tunables.dirty_tracking), ..self.tunables }
    }

    /// What `Auto` stands for.
    pub(crate) fn resolve(&self, tracking: DirtyTracking) -> DirtyTracking {
        match (tracking, self.keeps_slots()) {
            (DirtyTracking::Auto, true) => DirtyTracking::Lines,
            (DirtyTracking::Auto, false) => DirtyTracking::Off,
            (chosen, _) => chosen,
        }
    }

    /// Checks that an engine of this configuration can track writes in this way.
    pub(crate) fn check_tracking(&self, tracking: DirtyTracking) -> Result<()> {
        if tracking == DirtyTracking::Touched && !self.tunables.signals_based_traps {
            bail!(
                Config,
                "dirty_tracking is Touched, which handles faults, but signals_based_traps is off: choose Lines or Pages, or switch it on"
            );
        }
        Ok(())
    }

    pub(crate) fn wasm_stack_bytes(&self) -> usize {
        self.max_wasm_stack
    }

    pub(crate) fn profiling(&self) -> ProfilingStrategy {
        self.profiler
    }

    pub(crate) fn takes_backtraces(&self) -> bool {
        self.wasm_backtrace
    }

    pub(crate) fn instance_limit(&self) -> usize {
        self.max_instances
    }

    pub(crate) fn memory_limit_bytes(&self) -> u64 {
        self.max_memory_pages * PAGE_BYTES
    }

    /// Whether slots are kept for the next instance.
    pub(crate) fn keeps_slots(&self) -> bool {
        self.allocation_strategy == InstanceAllocationStrategy::Pooling
    }

    pub(crate) fn background_threshold(&self) -> Option<usize> {
        self.background_reset
    }

    pub(crate) fn table_limit_elements(&self) -> u64 {
        self.max_table_elements
    }

    pub(crate) fn seals_artifacts(&self) -> bool {
        self.seal_artifacts
    }

    pub(crate) fn images(&self) -> Images {
        self.images
    }

    pub(crate) fn is_paranoid(&self) -> bool {
        self.paranoid
    }
}
