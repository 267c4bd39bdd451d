//! What is wrong with a document, in words: a byte position and what was expected there, never what was found.

use std::fmt;

use crate::json::scan::MAX_DEPTH;

/// What is wrong with a document, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    at: u32,
    why: Why,
}

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Utf8,
    NotAnObject,
    Trailing,
    Value,
    Number,
    String,
    Escape,
    Surrogate,
    Name,
    Colon,
    NextMember,
    NextItem,
    Depth,
    Twice,
}

impl Malformed {
    #[cold]
    pub(super) fn new(at: usize, why: Why) -> Self {
        Self { at: at as u32, why }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.why {
            Why::Utf8 => "invalid UTF-8",
            Why::NotAnObject => "not a JSON object",
            Why::Trailing => "more after the JSON object",
            Why::Value => "invalid JSON: expected a value",
            Why::Number => "invalid JSON: broken number",
            Why::String => "invalid JSON: unfinished string or control character in it",
            Why::Escape => "invalid JSON: unknown escape",
            Why::Surrogate => "invalid JSON: half of a surrogate pair",
            Why::Name => "invalid JSON: expected a member name",
            Why::Colon => "invalid JSON: expected `:`",
            Why::NextMember => "invalid JSON: expected `,` or `}`",
            Why::NextItem => "invalid JSON: expected `,` or `]`",
            Why::Depth => return write!(out, "nested deeper than {MAX_DEPTH} at byte {}", self.at),
            Why::Twice => "a needed member for the second time",
        };
        write!(out, "{what} at byte {}", self.at)
    }
}
