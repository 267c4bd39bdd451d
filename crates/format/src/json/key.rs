//! Rows to record keys: the text by which Kafka and every other reader tells keys apart.

use arrow::array::RecordBatch;
use millrace_plan::{Field, Fields};

use crate::json::encode::{BoundEncoder, Encoder};

/// Writes the record-key text of some fields: a single string field as its bare bytes, a single other field as its JSON
/// text, several fields as a JSON object in key order. A null is `null`.
#[derive(Debug)]
pub struct KeyEncoder {
    positions: Vec<usize>,
    names: Vec<String>,
    encoder: Encoder,
}

/// A [`KeyEncoder`] with the columns that it reads.
#[derive(Debug)]
pub struct BoundKeyEncoder<'a> {
    encoder: BoundEncoder<'a>,
    single: bool,
}

impl KeyEncoder {
    /// An encoder of the fields at `positions`, in this order.
    ///
    /// # Panics
    ///
    /// If there are no positions, or one of them is not a field's.
    pub fn new(fields: &Fields, positions: &[usize]) -> Self {
        assert!(!positions.is_empty(), "a key has at least one field");
        let keys: Vec<&Field> = positions.iter().map(|position| &fields[*position]).collect();
        Self {
            positions: positions.to_vec(),
            names: keys.iter().map(|field| field.name.clone()).collect(),
            encoder: Encoder::new(keys.into_iter()),
        }
    }

    /// Looks at the types of a batch once.
    ///
    /// # Panics
    ///
    /// If the columns are not of the types of the fields.
    pub fn bind<'a>(&'a self, columns: &'a RecordBatch) -> BoundKeyEncoder<'a> {
        let columns = columns.columns();
        let keys = self.positions.iter().map(|position| &columns[*position]);
        BoundKeyEncoder {
            encoder: self.encoder.bind_columns(keys),
            single: self.positions.len() == 1,
        }
    }

    /// What a record key should have been.
    #[cold]
    pub(super) fn expectation(&self, missing: bool) -> String {
        let wanted = match self.names.as_slice() {
            [name] => format!("the value of field `{name}`"),
            names => format!("the JSON object of fields `{}`", names.join("`, `")),
        };
        if missing {
            format!("record key is missing, should be {wanted}")
        } else {
            format!("record key is not {wanted}")
        }
    }
}

impl BoundKeyEncoder<'_> {
    /// Appends the key of one row.
    ///
    /// # Panics
    ///
    /// If the batch has no such row.
    #[inline]
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        if !self.single {
            return self.encoder.write(row, out);
        }
        match self.text(row) {
            Some(text) => out.extend_from_slice(text),
            None => self.encoder.single().write(row, out),
        }
    }

    /// Whether `key` is the key of the row. Overwrites `scratch`.
    #[inline]
    pub(super) fn is(&self, row: usize, key: &[u8], scratch: &mut Vec<u8>) -> bool {
        if self.single
            && let Some(text) = self.text(row)
        {
            return text == key;
        }
        scratch.clear();
        self.write(row, scratch);
        scratch == key
    }

    /// The bare text of a row, if it is one string and not null.
    #[inline]
    fn text(&self, row: usize) -> Option<&[u8]> {
        let cells = self.encoder.single();
        if cells.is_null(row) { None } else { cells.text(row) }
    }
}
