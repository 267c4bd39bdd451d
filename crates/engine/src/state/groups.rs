//! Keys with their accumulators: what a running aggregate has one of, and a window operator one per open window.

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch};
use millrace_plan::{Aggregate, AggregateFunction, FieldType, Fields, Ttl, Window};

use crate::aggregate::{Accumulator, Argument, Peak, xxh64};
use crate::batch::Batch;
use crate::state::codec::{CodecError, Reader};
use crate::state::expiring::Entries;
use crate::state::keys::Keys;
use crate::state::{ColumnBuilder, Rows, View, save_shape, saved_shape_is};

/// What the plan says about groups: made once per operator.
pub(crate) struct Layout {
    /// Positions of the key fields in the input.
    keys: Vec<usize>,
    key_types: Vec<FieldType>,
    pub(super) aggregates: Vec<Aggregate>,
    /// What the state means.
    shape: Vec<String>,
}

/// A batch as groups take it in.
pub(crate) struct Inputs<'a> {
    pub(crate) keys: Vec<View<'a>>,
    /// One for each aggregate.
    pub(super) arguments: Vec<Argument<'a>>,
    pub(super) peaks: Vec<Peak>,
}

/// Groups, numbered by first arrival, and their accumulators.
pub(crate) struct Groups {
    keys: Keys,
    accumulators: Vec<Accumulator>,
    /// The groups of the rows at hand, kept for its memory.
    numbers: Vec<u32>,
}

impl Layout {
    pub(crate) fn new(window: Option<&Window>, keys: &[usize], aggregates: &[Aggregate], input: &Fields) -> Self {
        Self {
            keys: keys.to_vec(),
            key_types: keys.iter().map(|key| input[*key].field_type.clone()).collect(),
            aggregates: aggregates.to_vec(),
            shape: millrace_plan::shape(window, keys, aggregates, input),
        }
    }

    /// The same for groups that are kept for a time.
    pub(crate) fn kept(mut self, ttl: Option<Ttl>) -> Self {
        self.shape.extend(ttl.map(|ttl| ttl.shape()));
        self
    }

    /// `arguments` are the columns that the aggregates read, evaluated over `batch`: for each aggregate its argument (None
    /// for `count` of rows), and if it has one, what it is ordered by.
    pub(crate) fn inputs<'a>(&self, batch: &'a Batch, arguments: &'a [Option<ArrayRef>]) -> Inputs<'a> {
        let keys = self
            .keys
            .iter()
            .map(|key| View::of(batch.columns.column(*key)))
            .collect();
        let mut columns = arguments.iter();
        let mut view = || {
            let column = columns.next().expect("every aggregate has its columns");
            column.as_ref().map_or(View::ROWS, View::of)
        };
        let argument = |aggregate: &Aggregate| {
            let values = view();
            Argument {
                values,
                by: if aggregate.by.is_some() { view() } else { values },
                times: &batch.times,
            }
        };
        let arguments: Vec<_> = self.aggregates.iter().map(argument).collect();
        let peak = |(aggregate, argument): (&Aggregate, &Argument<'_>)| match needs_peak(aggregate.function) {
            true => Peak::of(argument.values),
            false => Peak::Unknown,
        };
        let peaks = self.aggregates.iter().zip(&arguments).map(peak).collect();
        Inputs { keys, arguments, peaks }
    }

    /// The key columns of a batch.
    pub(crate) fn key_columns(&self, columns: &RecordBatch) -> Vec<ArrayRef> {
        self.keys.iter().map(|key| columns.column(*key).clone()).collect()
    }

    /// No keys yet.
    pub(crate) fn keys(&self) -> Keys {
        Keys::new(self.key_types.clone())
    }

    /// Keys as [`Keys::save`] wrote them.
    pub(crate) fn load_keys(&self, reader: &mut Reader<'_>) -> Result<Keys, CodecError> {
        Keys::load(self.key_types.clone(), reader)
    }

