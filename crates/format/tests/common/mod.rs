//! What the tests share: short ways to write fields and to decode, and rows as plain values.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimestampMillisecondType};
use millrace_format::{Decoded, Decoder, Encoder, Record, Refusal, Refused};
use millrace_plan::{ArrayItem, EventTime, Field, FieldType, Fields, ItemKind, TimeOrigin};

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Boolean(bool),
    /// Whole numbers and instants.
    Integer(i64),
    /// Bits, so that -0.0 is not 0.0.
    Float(u64),
    Decimal(i128),
    Text(String),
    List(Vec<Cell>),
    Object(Vec<Cell>),
}

pub fn field(name: &str, field_type: FieldType, nullable: bool, path: &[&str]) -> Field {
    Field {
        name: name.into(),
        field_type,
        nullable,
        path: path.iter().map(ToString::to_string).collect(),
    }
}

pub fn needed(name: &str, field_type: FieldType) -> Field {
    Field::computed(name, field_type, false)
}

pub fn nullable(name: &str, field_type: FieldType) -> Field {
    Field::computed(name, field_type, true)
}

pub fn list(nullable: bool, kind: ItemKind) -> FieldType {
    FieldType::Array(Arc::new(ArrayItem { nullable, kind }))
}

pub fn decimal(precision: u8, scale: u8) -> FieldType {
    FieldType::Decimal { precision, scale }
}

pub fn by_record() -> EventTime {
    EventTime {
        origin: TimeOrigin::Record,
        ..EventTime::default()
    }
}

pub fn value(bytes: &[u8]) -> Record<'_> {
    Record {
        value: Some(bytes),
        ..Record::default()
    }
}

pub fn decode_all(fields: &Fields, values: &[&[u8]]) -> (Decoded, Vec<Refused>) {
    let records: Vec<Record<'_>> = values.iter().map(|bytes| value(bytes)).collect();
    let mut refused = Vec::new();
    let decoded = Decoder::json(fields, None, by_record()).decode(&records, &mut refused);
    (decoded, refused)
}

/// The cells of the only row, or why there is none.
pub fn decode(fields: &[Field], value: &[u8]) -> Result<Vec<Cell>, (Refusal, String)> {
    let (decoded, mut refused) = decode_all(&Fields::new(fields.to_vec()), &[value]);
    assert_eq!(decoded.columns.num_rows() + refused.len(), 1);
    match refused.pop() {
        Some(refused) => Err((refused.refusal, refused.message)),
        None => Ok(row(&decoded.columns, 0)),
    }
}

/// Decodes one field called `f` from `{"f": literal}`.
pub fn decode_field(field_type: &FieldType, literal: &str) -> Result<Cell, (Refusal, String)> {
    let cells = decode(
        &[needed("f", field_type.clone())],
        format!("{{\"f\":{literal}}}").as_bytes(),
    );
    cells.map(|mut cells| cells.remove(0))
}

pub fn encode(fields: &Fields, columns: &RecordBatch, row: usize) -> String {
    let mut out = Vec::new();
    Encoder::json(fields).bind(columns).write(row, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

pub fn row(columns: &RecordBatch, row: usize) -> Vec<Cell> {
    columns.columns().iter().map(|column| cell(column, row)).collect()
}

fn cell(column: &ArrayRef, row: usize) -> Cell {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Boolean => Cell::Boolean(column.as_boolean().value(row)),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(..) => Cell::Integer(column.as_primitive::<TimestampMillisecondType>().value(row)),
        DataType::Float64 => Cell::Float(column.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Decimal128(..) => Cell::Decimal(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).into()),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            Cell::List((0..items.len()).map(|item| cell(&items, item)).collect())
        }
        DataType::Struct(_) => Cell::Object(
            column
                .as_struct()
                .columns()
                .iter()
                .map(|column| cell(column, row))
                .collect(),
        ),
        other => unreachable!("no field has type {other}"),
    }
}
