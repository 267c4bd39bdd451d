//! The steps of a chain, one file per declared operator. Each takes a batch and returns a batch; rows that cannot go on
//! are reported, never dropped in silence.

pub(crate) mod filter;

pub(crate) mod flat_map;

pub(crate) mod group;

pub(crate) mod map;

pub(crate) mod window;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};

use crate::batch::Batch;
use crate::expr::Failure;

/// A row that fell out of a step, by its position in the batch that the step was given.
pub(crate) struct Fallen {
    pub(crate) row: usize,
    pub(crate) message: &'static str,
}

/// The rows to go on with: all but those that failed in any of the evaluations.
pub(crate) struct Survivors {
    mask: Option<BooleanArray>,
}

impl Survivors {
    /// Reports every failed row once, with its first failure.
    pub(crate) fn of(rows: usize, mut failures: Vec<Failure>, fallen: &mut Vec<Fallen>) -> Self {
        if failures.is_empty() {
            return Self { mask: None };
        }
        failures.sort_by_key(|failure| failure.row);
        failures.dedup_by_key(|failure| failure.row);
        let mut keep = vec![true; rows];
        for failure in failures {
            keep[failure.row] = false;
            fallen.push(Fallen {
                row: failure.row,
                message: failure.message,
            });
        }
        Self {
            mask: Some(BooleanArray::from(keep)),
        }
    }

    /// The surviving rows of a column.
    pub(crate) fn column(&self, values: &ArrayRef) -> ArrayRef {
        match &self.mask {
            None => values.clone(),
            Some(mask) => arrow::compute::filter(values, mask).expect("the mask is as long as the batch"),
        }
    }

    /// The surviving rows of a batch.
    pub(crate) fn batch(&self, batch: Batch) -> Batch {
        match &self.mask {
            None => batch,
            Some(mask) => batch.filter(mask),
        }
    }

    /// Which rows survive, or None for all.
    pub(crate) fn mask(&self) -> Option<&BooleanArray> {
        self.mask.as_ref()
    }
}

/// A record batch whose columns fit the schema by construction of the plan. Keeps the row count of empty schemas.
pub(crate) fn record_batch(fields: &millrace_plan::Fields, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(fields.schema().clone(), columns, &options)
        .expect("the plan's output fields describe the operator's columns")
}
