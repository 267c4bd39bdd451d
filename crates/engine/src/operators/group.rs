//! Running aggregates a key: one result row for every row, in order, so that results do not depend on how the input is
//! cut into batches. State is never dropped here.

use arrow::array::{ArrayRef, BooleanArray};
use millrace_plan::{Fields, Group};

use crate::batch::Batch;
use crate::operators::{Fault, Keyed, Made, Now, StateSize, record_batch};
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

    fn add_row_by_row(
        &mut self,
        inputs: &Inputs<'_>,
        rows: usize,
        results: &mut [ColumnBuilder],
        faults: &mut Vec<(usize, Fault)>,
    ) -> BooleanArray {
        let mut add = |row| match self.groups.add_row(inputs, row) {
            Ok(group) => {
                self.groups.append_results(group..group + 1, results);
                true
            }
            Err(full) => {
                faults.push((row, Fault::Overflow(self.layout.overflow(full))));
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
}

impl Keyed for GroupOperator {
    /// Returns for every row its group's results right after the row. Results keep origins, times and watermarks of their
    /// rows.
    fn step(
        &mut self,
        batch: &Batch,
        arguments: &[Option<ArrayRef>],
        _now: Now,
        faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made> {
        let inputs = self.layout.inputs(batch, arguments);
        let mut results = self.layout.result_builders(batch.len());
        if self.groups.has_room(&inputs, batch.len()) {
            self.groups.add_and_emit(&inputs, batch.len(), &mut results);
            return Some(Made::Results(self.output(batch.clone(), results)));
        }
        let accepted = self.add_row_by_row(&inputs, batch.len(), &mut results, faults);
        Some(Made::Results(self.output(batch.filter(&accepted), results)))
    }

    fn size(&self) -> StateSize {
        StateSize {
            groups: self.groups.len(),
            windows: 0,
            bytes: self.groups.bytes(),
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.layout.save(out);
        self.groups.save(out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        self.layout.check(&mut reader)?;
        let groups = Groups::load(&self.layout, &mut reader).and_then(|groups| reader.end().map(|()| groups));
        self.groups = groups.map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
