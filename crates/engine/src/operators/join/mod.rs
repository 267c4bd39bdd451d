//! Rows joined with rows of another side: a table that never changes, or another stream.

mod stream;

mod table;

pub(crate) use stream::StreamJoinOperator;
pub(crate) use table::TableJoin;
