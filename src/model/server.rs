//! Which server draws ids and tokens, and where they go on when it is another one.
//!
//! What a lost server handed out last, nobody knows: it was not replicated, or came after the dump, the base backup, the disk
//! snapshot. So whoever goes on in its place leaves a gap that the lost one cannot have passed. A fixed gap is not enough: a dump
//! from before one promotion, restored after it, would leave the same gap again. The clock tells them apart: a server that draws
//! fewer than 2^18 (262,144) a second stays behind it, and so before everyone who starts later.

/// What ids and tokens stay below, so that JavaScript has them exactly.
pub const LIMIT: i64 = 1 << 53;

/// 2020-01-01, in microseconds since 2000-01-01.
const SINCE: i64 = 7_305 * 86_400 * 1_000_000;
/// More than anyone draws in a second.
const PER_SECOND: i64 = 1 << 18;
/// The gap where the clock is of no use: 2^36 are 3 days at that rate, half a year at 5,000 a second.
const GAP: i64 = 1 << 36;

/// A number for a server, from its start to its end, and one installation in one of its databases.
pub fn mark(started: i64, database: u32, installation: u32) -> i64 {
    // FNV-1a: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
    let mut bytes = started.to_le_bytes().to_vec();
    bytes.extend(database.to_le_bytes());
    bytes.extend(installation.to_le_bytes());
    let hash = bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    (hash >> 1).max(1) as i64
}

/// Where a sequence goes on whose last value is `last`, by a clock (microseconds since 2000-01-01) that may be wrong. (At the very end of the
/// numbers it stays.)
pub fn onward(last: i64, now: i64) -> i64 {
    let by_clock = now
        .saturating_sub(SINCE)
        .div_euclid(1_000_000)
        .saturating_mul(PER_SECOND);
    let by_gap = (last / GAP + 1) * GAP;
    if by_clock > last && by_clock < LIMIT / 2 {
        by_clock
    } else if by_gap < LIMIT {
        by_gap
    } else {
        last
    }
}
