//! What operators remember between records: group keys, their accumulators, and the bytes of both. No I/O, and nothing
//! here depends on the order in which a hash table iterates: groups are numbered by first arrival.

pub(crate) mod codec;

mod columns;

mod groups;

mod keys;

mod shape;

mod index;

mod view;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use columns::{Built, ColumnBuilder};
pub(crate) use groups::{Groups, Inputs, Layout};
pub(crate) use keys::{Keys, decode, encode};
pub(crate) use shape::{save_shape, saved_shape};
pub(crate) use view::{Rows, Values, View};
