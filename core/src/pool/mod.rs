//! Slots: reusable places for instances, and who has them.
//!
//! ```text
//!   InstancePre ──► WarmPool ── shard 0: idle slots of this InstancePre   ◄── threads, by their number
//!                       │       shard 1: …
//!                       ▼
//!                  EnginePool: how many slots exist in the engine, store cells, who else has idle slots
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`slot`] | one slot: an instance with its image, and the store that owns it when it stands alone |
//! | [`warm`] | policy: which slot a thread gets, and where it goes back |
//! | [`cell`] | the store's fixed part, which lives as long as the engine so that stale handles can be told |
//! | [`engine`] | what all pools of an engine share |
//! | [`background`] | resets on a thread of their own |
//! | [`thread`] | the calling thread's number and its block of store ids |
//!
//! A slot is `idle` (in a shard, equal to its image), `live` (in a [`warm::Lease`]) or gone. It goes from live to idle
//! only through a reset, and from either to gone.

pub mod background;
pub mod cell;
pub mod engine;
pub mod slot;
pub mod thread;
pub mod warm;
