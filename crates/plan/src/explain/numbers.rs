//! Durations and counts in words.

use std::time::Duration;

/// As one would write it in a spec: in the largest unit that leaves a whole number.
pub(super) fn duration(duration: Duration) -> String {
    millis(duration.as_millis() as i64)
}

/// As [`duration`], of milliseconds.
pub(super) fn millis(millis: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = UNITS.iter().find(|(size, _)| millis != 0 && millis % size == 0);
    unit.map_or_else(
        || format!("{millis}ms"),
        |(size, unit)| format!("{}{unit}", millis / size),
    )
}

/// `1 partition`, `2 partitions`.
pub fn count(number: usize, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_their_largest_unit() {
        for (number, text) in [
            (0, "0ms"),
            (1, "1ms"),
            (1_000, "1s"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (7_200_000, "2h"),
            (604_800_000, "7d"),
        ] {
            assert_eq!(millis(number), text);
        }
    }
}
