//! Columns with their type resolved once per batch, so that the per-value code is monomorphic.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};

use crate::state::Item;

/// One column of a batch.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) values: Values<'a>,
    pub(crate) nulls: Option<&'a NullBuffer>,
}

/// The values by type. What stands at a null's place means nothing.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    /// Only whether a value is there counts: `count` of anything.
    Opaque,
    Boolean(&'a BooleanArray),
    /// Int64 and Timestamp.
    Whole(&'a [i64]),
    Double(&'a [f64]),
    /// Unscaled.
    Decimal(&'a [i128]),
    Text(&'a StringArray),
}

impl<'a> View<'a> {
    /// A column that is never null and has no values: what `count` of rows counts.
    pub(crate) const ROWS: Self = View {
        values: Values::Opaque,
        nulls: None,
    };

    pub(crate) fn of(array: &'a ArrayRef) -> Self {
        let values = match array.data_type() {
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::Int64 => Values::Whole(array.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Values::Whole(array.as_primitive::<TimestampMillisecondType>().values())
            }
            DataType::Float64 => Values::Double(array.as_primitive::<Float64Type>().values()),
            DataType::Decimal128(..) => Values::Decimal(array.as_primitive::<Decimal128Type>().values()),
            DataType::Utf8 => Values::Text(array.as_string()),
            _ => Values::Opaque,
        };
        View {
            values,
            nulls: array.nulls(),
        }
    }

    /// The value of a row, which is not null.
    #[inline]
    pub(crate) fn item(&self, row: usize) -> Item<'a> {
        match self.values {
            Values::Boolean(values) => Item::Boolean(values.value(row)),
            Values::Whole(values) => Item::Whole(values[row]),
            Values::Double(values) => Item::Double(values[row]),
            Values::Decimal(values) => Item::Decimal(values[row]),
            Values::Text(values) => Item::Text(values.value(row)),
            Values::Opaque => unreachable!("the plan refuses lists as arguments"),
        }
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }
}

/// Rows of a batch and the group that each belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Positions in the batch; None: all of them, in order.
    pub(crate) rows: Option<&'a [u32]>,
    /// One for every row.
    pub(crate) groups: &'a [u32],
}

impl Rows<'_> {
    /// Calls `visit(row, group)` in order.
    #[inline(always)]
    pub(crate) fn each(&self, mut visit: impl FnMut(usize, usize)) {
        match self.rows {
            None => self
                .groups
                .iter()
                .enumerate()
                .for_each(|(row, group)| visit(row, *group as usize)),
            Some(rows) => {
                rows.iter()
                    .zip(self.groups)
                    .for_each(|(row, group)| visit(*row as usize, *group as usize));
            }
        }
    }
}
