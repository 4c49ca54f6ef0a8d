//! Sizes that fit the machine: what a configuration asks for and what the system gives. Pure, so that each case has a test.
//!
//! What the user has not set gives way: first fewer instances, as long as a fair number is left; then smaller reservations,
//! whose code checks bounds. What he has set is an error when it cannot be had.

use crate::artifact::layout::{DIRTY_LINE_BYTES, DIRTY_MAP_BYTES, MEMORY32_MAX_BYTES};
use crate::config::{Sizes, Wanted, Wishes};
use crate::error::{Result, bail};
use crate::sys::limits::{Bytes, Machine};

/// As many instances with full reservations are worth more than more of them with checked bounds.
const FAIR_INSTANCES: u64 = 64;
/// Mappings of an instance with one memory: its map, its heap and what is inaccessible after each; the image's come on top.
const MAPPINGS_AT_LEAST: u64 = 4;
const MAPPINGS: u64 = 5;
/// Reservations that are chosen here lie between these.
const SMALL: u64 = 1 << 20;
const LARGE: u64 = 1 << 30;

/// Address space that a memory takes.
fn memory_bytes(reservation: u64, guard: u64) -> u64 {
    let map = match reservation >= MEMORY32_MAX_BYTES {
        true => DIRTY_MAP_BYTES as u64,
        false => reservation / DIRTY_LINE_BYTES as u64,
    };
    reservation.saturating_add(guard).saturating_add(map)
}

/// Fits wishes to a machine.
///
/// # Errors
///
/// `Config` when something that was set cannot be had, with what was set and what there is.
pub fn fit(wishes: &Wishes, machine: &Machine) -> Result<Sizes> {
    let mut sizes = Sizes {
        max_instances: wishes.max_instances.value,
        reservation: wishes.reservation.value,
        guard: wishes.guard.value,
        idle_bytes: 0,
        notes: Vec::new(),
    };
    fit_address_space(wishes, machine, &mut sizes)?;
    fit_mappings(wishes, machine, &mut sizes)?;
    fit_memory(wishes, machine, &mut sizes)?;
    Ok(sizes)
}

fn fit_address_space(wishes: &Wishes, machine: &Machine, sizes: &mut Sizes) -> Result<()> {
    let Some(space) = machine.address_space else { return Ok(()) };
    let left = space.limit.saturating_sub(space.used);
    // The rest is the host's, and the code's.
    let ours = left / 4 * 3;
    let each = memory_bytes(sizes.reservation, sizes.guard);
    let fixed = wishes.reservation.set || wishes.guard.set && wishes.guard.value > ours / 2;
    if fixed && each > left {
        bail!(
            Config,
            "memory_reservation and memory_guard_size ask for {} of address space for each memory, but this process may have {} in all (ulimit -v), of which {} are in use; lower them, or raise that limit",
            Bytes(each),
            Bytes(space.limit),
            Bytes(space.used)
        );
    }
    // Somebody who asks for any number asks for none in particular.
    let any = !wishes.max_instances.set || wishes.max_instances.value == usize::MAX;
    let wanted = wishes.max_instances.value as u64;
    let room = ours / each;
    if room >= wanted {
        return Ok(());
    }
    let limit = format!(
        "this process may have {} of address space (ulimit -v), {} in use",
        Bytes(space.limit),
        Bytes(space.used)
    );
    if fixed || any && room >= FAIR_INSTANCES {
        if !any {
            bail!(
                Config,
                "max_instances is {wanted}, and each memory takes {} of address space (memory_reservation, memory_guard_size), which is {} together, but {limit}; lower one of the two, or raise that limit",
                Bytes(each),
                Bytes(each.saturating_mul(wanted))
            );
        }
        sizes.max_instances = room.max(1) as usize;
        sizes.notes.push(format!("max_instances is {}, as {limit}", sizes.max_instances));
        return Ok(());
    }
    // Small reservations: a memory that outgrows its own moves to a larger one.
    let share = if any { ours / 256 } else { ours / wanted.max(1) / 2 };
    let mut reservation = if share == 0 { SMALL } else { 1 << share.ilog2() };
    reservation = reservation.clamp(SMALL, LARGE);
    if !wishes.guard.set {
        sizes.guard = (reservation / 16).clamp(64 << 10, sizes.guard.max(64 << 10));
    }
    let each = memory_bytes(reservation, sizes.guard);
    let room = ours / each;
    if !any && room < wanted {
        bail!(
            Config,
            "max_instances is {wanted}, for which at least {} of address space are needed, but {limit}; lower it, or raise that limit",
            Bytes(each.saturating_mul(wanted))
        );
    }
    sizes.notes.push(format!(
        "memory_reservation is {} and code checks bounds instead of leaving it to inaccessible pages, as {limit}",
        Bytes(reservation)
    ));
    sizes.reservation = reservation;
    if any && (room as usize) < sizes.max_instances {
        sizes.max_instances = room.max(1) as usize;
        sizes.notes.push(format!("max_instances is {} for the same reason", sizes.max_instances));
    }
    Ok(())
}

