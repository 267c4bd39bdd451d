//! Rows joined with rows of another side.

mod table;

pub(crate) use table::TableJoin;
