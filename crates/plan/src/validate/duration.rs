//! Durations as written in specs: a whole number and `ms`, `s`, `m`, `h` or `d`.

use std::time::Duration;

/// Ten years: no window, lateness or disorder is longer.
pub(super) const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// Parses `text`. The longest duration is a hundred years.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(not_a_duration(text)),
    };
    let number: u64 = match number.parse() {
        Ok(number) => number,
        Err(_) if number.is_empty() => return Err(not_a_duration(text)),
        Err(_) => return Err(too_long(text)),
    };
    match number.checked_mul(millis) {
        Some(millis) if millis <= 36_500 * 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err(too_long(text)),
    }
}

/// Parses `text` into milliseconds between `least` and ten years.
pub(super) fn millis(text: &str, least: i64) -> Result<i64, String> {
    let duration = parse(text)?;
    if duration > LONGEST {
        return Err("must be at most 3650d".to_owned());
    }
    let millis = duration.as_millis() as i64;
    if millis < least {
        Err(format!("must be at least {least}ms"))
    } else {
        Ok(millis)
    }
}

fn not_a_duration(text: &str) -> String {
    format!("`{text}` is not a duration: write a whole number and ms, s, m, h or d, such as `30s`")
}

fn too_long(text: &str) -> String {
    format!("`{text}` is longer than a hundred years")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("007d", 604_800_000),
            ("36500d", 3_153_600_000_000),
        ] {
            assert_eq!(parse(text).map(|duration| duration.as_millis()), Ok(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "5 m",
            "-5m",
            "1.5h",
            "5min",
            "1h30m",
            "5M",
            "+5m",
            "٣s",
            "36501d",
            "99999999999999999999s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bounds_hold() {
        assert_eq!(millis("3650d", 1), Ok(315_360_000_000));
        assert!(millis("3651d", 1).is_err());
        assert!(millis("0s", 1).is_err());
        assert_eq!(millis("0s", 0), Ok(0));
    }
}
