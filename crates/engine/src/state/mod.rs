//! What operators remember between records: group keys, their accumulators, and the bytes of both. No I/O, and nothing
//! here depends on the order in which a hash table iterates: groups are numbered by first arrival.

pub(crate) mod codec;

mod columns;

mod groups;

mod expiring;

mod item;

mod keys;

mod members;

mod shape;

mod index;

mod places;

mod view;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use columns::{Built, ColumnBuilder, ListColumn};
pub(crate) use expiring::{Entries, Expiring};
pub(crate) use groups::{Groups, Inputs, Layout};
pub(crate) use item::{Item, Kept, width};
pub(crate) use keys::{KeyColumns, Keys, check as check_row, decode as decode_row, encode as encode_row};
pub(crate) use members::Members;
pub(crate) use places::Places;
pub(crate) use shape::{save_shape, saved_shape, saved_shape_is};
pub(crate) use view::{Rows, Values, View};
