//! Percentiles from a histogram whose bins are a fixed part of their values wide, as HdrHistogram and DDSketch have it:
//! each power of two is cut into 128 equal bins, so that the middle of a bin is off by at most 1/256 of any value in it.
//!
//! A bin is found by the bits of the double alone, without a logarithm, and holds a count. So a histogram depends on its
//! values only: neither on their order, nor on how parts were merged, nor on the machine.

use arrow::array::Float64Builder;
use millrace_plan::Percentile;

use crate::aggregate::Peak;
use crate::aggregate::kernel::{Fold, State};
use crate::state::Item;
use crate::state::codec::{self, CodecError, Fixed, Reader};

/// Bits of a double that stand below those of its bin.
const BELOW: u32 = 52 - 7;
/// Bins in order: of negative values below 0, of positive ones above; 0 for what is nearer to zero than any bin.
type Bin = i32;

/// Percentiles. NULL over nothing; a value that is not finite overflows.
pub(crate) struct Quantile {
    percentile: Percentile,
    /// Whether all values are whole numbers.
    whole: bool,
    /// What decimals are divided by.
    divisor: f64,
    histograms: Vec<Histogram>,
    /// Bins of all groups together.
    held: usize,
}

#[derive(Clone, Default)]
struct Histogram {
    /// Ascending.
    bins: Vec<Bin>,
    /// One for each bin, above 0.
    counts: Vec<u64>,
    /// All counts together.
    total: u64,
    least: f64,
    most: f64,
}

impl Quantile {
    /// Over whole numbers, or decimals with so many digits after the point; 0 for other numbers.
    pub(super) fn new(percentile: Percentile, whole: bool, scale: u8) -> Self {
        Self {
            percentile,
            whole,
            divisor: 10f64.powi(scale.into()),
            histograms: Vec::new(),
            held: 0,
        }
    }

    fn number(&self, value: Item<'_>) -> f64 {
        match value {
            Item::Whole(value) => value as f64,
            Item::Double(value) => value,
            Item::Decimal(value) => value as f64 / self.divisor,
            Item::Boolean(_) | Item::Text(_) => unreachable!("the plan refuses other arguments"),
        }
    }
}

fn bin_of(value: f64) -> Bin {
    let bin = (value.abs().to_bits() >> BELOW) as Bin;
    if value < 0.0 { -bin } else { bin }
}

/// The value that stands for a bin.
fn middle(bin: Bin, whole: bool) -> f64 {
    let bits = u64::from(bin.unsigned_abs()) << BELOW;
    let (low, middle) = (f64::from_bits(bits), f64::from_bits(bits | 1 << (BELOW - 1)));
    let half = middle - low;
    let middle = match bin {
        0 => 0.0,
        // The bin ends before the next whole number but one.
        _ if whole && half < 0.5 => low,
        _ if whole => middle - 0.5,
        _ => middle,
    };
    if bin < 0 { -middle } else { middle }
}

impl Histogram {
    /// Takes `count` values of a bin; returns whether the bin is new.
    fn add(&mut self, bin: Bin, count: u64) -> bool {
        self.total += count;
        match self.bins.binary_search(&bin) {
            Ok(at) => {
                self.counts[at] += count;
                false
            }
            Err(at) => {
                self.bins.insert(at, bin);
                self.counts.insert(at, count);
                true
            }
        }
    }

    /// Widens the ends; to be called before the values are added.
    fn widen(&mut self, least: f64, most: f64) {
        let empty = self.total == 0;
        self.least = if empty { least } else { self.least.min(least) };
        self.most = if empty { most } else { self.most.max(most) };
    }

    fn at(&self, percentile: Percentile, whole: bool) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        let position = percentile.position(self.total);
        // The ends are known exactly.
        if position == 1 || position == self.total {
            return Some(if position == 1 { self.least } else { self.most });
        }
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= position
        };
        let at = self.counts.iter().position(reached)?;
        Some(middle(self.bins[at], whole).clamp(self.least, self.most))
    }

    fn load(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let count = reader.count(12)?;
        let (bins, counts) = (reader.all(count)?, reader.all::<u64>(count)?);
        let (least, most) = (reader.get::<f64>()?, reader.get::<f64>()?);
        let total = counts.iter().try_fold(0u64, |total, count| total.checked_add(*count));
        let outermost = || bins.first() == Some(&bin_of(least)) && bins.last() == Some(&bin_of(most));
        match total {
            Some(total)
                if total < 1 << 62
                    && counts.iter().all(|count| *count > 0)
                    && bins.is_sorted_by(|one, next| one < next)
                    && least.is_finite()
                    && most.is_finite()
                    && least <= most
                    && (bins.is_empty() || outermost()) =>
            {
                Ok(Self {
                    bins,
                    counts,
                    total,
                    least,
                    most,
                })
            }
            _ => Err(CodecError::Invalid("a histogram is impossible")),
        }
    }
}

impl<'a> Fold<Item<'a>> for Quantile {
    fn add(&mut self, group: usize, value: Item<'a>) {
        let number = self.number(value);
        let histogram = &mut self.histograms[group];
        histogram.widen(number, number);
        self.held += usize::from(histogram.add(bin_of(number), 1));
    }

    fn fits(&mut self, _group: Option<usize>, value: Item<'a>) -> bool {
        self.number(value).is_finite()
    }
}

impl State for Quantile {
    type Builder = Float64Builder;

    fn grow(&mut self, groups: usize) {
        self.histograms.resize(groups, Histogram::default());
    }

    fn emit(&self, group: usize, out: &mut Float64Builder) {
        out.append_option(self.histograms[group].at(self.percentile, self.whole));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        let (histogram, other) = (&mut self.histograms[into], &other.histograms[from]);
        if other.total > 0 {
            histogram.widen(other.least, other.most);
        }
        for (bin, count) in other.bins.iter().zip(&other.counts) {
            self.held += usize::from(histogram.add(*bin, *count));
        }
        true
    }

    fn clear(&mut self) {
        self.histograms.clear();
        self.held = 0;
    }

    fn bytes(&self) -> usize {
        self.histograms.capacity() * size_of::<Histogram>() + self.held * (size_of::<Bin>() + 8)
    }

    /// For each group the number of its bins, the bins, their counts, the least and the largest value.
    fn save(&self, out: &mut Vec<u8>) {
        for histogram in &self.histograms {
            codec::put_length(out, histogram.bins.len());
            codec::put_all(out, &histogram.bins);
            codec::put_all(out, &histogram.counts);
            histogram.least.put(out);
            histogram.most.put(out);
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.histograms = (0..groups).map(|_| Histogram::load(reader)).collect::<Result<_, _>>()?;
        self.held = self.histograms.iter().map(|histogram| histogram.bins.len()).sum();
        Ok(())
    }

    fn has_room(&mut self, peak: Peak, _rows: usize, _panes: usize) -> bool {
        peak.is_tame()
    }
}
