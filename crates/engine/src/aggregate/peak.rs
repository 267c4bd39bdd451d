//! How large a batch's values are at most: enough to know, for nearly every batch, that no sum can overflow.

use crate::state::{Values, View};

/// Doubles up to this are safe in any number of rows. Their squares stay finite, and a sum that is finite stays so: near
/// the largest double, where one more could matter, neighbours are 1e292 apart and this much is rounded away.
pub(super) const TAME: f64 = 1e100;

/// Sums of doubles up to this can be merged, thousands of them, in any order.
pub(super) const MERGEABLE: f64 = 1e200;

/// Upper bound of the magnitudes in a column. Values at null places count too: that only errs to the safe side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Peak {
    /// Not looked at, since nothing asks.
    Unknown,
    /// Whole numbers, or decimals unscaled.
    Whole(u128),
    /// Doubles: whether all are at most [`TAME`], which neither infinities nor NaN are.
    Double { tame: bool },
}

impl Peak {
    pub(crate) fn of(view: View<'_>) -> Self {
        match view.values {
            Values::Whole(values) => Self::Whole(
                values
                    .iter()
                    .map(|value| value.unsigned_abs())
                    .max()
                    .unwrap_or(0)
                    .into(),
            ),
            Values::Decimal(values) => Self::Whole(values.iter().map(|value| value.unsigned_abs()).max().unwrap_or(0)),
            Values::Double(values) => Self::Double {
                tame: values.iter().all(|value| value.abs() <= TAME),
            },
            Values::Opaque | Values::Boolean(_) | Values::Text(_) => Self::Unknown,
        }
    }

    /// Whether doubles are tame; whole numbers always are.
    pub(super) fn is_tame(self) -> bool {
        matches!(self, Self::Whole(_) | Self::Double { tame: true })
    }
}

/// An upper bound, for all groups, of a whole number's magnitude.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bound(u128);

impl Bound {
    /// Widens by `rows` values of at most `peak` if the bound then stays within `limit`. `exact` computes the largest
    /// magnitude there really is; it is asked only if the bound says no.
    pub(super) fn widen(&mut self, peak: Peak, rows: usize, limit: u128, exact: impl FnOnce() -> u128) -> bool {
        let Peak::Whole(peak) = peak else { return false };
        let growth = peak.saturating_mul(rows as u128);
        if self.0.saturating_add(growth) > limit {
            self.0 = exact();
        }
        let widened = self.0.saturating_add(growth);
        if widened <= limit {
            self.0 = widened;
        }
        widened <= limit
    }

    /// Widens by one value, without a limit.
    pub(super) fn take(&mut self, magnitude: u128) {
        self.0 = self.0.saturating_add(magnitude);
    }
}
