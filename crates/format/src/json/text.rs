//! JSON strings: finding the end, resolving escapes, writing them. Works on bytes that are valid UTF-8 already.

use crate::json::malformed::{Malformed, Why};

pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Position of the first quote, backslash or control character at or after `at`; the length if there is none.
#[inline(always)]
pub(super) fn next_special(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let special = specials(u64::from_le_bytes(*chunk));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

/// Sets the high bit of each byte that is a quote, a backslash or below 0x20. Only the lowest set bit is exact: a hit
/// may borrow from the bytes above it.
#[inline(always)]
fn specials(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let hits = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    hits & HIGHS
}

/// Appends the text of `document[start..end]`, what stands between the quotes of a string whose escapes are well formed.
/// On an error some of the text may have been appended.
pub(super) fn unescape(document: &[u8], start: usize, end: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let text = &document[..end];
    let mut at = start;
    loop {
        let run = next_special(text, at);
        out.extend_from_slice(&text[at..run]);
        let Some(&escape) = text.get(run + 1) else {
            return Ok(());
        };
        at = run + 2;
        let plain = match escape {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                at = unescape_unicode(text, run, out)?;
                continue;
            }
            other => other,
        };
        out.push(plain);
    }
}

/// Appends the character whose `\uXXXX` starts at `at`, a surrogate pair as one, and returns where it ends.
fn unescape_unicode(text: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Malformed> {
    let lone = || Malformed::new(at, Why::Surrogate);
    let unit = hex(text, at + 2).ok_or_else(lone)?;
    let (code, end) = match unit {
        0xd800..=0xdbff if text[at + 6..].starts_with(b"\\u") => match hex(text, at + 8) {
            Some(low @ 0xdc00..=0xdfff) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), at + 12),
            _ => return Err(lone()),
        },
        _ => (unit, at + 6),
    };
    let character = char::from_u32(code).ok_or_else(lone)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(end)
}

/// The four hex digits at `at`.
pub(super) fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits
        .iter()
        .try_fold(0, |value, &digit| Some(value << 4 | (digit as char).to_digit(16)?))
}

/// Appends `text` as a JSON string, quotes included. Escapes only what must be.
#[inline]
pub(crate) fn write(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut at = 0;
    loop {
        let run = next_special(text, at);
        out.extend_from_slice(&text[at..run]);
        let Some(&special) = text.get(run) else { break };
        write_escape(special, out);
        at = run + 1;
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[(byte >> 4) as usize],
                HEX[(byte & 15) as usize],
            ]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(text: &str) -> Result<String, Malformed> {
        let mut out = Vec::new();
        unescape(text.as_bytes(), 0, text.len(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_special_byte_is_found_at_every_place() {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    let special = byte == b'"' || byte == b'\\' || byte < 0x20;
                    assert_eq!(
                        next_special(&bytes, 0),
                        if special { place } else { length },
                        "{byte} at {place}"
                    );
                }
            }
        }
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescaped(r#"plain"#).unwrap(), "plain");
        assert_eq!(unescaped(r#"\"\\\/\b\f\n\r\t"#).unwrap(), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(unescaped(r#"a\u00e9\u20AC\ud83d\ude00z"#).unwrap(), "aé€😀z");
        assert_eq!(unescaped(r#"\u0000"#).unwrap(), "\0");
    }

    #[test]
    fn lone_surrogates_are_refused() {
        for text in [
            r"\ud83d",
            r"\ude00",
            r"\ud83dx",
            r"\ud83d\n",
            r"\ud83d\ud83d",
            r"\ud83d\u0041",
        ] {
            assert_eq!(unescaped(text), Err(Malformed::new(0, Why::Surrogate)), "{text}");
        }
    }

    #[test]
    fn only_what_must_be_is_escaped() {
        let mut out = Vec::new();
        write("a\"b\\c/\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}é".as_bytes(), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}é\""
        );
    }
}