    /// Empty columns for the keys.
    pub(crate) fn key_builders(&self, rows: usize) -> Vec<ColumnBuilder> {
        self.key_types.iter().map(|key| ColumnBuilder::new(key, rows)).collect()
    }

    /// Empty columns for the results.
    pub(crate) fn result_builders(&self, rows: usize) -> Vec<ColumnBuilder> {
        self.aggregates
            .iter()
            .map(|aggregate| ColumnBuilder::new(&aggregate.result, rows))
            .collect()
    }

    /// Says that a row would have made this aggregate overflow.
    pub(crate) fn overflow(&self, aggregate: usize) -> String {
        let Aggregate {
            name, result, function, ..
        } = &self.aggregates[aggregate];
        match function {
            AggregateFunction::CollectList { limit } => {
                format!("with this record `{name}` would have more than {limit} values")
            }
            _ => format!("with this record `{name}` would leave the range of {result}"),
        }
    }

    /// Stands for the shape where there is no room for it.
    pub(crate) fn fingerprint(&self) -> u32 {
        xxh64(self.shape.join("\n").as_bytes()) as u32
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        save_shape(&self.shape, out);
    }

    /// Reads a saved shape. Another than this one is an error that says what differs.
    pub(crate) fn check(&self, reader: &mut Reader<'_>) -> Result<(), String> {
        saved_shape_is(&self.shape, reader)
    }
}

impl Inputs<'_> {
    /// The key fields.
    pub(crate) fn keys(&self) -> &[View<'_>] {
        &self.keys
    }
}

/// Whether the function's [`Accumulator::has_room`] asks how large values are.
fn needs_peak(function: AggregateFunction) -> bool {
    match function {
        AggregateFunction::Sum
        | AggregateFunction::Avg
        | AggregateFunction::Stddev
        | AggregateFunction::StddevPop
        | AggregateFunction::Variance
        | AggregateFunction::VariancePop
        | AggregateFunction::ApproxPercentile(_) => true,
        AggregateFunction::Count
        | AggregateFunction::Min
        | AggregateFunction::Max
        | AggregateFunction::First
        | AggregateFunction::Last
        | AggregateFunction::CountDistinct
        | AggregateFunction::ApproxCountDistinct
        | AggregateFunction::CollectList { .. }
        | AggregateFunction::Top { .. } => false,
    }
}

