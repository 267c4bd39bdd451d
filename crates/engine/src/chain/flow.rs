//! A batch between two operators, with the record keys of its rows where they are no longer those of the input records.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::concat_batches;
use millrace_plan::Fields;

use crate::batch::{Batch, keep, pick};
use crate::effects::Bytes;
use crate::operators::Picked;
use crate::operators::flat_map::Flattened;

/// Rows and their record keys.
#[derive(Clone)]
pub(super) struct Flow {
    pub(super) batch: Batch,
    /// For each row its record key; None while rows keep the key of the record that they were made from.
    pub(super) keys: Option<Vec<Bytes>>,
}

impl Flow {
    pub(super) fn of_records(batch: Batch) -> Self {
        Self { batch, keys: None }
    }

    pub(super) fn keyed(batch: Batch, keys: Vec<Bytes>) -> Self {
        Self {
            batch,
            keys: Some(keys),
        }
    }

    pub(super) fn empty(fields: &Fields) -> Self {
        let columns = RecordBatch::new_empty(fields.schema().clone());
        let batch = Batch {
            columns,
            origins: Vec::new(),
            times: Vec::new(),
            watermarks: Vec::new(),
        };
        Self { batch, keys: None }
    }

    /// These rows and then others of the same fields, all with keys of their own.
    pub(super) fn then(self, other: Self) -> Self {
        if other.batch.len() == 0 {
            return self;
        }
        if self.batch.len() == 0 {
            return other;
        }
        let columns = [&self.batch.columns, &other.batch.columns];
        let columns = concat_batches(&columns[0].schema(), columns).expect("both have the same fields");
        Self {
            batch: Batch {
                columns,
                // Rows that were made at the end of the input come from no record.
                origins: Vec::new(),
                times: [self.batch.times, other.batch.times].concat(),
                watermarks: [self.batch.watermarks, other.batch.watermarks].concat(),
            },
            keys: self.keys.zip(other.keys).map(|(keys, others)| [keys, others].concat()),
        }
    }

    /// The same rows with these columns.
    pub(super) fn project(mut self, columns: &[usize]) -> Self {
        let projected = self.batch.columns.project(columns);
        self.batch.columns = projected.expect("the plan says which of the columns there are go on");
        self
    }

    /// The rows for which `mask` is true.
    pub(super) fn filter(&self, mask: &BooleanArray) -> Self {
        let keys = self.keys.as_ref().map(|keys| keep(keys, mask));
        Self {
            batch: self.batch.filter(mask),
            keys,
        }
    }

    /// The same rows, or those of `survived`, in another shape.
    pub(super) fn became(&self, batch: Batch, survived: Option<&BooleanArray>) -> Self {
        let keys = self.keys.as_ref().map(|keys| match survived {
            None => keys.clone(),
            Some(mask) => keep(keys, mask),
        });
        Self { batch, keys }
    }

    /// Some of the rows, in another shape.
    pub(super) fn picked(&self, picked: Picked) -> Self {
        let keys = self.keys.as_ref().map(|keys| pick(keys, &picked.rows));
        Self {
            batch: picked.batch,
            keys,
        }
    }

    /// Rows made from rows.
    pub(super) fn flattened(&self, flattened: Flattened) -> Self {
        let keys = self.keys.as_ref().map(|keys| pick(keys, &flattened.parents));
        Self {
            batch: flattened.batch,
            keys,
        }
    }
}
