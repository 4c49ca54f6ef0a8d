//! How a linear memory is laid out and accessed: one answer for the compiler and the runtime.
//!
//! ```text
//!   | dirty map | heap: 0 .. length accessible, then not, up to the capacity | guard, never accessible |
//!               ▲ base
//! ```
//!
//! Invariant: what code relies on depends on the type's index width and page size, on whether it is shared, and on the
//! settings, which all agree between an import and what is imported. Of the limits, code may use only that a memory is never smaller than the
//! minimum and never larger than the maximum of any type it is imported as.

use super::info::MemoryType;
use super::layout::{MEMORY32_MAX_BYTES, WASM_PAGE_BYTES};
use crate::config::Tunables;

/// Ends of accesses that are left to the guard are at most this, so that offsets fit an instruction.
const REACH_MAX: u64 = 1 << 30;

/// What the configuration of an engine says about all its memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// Address space of a memory in bytes.
    pub reservation: u64,
    /// Inaccessible bytes after it. The sum of the two is far below what 64 bits hold.
    pub guard: u64,
    /// Whether faults become traps.
    pub signals: bool,
}

impl MemorySettings {
    pub fn new(tunables: &Tunables) -> Self {
        MemorySettings {
            reservation: tunables.memory_reservation,
            guard: tunables.memory_guard_size,
            signals: tunables.signals_based_traps,
        }
    }
}

/// How an access finds out that it is out of bounds. `reach` is in bytes; an access whose constant offset plus size is
/// beyond it compares its whole address with the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundsCheck {
    /// It faults: no index reaches beyond the inaccessible address space.
    Fault { reach: u64 },
    /// The index is compared with the length. The `reach` bytes after the length are inaccessible. Never for memories that
    /// other threads may grow.
    Index { reach: u64 },
    /// The whole address is compared. What lies beyond the length may be accessible.
    Whole,
}

impl BoundsCheck {
    /// Whether accesses look at the length.
    pub fn is_explicit(self) -> bool {
        !matches!(self, BoundsCheck::Fault { .. })
    }
}

/// Where code that marks finds the dirty map. There is room for it in any case; it exists where such code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirtyMap {
    /// There is none: nothing is marked.
    None,
    /// `DIRTY_MAP_BYTES` below the base.
    Below,
    /// At `VmMemory::map`.
    Pointer,
}

/// Layout and access of the memories of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Address space of the heap in bytes, as far as the memory can use it. All of it for [`BoundsCheck::Fault`].
    pub reservation: u64,
    /// Inaccessible bytes after the heap.
    pub guard: u64,
    pub check: BoundsCheck,
    pub map: DirtyMap,
    /// Whether a memory may outgrow its reservation and then gets another base. Never one that is shared.
    pub moves: bool,
}

