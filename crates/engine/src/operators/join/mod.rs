//! Rows joined with rows of another side: a table, or another stream.

mod stream;

mod live;
mod table;

pub(crate) use live::LiveTable;
pub(crate) use stream::StreamJoinOperator;
pub(crate) use table::TableJoin;
