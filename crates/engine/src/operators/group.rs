//! Running aggregates a key: one result row for every row, in order, so that results do not depend on how the input is
//! cut into batches. State is never dropped here.

use arrow::array::{ArrayRef, BooleanArray};
use millrace_plan::{Fields, Group};

use crate::batch::Batch;
use crate::operators::record_batch;
use crate::state::codec::Reader;
use crate::state::{ColumnBuilder, Groups, Inputs, Layout};

/// The groups of one partition.
pub(crate) struct GroupOperator {
    layout: Layout,
    output: Fields,
    groups: Groups,
}

impl GroupOperator {
    pub(crate) fn new(spec: &Group, input: &Fields, output: &Fields) -> Self {
        let layout = Layout::new(None, &spec.keys, &spec.aggregates, input);
        Self {
            groups: Groups::new(&layout),
            layout,
            output: output.clone(),
        }
    }

    /// Returns for every row its group's results right after the row. `arguments[i]` belongs to the aggregate `i`; None
    /// counts rows. A row with which an aggregate would overflow goes to `reject(row, message)`: it leaves no trace in
    /// the state and has no result. Results keep origins, times and watermarks of their rows.
    pub(crate) fn step(
        &mut self,
        batch: &Batch,
        arguments: &[Option<ArrayRef>],
        reject: &mut dyn FnMut(usize, String),
    ) -> Batch {
        let inputs = self.layout.inputs(&batch.columns, arguments);
        let mut results = self.layout.result_builders(batch.len());
        if self.groups.has_room(&inputs, batch.len()) {
            self.groups.add_and_emit(&inputs, batch.len(), &mut results);
            return self.output(batch.clone(), results);
        }
        let accepted = self.add_row_by_row(&inputs, batch.len(), &mut results, reject);
        self.output(batch.filter(&accepted), results)
    }

    fn add_row_by_row(
        &mut self,
        inputs: &Inputs<'_>,
        rows: usize,
        results: &mut [ColumnBuilder],
        reject: &mut dyn FnMut(usize, String),
    ) -> BooleanArray {
        let mut add = |row| match self.groups.add_row(inputs, row) {
            Ok(group) => {
                self.groups.append_results(group..group + 1, results);
                true
            }
            Err(full) => {
                reject(row, self.layout.overflow(full));
                false
            }
        };
        BooleanArray::from((0..rows).map(&mut add).collect::<Vec<_>>())
    }

    fn output(&self, accepted: Batch, results: Vec<ColumnBuilder>) -> Batch {
        let results = results.into_iter().map(|mut results| results.finish());
        let columns = self
            .layout
            .key_columns(&accepted.columns)
            .into_iter()
            .chain(results)
            .collect();
        Batch {
            columns: record_batch(&self.output, columns, accepted.len()),
            ..accepted
        }
    }

    /// Number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.groups.bytes()
    }

    /// Appends the state. Equal histories give equal bytes.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.layout.save(out);
        self.groups.save(out);
    }

    /// Replaces the state by a saved one. On an error, which says what does not fit, the state stays as it was.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        self.layout.check(&mut reader)?;
        let groups = Groups::load(&self.layout, &mut reader).and_then(|groups| reader.end().map(|()| groups));
        self.groups = groups.map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
