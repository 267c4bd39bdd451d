//! One column under construction: values go in one by one, can be taken back, and come out as an Arrow array.
//!
//! Plain vectors, so that taking back is a truncation and the array takes them over without a copy. Nulls are the rare
//! case: only their rows are kept, in ascending order.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, Decimal128Array, PrimitiveArray, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMillisecondType};
use millrace_plan::FieldType;

use crate::decoded::Refusal;
use crate::json::list::List;
use crate::json::malformed::Malformed;
use crate::json::reason::Reason;
use crate::json::scan::{self, Kind, Slot};
use crate::json::{instant, number, text};

/// One column under construction.
#[derive(Debug)]
pub(super) struct Column {
    field_type: FieldType,
    values: Values,
    /// Rows that are null. In `values` they hold a placeholder.
    nulls: Vec<u32>,
}

#[derive(Debug)]
enum Values {
    Boolean(Vec<bool>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>),
    /// Where each text ends, and the texts.
    String(Vec<i32>, Vec<u8>),
    Timestamp(Vec<i64>),
    List(Box<List>),
}

impl Column {
    pub(super) fn new(field_type: &FieldType) -> Self {
        let values = match field_type {
            FieldType::Boolean => Values::Boolean(Vec::new()),
            FieldType::Int64 => Values::Int64(Vec::new()),
            FieldType::Float64 => Values::Float64(Vec::new()),
            FieldType::Decimal { .. } => Values::Decimal(Vec::new()),
            FieldType::String => Values::String(vec![0], Vec::new()),
            FieldType::Timestamp => Values::Timestamp(Vec::new()),
            FieldType::Array(item) => Values::List(Box::new(List::new(item))),
        };
        Self {
            field_type: field_type.clone(),
            values,
            nulls: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Boolean(values) => values.len(),
            Values::Int64(values) | Values::Timestamp(values) => values.len(),
            Values::Float64(values) => values.len(),
            Values::Decimal(values) => values.len(),
            Values::String(ends, _) => ends.len() - 1,
            Values::List(list) => list.len(),
        }
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.reserve(rows),
            Values::Int64(values) | Values::Timestamp(values) => values.reserve(rows),
            Values::Float64(values) => values.reserve(rows),
            Values::Decimal(values) => values.reserve(rows),
            Values::String(ends, _) => ends.reserve(rows),
            Values::List(list) => list.reserve(rows),
        }
    }

    /// Appends the value at `slot`, which is neither missing nor null. After an error, truncate to the length before.
    #[inline]
    pub(super) fn push(&mut self, slot: Slot, document: &[u8]) -> Result<(), Box<Reason>> {
        let expected = &self.field_type;
        let literal = slot.bytes(document);
        match (&mut self.values, slot.kind) {
            (Values::Int64(values), Kind::Number) => match number::int64(literal) {
                Ok(value) => values.push(value),
                Err(unfit) => return Err(Reason::unfit(expected, unfit)),
            },
            (Values::Float64(values), Kind::Number) => match number::float64(literal) {
                Ok(value) => values.push(value),
                Err(unfit) => return Err(Reason::unfit(expected, unfit)),
            },
            (Values::String(ends, texts), Kind::Text) => {
                texts.extend_from_slice(literal);
                ends.push(texts.len() as i32);
            }
            (Values::String(ends, texts), Kind::EscapedText) => {
                text::unescape(document, slot.start as usize, slot.end as usize, texts)?;
                ends.push(texts.len() as i32);
            }
            (Values::Boolean(values), Kind::True) => values.push(true),
            (Values::Boolean(values), Kind::False) => values.push(false),
            (Values::Timestamp(values), _) => values.push(timestamp(slot, document, expected)?),
            (Values::Decimal(values), _) => values.push(decimal(slot, document, expected)?),
            (Values::List(list), Kind::Array) => list.push(slot, document)?,
            (_, found) => return Err(Reason::kind(expected, found)),
        }
        Ok(())
    }

    /// Appends a null.
    pub(super) fn push_null(&mut self) {
        self.nulls.push(self.len() as u32);
        self.push_placeholder();
    }

    /// Appends some value to a row that is null further outside.
    pub(super) fn push_placeholder(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::String(ends, texts) => ends.push(texts.len() as i32),
            Values::List(list) => list.push_empty(),
        }
    }

    /// Takes back every row from `rows` on, half written ones too.
    pub(super) fn truncate(&mut self, rows: usize) {
        while self.nulls.last().is_some_and(|null| *null as usize >= rows) {
            self.nulls.pop();
        }
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Int64(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Decimal(values) => values.truncate(rows),
            Values::String(ends, texts) => {
                ends.truncate(rows + 1);
                texts.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::List(list) => list.truncate(rows),
        }
    }

    /// The value of a whole number or an instant; None if it is null.
    #[inline]
    pub(super) fn integer(&self, row: usize) -> Option<i64> {
        match &self.values {
            Values::Int64(values) | Values::Timestamp(values) if self.nulls.binary_search(&(row as u32)).is_err() => {
                values.get(row).copied()
            }
            _ => None,
        }
    }

    /// All rows as an array; the column is empty again.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let nulls = null_buffer(std::mem::take(&mut self.nulls), self.len());
        match &mut self.values {
            Values::Boolean(values) => {
                let bits = BooleanBuffer::from(std::mem::take(values));
                Arc::new(BooleanArray::new(bits, nulls))
            }
            Values::Int64(values) => primitive::<Int64Type>(values, nulls),
            Values::Float64(values) => primitive::<Float64Type>(values, nulls),
            Values::Timestamp(values) => primitive::<TimestampMillisecondType>(values, nulls),
            Values::Decimal(values) => {
                let values = Decimal128Array::new(ScalarBuffer::from(std::mem::take(values)), nulls);
                Arc::new(values.with_data_type(self.field_type.arrow()))
            }
            Values::String(ends, texts) => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])));
                // The next batch will need about as much room.
                let room = Vec::with_capacity(texts.len());
                let texts = Buffer::from_vec(std::mem::replace(texts, room));
                Arc::new(StringArray::new(ends, texts, nulls))
            }
            Values::List(list) => list.finish(nulls),
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(
        ScalarBuffer::from(std::mem::take(values)),
        nulls,
    ))
}

