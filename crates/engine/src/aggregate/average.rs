//! Arithmetic means: the sum is kept, and divided once, when asked for.

use arrow::array::{Decimal128Builder, Float64Builder};

use crate::aggregate::Peak;
use crate::aggregate::kernel::{Fold, State};
use crate::aggregate::peak::{Bound, MERGEABLE, TAME};
use crate::aggregate::sum::DECIMAL_MAX;
use crate::state::codec::{self, CodecError, Fixed, Reader};

/// Sums and how many values they are made of.
#[derive(Default)]
struct Totals<T> {
    sums: Vec<T>,
    counts: Vec<u64>,
}

impl<T: codec::Fixed + Default + std::ops::AddAssign> Totals<T> {
    #[inline(always)]
    fn add(&mut self, group: usize, sum: T, count: u64) {
        self.sums[group] += sum;
        self.counts[group] += count;
    }

    /// Sum and count of a group, or of none yet.
    fn of(&self, group: Option<usize>) -> (T, u64) {
        group.map_or((T::default(), 0), |group| (self.sums[group], self.counts[group]))
    }

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, T::default());
        self.counts.resize(groups, 0);
    }

    fn clear(&mut self) {
        self.sums.clear();
        self.counts.clear();
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<T>() + self.counts.capacity() * 8
    }

    fn save(&self, out: &mut Vec<u8>) {
        codec::put_all(out, &self.sums);
        codec::put_all(out, &self.counts);
    }

    fn put(&self, group: usize, out: &mut Vec<u8>) -> bool {
        self.sums[group].put(out);
        self.counts[group].put(out);
        true
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        reader.fill(&mut self.sums, groups)?;
        reader.fill(&mut self.counts, groups)?;
        let possible = |count: &u64| *count < 1 << 62;
        if self.counts.iter().all(possible) {
            Ok(())
        } else {
            Err(CodecError::Invalid("a count is impossible"))
        }
    }
}

/// Means of whole numbers: the exact sum as a double, divided once. 128 bits hold the sum of 2^63 values.
#[derive(Default)]
pub(crate) struct WholeMean {
    totals: Totals<i128>,
}

impl Fold<i64> for WholeMean {
    #[inline(always)]
    fn add(&mut self, group: usize, value: i64) {
        self.totals.add(group, value.into(), 1);
    }
}

impl State for WholeMean {
    type Builder = Float64Builder;

    fn grow(&mut self, groups: usize) {
        self.totals.grow(groups);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut Float64Builder) {
        let (sum, count) = self.totals.of(Some(group));
        out.append_option((count > 0).then(|| sum as f64 / count as f64));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let (sum, count) = other.totals.of(Some(from));
        self.totals.add(into, sum, count);
        true
    }

    fn clear(&mut self) {
        self.totals.clear();
    }

    fn bytes(&self) -> usize {
        self.totals.bytes()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.totals.save(out);
    }

    fn put(&self, group: usize, out: &mut Vec<u8>) -> bool {
        self.totals.put(group, out)
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.totals.load(reader, groups)?;
        // Far above what so many records can give, and far enough below the end of 128 bits to go on from there.
        let possible = |sum: &i128| sum.unsigned_abs() <= 1 << 125;
        if self.totals.sums.iter().all(possible) {
            Ok(())
        } else {
            Err(CodecError::Invalid("a sum is impossible"))
        }
    }
}

/// Means of doubles, added in order. A sum that is not finite overflows.
#[derive(Default)]
pub(crate) struct DoubleMean {
    totals: Totals<f64>,
    /// Whether a value came that was not tame, so that two sums may not fit into one.
    wild: bool,
}

impl Fold<f64> for DoubleMean {
    #[inline(always)]
    fn add(&mut self, group: usize, value: f64) {
        self.totals.add(group, value, 1);
    }

    fn fits(&mut self, group: Option<usize>, value: f64) -> bool {
        self.wild |= value.abs() > TAME;
        (self.totals.of(group).0 + value).is_finite()
    }
}

impl State for DoubleMean {
    type Builder = Float64Builder;

    fn grow(&mut self, groups: usize) {
        self.totals.grow(groups);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut Float64Builder) {
        let (sum, count) = self.totals.of(Some(group));
        out.append_option((count > 0).then(|| sum / count as f64));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let (sum, count) = other.totals.of(Some(from));
        let fits = self.fits(Some(into), sum);
        if fits {
            self.totals.add(into, sum, count);
        }
        fits
    }

