//! When a failed attempt is tried again: exponential, with jitter, bounded.

/// The delay in microseconds after the `attempt`-th failure (from 1): `base` doubled per attempt, at
/// most `max`, of which the upper half is random. `jitter` is in [0, 1). Half of the delay stays
/// fixed so that a failing dependency is never hit at once by everyone ("equal jitter").
pub fn delay(base: i64, max: i64, attempt: i32, jitter: f64) -> i64 {
    let base = base.max(0) as u128;
    let doublings = attempt.clamp(1, 64) as u32 - 1;
    let full = base
        .saturating_mul(1u128 << doublings)
        .min(max.max(0) as u128) as i64;
    let half = full - full / 2;
    full / 2 + ((jitter.clamp(0.0, 1.0) * half as f64) as i64).min(half)
}