fn fit_mappings(wishes: &Wishes, machine: &Machine, sizes: &mut Sizes) -> Result<()> {
    let Some(mappings) = machine.mappings else { return Ok(()) };
    let Wanted { value, set } = wishes.max_instances;
    if set && value != usize::MAX {
        let needed = (value as u64).saturating_mul(MAPPINGS_AT_LEAST);
        if needed > mappings.limit {
            bail!(
                Config,
                "max_instances is {value}, which takes {needed} mappings if each has a memory, but vm.max_map_count is {}; lower it, or raise that limit with sysctl",
                mappings.limit
            );
        }
        return Ok(());
    }
    // Some are the host's.
    let room = (mappings.limit / 8 * 7 / MAPPINGS).max(1);
    if !set && (sizes.max_instances as u64) > room {
        sizes.max_instances = room as usize;
        let limit = mappings.limit;
        sizes.notes.push(format!("max_instances is {room}, as vm.max_map_count is {limit}"));
    }
    Ok(())
}

fn fit_memory(wishes: &Wishes, machine: &Machine, sizes: &mut Sizes) -> Result<()> {
    let memory = [
        (machine.physical, "the machine has"),
        (machine.cgroup.map(|amount| amount.limit), "the control group may have"),
        (machine.data.map(|amount| amount.limit), "ulimit -d allows"),
        (machine.commit.map(|amount| amount.limit), "the system commits (vm.overcommit_memory)"),
    ];
    let least = memory.into_iter().filter_map(|(bytes, who)| Some((bytes?, who))).min();
    sizes.idle_bytes = match (wishes.idle_bytes, least) {
        (Some(u64::MAX), _) => u64::MAX,
        (Some(bytes), Some((memory, who))) if bytes > memory => bail!(
            Config,
            "max_idle_resident_bytes is {bytes} ({}), but {who} {memory} bytes ({}); lower it, or set u64::MAX for no limit",
            Bytes(bytes),
            Bytes(memory)
        ),
        (Some(bytes), _) => bytes,
        (None, Some((memory, _))) => memory / 4,
        (None, None) => 1 << 30,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::sys::limits::Amount;

    const GIB: u64 = 1 << 30;
    const DEFAULT: Wishes = Wishes {
        max_instances: Wanted { value: 10_000, set: false },
        reservation: Wanted { value: 4 * GIB, set: false },
        guard: Wanted { value: 32 << 20, set: false },
        idle_bytes: None,
    };

    fn set<V>(value: V) -> Wanted<V> {
        Wanted { value, set: true }
    }

    fn space(limit: u64, used: u64) -> Machine {
        Machine { address_space: Some(Amount { limit, used }), ..Machine::default() }
    }

    fn mappings(limit: u64) -> Machine {
        Machine { mappings: Some(Amount { limit, used: 0 }), ..Machine::default() }
    }

    fn refused(wishes: Wishes, machine: &Machine, figures: &[&str]) {
        let error = fit(&wishes, machine).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        for figure in figures {
            assert!(error.message().contains(figure), "{figure} is not in: {error}");
        }
    }

    #[test]
    fn a_machine_without_limits_gives_all() {
        let sizes = fit(&DEFAULT, &Machine::default()).unwrap();
        assert_eq!((sizes.max_instances, sizes.reservation, sizes.guard), (10_000, 4 * GIB, 32 << 20));
        assert!(sizes.notes.is_empty());
        let ordinary = Machine { physical: Some(16 * GIB), ..mappings(65_530) };
        let sizes = fit(&DEFAULT, &ordinary).unwrap();
        assert_eq!((sizes.max_instances, sizes.reservation, sizes.idle_bytes), (10_000, 4 * GIB, 4 * GIB));
        assert!(sizes.notes.is_empty());
    }

    #[test]
    fn less_address_space_means_fewer_instances_and_then_smaller_reservations() {
        // (limit, used) -> (instances, reservation)
        for (limit, used, instances, reservation) in [
            (100_000 * GIB, 0, 10_000, 4 * GIB),
            (1_000 * GIB, 0, 185, 4 * GIB),
            (1_000 * GIB, 600 * GIB, 74, 4 * GIB),
            (200 * GIB, 0, 281, 512 << 20),
            (8 * GIB, 0, 360, 16 << 20),
            (4 * GIB, GIB, 270, 8 << 20),
            (256 << 20, 128 << 20, 90, 1 << 20),
            (GIB, 2 * GIB, 1, 1 << 20),
        ] {
            let sizes = fit(&DEFAULT, &space(limit, used)).unwrap();
            assert_eq!((sizes.max_instances, sizes.reservation), (instances, reservation), "{limit} {used}");
            assert_eq!(sizes.notes.is_empty(), instances == 10_000);
            assert!(sizes.guard >= 64 << 10);
            let all = memory_bytes(sizes.reservation, sizes.guard) * sizes.max_instances as u64;
            assert!(all <= limit.saturating_sub(used) || sizes.max_instances == 1);
        }
    }

    #[test]
    fn as_many_instances_as_were_asked_for_are_had_with_small_reservations() {
        let wishes = Wishes { max_instances: set(100), ..DEFAULT };
        let sizes = fit(&wishes, &space(8 * GIB, 0)).unwrap();
        assert_eq!((sizes.max_instances, sizes.reservation), (100, 16 << 20));
        let sizes = fit(&Wishes { max_instances: set(1), ..DEFAULT }, &space(8 * GIB, 0)).unwrap();
        assert_eq!((sizes.max_instances, sizes.reservation), (1, 4 * GIB), "one fits as it is");
        refused(Wishes { max_instances: set(9_999), ..DEFAULT }, &space(8 * GIB, GIB), &["9999", "8 GiB", "1 GiB"]);
        let any = Wishes { max_instances: set(usize::MAX), ..DEFAULT };
        assert_eq!(fit(&any, &space(8 * GIB, 0)).unwrap().max_instances, 360);
    }

    #[test]
    fn a_reservation_that_was_set_is_had_or_refused() {
        let wishes = Wishes { reservation: set(4 * GIB), ..DEFAULT };
        refused(wishes, &space(3 * GIB, GIB), &["memory_reservation", "4.0 GiB", "3 GiB", "1 GiB"]);
        assert_eq!(fit(&wishes, &space(10 * GIB, GIB)).unwrap().max_instances, 1);
        let both = Wishes { max_instances: set(50), ..wishes };
        refused(both, &space(100 * GIB, 0), &["max_instances is 50", "100 GiB", "202.3 GiB"]);
        let small = Wishes { reservation: set(0), guard: set(0), ..DEFAULT };
        assert_eq!(
            fit(&Wishes { reservation: set(1 << 20), ..small }, &space(3 * GIB, GIB)).unwrap().reservation,
            1 << 20
        );
    }

    #[test]
    fn mappings_bound_instances() {
        assert_eq!(fit(&DEFAULT, &mappings(8_000)).unwrap().max_instances, 1_400);
        assert_eq!(fit(&DEFAULT, &mappings(1)).unwrap().max_instances, 1);
        let wishes = |count| Wishes { max_instances: set(count), ..DEFAULT };
        assert_eq!(fit(&wishes(16_000), &mappings(65_530)).unwrap().max_instances, 16_000);
        assert_eq!(fit(&wishes(usize::MAX), &mappings(65_530)).unwrap().max_instances, usize::MAX);
        refused(wishes(20_000), &mappings(65_530), &["20000", "65530", "vm.max_map_count"]);
    }

    #[test]
    fn the_budget_is_a_quarter_of_what_there_is_unless_it_was_set() {
        let amount = |limit| Some(Amount { limit, used: 0 });
        let machine = Machine { physical: Some(16 * GIB), cgroup: amount(2 * GIB), ..Machine::default() };
        assert_eq!(fit(&DEFAULT, &machine).unwrap().idle_bytes, GIB / 2);
        assert_eq!(fit(&DEFAULT, &Machine { data: amount(GIB), ..machine }).unwrap().idle_bytes, GIB / 4);
        assert_eq!(fit(&DEFAULT, &Machine { commit: amount(GIB), ..machine }).unwrap().idle_bytes, GIB / 4);
        assert_eq!(fit(&DEFAULT, &Machine::default()).unwrap().idle_bytes, GIB);
        let wishes = |bytes| Wishes { idle_bytes: Some(bytes), ..DEFAULT };
        assert_eq!(fit(&wishes(0), &machine).unwrap().idle_bytes, 0);
        assert_eq!(fit(&wishes(2 * GIB), &machine).unwrap().idle_bytes, 2 * GIB);
        assert_eq!(fit(&wishes(u64::MAX), &machine).unwrap().idle_bytes, u64::MAX);
        refused(wishes(3 * GIB), &machine, &["max_idle_resident_bytes", "3 GiB", "2 GiB", "control group"]);
    }
}
