//! One finished column, ready to be written as JSON: the Arrow types are looked at once per batch, not per value.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use millrace_plan::{FieldType, ItemKind};

use crate::json::encode::{BoundEncoder, Encoder};
use crate::json::text;

/// One column, ready to be written.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Boolean(&'a BooleanBuffer),
    /// Whole numbers, and instants as milliseconds.
    Int64(&'a [i64]),
    Float64(&'a [f64]),
    Decimal {
        values: &'a [i128],
        scale: usize,
    },
    String {
        offsets: &'a [i32],
        bytes: &'a [u8],
    },
    Scalars {
        offsets: &'a [i32],
        items: Box<Cells<'a>>,
    },
    Objects {
        offsets: &'a [i32],
        items: BoundEncoder<'a>,
        nulls: Option<&'a NullBuffer>,
    },
}

impl<'a> Cells<'a> {
    /// `items` writes the objects of a list of objects.
    pub(super) fn bind(field_type: &FieldType, items: Option<&'a Encoder>, column: &'a ArrayRef) -> Self {
        let values = match field_type {
            FieldType::Boolean => Values::Boolean(column.as_boolean().values()),
            FieldType::Int64 => Values::Int64(column.as_primitive::<Int64Type>().values()),
            FieldType::Timestamp => Values::Int64(column.as_primitive::<TimestampMillisecondType>().values()),
            FieldType::Float64 => Values::Float64(column.as_primitive::<Float64Type>().values()),
            FieldType::Decimal { scale, .. } => {
                let values = column.as_primitive::<Decimal128Type>().values();
                Values::Decimal {
                    values,
                    scale: usize::from(*scale),
                }
            }
            FieldType::String => {
                let strings = column.as_string::<i32>();
                Values::String {
                    offsets: strings.value_offsets(),
                    bytes: strings.value_data(),
                }
            }
            FieldType::Array(item) => {
                let list = column.as_list::<i32>();
                let offsets = list.value_offsets();
                match (&item.kind, items) {
                    (ItemKind::Scalar(scalar), _) => Values::Scalars {
                        offsets,
                        items: Box::new(Cells::bind(scalar, None, list.values())),
                    },
                    (ItemKind::Object(_), items) => {
                        let objects = list.values().as_struct();
                        let items = items.expect("a list of objects has an encoder for them");
                        Values::Objects {
                            offsets,
                            items: items.bind_columns(objects.columns().iter()),
                            nulls: objects.nulls(),
                        }
                    }
                }
            }
        };
        Self {
            nulls: column.nulls(),
            values,
        }
    }

    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// The text of a row that is not null, if this is a column of strings.
    #[inline]
    pub(super) fn text(&self, row: usize) -> Option<&'a [u8]> {
        match self.values {
            Values::String { offsets, bytes } => Some(&bytes[range(offsets, row)]),
            _ => None,
        }
    }

    /// Appends the value as JSON.
    #[inline]
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match &self.values {
            Values::Boolean(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Int64(values) => out.extend_from_slice(itoa::Buffer::new().format(values[row]).as_bytes()),
            Values::Float64(values) => write_float(values[row], out),
            Values::Decimal { values, scale } => write_decimal(values[row], *scale, out),
            Values::String { offsets, bytes } => text::write(&bytes[range(offsets, row)], out),
            Values::Scalars { offsets, items } => {
                write_list(range(offsets, row), out, |item, out| items.write(item, out))
            }
            Values::Objects { offsets, items, nulls } => write_list(range(offsets, row), out, |item, out| {
                if nulls.is_some_and(|nulls| nulls.is_null(item)) {
                    out.extend_from_slice(b"null");
                } else {
                    items.write(item, out);
                }
            }),
        }
    }
}

#[inline(always)]
fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

fn write_list(items: std::ops::Range<usize>, out: &mut Vec<u8>, write: impl Fn(usize, &mut Vec<u8>)) {
    out.push(b'[');
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// The shortest text that reads back as the same double. JSON has no word for infinity or NaN; plans yield neither.
#[inline]
fn write_float(value: f64, out: &mut Vec<u8>) {
    debug_assert!(value.is_finite(), "expressions refuse rows with infinite results");
    if value.is_finite() {
        out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Exactly `scale` digits after the point.
fn write_decimal(value: i128, scale: usize, out: &mut Vec<u8>) {
    const ZEROS: &[u8] = &[b'0'; 40];
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    if value < 0 {
        out.push(b'-');
    }
    if scale == 0 {
        return out.extend_from_slice(digits);
    }
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits[..whole] });
    out.push(b'.');
    out.extend_from_slice(&ZEROS[..scale - (digits.len() - whole)]);
    out.extend_from_slice(&digits[whole..]);
}
