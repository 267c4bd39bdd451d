//! The loops over rows, once for all aggregates, made monomorphic by type of state and type of argument.

use std::ops::Range;

use arrow::array::{Array, BooleanArray, StringArray};
use arrow::buffer::NullBuffer;

use crate::aggregate::Peak;
use crate::state::codec::{CodecError, Reader};
use crate::state::{Built, ColumnBuilder, Item, Rows, View};

/// Values by group number.
pub(super) trait State {
    /// Builder of the results.
    type Builder: Built;

    /// Makes groups up to this number.
    fn grow(&mut self, groups: usize);
    /// Appends the result of one group.
    fn emit(&self, group: usize, out: &mut Self::Builder);
    /// Folds a group of `other` into one of these; false, and nothing changed, if it would overflow. Into a group
    /// that has seen nothing it is a copy, bit for bit.
    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool;
    fn clear(&mut self);
    fn bytes(&self) -> usize;
    fn save(&self, out: &mut Vec<u8>);
    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError>;
    /// Writes one group as `save` would if there were no other; false, and nothing is written, where that is not known.
    fn put(&self, _group: usize, _out: &mut Vec<u8>) -> bool {
        false
    }
    /// See [`Accumulator::has_room`](super::Accumulator::has_room). As it is: cannot overflow at all.
    fn has_room(&mut self, _peak: Peak, _rows: usize, _panes: usize) -> bool {
        true
    }
}

/// A state that takes values of type `V`.
pub(super) trait Fold<V>: State {
    /// Takes a value that fits.
    fn add(&mut self, group: usize, value: V);
    /// Whether the value can be added to the group, or to a new one. Must count on its being added.
    fn fits(&mut self, _group: Option<usize>, _value: V) -> bool {
        true
    }
}

/// A column of values of one type.
pub(super) trait Source {
    type Value;
    fn value(&self, row: usize) -> Self::Value;
    fn nulls(&self) -> Option<&NullBuffer>;
}

/// Numbers.
pub(super) struct Slice<'a, T> {
    pub(super) values: &'a [T],
    pub(super) nulls: Option<&'a NullBuffer>,
}

/// Only whether there is a value.
pub(super) struct Presence<'a> {
    pub(super) nulls: Option<&'a NullBuffer>,
}

impl<T: Copy> Source for Slice<'_, T> {
    type Value = T;

    #[inline(always)]
    fn value(&self, row: usize) -> T {
        self.values[row]
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls
    }
}

impl Source for Presence<'_> {
    type Value = ();

    #[inline(always)]
    fn value(&self, _row: usize) {}

    fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls
    }
}

impl Source for &BooleanArray {
    type Value = bool;

    #[inline(always)]
    fn value(&self, row: usize) -> bool {
        BooleanArray::value(self, row)
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        Array::nulls(*self)
    }
}

impl<'a> Source for &'a StringArray {
    type Value = &'a str;

    #[inline(always)]
    fn value(&self, row: usize) -> &'a str {
        StringArray::value(self, row)
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        Array::nulls(*self)
    }
}

/// Values of any type.
impl<'a> Source for View<'a> {
    type Value = Item<'a>;

    #[inline(always)]
    fn value(&self, row: usize) -> Item<'a> {
        self.item(row)
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls
    }
}

/// Values with the event times of their rows.
pub(super) struct Timed<'a> {
    pub(super) values: View<'a>,
    pub(super) times: &'a [i64],
}

impl<'a> Source for Timed<'a> {
    type Value = (Item<'a>, i64);

    #[inline(always)]
    fn value(&self, row: usize) -> (Item<'a>, i64) {
        (self.values.item(row), self.times[row])
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        self.values.nulls
    }
}

/// Values with what they are ordered by, which is null only where the value is.
pub(super) struct Ranked<'a> {
    pub(super) values: View<'a>,
    pub(super) by: View<'a>,
}

impl<'a> Source for Ranked<'a> {
    type Value = (Item<'a>, Item<'a>);

    #[inline(always)]
    fn value(&self, row: usize) -> (Item<'a>, Item<'a>) {
        (self.values.item(row), self.by.item(row))
    }

    fn nulls(&self) -> Option<&NullBuffer> {
        self.values.nulls
    }
}

pub(super) fn fits<S: Source, F: Fold<S::Value>>(state: &mut F, source: &S, row: usize, group: Option<u32>) -> bool {
    source.nulls().is_some_and(|nulls| nulls.is_null(row))
        || state.fits(group.map(|group| group as usize), source.value(row))
}

pub(super) fn fold<S: Source, F: Fold<S::Value>>(state: &mut F, source: &S, rows: Rows<'_>) {
    match source.nulls() {
        None => rows.each(|row, group| state.add(group, source.value(row))),
        Some(nulls) => rows.each(|row, group| {
            if nulls.is_valid(row) {
                state.add(group, source.value(row));
            }
        }),
    }
}

pub(super) fn fold_and_emit<S: Source, F: Fold<S::Value>>(
    state: &mut F,
    source: &S,
    rows: Rows<'_>,
    out: &mut ColumnBuilder,
) {
    let (nulls, out) = (source.nulls(), F::Builder::of(out));
    rows.each(|row, group| {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            state.add(group, source.value(row));
        }
        state.emit(group, out);
    });
}

pub(super) fn append<S: State>(state: &S, groups: Range<usize>, out: &mut ColumnBuilder) {
    let out = S::Builder::of(out);
    groups.for_each(|group| state.emit(group, out));
}

pub(super) fn merge<S: State>(
    state: &mut S,
    other: &S,
    mut pairs: impl Iterator<Item = (usize, usize)>,
) -> Option<usize> {
    pairs.position(|(into, from)| !state.merge(into, other, from))
}
