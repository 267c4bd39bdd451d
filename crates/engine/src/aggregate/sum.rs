//! Sums: exact ones that know their limit, and sums of doubles, which must stay finite.

use arrow::array::{Decimal128Builder, Float64Builder, Int64Builder};

use crate::aggregate::Peak;
use crate::aggregate::kernel::{Fold, State};
use crate::aggregate::peak::{Bound, MERGEABLE, TAME};
use crate::state::Built;
use crate::state::codec::{self, CodecError, Fixed, Reader};

/// Largest unscaled decimal: 38 nines.
pub(super) const DECIMAL_MAX: u128 = 10u128.pow(38) - 1;

/// A whole number that is summed exactly.
pub(crate) trait Exact: Fixed + Default + std::ops::AddAssign {
    /// Builder of the results.
    type Builder: Built;
    /// Sums of at most this magnitude are valid results.
    const LIMIT: u128;

    fn magnitude(self) -> u128;
    /// The sum, if it is a valid result.
    fn checked_sum(self, other: Self) -> Option<Self>;
    fn emit(value: Option<Self>, out: &mut Self::Builder);
}

impl Exact for i64 {
    type Builder = Int64Builder;
    const LIMIT: u128 = i64::MAX as u128;

    fn magnitude(self) -> u128 {
        self.unsigned_abs().into()
    }

    fn checked_sum(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    #[inline(always)]
    fn emit(value: Option<Self>, out: &mut Int64Builder) {
        out.append_option(value);
    }
}

/// An unscaled decimal.
impl Exact for i128 {
    type Builder = Decimal128Builder;
    const LIMIT: u128 = DECIMAL_MAX;

    fn magnitude(self) -> u128 {
        self.unsigned_abs()
    }

    fn checked_sum(self, other: Self) -> Option<Self> {
        self.checked_add(other).filter(|sum| sum.unsigned_abs() <= DECIMAL_MAX)
    }

    #[inline(always)]
    fn emit(value: Option<Self>, out: &mut Decimal128Builder) {
        out.append_option(value);
    }
}

/// Sums of whole numbers or decimals. NULL over nothing.
#[derive(Default)]
pub(crate) struct ExactSum<T> {
    sums: Vec<T>,
    seen: Vec<bool>,
    bound: Bound,
}

impl<T: Exact> Fold<T> for ExactSum<T> {
    #[inline(always)]
    fn add(&mut self, group: usize, value: T) {
        self.sums[group] += value;
        self.seen[group] = true;
    }

    fn fits(&mut self, group: Option<usize>, value: T) -> bool {
        self.bound.take(value.magnitude());
        group
            .map_or(T::default(), |group| self.sums[group])
            .checked_sum(value)
            .is_some()
    }
}

impl<T: Exact> State for ExactSum<T> {
    type Builder = T::Builder;

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, T::default());
        self.seen.resize(groups, false);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut T::Builder) {
        T::emit(self.seen[group].then(|| self.sums[group]), out);
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let fits = self.fits(Some(into), other.sums[from]);
        if fits {
            self.sums[into] += other.sums[from];
            self.seen[into] |= other.seen[from];
        }
        fits
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.seen.clear();
        self.bound = Bound::default();
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<T>() + self.seen.capacity()
    }

    fn save(&self, out: &mut Vec<u8>) {
        codec::put_all(out, &self.sums);
        codec::put_all(out, &self.seen);
    }

    fn put(&self, group: usize, out: &mut Vec<u8>) -> bool {
        self.sums[group].put(out);
        self.seen[group].put(out);
        true
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        reader.fill(&mut self.sums, groups)?;
        reader.fill(&mut self.seen, groups)?;
        // The first batch asks for the exact bound.
        self.bound.take(u128::MAX);
        let valid = self.sums.iter().all(|sum| T::default().checked_sum(*sum).is_some());
        if valid {
            Ok(())
        } else {
            Err(CodecError::Invalid("a sum has too many digits"))
        }
    }

    fn has_room(&mut self, peak: Peak, rows: usize, panes: usize) -> bool {
        let exact = || self.sums.iter().map(|sum| sum.magnitude()).max().unwrap_or(0);
        self.bound.widen(peak, rows, T::LIMIT / panes as u128, exact)
    }
}

/// Sums of doubles, added in order. NULL over nothing; a sum that is not finite overflows.
#[derive(Default)]
pub(crate) struct DoubleSum {
    sums: Vec<f64>,
    seen: Vec<bool>,
    /// Whether a value came that was not tame, so that two sums may not fit into one.
    wild: bool,
}

impl Fold<f64> for DoubleSum {
    #[inline(always)]
    fn add(&mut self, group: usize, value: f64) {
        self.sums[group] += value;
        self.seen[group] = true;
    }

    fn fits(&mut self, group: Option<usize>, value: f64) -> bool {
        self.wild |= value.abs() > TAME;
        (group.map_or(0.0, |group| self.sums[group]) + value).is_finite()
    }
}

impl State for DoubleSum {
    type Builder = Float64Builder;

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0.0);
        self.seen.resize(groups, false);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut Float64Builder) {
        out.append_option(self.seen[group].then(|| self.sums[group]));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let fits = self.fits(Some(into), other.sums[from]);
        if fits {
            self.sums[into] += other.sums[from];
            self.seen[into] |= other.seen[from];
        }
        fits
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.seen.clear();
        self.wild = false;
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * 8 + self.seen.capacity()
    }

    fn save(&self, out: &mut Vec<u8>) {
        codec::put_all(out, &self.sums);
        codec::put_all(out, &self.seen);
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.sums = reader.all(groups)?;
        self.seen = reader.all(groups)?;
        self.wild = self.sums.iter().any(|sum| sum.abs() > MERGEABLE);
        let finite = self.sums.iter().all(|sum| sum.is_finite());
        if finite {
            Ok(())
        } else {
            Err(CodecError::Invalid("a sum is not finite"))
        }
    }

    fn has_room(&mut self, peak: Peak, _rows: usize, panes: usize) -> bool {
        peak.is_tame() && (panes == 1 || !self.wild)
    }
}
