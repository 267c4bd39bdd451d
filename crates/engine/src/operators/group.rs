//! Running aggregates a key: one result row for every row, in order, so that results do not depend on how the input is
//! cut into batches. State is dropped only where the spec says for how long a group is kept.

use arrow::array::{ArrayRef, BooleanArray};
use millrace_plan::{Fields, Group, Ttl};

use crate::batch::Batch;
use crate::operators::{Fault, Keyed, Made, Now, StateSize, record_batch};
use crate::state::codec::{CodecError, Reader};
use crate::state::{ColumnBuilder, Expiring, Groups, Inputs, Layout};

/// The groups of one partition.
pub(crate) struct GroupOperator {
    layout: Layout,
    output: Fields,
    groups: Kept,
}

/// For how long.
enum Kept {
    Forever(Groups),
    For(Ttl, Box<Expiring<Groups>>),
}

impl GroupOperator {
    pub(crate) fn new(spec: &Group, input: &Fields, output: &Fields) -> Self {
        let layout = Layout::new(None, &spec.keys, &spec.aggregates, input).kept(spec.ttl);
        Self {
            groups: match spec.ttl {
                None => Kept::Forever(Groups::new(&layout)),
                Some(ttl) => Kept::For(ttl, Box::new(Expiring::new(&layout))),
            },
            layout,
            output: output.clone(),
        }
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
        now: Now,
        faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made> {
        let inputs = self.layout.inputs(batch, arguments);
        let mut results = self.layout.result_builders(batch.len());
        let accepted = self.groups.add(&inputs, batch, now, &mut results);
        if let Kept::For(ttl, groups) = &mut self.groups {
            groups.clean(now.of(ttl.time), batch.len(), &self.layout);
        }
        let accepted = match accepted {
            Ok(()) => batch.clone(),
            Err(full) => {
                let fault = |(row, full)| (row, Fault::Overflow(self.layout.overflow(full)));
                let mut keep = vec![true; batch.len()];
                full.iter().for_each(|(row, _)| keep[*row] = false);
                faults.extend(full.into_iter().map(fault));
                batch.filter(&BooleanArray::from(keep))
            }
        };
        Some(Made::Results(self.output(accepted, results)))
    }

    fn take_expired(&mut self) -> u64 {
        match &mut self.groups {
            Kept::Forever(_) => 0,
            Kept::For(_, groups) => groups.take_expired(),
        }
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
        match &self.groups {
            Kept::Forever(groups) => groups.save(out),
            Kept::For(_, groups) => groups.save(&self.layout, out),
        }
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader::new(bytes);
        self.layout.check(&mut reader)?;
        let groups = self
            .groups
            .load(&self.layout, &mut reader)
            .and_then(|groups| reader.end().map(|()| groups));
        self.groups = groups.map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl Kept {
    /// Adds all rows and appends the results after each; or returns the rows that were left out, each with the aggregate
    /// that would overflow.
    fn add(
        &mut self,
        inputs: &Inputs<'_>,
        batch: &Batch,
        now: Now,
        results: &mut [ColumnBuilder],
    ) -> Result<(), Vec<(usize, usize)>> {
        let mut full = Vec::new();
        let mut add_row = |groups: &mut Groups, row, group: Result<usize, usize>| match group {
            Ok(group) => groups.append_results(group..group + 1, results),
            Err(aggregate) => full.push((row, aggregate)),
        };
        if let Self::For(_, groups) = self {
            groups.settle_all(inputs.keys(), batch.len());
        }
        let roomy = self.groups().has_room(inputs, batch.len());
        match self {
            Self::Forever(groups) if roomy => groups.add_and_emit(inputs, batch.len(), results),
            Self::Forever(groups) => {
                for row in 0..batch.len() {
                    let added = groups.add_row(inputs, row);
                    add_row(groups, row, added);
                }
            }
            Self::For(ttl, groups) if roomy => {
                let enter = |row| {
                    let (now, time) = now.at(ttl.time, batch, row);
                    groups.enter(inputs.keys(), row, now, time.saturating_add(ttl.after)).0
                };
                let numbers: Vec<u32> = (0..batch.len()).map(enter).collect();
                groups.entries().add_all_and_emit(inputs, &numbers, results);
            }
            Self::For(ttl, groups) => {
                for row in 0..batch.len() {
                    let (now, time) = now.at(ttl.time, batch, row);
                    let group = groups.find(inputs.keys(), row, now);
                    let added = groups.entries().check_room(inputs, row, group).map(|()| {
                        let (group, _) = groups.enter(inputs.keys(), row, now, time.saturating_add(ttl.after));
                        groups.entries().add_row_to(inputs, row, group);
                        group as usize
                    });
                    add_row(groups.entries(), row, added);
                }
            }
        }
        if full.is_empty() { Ok(()) } else { Err(full) }
    }

    fn groups(&mut self) -> &mut Groups {
        match self {
            Self::Forever(groups) => groups,
            Self::For(_, groups) => groups.entries(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Forever(groups) => groups.len(),
            Self::For(_, groups) => groups.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Forever(groups) => groups.bytes(),
            Self::For(_, groups) => groups.bytes(),
        }
    }

    /// What was saved, kept for as long as this is.
    fn load(&self, layout: &Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(match self {
            Self::Forever(_) => Self::Forever(Groups::load(layout, reader)?),
            Self::For(ttl, _) => Self::For(*ttl, Box::new(Expiring::load(layout, reader)?)),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
