//! Result columns under construction.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMillisecondBuilder,
};
use millrace_plan::FieldType;

/// A builder for one scalar field type.
pub(crate) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    String(StringBuilder),
    Timestamp(TimestampMillisecondBuilder),
}

/// An Arrow builder that a [`ColumnBuilder`] may hold.
pub(crate) trait Built: ArrayBuilder + Sized {
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
    String: StringBuilder, Timestamp: TimestampMillisecondBuilder);

impl ColumnBuilder {
    /// Room for `rows` values of a scalar type; keys and results are never lists.
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
            FieldType::Array(_) => unreachable!("the plan refuses lists as keys and results of aggregates"),
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
        }
    }
}