impl MemoryPlan {
    /// The plan for memories of type `ty`. Sizes are rounded up to WebAssembly pages, which all hosts' pages divide.
    pub fn new(ty: &MemoryType, settings: MemorySettings) -> Self {
        let reservation = settings.reservation.next_multiple_of(WASM_PAGE_BYTES);
        let guard = settings.guard.next_multiple_of(WASM_PAGE_BYTES);
        let covers_32_bits = !ty.memory64 && reservation >= MEMORY32_MAX_BYTES;
        let check = if !settings.signals || ty.page_size() != WASM_PAGE_BYTES {
            BoundsCheck::Whole
        } else if covers_32_bits {
            BoundsCheck::Fault { reach: (reservation - MEMORY32_MAX_BYTES + guard).min(REACH_MAX) }
        } else if ty.shared {
            // Others may grow it between the comparison and the access: then what follows the length is accessible.
            BoundsCheck::Whole
        } else {
            BoundsCheck::Index { reach: guard.min(REACH_MAX) }
        };
        // Nobody resets what threads share.
        let map = match (ty.shared, covers_32_bits) {
            (true, _) => DirtyMap::None,
            (false, true) => DirtyMap::Below,
            (false, false) => DirtyMap::Pointer,
        };
        // Address space for all that a shared memory may become is reserved at once.
        let moves = !ty.shared && ty.maximum_bytes() > reservation;
        MemoryPlan { reservation, guard, check, map, moves }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: MemorySettings = MemorySettings { reservation: MEMORY32_MAX_BYTES, guard: 32 << 20, signals: true };

    fn memory64() -> MemoryType {
        MemoryType { memory64: true, ..MemoryType::new(1, None) }
    }

    #[test]
    fn ordinary_memories_need_no_check() {
        let plan = MemoryPlan::new(&MemoryType::new(1, None), DEFAULT);
        assert_eq!(plan.check, BoundsCheck::Fault { reach: 32 << 20 });
        assert_eq!((plan.map, plan.moves), (DirtyMap::Below, false));
        let wide = MemorySettings { reservation: MEMORY32_MAX_BYTES + (1 << 20), guard: 1, ..DEFAULT };
        let plan = MemoryPlan::new(&MemoryType::new(1, None), wide);
        assert_eq!(plan.check, BoundsCheck::Fault { reach: (1 << 20) + WASM_PAGE_BYTES });
    }

    #[test]
    fn what_faults_cannot_tell_is_checked() {
        let check = |ty: MemoryType, settings| MemoryPlan::new(&ty, settings).check;
        assert_eq!(check(memory64(), DEFAULT), BoundsCheck::Index { reach: 32 << 20 });
        let small = MemorySettings { reservation: 1 << 20, ..DEFAULT };
        assert_eq!(check(MemoryType::new(1, None), small), BoundsCheck::Index { reach: 32 << 20 });
        let bytes = MemoryType { page_size_log2: 0, ..MemoryType::new(1, None) };
        assert_eq!(check(bytes, DEFAULT), BoundsCheck::Whole);
        assert_eq!(check(MemoryType::new(1, None), MemorySettings { signals: false, ..DEFAULT }), BoundsCheck::Whole);
    }

    #[test]
    fn only_memories_that_outgrow_their_reservation_move() {
        let small = MemorySettings { reservation: 1 << 20, ..DEFAULT };
        assert!(MemoryPlan::new(&MemoryType::new(1, None), small).moves);
        assert!(!MemoryPlan::new(&MemoryType::new(1, Some(16)), small).moves);
        assert!(MemoryPlan::new(&memory64(), DEFAULT).moves);
        assert!(!MemoryPlan::new(&MemoryType { maximum: Some(65_536), ..memory64() }, DEFAULT).moves);
    }

    #[test]
    fn shared_memories_stay_where_they_are_and_are_not_marked() {
        for settings in [DEFAULT, MemorySettings { reservation: 0, ..DEFAULT }] {
            for base in [MemoryType::new(1, Some(65_536)), MemoryType { maximum: Some(1 << 40), ..memory64() }] {
                let plan = MemoryPlan::new(&MemoryType { shared: true, ..base }, settings);
                assert_eq!((plan.map, plan.moves), (DirtyMap::None, false));
                assert!(!matches!(plan.check, BoundsCheck::Index { .. }));
            }
        }
    }

    #[test]
    fn an_importers_plan_agrees_with_that_of_any_memory_it_may_get() {
        for settings in [DEFAULT, MemorySettings { reservation: 1 << 20, ..DEFAULT }] {
            let shared = MemoryType { shared: true, ..MemoryType::new(0, None) };
            for base in [MemoryType::new(0, None), memory64(), shared] {
                let importer = MemoryPlan::new(&base, settings);
                for maximum in [1, 16, 17, 65_536] {
                    let given = MemoryPlan::new(&MemoryType { maximum: Some(maximum), ..base }, settings);
                    assert_eq!((importer.check, importer.map), (given.check, given.map));
                    assert!(importer.moves || !given.moves);
                }
            }
        }
    }
}
