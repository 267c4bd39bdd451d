//! Accumulators whose groups the owner numbers: for state that is not one group a key.

use std::ops::Range;

use crate::aggregate::Accumulator;
use crate::state::codec::{CodecError, Reader};
use crate::state::{ColumnBuilder, Inputs, Layout, Rows};

/// The accumulators of all aggregates, by place.
pub(crate) struct Places {
    accumulators: Vec<Accumulator>,
    places: usize,
}

impl Places {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            accumulators: layout.aggregates.iter().map(Accumulator::new).collect(),
            places: 0,
        }
    }

    /// A new place, which has seen nothing.
    pub(crate) fn push(&mut self) -> usize {
        self.places += 1;
        let places = self.places;
        self.accumulators
            .iter_mut()
            .for_each(|accumulator| accumulator.grow(places));
        places - 1
    }

    /// Whether any `count` rows of the batch can be added without overflow. False: ask for each.
    pub(crate) fn has_room(&mut self, inputs: &Inputs<'_>, count: usize) -> bool {
        self.accumulators
            .iter_mut()
            .zip(&inputs.peaks)
            .all(|(accumulator, peak)| accumulator.has_room(*peak, count, 1))
    }

    /// Whether a row can be added at a place, or at a new one; if not, the aggregate that would overflow.
    pub(crate) fn fits(&mut self, inputs: &Inputs<'_>, row: usize, place: Option<usize>) -> Result<(), usize> {
        let place = place.map(|place| place as u32);
        let mut aggregates = self.accumulators.iter_mut().zip(&inputs.arguments);
        let full = aggregates.position(|(accumulator, argument)| !accumulator.fits(*argument, row, place));
        full.map_or(Ok(()), Err)
    }

    /// Adds rows, each at its place, for which there is room.
    pub(crate) fn add(&mut self, inputs: &Inputs<'_>, rows: &[u32], places: &[u32]) {
        let rows = Rows {
            rows: Some(rows),
            groups: places,
        };
        for (accumulator, argument) in self.accumulators.iter_mut().zip(&inputs.arguments) {
            accumulator.fold(*argument, rows);
        }
    }

    /// Folds what stands at a place of `other` into a place here; or returns the aggregate that would overflow, with
    /// those before it folded in.
    pub(crate) fn merge(&mut self, into: usize, other: &Self, from: usize) -> Result<(), usize> {
        let mut aggregates = self.accumulators.iter_mut().zip(&other.accumulators);
        let full = aggregates.position(|(accumulator, other)| accumulator.merge(other, from, &[into as u32]).is_some());
        full.map_or(Ok(()), Err)
    }

    /// Appends the results of these places.
    pub(crate) fn append(&self, places: Range<usize>, columns: &mut [ColumnBuilder]) {
        for (accumulator, out) in self.accumulators.iter().zip(columns) {
            accumulator.append(places.clone(), out);
        }
    }

    /// Forgets all places, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.places = 0;
        self.accumulators.iter_mut().for_each(Accumulator::clear);
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.accumulators.iter().map(Accumulator::bytes).sum()
    }

    /// Writes the values, not how many places there are.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        self.accumulators.iter().for_each(|accumulator| accumulator.save(out));
    }

    /// Reads what `save` wrote for this many places.
    pub(crate) fn load(layout: &Layout, reader: &mut Reader<'_>, places: usize) -> Result<Self, CodecError> {
        let mut all = Self::new(layout);
        all.accumulators
            .iter_mut()
            .try_for_each(|accumulator| accumulator.load(reader, places))?;
        all.places = places;
        Ok(all)
    }
}
