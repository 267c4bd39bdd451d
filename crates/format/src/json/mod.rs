//! JSON objects to columns and back (RFC 8259). Pure: bytes in, columns out.
//!
//! Decoding goes over a record twice. [`shape`] walks the whole document once: it checks the syntax of everything,
//! remembers where the needed values stand; [`names`] guesses the next member name from the record before. [`columns`]
//! then turns those places into values. Nothing is allocated per record unless the record is refused.

mod cells;
mod columns;
mod decode;
mod encode;
mod instant;
mod key;
mod list;
mod malformed;
mod names;
mod number;
mod reason;
mod rows;
mod scan;
mod shape;
mod text;

pub use decode::Decoder;
pub use encode::{BoundEncoder, Encoder};
pub use key::{BoundKeyEncoder, KeyEncoder};
pub(crate) use text::write as write_text;

/// Whether `text` is one number as JSON writes it.
pub(crate) fn is_number(text: &[u8]) -> bool {
    scan::number(text, 0) == Ok(text.len())
}
