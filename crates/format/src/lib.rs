//! Bytes to columns and back, for every format that a spec can name. Pure: no network, no disk, no clock.

mod decoded;
mod json;
mod record;
mod table;

pub use decoded::{Decoded, Refusal, Refused};
pub use json::{BoundEncoder, BoundKeyEncoder, Decoder, Encoder, KeyEncoder};
pub use record::Record;
pub use table::{ChangeDecoder, TableChanges, TableFault, TableRows};