impl Groups {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            keys: Keys::new(layout.key_types.clone()),
            accumulators: layout.aggregates.iter().map(Accumulator::new).collect(),
            numbers: Vec::new(),
        }
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any `count` rows of the batch can be added without overflow. False: add them row by row.
    pub(crate) fn has_room(&mut self, inputs: &Inputs<'_>, count: usize) -> bool {
        self.has_room_among(inputs, count, 1)
    }

    /// The same, so that `panes` groups of equal keys that each have room can be merged in any order.
    pub(crate) fn has_room_among(&mut self, inputs: &Inputs<'_>, count: usize, panes: usize) -> bool {
        self.accumulators
            .iter_mut()
            .zip(&inputs.peaks)
            .all(|(accumulator, peak)| accumulator.has_room(*peak, count, panes))
    }

    /// Whether what is here can be merged with `panes` others of which this is true.
    pub(crate) fn is_mergeable(&mut self, panes: usize) -> bool {
        self.accumulators
            .iter_mut()
            .all(|accumulator| accumulator.has_room(Peak::Whole(0), 0, panes))
    }

    /// The groups of the rows that were added last.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// The group of a row's key, if there is one.
    pub(crate) fn find(&mut self, inputs: &Inputs<'_>, row: usize) -> Option<usize> {
        self.keys.find(&inputs.keys, row).map(|group| group as usize)
    }

    /// The group here of a key that is a group there, if there is one.
    pub(crate) fn same(&self, other: &Self, group: usize) -> Option<usize> {
        self.keys.same(&other.keys, group).map(|group| group as usize)
    }

    /// Makes the group of a key that is a group there, without rows.
    pub(crate) fn adopt(&mut self, other: &Self, group: usize) -> usize {
        let into = self.keys.adopt(&other.keys, group);
        let groups = self.keys.len();
        self.accumulators
            .iter_mut()
            .for_each(|accumulator| accumulator.grow(groups));
        into as usize
    }

    /// Folds one group of `other` into the group of that key here. Returns the aggregate that would overflow; then those
    /// before it are folded in.
    pub(crate) fn merge_group(&mut self, other: &Self, group: usize) -> Result<(), usize> {
        let into = self.adopt(other, group) as u32;
        let mut aggregates = self.accumulators.iter_mut().zip(&other.accumulators);
        let overflows =
            |(accumulator, other): (&mut Accumulator, &Accumulator)| accumulator.merge(other, group, &[into]).is_some();
        aggregates.position(overflows).map_or(Ok(()), Err)
    }

    /// Folds all groups of `other` in. Returns an aggregate that would overflow; then only some are folded in.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<(), usize> {
        let groups = self.keys.merge(&other.keys);
        let count = self.keys.len();
        let mut aggregates = self.accumulators.iter_mut().zip(&other.accumulators);
        let overflows = |(accumulator, other): (&mut Accumulator, &Accumulator)| {
            accumulator.grow(count);
            accumulator.merge(other, 0, &groups).is_some()
        };
        aggregates.position(overflows).map_or(Ok(()), Err)
    }

    /// Whether the only group of `one` can be folded in; if not, the aggregate that would overflow.
    pub(crate) fn check_merge(&mut self, one: &mut Self, layout: &Layout) -> Result<(), usize> {
        if self.is_mergeable(2) && one.is_mergeable(2) {
            return Ok(());
        }
        let mut both = Self::new(layout);
        if let Some(group) = self.same(one, 0) {
            both.merge_group(self, group)?;
        }
        both.merge_group(one, 0)
    }

    /// Writes one group: its key, then the value of each aggregate. `one` is kept for its memory.
    pub(crate) fn put(&self, group: usize, one: &mut Self, out: &mut Vec<u8>) {
        self.keys.put(group, out);
        for (accumulator, one) in self.accumulators.iter().zip(&mut one.accumulators) {
            accumulator.put(group, one, out);
        }
    }

    /// Becomes the only group that [`Self::put`] wrote under the same layout. After an error it means nothing.
    pub(crate) fn read_only(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let mut reader = Reader::new(bytes);
        self.keys.read_only(&mut reader)?;
        let mut accumulators = self.accumulators.iter_mut();
        accumulators.try_for_each(|accumulator| accumulator.load(&mut reader, 1))?;
        reader.end()
    }

    /// Adds rows for which there is room.
    pub(crate) fn add(&mut self, inputs: &Inputs<'_>, rows: &[u32]) {
        self.intern(inputs, rows.iter().map(|row| *row as usize));
        let rows = Rows {
            rows: Some(rows),
            groups: &self.numbers,
        };
        for (accumulator, argument) in self.accumulators.iter_mut().zip(&inputs.arguments) {
            accumulator.fold(*argument, rows);
        }
    }

    /// Adds all `count` rows of a batch for which there is room, and appends the results after each.
    pub(crate) fn add_and_emit(&mut self, inputs: &Inputs<'_>, count: usize, results: &mut [ColumnBuilder]) {
        self.intern(inputs, 0..count);
        let numbers = std::mem::take(&mut self.numbers);
        self.add_all_and_emit(inputs, &numbers, results);
        self.numbers = numbers;
    }

    /// The same for rows whose groups are known, and were made.
    pub(crate) fn add_all_and_emit(&mut self, inputs: &Inputs<'_>, groups: &[u32], results: &mut [ColumnBuilder]) {
        let rows = Rows { rows: None, groups };
        for ((accumulator, argument), out) in self.accumulators.iter_mut().zip(&inputs.arguments).zip(results) {
            accumulator.fold_and_emit(*argument, rows, out);
        }
    }

    fn intern(&mut self, inputs: &Inputs<'_>, rows: impl Iterator<Item = usize>) {
        self.keys.intern_all(&inputs.keys, rows, &mut self.numbers);
        self.grow();
    }

    fn grow(&mut self) {
        let groups = self.keys.len();
        self.accumulators
            .iter_mut()
            .for_each(|accumulator| accumulator.grow(groups));
    }

    /// Adds one row and returns its group; or, having changed nothing, the aggregate that would overflow.
    pub(crate) fn add_row(&mut self, inputs: &Inputs<'_>, row: usize) -> Result<usize, usize> {
        let group = self.keys.find(&inputs.keys, row);
        self.check_room(inputs, row, group)?;
        let group = self.keys.intern(&inputs.keys, row);
        self.grow();
        self.add_row_to(inputs, row, group);
        Ok(group as usize)
    }

    /// Whether a row can be added to a group, or to a new one; else the aggregate that would overflow.
    pub(crate) fn check_room(&mut self, inputs: &Inputs<'_>, row: usize, group: Option<u32>) -> Result<(), usize> {
        let mut aggregates = self.accumulators.iter_mut().zip(&inputs.arguments);
        let full = aggregates.position(|(accumulator, argument)| !accumulator.fits(*argument, row, group));
        full.map_or(Ok(()), Err)
    }

    /// Adds a row, for which there is room, to a group.
    pub(crate) fn add_row_to(&mut self, inputs: &Inputs<'_>, row: usize, group: u32) {
        let rows = Rows {
            rows: Some(&[row as u32]),
            groups: &[group],
        };
        for (accumulator, argument) in self.accumulators.iter_mut().zip(&inputs.arguments) {
            accumulator.fold(*argument, rows);
        }
    }

    /// Appends the keys of these groups.
    pub(crate) fn append_keys(&self, groups: Range<usize>, columns: &mut [ColumnBuilder]) {
        self.keys.append(groups, columns);
    }

    /// Appends the results of these groups.
    pub(crate) fn append_results(&self, groups: Range<usize>, columns: &mut [ColumnBuilder]) {
        for (accumulator, out) in self.accumulators.iter().zip(columns) {
            accumulator.append(groups.clone(), out);
        }
    }

    /// Forgets all groups, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.accumulators.iter_mut().for_each(Accumulator::clear);
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        let accumulators: usize = self.accumulators.iter().map(Accumulator::bytes).sum();
        self.keys.bytes() + accumulators + self.numbers.capacity() * 4
    }

    /// Writes the keys, then the values of each aggregate.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.keys.save(out);
        self.accumulators.iter().for_each(|accumulator| accumulator.save(out));
    }

    /// Reads what `save` wrote under the same layout.
    pub(crate) fn load(layout: &Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut groups = Self::new(layout);
        groups.keys = Keys::load(layout.key_types.clone(), reader)?;
        let count = groups.keys.len();
        groups
            .accumulators
            .iter_mut()
            .try_for_each(|accumulator| accumulator.load(reader, count))?;
        Ok(groups)
    }
}

impl Entries for Groups {
    type Layout = Layout;

    fn new(layout: &Layout) -> Self {
        Self::new(layout)
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    fn grow(&mut self) {
        self.grow();
    }

    fn copy(&mut self, into: usize, other: &Self, from: usize) {
        for (accumulator, other) in self.accumulators.iter_mut().zip(&other.accumulators) {
            let full = accumulator.merge(other, from, &[into as u32]);
            debug_assert_eq!(full, None, "what fits once fits twice");
        }
    }

    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.save(out);
    }

    fn load(layout: &Layout, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Self::load(layout, reader)
    }
}
