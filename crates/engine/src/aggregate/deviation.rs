//! Standard deviation and variance, of samples and of populations, by Welford's method, merged by Chan's: no difference of large sums, so no lost digits.

use arrow::array::Float64Builder;

use crate::aggregate::Peak;
use crate::aggregate::kernel::{Fold, State};
use crate::aggregate::peak::TAME;
use crate::state::codec::{self, CodecError, Reader};

/// Which measure of spread.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    /// Divides by one less than there are values, and is NULL for a single one.
    sample: bool,
    root: bool,
}

impl Spread {
    pub(super) const STDDEV: Self = Self::new(true, true);
    pub(super) const STDDEV_POP: Self = Self::new(false, true);
    pub(super) const VARIANCE: Self = Self::new(true, false);
    pub(super) const VARIANCE_POP: Self = Self::new(false, false);

    const fn new(sample: bool, root: bool) -> Self {
        Self { sample, root }
    }

    #[inline(always)]
    fn of(self, Moments { count, squares, .. }: Moments) -> Option<f64> {
        let divisor = count.saturating_sub(u64::from(self.sample));
        (divisor > 0).then(|| {
            let variance = squares / divisor as f64;
            if self.root { variance.sqrt() } else { variance }
        })
    }
}

/// Deviations. Overflows where its parts would not be finite.
pub(crate) struct Deviation {
    spread: Spread,
    counts: Vec<u64>,
    means: Vec<f64>,
    /// Sums of the squared distances from the mean.
    squares: Vec<f64>,
    /// Whether all values ever taken were tame. If not, a tame one may still overflow: its distance is squared.
    tame: bool,
    /// What decimals are divided by.
    divisor: f64,
}

/// Count, mean and squares of one group.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    #[inline(always)]
    fn with(self, value: f64) -> Self {
        let count = self.count + 1;
        let distance = value - self.mean;
        let mean = self.mean + distance / count as f64;
        Self {
            count,
            mean,
            squares: self.squares + distance * (value - mean),
        }
    }

    fn merged(self, other: Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let count = self.count + other.count;
        let distance = other.mean - self.mean;
        let share = other.count as f64 / count as f64;
        let squares = self.squares + other.squares + distance * distance * self.count as f64 * share;
        Self {
            count,
            mean: self.mean + distance * share,
            squares,
        }
    }

    fn is_finite(self) -> bool {
        self.mean.is_finite() && self.squares.is_finite()
    }
}

impl Deviation {
    /// Over decimals with so many digits after the point; 0 for other numbers.
    pub(super) fn new(scale: u8, spread: Spread) -> Self {
        Self {
            spread,
            counts: Vec::new(),
            means: Vec::new(),
            squares: Vec::new(),
            tame: true,
            divisor: 10f64.powi(scale.into()),
        }
    }

    #[inline(always)]
    fn of(&self, group: usize) -> Moments {
        Moments {
            count: self.counts[group],
            mean: self.means[group],
            squares: self.squares[group],
        }
    }

    #[inline(always)]
    fn put(&mut self, group: usize, moments: Moments) {
        self.counts[group] = moments.count;
        self.means[group] = moments.mean;
        self.squares[group] = moments.squares;
    }
}

impl Fold<f64> for Deviation {
    #[inline(always)]
    fn add(&mut self, group: usize, value: f64) {
        self.put(group, self.of(group).with(value));
    }

    fn fits(&mut self, group: Option<usize>, value: f64) -> bool {
        self.tame &= value.abs() <= TAME;
        group
            .map_or(Moments::default(), |group| self.of(group))
            .with(value)
            .is_finite()
    }
}

impl Fold<i64> for Deviation {
    #[inline(always)]
    fn add(&mut self, group: usize, value: i64) {
        Fold::<f64>::add(self, group, value as f64);
    }

    fn fits(&mut self, group: Option<usize>, value: i64) -> bool {
        Fold::<f64>::fits(self, group, value as f64)
    }
}

impl Fold<i128> for Deviation {
    #[inline(always)]
    fn add(&mut self, group: usize, value: i128) {
        Fold::<f64>::add(self, group, value as f64 / self.divisor);
    }

    fn fits(&mut self, group: Option<usize>, value: i128) -> bool {
        Fold::<f64>::fits(self, group, value as f64 / self.divisor)
    }
}

impl State for Deviation {
    type Builder = Float64Builder;

    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
        self.means.resize(groups, 0.0);
        self.squares.resize(groups, 0.0);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut Float64Builder) {
        out.append_option(self.spread.of(self.of(group)));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let merged = self.of(into).merged(other.of(from));
        if merged.is_finite() {
            self.tame &= other.tame && self.counts[into] == 0;
            self.put(into, merged);
        }
        merged.is_finite()
    }

    fn clear(&mut self) {
        self.counts.clear();
        self.means.clear();
        self.squares.clear();
        self.tame = true;
    }

    fn bytes(&self) -> usize {
        (self.counts.capacity() + self.means.capacity() + self.squares.capacity()) * 8
    }

    fn save(&self, out: &mut Vec<u8>) {
        codec::put_all(out, &self.counts);
        codec::put_all(out, &self.means);
        codec::put_all(out, &self.squares);
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.counts = reader.all(groups)?;
        self.means = reader.all(groups)?;
        self.squares = reader.all(groups)?;
        self.tame = false;
        let valid = |group| self.of(group).is_finite() && self.squares[group] >= 0.0 && self.counts[group] < 1 << 62;
        if (0..groups).all(valid) {
            Ok(())
        } else {
            Err(CodecError::Invalid("a deviation is impossible"))
        }
    }

    fn has_room(&mut self, peak: Peak, _rows: usize, _panes: usize) -> bool {
        if peak.is_tame() && !self.tame {
            // Tame means and values add at most (2e100)^2 a row: never more than another 1e220 in 2^63 rows.
            let near = |group: usize| self.means[group].abs() <= TAME && self.squares[group] <= 1e220;
            self.tame = (0..self.counts.len()).all(near);
        }
        peak.is_tame() && self.tame
    }
}
