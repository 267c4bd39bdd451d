//! JSON number literals to values, exactly or not at all. Takes literals that have passed the grammar.

/// Why a literal is not a value of the wanted type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Something other than zero stands after the last digit that the type keeps.
    Fraction,
    /// Too large.
    Range,
}

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Whole numbers, also as `1.0` or `1e3`.
#[inline]
pub(super) fn int64(literal: &[u8]) -> Result<i64, Unfit> {
    let (negative, digits) = sign(literal);
    if digits.len() <= 18 {
        let mut value = 0;
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return int64_any(literal);
            }
            value = value * 10 + i64::from(digit);
        }
        return Ok(if negative { -value } else { value });
    }
    int64_any(literal)
}

#[cold]
fn int64_any(literal: &[u8]) -> Result<i64, Unfit> {
    scaled(literal, 19, 0)?.try_into().map_err(|_| Unfit::Range)
}

/// The nearest double. What would round to infinity is out of range.
#[inline]
pub(super) fn float64(literal: &[u8]) -> Result<f64, Unfit> {
    let (negative, digits) = sign(literal);
    let mut mantissa: u64 = 0;
    let mut point = digits.len();
    if digits.len() > 16 {
        return float64_any(literal);
    }
    for (position, byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
        } else if *byte == b'.' {
            point = position + 1;
        } else {
            return float64_any(literal);
        }
    }
    if mantissa > 1 << 53 {
        return float64_any(literal);
    }
    // Both are exact, so the quotient is the nearest double.
    let value = mantissa as f64 / POWERS[digits.len() - point];
    Ok(if negative { -value } else { value })
}

#[cold]
fn float64_any(literal: &[u8]) -> Result<f64, Unfit> {
    let text = std::str::from_utf8(literal).expect("a number literal is ASCII");
    let value: f64 = text.parse().expect("every JSON number is a Rust number");
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Unfit::Range)
    }
}

/// The literal times 10^`scale`, if that is a whole number of at most `precision` digits (at most 38).
pub(super) fn scaled(literal: &[u8], precision: u8, scale: u8) -> Result<i128, Unfit> {
    let (negative, rest) = sign(literal);
    let (digits, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&rest[..at], exponent(&rest[at + 1..])),
        None => (rest, 0),
    };
    // The value is `significand` * 10^`power`: zeros at its end are counted, not multiplied in.
    let (mut significand, mut length, mut zeros, mut behind_point): (i128, i64, i64, Option<i64>) = (0, 0, 0, None);
    for byte in digits {
        if *byte == b'.' {
            behind_point = Some(0);
            continue;
        }
        behind_point = behind_point.map(|count| count + 1);
        if *byte == b'0' {
            zeros += i64::from(length > 0);
            continue;
        }
        length += zeros + 1;
        if length <= 38 {
            significand = significand * 10i128.pow(zeros as u32 + 1) + i128::from(byte - b'0');
        }
        zeros = 0;
    }
    if length == 0 {
        return Ok(0);
    }
    let power = exponent + zeros - behind_point.unwrap_or(0) + i64::from(scale);
    if power < 0 {
        return Err(Unfit::Fraction);
    }
    if length + power > i64::from(precision) {
        return Err(Unfit::Range);
    }
    let value = significand * 10i128.pow(power as u32);
    Ok(if negative { -value } else { value })
}

#[inline(always)]
fn sign(literal: &[u8]) -> (bool, &[u8]) {
    match literal {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    }
}

/// What follows the `e`. Beyond any length of literal it makes no difference how large it is.
fn exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'+', digits @ ..] => (false, digits),
        _ => sign(text),
    };
    let add = |value: i64, digit: &u8| (value * 10 + i64::from(digit - b'0')).min(1 << 40);
    let value = digits.iter().fold(0, add);
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_exactly_or_refused() {
        for (literal, expected) in [
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("7", Ok(7)),
            ("-12", Ok(-12)),
            ("1357034400000", Ok(1_357_034_400_000)),
            ("999999999999999999", Ok(999_999_999_999_999_999)),
            ("9223372036854775807", Ok(i64::MAX)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(Unfit::Range)),
            ("-9223372036854775809", Err(Unfit::Range)),
            ("1.0", Ok(1)),
            ("1e3", Ok(1000)),
            ("1.50E+1", Ok(15)),
            ("1200e-2", Ok(12)),
            ("0.0e99999999999999999999", Ok(0)),
            ("1.5", Err(Unfit::Fraction)),
            ("1e-1", Err(Unfit::Fraction)),
            ("1e19", Err(Unfit::Range)),
            ("1e99999999999999999999", Err(Unfit::Range)),
            ("1e-99999999999999999999", Err(Unfit::Fraction)),
        ] {
            assert_eq!(int64(literal.as_bytes()), expected, "{literal}");
        }
    }

    #[test]
    fn doubles_are_the_nearest_ones() {
        for literal in [
            "0",
            "-0",
            "-0.0",
            "12.34",
            "0.1",
            "9007199254740993",
            "9007199254740992",
            "900719925474099.3",
            "1e22",
            "1e23",
            "5e-324",
            "1.7976931348623157e308",
            "123456789012345678901234567890",
            "2.2250738585072011e-308",
        ] {
            let expected: f64 = literal.parse().unwrap();
            assert_eq!(
                float64(literal.as_bytes()).map(f64::to_bits),
                Ok(expected.to_bits()),
                "{literal}"
            );
        }
        assert_eq!(float64(b"1e309"), Err(Unfit::Range));
        assert_eq!(float64(b"-1e99999999"), Err(Unfit::Range));
        assert_eq!(float64(b"1e-99999999"), Ok(0.0));
    }

    #[test]
    fn decimals_are_never_rounded() {
        for (literal, expected) in [
            ("12.34", Ok(1234)),
            ("-12.3", Ok(-1230)),
            ("12.3400", Ok(1234)),
            ("1234e-2", Ok(1234)),
            ("0.00", Ok(0)),
            ("99999999.99", Ok(9_999_999_999)),
            ("100000000", Err(Unfit::Range)),
            ("12.345", Err(Unfit::Fraction)),
            ("1e-3", Err(Unfit::Fraction)),
        ] {
            assert_eq!(scaled(literal.as_bytes(), 10, 2), expected, "{literal}");
        }
        let widest = "9".repeat(38);
        assert_eq!(scaled(widest.as_bytes(), 38, 0), Ok(10i128.pow(38) - 1));
        assert_eq!(scaled(b"1e37", 38, 0), Ok(10i128.pow(37)));
        assert_eq!(scaled(b"1e38", 38, 0), Err(Unfit::Range));
        assert_eq!(
            scaled(("1".to_string() + &"0".repeat(100_000)).as_bytes(), 38, 0),
            Err(Unfit::Range)
        );
        assert_eq!(
            scaled(("0.".to_string() + &"0".repeat(100_000) + "1").as_bytes(), 38, 2),
            Err(Unfit::Fraction)
        );
    }
}