    fn clear(&mut self) {
        self.totals.clear();
        self.wild = false;
    }

    fn bytes(&self) -> usize {
        self.totals.bytes()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.totals.save(out);
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.totals.load(reader, groups)?;
        self.wild = self.totals.sums.iter().any(|sum| sum.abs() > MERGEABLE);
        let finite = self.totals.sums.iter().all(|sum| sum.is_finite());
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

/// Means of decimals, with four more digits after the point (but at most 38), rounded half away from zero.
///
/// A row overflows if the sum leaves 128 bits or the mean after the row has more than 38 digits.
pub(crate) struct DecimalMean {
    totals: Totals<i128>,
    bound: Bound,
    /// Ten to the power of the digits that the mean has more than its values.
    factor: i128,
}

impl DecimalMean {
    /// Over decimals with so many digits after the point.
    pub(super) fn new(scale: u8) -> Self {
        let digits = 38u8.saturating_sub(scale).min(4);
        Self {
            totals: Totals::default(),
            bound: Bound::default(),
            factor: 10i128.pow(digits.into()),
        }
    }

    /// The mean, unscaled; None if it has too many digits. `count` is above 0.
    fn mean(&self, sum: i128, count: u64) -> Option<i128> {
        let count = i128::from(count);
        // Digit by digit as on paper: `sum * factor` would not fit, the remainder times the factor does.
        let rest = sum % count * self.factor;
        let away = if (rest % count).unsigned_abs() * 2 >= count.unsigned_abs() {
            sum.signum()
        } else {
            0
        };
        let mean = (sum / count)
            .checked_mul(self.factor)?
            .checked_add(rest / count)?
            .checked_add(away)?;
        (mean.unsigned_abs() <= DECIMAL_MAX).then_some(mean)
    }

    /// Whether so much more can go into a group.
    fn holds(&self, group: Option<usize>, sum: i128, count: u64) -> bool {
        let (sums, counts) = self.totals.of(group);
        let sum = sums.checked_add(sum);
        counts + count == 0 || sum.and_then(|sum| self.mean(sum, counts + count)).is_some()
    }
}

impl Fold<i128> for DecimalMean {
    #[inline(always)]
    fn add(&mut self, group: usize, value: i128) {
        self.totals.add(group, value, 1);
    }

    fn fits(&mut self, group: Option<usize>, value: i128) -> bool {
        self.bound.take(value.unsigned_abs());
        self.holds(group, value, 1)
    }
}

impl State for DecimalMean {
    type Builder = Decimal128Builder;

    fn grow(&mut self, groups: usize) {
        self.totals.grow(groups);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut Decimal128Builder) {
        let (sum, count) = self.totals.of(Some(group));
        out.append_option((count > 0).then(|| self.mean(sum, count)).flatten());
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let (sum, count) = other.totals.of(Some(from));
        self.bound.take(sum.unsigned_abs());
        let fits = self.holds(Some(into), sum, count);
        if fits {
            self.totals.add(into, sum, count);
        }
        fits
    }

    fn clear(&mut self) {
        self.totals.clear();
        self.bound = Bound::default();
    }

    fn bytes(&self) -> usize {
        self.totals.bytes()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.totals.save(out);
    }

    fn put(&self, group: usize, out: &mut Vec<u8>) -> bool {
        self.totals.put(group, out)
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.totals.load(reader, groups)?;
        self.bound.take(u128::MAX);
        let valid = (0..groups).all(|group| self.holds(Some(group), 0, 0));
        if valid {
            Ok(())
        } else {
            Err(CodecError::Invalid("a mean has too many digits"))
        }
    }

    fn has_room(&mut self, peak: Peak, rows: usize, panes: usize) -> bool {
        let exact = || self.totals.sums.iter().map(|sum| sum.unsigned_abs()).max().unwrap_or(0);
        // The means that are there fit, and no mean gets larger by values that would fit alone.
        let alone = DECIMAL_MAX / self.factor.unsigned_abs();
        matches!(peak, Peak::Whole(peak) if peak <= alone)
            && self
                .bound
                .widen(peak, rows, i128::MAX.unsigned_abs() / panes as u128, exact)
    }
}
