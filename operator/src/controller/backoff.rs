//! How long an object waits after a failure: 1 s, doubled each time, up to 5 minutes.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

/// The wait after so many failures in a row. `jitter`, 0 to 1, takes off up to a quarter, so that objects that failed
/// together do not come back together.
pub fn after(failures: u32, jitter: f64) -> Duration {
    let doubled = SHORTEST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)
}

/// A number between 0 and 1 that is another one each time.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_one_second_to_five_minutes() {
        let seconds: Vec<_> = (1..=12).map(|failures| after(failures, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(after(u32::MAX, 0.0), LONGEST);
    }

    #[test]
    fn jitter_takes_off_a_quarter_at_most() {
        assert_eq!(after(1, 1.0), Duration::from_millis(750));
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