/// The validity of `rows` rows of which `nulls` are null.
pub(super) fn null_buffer(nulls: Vec<u32>, rows: usize) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut valid = BooleanBufferBuilder::new(rows);
    valid.append_n(rows, true);
    for row in nulls {
        valid.set_bit(row as usize, false);
    }
    Some(NullBuffer::new(valid.finish()))
}

#[inline]
fn timestamp(slot: Slot, document: &[u8], expected: &FieldType) -> Result<i64, Box<Reason>> {
    match slot.kind {
        Kind::Number => number::int64(slot.bytes(document)).map_err(|unfit| Reason::unfit(expected, unfit)),
        Kind::Text | Kind::EscapedText => instant::parse(&plain(slot, document)?).ok_or_else(|| {
            Reason::new(
                Refusal::SchemaMismatch,
                "string is not an RFC 3339 timestamp with offset",
            )
        }),
        found => Err(Reason::kind(expected, found)),
    }
}

fn decimal(slot: Slot, document: &[u8], expected: &FieldType) -> Result<i128, Box<Reason>> {
    let literal = match slot.kind {
        Kind::Number => Cow::Borrowed(slot.bytes(document)),
        Kind::Text | Kind::EscapedText => {
            let text = plain(slot, document)?;
            if scan::number(&text, 0) != Ok(text.len()) {
                return Err(Reason::new(Refusal::SchemaMismatch, "string does not hold a number"));
            }
            text
        }
        found => return Err(Reason::kind(expected, found)),
    };
    let FieldType::Decimal { precision, scale } = *expected else {
        return Err(Reason::kind(expected, slot.kind));
    };
    number::scaled(&literal, precision, scale).map_err(|unfit| Reason::unfit(expected, unfit))
}

/// The text of a string with its escapes resolved.
fn plain(slot: Slot, document: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    if slot.kind == Kind::Text {
        return Ok(Cow::Borrowed(slot.bytes(document)));
    }
    let mut plain = Vec::with_capacity((slot.end - slot.start) as usize);
    text::unescape(document, slot.start as usize, slot.end as usize, &mut plain)?;
    Ok(Cow::Owned(plain))
}
