//! Counts of what pools do. Each shard has its own, written under its lock, which is taken anyway; they are summed when
//! somebody asks.

/// What one shard, one pool or all pools of an engine have done since they were made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Slots handed out, and slots that have come back or were thrown away. Live ones are the difference.
    pub acquired: u64,
    pub released: u64,
    /// Of those handed out, slots that were made for it, and slots that another thread's shard had.
    pub cold_starts: u64,
    pub stolen: u64,
    pub resets: u64,
    pub failed_resets: u64,
    pub lines: u64,
    pub bytes: u64,
    pub waits: u64,
    pub wait_timeouts: u64,
    /// Idle slots thrown away, for room or for the budget, and idle slots whose pages were given back.
    pub evictions: u64,
    pub trims: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        let Counts {
            acquired,
            released,
            cold_starts,
            stolen,
            resets,
            failed_resets,
            lines,
            bytes,
            waits,
            wait_timeouts,
            evictions,
            trims,
        } = other;
        self.acquired += acquired;
        self.released += released;
        self.cold_starts += cold_starts;
        self.stolen += stolen;
        self.resets += resets;
        self.failed_resets += failed_resets;
        self.lines += lines;
        self.bytes += bytes;
        self.waits += waits;
        self.wait_timeouts += wait_timeouts;
        self.evictions += evictions;
        self.trims += trims;
    }
}

/// What a pool has now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    pub idle: usize,
    /// Bytes of the machine's memory that idle slots take, at most.
    pub idle_bytes: usize,
}

macro_rules! metrics {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        #[non_exhaustive]
        pub struct $name {
            /// Instances that are alive now.
            pub live: usize,
            /// Idle warm slots: each equals its image and waits for the next instance.
            pub idle: usize,
            /// Memory that idle slots take, in bytes, at most: pages that a reset has ever had to restore, tables, contexts. An
            /// estimate that is never too low; page tables of the kernel are not in it. See
            /// [`Config::max_idle_resident_bytes`](crate::Config::max_idle_resident_bytes).
            pub idle_resident_bytes: u64,
            /// Instances that got a warm slot.
            pub hits: u64,
            /// Of those, instances whose slot another thread had used last.
            pub stolen: u64,
            /// Instances whose slot was made for them.
            pub cold_starts: u64,
            /// Slots that were brought back to their image.
            pub resets: u64,
            /// Slots that could not be, and were thrown away.
            pub failed_resets: u64,
            /// Lines of 256 bytes that resets have restored.
            pub lines_reset: u64,
            /// Bytes of memories that resets have written for it. Pages that were given back to the system instead are not
            /// in it.
            pub bytes_reset: u64,
            /// Instantiations that found the pool full and waited.
            pub waits: u64,
            /// Of those, the ones that got no slot in time.
            pub wait_timeouts: u64,
            /// Idle slots that were thrown away: to make room for another one, or for the budget of idle slots.
            pub evictions: u64,
            /// Idle slots that gave their pages back for the budget of idle slots, and stayed.
            pub trims: u64,
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl $name {
            pub(crate) fn of(counts: &Counts, standing: Standing) -> Self {
                $name {
                    live: (counts.acquired - counts.released) as usize,
                    idle: standing.idle,
                    idle_resident_bytes: standing.idle_bytes as u64,
                    hits: counts.acquired - counts.cold_starts,
                    stolen: counts.stolen,
                    cold_starts: counts.cold_starts,
                    resets: counts.resets,
                    failed_resets: counts.failed_resets,
                    lines_reset: counts.lines,
                    bytes_reset: counts.bytes,
                    waits: counts.waits,
                    wait_timeouts: counts.wait_timeouts,
                    evictions: counts.evictions,
                    trims: counts.trims,
                    ..Default::default()
                }
            }
        }
    };
}

metrics! {
    /// What the pools of an engine have and have done, see [`Engine::pool_metrics`](crate::Engine::pool_metrics). Counts go up
    /// from when the engine was made; they include those of each [`InstancePre`](crate::InstancePre) that is gone.
    PoolMetrics {
        /// Instances that may be alive at a time: [`Config::max_instances`](crate::Config::max_instances), or less where the
        /// machine gives less.
        max_instances: usize,
        /// Memory that idle slots may take, in bytes:
        /// [`Config::max_idle_resident_bytes`](crate::Config::max_idle_resident_bytes).
        max_idle_resident_bytes: u64,
        /// Instantiations that wait for a slot now.
        waiting: usize,
    }
}

metrics! {
    /// What the pool of an [`InstancePre`](crate::InstancePre) has and has done, see
    /// [`InstancePre::stats`](crate::InstancePre::stats).
    InstancePreStats {
        /// The hot set: pages of the host's page size that instances have ever written, in all memories.
        hot_pages: usize,
    }
}
