//! Single values whose type is not known when the code is compiled: for what keeps values, not numbers made of them.

use std::cmp::Ordering;

use millrace_plan::FieldType;

use crate::state::codec::{self, CodecError, Fixed, Reader};

/// A value that is not null, still in its column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'a> {
    Boolean(bool),
    /// Int64 and Timestamp.
    Whole(i64),
    Double(f64),
    /// Unscaled.
    Decimal(i128),
    Text(&'a str),
}

/// A value of one's own.
#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Boolean(bool),
    Whole(i64),
    Double(f64),
    Decimal(i128),
    Text(Box<str>),
}

impl<'a> Item<'a> {
    pub(crate) fn keep(self) -> Kept {
        match self {
            Self::Boolean(value) => Kept::Boolean(value),
            Self::Whole(value) => Kept::Whole(value),
            Self::Double(value) => Kept::Double(value),
            Self::Decimal(value) => Kept::Decimal(value),
            Self::Text(value) => Kept::Text(value.into()),
        }
    }

    /// As min and max order values: texts by their bytes, doubles with `-0.0` below `0.0`.
    pub(crate) fn order(self, other: Item<'_>) -> Ordering {
        match (self, other) {
            (Self::Boolean(left), Item::Boolean(right)) => left.cmp(&right),
            (Self::Whole(left), Item::Whole(right)) => left.cmp(&right),
            (Self::Double(left), Item::Double(right)) => left.total_cmp(&right),
            (Self::Decimal(left), Item::Decimal(right)) => left.cmp(&right),
            (Self::Text(left), Item::Text(right)) => left.cmp(right),
            _ => unreachable!("a column has one type"),
        }
    }

    /// The same for all values that are equal in SQL: both zeros are one.
    pub(crate) fn unified(self) -> Self {
        match self {
            // A pattern of zero is matched by both zeros.
            Self::Double(0.0) => Self::Double(0.0),
            Self::Double(value) if value.is_nan() => Self::Double(f64::NAN),
            other => other,
        }
    }

    /// Appends the bytes of the value alone: texts without their length.
    pub(crate) fn put_alone(self, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(value) => value.put(out),
            Self::Whole(value) => value.put(out),
            Self::Double(value) => value.put(out),
            Self::Decimal(value) => value.put(out),
            Self::Text(value) => out.extend_from_slice(value.as_bytes()),
        }
    }

    /// Reads what [`Item::put_alone`] wrote of a value of this type.
    pub(crate) fn read_alone(field_type: &FieldType, bytes: &'a [u8]) -> Result<Self, CodecError> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| CodecError::Invalid("a text is not UTF-8"));
        Ok(match field_type {
            FieldType::Boolean => Self::Boolean(Fixed::parse(bytes)?),
            FieldType::Int64 | FieldType::Timestamp => Self::Whole(Fixed::parse(bytes)?),
            FieldType::Float64 => Self::Double(Fixed::parse(bytes)?),
            FieldType::Decimal { .. } => Self::Decimal(Fixed::parse(bytes)?),
            FieldType::String => Self::Text(text(bytes)?),
            FieldType::Array(_) => unreachable!("the plan refuses lists as arguments"),
        })
    }

    /// Appends the value so that others can follow.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(value) => codec::put_bytes(out, value.as_bytes()),
            other => other.put_alone(out),
        }
    }

    /// Reads what [`Item::put`] wrote of a value of this type.
    pub(crate) fn read(field_type: &FieldType, reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        let bytes = match field_type {
            FieldType::String => reader.bytes()?,
            fixed => reader.raw(width(fixed))?,
        };
        Self::read_alone(field_type, bytes)
    }
}

/// Bytes of a value; of a text the least.
pub(crate) fn width(field_type: &FieldType) -> usize {
    match field_type {
        FieldType::Boolean | FieldType::String => 1,
        FieldType::Decimal { .. } => 16,
        FieldType::Int64 | FieldType::Float64 | FieldType::Timestamp | FieldType::Array(_) => 8,
    }
}

impl Kept {
    pub(crate) fn item(&self) -> Item<'_> {
        match self {
            Self::Boolean(value) => Item::Boolean(*value),
            Self::Whole(value) => Item::Whole(*value),
            Self::Double(value) => Item::Double(*value),
            Self::Decimal(value) => Item::Decimal(*value),
            Self::Text(value) => Item::Text(value),
        }
    }

    /// Bytes of memory beside those of the value itself.
    pub(crate) fn heap(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Boolean(_) | Self::Whole(_) | Self::Double(_) | Self::Decimal(_) => 0,
        }
    }
}
