//! The grammar: where values, strings and numbers end. Looks at every byte, keeps none, never recurses.
//!
//! Functions take the document and a position and return the position after what they accepted.

use crate::json::malformed::{Malformed, Why};
use crate::json::text::{HIGHS, ONES, hex, next_special};

/// Deepest nesting; the outermost object counts as one.
pub(super) const MAX_DEPTH: u32 = 128;

/// What a JSON value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not there.
    #[default]
    Missing,
    Null,
    True,
    False,
    Number,
    /// Without escapes: its bytes are its text.
    Text,
    /// With escapes.
    EscapedText,
    Object,
    Array,
}

/// Where a value stands in the document. Strings: what is between the quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) kind: Kind,
}

impl Slot {
    #[inline]
    pub(super) fn new(kind: Kind, start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
            kind,
        }
    }

    #[inline]
    pub(super) fn bytes<'a>(&self, document: &'a [u8]) -> &'a [u8] {
        &document[self.start as usize..self.end as usize]
    }
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Null => "null",
            Self::True | Self::False => "boolean",
            Self::Number => "number",
            Self::Text | Self::EscapedText => "string",
            Self::Object => "object",
            Self::Array => "array",
        }
    }
}

#[inline(always)]
pub(super) fn space(document: &[u8], at: usize) -> usize {
    match document.get(at) {
        Some(&byte) if byte <= b' ' => more_space(document, at),
        _ => at,
    }
}

fn more_space(document: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = document.get(at) {
        at += 1;
    }
    at
}

/// A value that starts at `at`, inside `depth` open containers: where it stands, and the position after it.
#[inline(always)]
pub(super) fn value(document: &[u8], at: usize, depth: u32) -> Result<(Slot, usize), Malformed> {
    match document.get(at) {
        Some(b'"') => {
            let (end, escaped) = string(document, at + 1)?;
            let kind = if escaped { Kind::EscapedText } else { Kind::Text };
            Ok((Slot::new(kind, at + 1, end), end + 1))
        }
        Some(b'-' | b'0'..=b'9') => spanned(Kind::Number, at, number(document, at)?),
        Some(b'{') => spanned(Kind::Object, at, container(document, at, depth)?),
        Some(b'[') => spanned(Kind::Array, at, container(document, at, depth)?),
        _ => {
            let (kind, end) = literal(document, at)?;
            spanned(kind, at, end)
        }
    }
}

#[inline(always)]
fn spanned(kind: Kind, start: usize, end: usize) -> Result<(Slot, usize), Malformed> {
    Ok((Slot::new(kind, start, end), end))
}

#[inline]
fn literal(document: &[u8], at: usize) -> Result<(Kind, usize), Malformed> {
    let rest = document.get(at..).unwrap_or_default();
    if rest.starts_with(b"true") {
        Ok((Kind::True, at + 4))
    } else if rest.starts_with(b"false") {
        Ok((Kind::False, at + 5))
    } else if rest.starts_with(b"null") {
        Ok((Kind::Null, at + 4))
    } else {
        Err(Malformed::new(at, Why::Value))
    }
}

/// A string whose opening quote stands before `at`: the position of the closing quote, and whether it has escapes.
#[inline(always)]
pub(super) fn string(document: &[u8], at: usize) -> Result<(usize, bool), Malformed> {
    let end = next_special(document, at);
    match document.get(end) {
        Some(b'"') => Ok((end, false)),
        Some(b'\\') => Ok((escaped_string(document, end)?, true)),
        _ => Err(Malformed::new(end, Why::String)),
    }
}

