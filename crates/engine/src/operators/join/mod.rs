//! Rows joined with rows of another side: a table, or another stream.

#[cfg_attr(not(test), expect(dead_code, reason = "for stages that read two streams"))]
mod stream;

mod live;
mod table;

pub(crate) use live::LiveTable;
pub(crate) use table::TableJoin;
