//! One aggregate's values, whatever it computes: finds the typed state for an aggregate and the typed column for its
//! argument. What each method means stands at [`Accumulator`](super::Accumulator).

use std::ops::Range;

use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use millrace_plan::{Aggregate, AggregateFunction, FieldType};

use crate::aggregate::average::{DecimalMean, DoubleMean, WholeMean};
use crate::aggregate::count::Count;
use crate::aggregate::deviation::{Deviation, Spread};
use crate::aggregate::extremes::{Extreme, ExtremeFlag, ExtremeText};
use crate::aggregate::first_last::FirstLast;
use crate::aggregate::hyper_log_log::HyperLogLog;
use crate::aggregate::kernel::{self, Presence, Ranked, Slice, State, Timed, fits, fold, fold_and_emit};
use crate::aggregate::list::List;
use crate::aggregate::quantile::Quantile;
use crate::aggregate::sum::{DoubleSum, ExactSum};
use crate::aggregate::top::Top;
use crate::aggregate::{Argument, Peak};
use crate::state::codec::{CodecError, Reader};
use crate::state::{ColumnBuilder, Rows, Values};

/// An aggregate's values for all groups.
pub(super) enum Plain {
    Count(Count),
    SumInt64(ExactSum<i64>),
    SumFloat64(DoubleSum),
    SumDecimal(ExactSum<i128>),
    ExtremeBoolean(ExtremeFlag),
    ExtremeInt64(Extreme<Int64Type>),
    ExtremeFloat64(Extreme<Float64Type>),
    ExtremeDecimal(Extreme<Decimal128Type>),
    ExtremeString(ExtremeText),
    ExtremeTimestamp(Extreme<TimestampMillisecondType>),
    MeanInt64(WholeMean),
    MeanFloat64(DoubleMean),
    MeanDecimal(DecimalMean),
    Deviation(Deviation),
    FirstLast(FirstLast),
    HyperLogLog(HyperLogLog),
    Quantile(Quantile),
    List(List),
    Top(Top),
}

/// Evaluates `$body` with the typed state.
macro_rules! with_state {
    ($accumulator:expr, $state:ident => $body:expr) => {
        match $accumulator {
            Plain::Count($state) => $body,
            Plain::SumInt64($state) => $body,
            Plain::SumFloat64($state) => $body,
            Plain::SumDecimal($state) => $body,
            Plain::ExtremeBoolean($state) => $body,
            Plain::ExtremeInt64($state) => $body,
            Plain::ExtremeFloat64($state) => $body,
            Plain::ExtremeDecimal($state) => $body,
            Plain::ExtremeString($state) => $body,
            Plain::ExtremeTimestamp($state) => $body,
            Plain::MeanInt64($state) => $body,
            Plain::MeanFloat64($state) => $body,
            Plain::MeanDecimal($state) => $body,
            Plain::Deviation($state) => $body,
            Plain::FirstLast($state) => $body,
            Plain::HyperLogLog($state) => $body,
            Plain::Quantile($state) => $body,
            Plain::List($state) => $body,
            Plain::Top($state) => $body,
        }
    };
}

/// Evaluates `$body` with the typed state and the typed argument.
macro_rules! with_argument {
    ($accumulator:expr, $argument:expr, ($state:ident, $source:ident) => $body:expr) => {{
        let Argument {
            values: view,
            by,
            times,
        } = $argument;
        let nulls = view.nulls;
        macro_rules! slice {
            ($values:expr, $typed:expr) => {{
                let ($state, $source) = (
                    $typed,
                    &Slice {
                        values: $values,
                        nulls,
                    },
                );
                $body
            }};
        }
        match ($accumulator, view.values) {
            (Plain::Count($state), _) => {
                let $source = &Presence { nulls };
                $body
            }
            (Plain::SumInt64(state), Values::Whole(values)) => slice!(values, state),
            (Plain::SumFloat64(state), Values::Double(values)) => slice!(values, state),
            (Plain::SumDecimal(state), Values::Decimal(values)) => slice!(values, state),
            (Plain::ExtremeBoolean($state), Values::Boolean(values)) => {
                let $source = &values;
                $body
            }
            (Plain::ExtremeInt64(state), Values::Whole(values)) => slice!(values, state),
            (Plain::ExtremeFloat64(state), Values::Double(values)) => slice!(values, state),
            (Plain::ExtremeDecimal(state), Values::Decimal(values)) => slice!(values, state),
            (Plain::ExtremeString($state), Values::Text(values)) => {
                let $source = &values;
                $body
            }
            (Plain::ExtremeTimestamp(state), Values::Whole(values)) => slice!(values, state),
            (Plain::MeanInt64(state), Values::Whole(values)) => slice!(values, state),
            (Plain::MeanFloat64(state), Values::Double(values)) => slice!(values, state),
            (Plain::MeanDecimal(state), Values::Decimal(values)) => slice!(values, state),
            (Plain::Deviation(state), Values::Whole(values)) => slice!(values, state),
            (Plain::Deviation(state), Values::Double(values)) => slice!(values, state),
            (Plain::Deviation(state), Values::Decimal(values)) => slice!(values, state),
            (Plain::FirstLast($state), _) => {
                let $source = &Timed { values: view, times };
                $body
            }
            (Plain::HyperLogLog($state), _) => {
                let $source = &view;
                $body
            }
            (Plain::Quantile($state), _) => {
                let $source = &view;
                $body
            }
            (Plain::List($state), _) => {
                let $source = &view;
                $body
            }
            (Plain::Top($state), _) => {
                let $source = &Ranked { values: view, by };
                $body
            }
            _ => unreachable!("the plan types the arguments of aggregates"),
        }
    }};
}

