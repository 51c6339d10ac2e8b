//! Everything has a bound.

pub const TTL_MIN: i64 = 100_000; // µs: 100 ms
pub const TTL_MAX: i64 = 24 * 3600 * 1_000_000; // µs: 24 h
/// An `interval` of a queue or a delay: ten years is far beyond use and far from overflow.
pub const DELAY_MAX: i64 = 10 * 366 * 24 * 3600 * 1_000_000;
pub const NAME_BYTES: usize = 255;
pub const PRIORITY: i32 = 9;
pub const MAX_TASKS: i32 = 1_000;
pub const CREATE_MANY: usize = 10_000;
pub const ITEMS: usize = 100_000;
pub const ATTEMPTS: i32 = 10_000;
/// Due tasks made ready by one acquire or reap, due hand-overs worked off, and looks at overdue leases.
pub const SWEEP: i32 = 100;
/// Items of a wide step that become tasks at a time.
pub const BATCH: i32 = 1_000;
/// A definition, in the bytes of the stored jsonb value.
pub const DEFINITION_BYTES: usize = 4 * 1024 * 1024;
/// Paths in the payload of a step.
pub const PLACES: usize = 1_000;
/// Ids named in `dispatched`.
pub const DISPATCHED: usize = 100;
/// Tasks removed by one purge.
pub const PURGE: i32 = 100_000;
/// Runs looked at by one purge at a time.
pub const PURGE_RUNS: i32 = 100;
/// Slots of a key.
pub const CAPACITY: i32 = 100_000;
/// Tasks that one call lets go over to the line of another key, because they lack a slot of that; the rest is left for later.
pub const MOVES: i32 = 16;
/// Compensations of one task.
pub const COMPENSATIONS: i32 = 1_000;
/// Slot keys of one task.
pub const SLOT_KEYS: usize = 8;
/// Steps of one workflow.
pub const STEPS: usize = 1_000;
/// Steps named in `needs`.
pub const NEEDS: usize = 1_000;
/// Counter rows of the widest group.
const SHARDS: u32 = 64;

/// In how many rows the join counter of a group is split: about the square root of its width, so
/// that neither the rows nor the parent they report to become the place where siblings queue.
pub fn shards(total: usize) -> i16 {
    ((total as f64).sqrt().ceil() as u32).clamp(1, SHARDS) as i16
}
