//! How compiled code reads and writes memory: flags and alias regions, one set per function.
//!
//! Alias regions tell Cranelift that, for instance, a store to linear memory cannot change a global. They partition what
//! compiled code touches; two names for the same bytes (an imported memory that is also exported, say) always fall into
//! the same region.
//!
//! Invariant: every load and store names a region or is of constant data. One without would count as a barrier for all
//! others.

use cranelift_codegen::ir::{AliasRegion, AliasRegionData, Endianness, Function, MemFlagsData};

use super::traps;
use crate::error::TrapCode;

const REGIONS: [&str; 7] = ["vm", "heap", "dirty map", "table elements", "table flags", "globals", "stack"];

/// The flags of each kind of access.
#[derive(Clone, Copy)]
pub(super) struct Access {
    /// Data that stays the same as long as a function runs, at an address that is always valid: may be moved and merged.
    pub constant: MemFlagsData,
    /// Fields of function references behind a checked pointer: constant, but not to be read before the check.
    pub func_ref: MemFlagsData,
    /// Fields that the runtime changes during calls: sizes, addresses of tables.
    pub vm: MemFlagsData,
    /// Linear memory: any alignment; with signals, faults when out of bounds.
    pub heap: MemFlagsData,
    /// Dirty maps. Only ever written by compiled code.
    pub mark: MemFlagsData,
    /// `VmTable::dirty`, and marks of tables and globals. Only ever written by compiled code.
    pub table_flag: MemFlagsData,
    pub global: MemFlagsData,
    /// Slots that carry parameters and results. Vectors need more alignment than they have.
    pub stack: MemFlagsData,
    table_region: AliasRegion,
    vm_region: AliasRegion,
    signals: bool,
}

impl Access {
    /// Declares the regions in `func`.
    /// `signals`: whether faults become traps. If not, all accesses are checked before and marked as not faulting.
    pub fn new(func: &mut Function, signals: bool) -> Self {
        let mut number = 0;
        let [vm, heap, mark, table, table_flag, global, stack] = REGIONS.map(|description| {
            number += 1;
            func.dfg.alias_regions.insert(AliasRegionData { user_id: number, description: description.into() })
        });
        let trusted = MemFlagsData::trusted().with_endianness(Endianness::Little);
        let within = |region| trusted.with_alias_region(Some(region));
        Access {
            constant: within(vm).with_readonly().with_can_move(),
            func_ref: within(vm).with_readonly(),
            vm: within(vm),
            heap: MemFlagsData::new()
                .with_endianness(Endianness::Little)
                .with_trap_code(signals.then_some(traps::to_cranelift(TrapCode::MemoryOutOfBounds)))
                .with_alias_region(Some(heap)),
            mark: within(mark),
            table_flag: within(table_flag),
            global: within(global),
            stack: MemFlagsData::new().with_notrap().with_endianness(Endianness::Little).with_alias_region(Some(stack)),
            table_region: table,
            vm_region: vm,
            signals,
        }
    }

    /// An element of a table, whose address is null when the index was out of bounds: then it traps with `code`.
    pub fn table_element(&self, code: TrapCode) -> MemFlagsData {
        self.faulting(code).with_alias_region(Some(self.table_region))
    }

    /// The first field read through a function reference that may be null: then it traps with `code`.
    pub fn maybe_null(&self, code: TrapCode) -> MemFlagsData {
        self.faulting(code).with_alias_region(Some(self.vm_region))
    }

    fn faulting(&self, code: TrapCode) -> MemFlagsData {
        MemFlagsData::new()
            .with_aligned()
            .with_endianness(Endianness::Little)
            .with_trap_code(self.signals.then_some(traps::to_cranelift(code)))
    }
}