/// The rest of a string from its first backslash on.
fn escaped_string(document: &[u8], mut at: usize) -> Result<usize, Malformed> {
    loop {
        at = match (document.get(at), document.get(at + 1)) {
            (Some(b'"'), _) => return Ok(at),
            (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => at + 2,
            (Some(b'\\'), Some(b'u')) if hex(document, at + 2).is_some() => at + 6,
            (Some(b'\\'), _) => return Err(Malformed::new(at, Why::Escape)),
            _ => return Err(Malformed::new(at, Why::String)),
        };
        at = next_special(document, at);
    }
}

/// A number that starts at `at`.
#[inline(always)]
pub(super) fn number(document: &[u8], at: usize) -> Result<usize, Malformed> {
    let first = if document.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut end = match document.get(first) {
        Some(b'0') => first + 1,
        _ => digits(document, first)?,
    };
    if document.get(end) == Some(&b'.') {
        end = digits(document, end + 1)?;
    }
    if let Some(b'e' | b'E') = document.get(end) {
        let sign = matches!(document.get(end + 1), Some(b'+' | b'-'));
        end = digits(document, end + 1 + usize::from(sign))?;
    }
    Ok(end)
}

/// One digit or more.
#[inline(always)]
fn digits(document: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut end = at;
    loop {
        let Some(chunk) = document.get(end..).and_then(|rest| rest.first_chunk::<8>()) else {
            while let Some(b'0'..=b'9') = document.get(end) {
                end += 1;
            }
            break;
        };
        let others = other_than_digits(u64::from_le_bytes(*chunk));
        if others != 0 {
            end += (others.trailing_zeros() / 8) as usize;
            break;
        }
        end += 8;
    }
    if end == at {
        Err(Malformed::new(at, Why::Number))
    } else {
        Ok(end)
    }
}

/// Sets the high bit of each byte that is not a digit. Only the lowest set bit is exact: a hit may carry into the bytes
/// above it.
#[inline(always)]
fn other_than_digits(word: u64) -> u64 {
    let values = word ^ (ONES * 0x30);
    (values.wrapping_add(ONES * 0x76) | values) & HIGHS
}

/// A member name that must start at `at`, and the colon: as [`string`] the end of the name, then where the value starts.
#[inline]
pub(super) fn name(document: &[u8], at: usize) -> Result<(usize, bool, usize), Malformed> {
    if document.get(at) != Some(&b'"') {
        return Err(Malformed::new(at, Why::Name));
    }
    let (end, escaped) = string(document, at + 1)?;
    let colon = space(document, end + 1);
    if document.get(colon) != Some(&b':') {
        return Err(Malformed::new(colon, Why::Colon));
    }
    Ok((end, escaped, space(document, colon + 1)))
}

/// An object or array that starts at `at`, inside `outer` open containers. Keeps one bit per open container instead of
/// a stack frame, so that depth costs nothing.
fn container(document: &[u8], mut at: usize, outer: u32) -> Result<usize, Malformed> {
    let mut depth = outer;
    let mut objects: u128 = 0;
    loop {
        let opened = match document.get(at) {
            Some(b'{') => Some((1, b'}')),
            Some(b'[') => Some((0, b']')),
            _ => None,
        };
        if let Some((object, close)) = opened {
            if depth >= MAX_DEPTH {
                return Err(Malformed::new(at, Why::Depth));
            }
            depth += 1;
            objects = objects << 1 | object;
            at = space(document, at + 1);
            if document.get(at) != Some(&close) {
                at = if object == 1 { name(document, at)?.2 } else { at };
                continue;
            }
        } else {
            at = scalar(document, at)?;
        }
        // A scalar has ended before `at`, or an empty container is about to end at it.
        loop {
            at = space(document, at);
            let object = objects & 1 == 1;
            match document.get(at) {
                Some(b',') if object => {
                    at = name(document, space(document, at + 1))?.2;
                    break;
                }
                Some(b',') => {
                    at = space(document, at + 1);
                    break;
                }
                Some(b'}') if object => (),
                Some(b']') if !object => (),
                _ => return Err(Malformed::new(at, if object { Why::NextMember } else { Why::NextItem })),
            }
            at += 1;
            objects >>= 1;
            depth -= 1;
            if depth == outer {
                return Ok(at);
            }
        }
    }
}

#[inline(always)]
fn scalar(document: &[u8], at: usize) -> Result<usize, Malformed> {
    match document.get(at) {
        Some(b'"') => Ok(string(document, at + 1)?.0 + 1),
        Some(b'-' | b'0'..=b'9') => number(document, at),
        _ => Ok(literal(document, at)?.1),
    }
}
