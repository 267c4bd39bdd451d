//! RFC 3339 text to milliseconds since the epoch. No calendar but the proleptic Gregorian one, no time zone names.

/// Milliseconds since 1970-01-01T00:00:00Z of `2013-01-01T05:15:00.123+01:00`; finer digits are cut. `T` and `Z` may be
/// small, `T` may be a space. None: not RFC 3339, or no such day or time.
pub(super) fn parse(text: &[u8]) -> Option<i64> {
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
    let (hour, minute, second) = (number(text, 11, 2)?, number(text, 14, 2)?, number(text, 17, 2)?);
    let marks = text[4] == b'-' && text[7] == b'-' && text[13] == b':' && text[16] == b':';
    let in_range = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60;
    if !marks || !matches!(text[10], b'T' | b't' | b' ') || !in_range {
        return None;
    }
    let (millis, zone) = fraction(text, 19)?;
    let offset = offset_minutes(text.get(zone..)?)?;
    let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute - offset;
    // A leap second may only follow the last minute of a UTC day; it counts as the second after.
    if second > 60 || (second == 60 && (minutes + 1).rem_euclid(24 * 60) != 0) {
        return None;
    }
    Some((minutes * 60 + second) * 1000 + millis)
}

fn number(text: &[u8], at: usize, length: usize) -> Option<i64> {
    let add = |value: i64, digit: &u8| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'));
    text.get(at..at + length)?.iter().try_fold(0, add)
}

/// The milliseconds of an optional fraction at `at`, and the position after it.
fn fraction(text: &[u8], at: usize) -> Option<(i64, usize)> {
    if text.get(at) != Some(&b'.') {
        return Some((0, at));
    }
    let digits = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = digits.min(3);
    let millis = number(text, at + 1, kept)? * [0, 100, 10, 1][kept];
    (digits > 0).then_some((millis, at + 1 + digits))
}

fn offset_minutes(zone: &[u8]) -> Option<i64> {
    let sign = match zone {
        b"Z" | b"z" => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(zone, 1, 2)?, number(zone, 4, 2)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Counts in years that begin in March, so that the leap day is the last one.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn rfc_3339_is_read_to_the_millisecond() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00.5z", 500),
            ("1969-12-31T23:59:59.9999Z", -1),
            ("2013-01-01T05:15:00-05:00", 1_357_035_300_000),
            ("2013-01-01 10:15:00.1239999+00:00", 1_357_035_300_123),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("2017-01-01T01:59:60+02:00", 1_483_228_800_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "2013-01-01",
            "2013-01-01T05:15:00",
            "2013-01-01T05:15Z",
            "2013-1-01T05:15:00Z",
            "2013-02-29T05:15:00Z",
            "2013-04-31T05:15:00Z",
            "1900-02-29T00:00:00Z",
            "2013-13-01T05:15:00Z",
            "2013-00-01T05:15:00Z",
            "2013-01-00T05:15:00Z",
            "2013-01-01T24:00:00Z",
            "2013-01-01T05:60:00Z",
            "2013-01-01T05:15:61Z",
            "2013-01-01T05:15:60Z",
            "2013-01-01T05:15:00.Z",
            "2013-01-01T05:15:00,5Z",
            "2013-01-01T05:15:00+0100",
            "2013-01-01T05:15:00+24:00",
            "2013-01-01T05:15:00Z ",
            "2013/01/01T05:15:00Z",
            "+013-01-01T05:15:00Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
