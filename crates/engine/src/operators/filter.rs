//! Passes the rows for which a predicate is true.

use arrow::array::BooleanArray;

use crate::batch::Batch;
use crate::expr::{Computed, is_true};
use crate::operators::{Fallen, Survivors};

/// Returns which rows pass. Failed rows do not, and are reported.
pub(crate) fn passing(predicate: &Computed, batch: &Batch, fallen: &mut Vec<Fallen>) -> BooleanArray {
    let evaluated = predicate.evaluate(&batch.columns);
    // A failed row's value is NULL, so it does not pass.
    Survivors::of(batch.len(), evaluated.failures, fallen);
    is_true(&evaluated.values)
}
