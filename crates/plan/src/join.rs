//! Joins, checked and typed.

use crate::Fields;

/// Fields of a table for every row. Output: the input's fields, then those of `fields`.
#[derive(Clone, Debug)]
pub struct Join {
    /// The other side.
    pub table: Table,
    /// Positions of the input fields that must equal the table's key, in its order and of its types.
    pub on: Vec<usize>,
    /// Whether a row without a match goes on, with NULL in the added fields.
    pub keeps_unmatched: bool,
    /// Positions in `table.fields` of the fields to add.
    pub fields: Vec<usize>,
}

/// Rows that are read whole before the first record.
#[derive(Clone, Debug)]
pub struct Table {
    /// For messages.
    pub name: String,
    /// Where it is.
    pub origin: TableOrigin,
    /// How rows are written.
    pub format: TableFormat,
    /// The fields of a row; where the format is CSV, the path of each is the name of its column.
    pub fields: Fields,
    /// Positions of the key fields in `fields`: never empty, never nullable.
    pub key: Vec<usize>,
    /// Position of the field, a `Timestamp`, from which on a row holds. None: a key has one row.
    pub valid_from: Option<usize>,
}

/// Where a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableOrigin {
    /// A file; a path that is not absolute begins where the manifest is.
    File(String),
    /// A key of a ConfigMap, found as the file `<config-maps-dir>/<name>/<key>`. Neither part can leave that directory.
    ConfigMap {
        /// Name of the ConfigMap.
        name: String,
        /// Key within it.
        key: String,
    },
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// RFC 4180 with a header.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl Table {
    /// Bytes that a table may have.
    pub const MAX_BYTES: usize = 64 << 20;
    /// Rows that a table may have.
    pub const MAX_ROWS: usize = 1_000_000;
}

impl std::fmt::Display for TableOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {path}"),
            Self::ConfigMap { name, key } => write!(f, "ConfigMap `{name}`, key `{key}`"),
        }
    }
}
