//! A decoder that is slow and plain, on top of serde_json: what the real one must agree with.

use std::fmt;

use millrace_format::Refusal;
use millrace_plan::{ArrayItem, Field, FieldType, ItemKind};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Cell;

/// All members in order, twice if they stand twice, their values as they were written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Members;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

/// Whether this is one JSON object, by serde_json's judgement.
pub fn is_object(document: &[u8]) -> bool {
    let first = document.iter().find(|byte| !b" \t\r\n".contains(byte));
    std::str::from_utf8(document).is_ok()
        && first == Some(&b'{')
        && serde_json::from_slice::<serde::de::IgnoredAny>(document).is_ok()
}

/// The cells of one record, or how it is refused.
pub fn decode(fields: &[Field], document: &[u8]) -> Result<Vec<Cell>, Refusal> {
    if !is_object(document) {
        return Err(Refusal::Undecodable);
    }
    object(fields, std::str::from_utf8(document).expect("checked above").trim())
}

/// A needed member that stands twice spoils the object; else the first field that does not fit decides.
fn object(fields: &[Field], text: &str) -> Result<Vec<Cell>, Refusal> {
    let places: Vec<Place> = fields.iter().map(|field| locate(field, text)).collect();
    if places.contains(&Place::Twice) {
        return Err(Refusal::Undecodable);
    }
    let cell = |(field, place): (&Field, Place)| match place {
        Place::Found(text) => value(&field.field_type, field.nullable, &text),
        _ => Err(Refusal::SchemaMismatch),
    };
    fields.iter().zip(places).map(cell).collect()
}

#[derive(PartialEq)]
enum Place {
    Found(String),
    Twice,
    /// Something on the way is not an object.
    Blocked,
}

fn locate(field: &Field, text: &str) -> Place {
    let mut text = text.to_string();
    for name in &field.path {
        let members = match text.as_bytes()[0] {
            b'{' => serde_json::from_str(&text).expect("it is an object"),
            b'n' => Members(Vec::new()),
            _ => return Place::Blocked,
        };
        let mut found = members.0.iter().filter(|member| member.0 == *name);
        let first = found.next().map_or("null".into(), |member| member.1.get().to_string());
        if found.next().is_some() {
            return Place::Twice;
        }
        text = first;
    }
    Place::Found(text)
}

fn value(field_type: &FieldType, nullable: bool, text: &str) -> Result<Cell, Refusal> {
    if text == "null" {
        return if nullable {
            Ok(Cell::Null)
        } else {
            Err(Refusal::SchemaMismatch)
        };
    }
    let string = match text.as_bytes()[0] {
        b'"' => Some(serde_json::from_str::<String>(text)),
        _ => None,
    };
    let is_number = text.as_bytes()[0] == b'-' || text.as_bytes()[0].is_ascii_digit();
    let cell = match (field_type, string) {
        (FieldType::Boolean, None) => text.parse().ok().map(Cell::Boolean),
        (FieldType::String, Some(string)) => Some(Cell::Text(string.map_err(|_| Refusal::Undecodable)?)),
        (FieldType::Float64, None) if is_number => text
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .map(|value| Cell::Float(value.to_bits())),
        (FieldType::Int64, None) if is_number => integer(text).map(Cell::Integer),
        (FieldType::Timestamp, None) if is_number => integer(text).map(Cell::Integer),
        (FieldType::Timestamp, Some(string)) => {
            let string = string.map_err(|_| Refusal::Undecodable)?;
            // chrono lets a leap second follow every minute.
            let instant = chrono::DateTime::parse_from_rfc3339(&string)
                .ok()
                .filter(|_| &string[17..19] != "60");
            instant.map(|instant| Cell::Integer(instant.timestamp_millis()))
        }
        (FieldType::Decimal { precision, scale }, string) => {
            let text = string
                .unwrap_or(Ok(text.to_string()))
                .map_err(|_| Refusal::Undecodable)?;
            exact(&text, *precision, *scale).map(Cell::Decimal)
        }
        (FieldType::Array(item), None) if text.starts_with('[') => {
            let texts: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(|_| Refusal::Undecodable)?;
            let cells: Result<_, _> = texts.iter().map(|text| item_value(item, text.get())).collect();
            Some(Cell::List(cells?))
        }
        _ => None,
    };
    cell.ok_or(Refusal::SchemaMismatch)
}

fn item_value(item: &ArrayItem, text: &str) -> Result<Cell, Refusal> {
    match &item.kind {
        ItemKind::Scalar(scalar) => value(scalar, item.nullable, text),
        ItemKind::Object(_) if text == "null" && item.nullable => Ok(Cell::Null),
        ItemKind::Object(fields) if text.starts_with('{') => object(fields, text).map(Cell::Object),
        ItemKind::Object(_) => Err(Refusal::SchemaMismatch),
    }
}

fn integer(text: &str) -> Option<i64> {
    exact(text, 19, 0)?.try_into().ok()
}

/// Shifts the point in the text itself, digit by digit.
fn exact(text: &str, precision: u8, scale: u8) -> Option<i128> {
    serde_json::from_str::<&RawValue>(text)
        .ok()
        .filter(|raw| raw.get() == text)?;
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) || whole.is_empty() {
        return None;
    }
    if whole.bytes().chain(fraction.bytes()).all(|byte| byte == b'0') {
        return Some(0);
    }
    let shift: i32 = exponent.parse().ok().filter(|shift: &i32| shift.abs() < 10_000)?;
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let mut point = whole.len() as i32 + shift + i32::from(scale);
    while point < 0 {
        digits.insert(0, b'0');
        point += 1;
    }
    while digits.len() < point as usize {
        digits.push(b'0');
    }
    let (kept, rest) = digits.split_at(point as usize);
    if rest.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let kept = std::str::from_utf8(kept)
        .expect("digits are ASCII")
        .trim_start_matches('0');
    if kept.len() > usize::from(precision) {
        return None;
    }
    let value: i128 = format!("0{kept}").parse().ok()?;
    Some(if text.starts_with('-') { -value } else { value })
}