impl Plain {
    /// Without groups.
    pub(super) fn new(aggregate: &Aggregate) -> Self {
        use AggregateFunction as Function;
        use FieldType::{Decimal, Float64, Int64};
        let argument = aggregate.argument.as_ref().map(|argument| &argument.field_type);
        let scale = if let Some(Decimal { scale, .. }) = argument {
            *scale
        } else {
            0
        };
        let Some(argument) = argument else {
            return Self::Count(Count::default());
        };
        match (aggregate.function, argument) {
            (Function::Count | Function::CountDistinct, _) => Self::Count(Count::default()),
            (Function::Sum, Int64) => Self::SumInt64(ExactSum::default()),
            (Function::Sum, Float64) => Self::SumFloat64(DoubleSum::default()),
            (Function::Sum, Decimal { .. }) => Self::SumDecimal(ExactSum::default()),
            (Function::Avg, Int64) => Self::MeanInt64(WholeMean::default()),
            (Function::Avg, Float64) => Self::MeanFloat64(DoubleMean::default()),
            (Function::Avg, Decimal { .. }) => Self::MeanDecimal(DecimalMean::new(scale)),
            (Function::Min, any) => Self::extreme(any, false),
            (Function::Max, any) => Self::extreme(any, true),
            (Function::First, any) => Self::FirstLast(FirstLast::new(any.clone(), false)),
            (Function::Last, any) => Self::FirstLast(FirstLast::new(any.clone(), true)),
            (Function::ApproxCountDistinct, _) => Self::HyperLogLog(HyperLogLog::default()),
            (Function::CollectList { limit }, any) => Self::List(List::new(any.clone(), limit, aggregate.distinct)),
            (Function::Top { limit }, any) => {
                let by = aggregate.by.as_ref().map_or(any, |by| &by.field_type);
                Self::Top(Top::new(any.clone(), by.clone(), limit))
            }
            (Function::ApproxPercentile(percentile), number) => {
                Self::Quantile(Quantile::new(percentile, *number == Int64, scale))
            }
            (Function::Stddev, _) => Self::Deviation(Deviation::new(scale, Spread::STDDEV)),
            (Function::StddevPop, _) => Self::Deviation(Deviation::new(scale, Spread::STDDEV_POP)),
            (Function::Variance, _) => Self::Deviation(Deviation::new(scale, Spread::VARIANCE)),
            (Function::VariancePop, _) => Self::Deviation(Deviation::new(scale, Spread::VARIANCE_POP)),
            (Function::Sum | Function::Avg, _) => unreachable!("the plan refuses other arguments"),
        }
    }

    fn extreme(argument: &FieldType, largest: bool) -> Self {
        match argument {
            FieldType::Boolean => Self::ExtremeBoolean(ExtremeFlag::new(largest)),
            FieldType::Int64 => Self::ExtremeInt64(Extreme::new(largest)),
            FieldType::Float64 => Self::ExtremeFloat64(Extreme::new(largest)),
            FieldType::Decimal { .. } => Self::ExtremeDecimal(Extreme::new(largest)),
            FieldType::String => Self::ExtremeString(ExtremeText::new(largest)),
            FieldType::Timestamp => Self::ExtremeTimestamp(Extreme::new(largest)),
            FieldType::Array(_) => unreachable!("the plan refuses lists as arguments"),
        }
    }

    pub(super) fn has_room(&mut self, peak: Peak, rows: usize, panes: usize) -> bool {
        with_state!(self, state => state.has_room(peak, rows, panes))
    }

    pub(super) fn fits(&mut self, argument: Argument<'_>, row: usize, group: Option<u32>) -> bool {
        with_argument!(self, argument, (state, source) => fits(state, source, row, group))
    }

    pub(super) fn grow(&mut self, groups: usize) {
        with_state!(self, state => state.grow(groups));
    }

    pub(super) fn fold(&mut self, argument: Argument<'_>, rows: Rows<'_>) {
        with_argument!(self, argument, (state, source) => fold(state, source, rows));
    }

    pub(super) fn fold_and_emit(&mut self, argument: Argument<'_>, rows: Rows<'_>, out: &mut ColumnBuilder) {
        with_argument!(self, argument, (state, source) => fold_and_emit(state, source, rows, out));
    }

    pub(super) fn append(&self, groups: Range<usize>, out: &mut ColumnBuilder) {
        with_state!(self, state => kernel::append(state, groups, out));
    }

    /// See [`Accumulator::merge`](super::Accumulator::merge).
    pub(super) fn merge(&mut self, other: &Self, pairs: impl Iterator<Item = (usize, usize)>) -> Option<usize> {
        macro_rules! merge {
            ($($variant:ident),*) => {
                match (self, other) {
                    $((Self::$variant(state), Self::$variant(other)) => kernel::merge(state, other, pairs),)*
                    _ => unreachable!("only equal aggregates are merged"),
                }
            };
        }
        merge!(
            Count,
            SumInt64,
            SumFloat64,
            SumDecimal,
            ExtremeBoolean,
            ExtremeInt64,
            ExtremeFloat64,
            ExtremeDecimal,
            ExtremeString,
            ExtremeTimestamp,
            MeanInt64,
            MeanFloat64,
            MeanDecimal,
            Deviation,
            FirstLast,
            HyperLogLog,
            Quantile,
            List,
            Top
        )
    }

    pub(super) fn clear(&mut self) {
        with_state!(self, state => state.clear());
    }

    pub(super) fn bytes(&self) -> usize {
        with_state!(self, state => state.bytes())
    }

    pub(super) fn put(&self, group: usize, out: &mut Vec<u8>) -> bool {
        with_state!(self, state => state.put(group, out))
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        with_state!(self, state => state.save(out));
    }

    pub(super) fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        with_state!(self, state => state.load(reader, groups))
    }
}
