//! The steps of a chain, one file per declared operator. Each takes a batch and returns a batch; rows that cannot go on
//! are reported, never dropped in silence.

pub(crate) mod deduplicate;

pub(crate) mod filter;

pub(crate) mod flat_map;

pub(crate) mod group;

pub(crate) mod join;

pub(crate) mod map;

pub(crate) mod previous;

pub(crate) mod window;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};

use millrace_plan::TimeDomain;

use crate::batch::Batch;
use crate::expr::Failure;
use crate::partial::Partial;

/// A step that remembers something of each key.
///
/// What it returns and whom it rejects must not depend on how the input is cut into batches.
pub(crate) trait Keyed: Send {
    /// Takes rows in, then lets time come as far as `now`. `arguments` are the columns of the aggregates, as
    /// [`Layout::inputs`](crate::state::Layout::inputs) takes them.
    /// Rows that it cannot take go to `faults` with their position in `batch`, in order, and leave no trace. Called with an
    /// empty batch too, when only time has moved: what that changes is kept only if rows come out. Changes without any must
    /// be such that they come about again, as it is with the removal of what nothing asks for any more.
    fn step(
        &mut self,
        batch: &Batch,
        arguments: &[Option<ArrayRef>],
        now: Now,
        faults: &mut Vec<(usize, Fault)>,
    ) -> Option<Made>;
    /// Takes partials in, as [`Self::step`] would take the rows that they were made of. Only aligned windows do
    /// ([`Partials::of`](window::Partials::of)).
    fn merge(&mut self, _partials: &[Partial<'_>], _now: Now, _faults: &mut Vec<(usize, Fault)>) -> Option<Made> {
        unreachable!("partials are read for aligned windows alone")
    }
    /// The input has ended: what still waits comes out.
    fn finish(&mut self) -> Option<Made> {
        None
    }
    /// How far time has come for what stands behind it, where `now` is how far it has come here: results that are still to
    /// come lie after that.
    fn watermark_behind(&self, now: Now) -> i64 {
        now.watermark
    }
    /// How much is remembered.
    fn size(&self) -> StateSize;
    /// Entries that were forgotten since the last call, their time being over.
    fn take_expired(&mut self) -> u64 {
        0
    }
    /// Appends the state, its shape first ([`crate::state::save_shape`]). Equal histories give equal bytes.
    fn save(&self, out: &mut Vec<u8>);
    /// Replaces the state by a saved one. On an error, which says what does not fit, the state stays as it was.
    fn load(&mut self, bytes: &[u8]) -> Result<(), String>;
}

/// What a step with a key makes.
pub(crate) enum Made {
    /// Rows of its own, which begin with the fields of the group key: that becomes their record key.
    Results(Batch),
    /// Rows of the input: they keep the record key that they have.
    Picked(Picked),
}

impl Made {
    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Results(batch) | Self::Picked(Picked { batch, .. }) => batch.len() == 0,
        }
    }
}

/// Some rows of the input, maybe with more fields.
pub(crate) struct Picked {
    pub(crate) batch: Batch,
    /// For each row its position in the input.
    pub(crate) rows: UInt32Array,
}

/// How far time has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The partition's watermark after the batch.
    pub(crate) watermark: i64,
    /// The wall clock as the chain was last told it ([`Input::Clock`](crate::Input::Clock)), milliseconds since the epoch.
    pub(crate) clock: i64,
}

impl Now {
    /// How far `time` has come after the batch.
    pub(crate) fn of(self, time: TimeDomain) -> i64 {
        match time {
            TimeDomain::Event => self.watermark,
            TimeDomain::Processing => self.clock,
        }
    }

    /// How far `time` has come for a row, and the instant that the row itself stands for.
    #[inline]
    pub(crate) fn at(self, time: TimeDomain, batch: &Batch, row: usize) -> (i64, i64) {
        match time {
            TimeDomain::Event => (batch.watermarks[row], batch.times[row]),
            TimeDomain::Processing => (self.clock, self.clock),
        }
    }
}

/// Why a row was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its window is closed for good.
    Late,
    /// A value would leave its range; what exactly.
    Overflow(String),
    /// The bytes of a partial are not one; what is wrong with them.
    Unreadable(String),
}

/// How much a chain remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Groups, over all windows.
    pub groups: usize,
    /// Open windows.
    pub windows: usize,
    /// Estimated bytes.
    pub bytes: usize,
}

/// A row that fell out of a step, by its position in the batch that the step was given.
pub(crate) struct Fallen {
    pub(crate) row: usize,
    pub(crate) message: &'static str,
}

/// The rows to go on with: all but those that failed in any of the evaluations.
pub(crate) struct Survivors {
    mask: Option<BooleanArray>,
}

impl Survivors {
    /// Reports every failed row once, with its first failure.
    pub(crate) fn of(rows: usize, mut failures: Vec<Failure>, fallen: &mut Vec<Fallen>) -> Self {
        if failures.is_empty() {
            return Self { mask: None };
        }
        failures.sort_by_key(|failure| failure.row);
        failures.dedup_by_key(|failure| failure.row);
        let mut keep = vec![true; rows];
        for failure in failures {
            keep[failure.row] = false;
            fallen.push(Fallen {
                row: failure.row,
                message: failure.message,
            });
        }
        Self {
            mask: Some(BooleanArray::from(keep)),
        }
    }

    /// The surviving rows of a column.
    pub(crate) fn column(&self, values: &ArrayRef) -> ArrayRef {
        match &self.mask {
            None => values.clone(),
            Some(mask) => arrow::compute::filter(values, mask).expect("the mask is as long as the batch"),
        }
    }

    /// The surviving rows of a batch.
    pub(crate) fn batch(&self, batch: Batch) -> Batch {
        match &self.mask {
            None => batch,
            Some(mask) => batch.filter(mask),
        }
    }

    /// Which rows survive, or None for all.
    pub(crate) fn mask(&self) -> Option<&BooleanArray> {
        self.mask.as_ref()
    }
}

/// A record batch whose columns fit the schema by construction of the plan. Keeps the row count of empty schemas.
pub(crate) fn record_batch(fields: &millrace_plan::Fields, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(fields.schema().clone(), columns, &options)
        .expect("the plan's output fields describe the operator's columns")
}
