//! Decoded rows on their way through the operators.

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};

/// Rows with what must travel beside their columns. All parts have the same length, but for `origins`.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The fields, as the plan has them at this place.
    pub columns: RecordBatch,
    /// For each row the position, in the step's input, of the record that it was made from. Ascending. Empty for rows
    /// made by windows.
    pub origins: Vec<u32>,
    /// Event time of each row, milliseconds since the epoch.
    pub times: Vec<i64>,
    /// The partition's watermark when the row's record had been seen.
    pub watermarks: Vec<i64>,
}

impl Batch {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// The input record that a row was made from, if it was made from one.
    pub(crate) fn origin(&self, row: usize) -> Option<u32> {
        self.origins.get(row).copied()
    }

    /// The rows for which `mask` is true.
    pub(crate) fn filter(&self, mask: &BooleanArray) -> Self {
        Self {
            columns: filter_record_batch(&self.columns, mask).expect("the mask is as long as the batch"),
            origins: keep(&self.origins, mask),
            times: keep(&self.times, mask),
            watermarks: keep(&self.watermarks, mask),
        }
    }

    /// The rows at `rows`, in that order; a row may come several times.
    pub(crate) fn take(&self, rows: &UInt32Array) -> Self {
        Self {
            columns: take_record_batch(&self.columns, rows).expect("rows lie within the batch"),
            origins: pick(&self.origins, rows),
            times: pick(&self.times, rows),
            watermarks: pick(&self.watermarks, rows),
        }
    }
}

/// The values for which `mask` is true; nothing of an empty list.
pub(crate) fn keep<T: Copy>(values: &[T], mask: &BooleanArray) -> Vec<T> {
    if values.is_empty() {
        return Vec::new();
    }
    mask.values().set_indices().map(|at| values[at]).collect()
}

/// The values at `rows`; nothing of an empty list.
pub(crate) fn pick<T: Copy>(values: &[T], rows: &UInt32Array) -> Vec<T> {
    if values.is_empty() {
        return Vec::new();
    }
    rows.values().iter().map(|at| values[*at as usize]).collect()
}
