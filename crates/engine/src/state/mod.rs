//! What operators remember between records: group keys, their accumulators, and the bytes of both. No I/O, and nothing
//! here depends on the order in which a hash table iterates: groups are numbered by first arrival.

pub(crate) mod codec;

mod columns;

mod groups;

mod item;

mod keys;

mod members;

mod shape;

mod index;

mod view;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use columns::{Built, ColumnBuilder, ListColumn};
pub(crate) use groups::{Groups, Inputs, Layout};
pub(crate) use item::{Item, Kept, width};
pub(crate) use members::Members;
pub(crate) use shape::{save_shape, saved_shape};
pub(crate) use view::{Rows, Values, View};
