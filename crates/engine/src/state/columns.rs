//! Result columns under construction.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, ListArray, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Field as ArrowField, FieldRef};
use millrace_plan::{ArrayItem, FieldType, ItemKind};

use crate::state::Item;

/// A builder for one field type: of scalars, or of lists of scalars.
pub(crate) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    String(StringBuilder),
    Timestamp(TimestampMillisecondBuilder),
    List(Box<ListColumn>),
}

/// Lists under construction; none of them is null.
pub(crate) struct ListColumn {
    items: ColumnBuilder,
    ends: Vec<i32>,
    item: FieldRef,
}

/// A builder that a [`ColumnBuilder`] may hold.
pub(crate) trait Built: Sized {
    /// The builder inside. The plan types results, so it is never another one.
    fn of(column: &mut ColumnBuilder) -> &mut Self;
}

macro_rules! built {
    ($($variant:ident: $builder:ty),*) => {$(
        impl Built for $builder {
            fn of(column: &mut ColumnBuilder) -> &mut Self {
                match column {
                    ColumnBuilder::$variant(builder) => builder,
                    _ => unreachable!("the plan types the results"),
                }
            }
        }
    )*};
}

built!(Boolean: BooleanBuilder, Int64: Int64Builder, Float64: Float64Builder, Decimal: Decimal128Builder,
    String: StringBuilder, Timestamp: TimestampMillisecondBuilder, List: Box<ListColumn>);

/// For states whose values are of any type.
impl Built for ColumnBuilder {
    fn of(column: &mut ColumnBuilder) -> &mut Self {
        column
    }
}

impl ColumnBuilder {
    /// Room for `rows` values; lists are of scalars.
    pub(crate) fn new(field_type: &FieldType, rows: usize) -> Self {
        match field_type {
            FieldType::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            FieldType::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            FieldType::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            FieldType::Decimal { precision, scale } => Self::Decimal(
                Decimal128Builder::with_capacity(rows)
                    .with_precision_and_scale(*precision, *scale as i8)
                    .expect("the plan checked precision and scale"),
            ),
            FieldType::String => Self::String(StringBuilder::with_capacity(rows, rows * 8)),
            FieldType::Timestamp => Self::Timestamp(TimestampMillisecondBuilder::with_capacity(rows)),
            FieldType::Array(item) => Self::List(Box::new(ListColumn::new(item))),
        }
    }

    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal(builder) => builder.append_null(),
            Self::String(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::List(_) => unreachable!("keys are no lists, and lists are never null"),
        }
    }

    /// Appends a value of the builder's type.
    pub(crate) fn append(&mut self, item: Item<'_>) {
        match (self, item) {
            (Self::Boolean(builder), Item::Boolean(value)) => builder.append_value(value),
            (Self::Int64(builder), Item::Whole(value)) => builder.append_value(value),
            (Self::Float64(builder), Item::Double(value)) => builder.append_value(value),
            (Self::Decimal(builder), Item::Decimal(value)) => builder.append_value(value),
            (Self::String(builder), Item::Text(value)) => builder.append_value(value),
            (Self::Timestamp(builder), Item::Whole(value)) => builder.append_value(value),
            _ => unreachable!("the plan types the results"),
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder) => Arc::new(builder.finish()),
            Self::String(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::List(builder) => Arc::new(builder.finish()),
        }
    }
}

impl ListColumn {
    fn new(item: &ArrayItem) -> Self {
        let ItemKind::Scalar(scalar) = &item.kind else {
            unreachable!("no aggregate makes lists of objects")
        };
        Self {
            items: ColumnBuilder::new(scalar, 0),
            ends: vec![0],
            item: Arc::new(ArrowField::new("item", item.arrow(), item.nullable)),
        }
    }

    /// Appends a list.
    pub(crate) fn append<'a>(&mut self, items: impl Iterator<Item = Item<'a>>) {
        let mut end = *self.ends.last().expect("it begins with a zero");
        for item in items {
            self.items.append(item);
            end = end
                .checked_add(1)
                .expect("memory ends before two billion items of a batch");
        }
        self.ends.push(end);
    }

    fn finish(&mut self) -> ListArray {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        ListArray::new(Arc::clone(&self.item), offsets, self.items.finish(), None)
    }
}
