//! Rows joined with rows of another side: a table that never changes, or another stream.

#[cfg_attr(not(test), expect(dead_code, reason = "for stages that read two streams"))]
mod stream;

mod table;

pub(crate) use table::TableJoin;
