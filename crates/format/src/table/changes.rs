//! Records of a topic that is a table to changes of its rows: a value is a row, no value deletes one. A record's key is
//! made of the table's key, as that of any record is of `spec.key`: a row has these fields too, and what is deleted has
//! nothing else.

use std::borrow::Cow;

use arrow::array::RecordBatch;
use millrace_plan::{EventTime, Field, FieldType, Fields, InputKey, Table, TimeOrigin};

use crate::decoded::{Refusal, Refused};
use crate::json::{Decoder, write_text};
use crate::record::Record;

/// Reads the records of a table's topic, one batch after the other.
#[derive(Debug)]
pub struct ChangeDecoder {
    rows: Decoder,
    keys: Decoder,
    form: KeyForm,
}

/// What some records do to a table.
#[derive(Clone, Debug)]
pub struct TableChanges {
    /// New rows, with the table's fields, in the order of their records.
    pub rows: RecordBatch,
    /// For each the position of its record. Ascending.
    pub row_origins: Vec<u32>,
    /// The keys of rows that go: the key fields in key order.
    pub deleted: RecordBatch,
    /// For each the position of its record. Ascending.
    pub deleted_origins: Vec<u32>,
    /// Records that cannot be used, in their order.
    pub refused: Vec<Refused>,
}

/// How the text of a record key becomes an object of the key fields.
#[derive(Debug)]
enum KeyForm {
    /// The bare text of this field.
    Text(String),
    /// The JSON of this field.
    Value(String),
    /// An object already.
    Object,
}

/// Records that are decoded alike: where each stood, its key and its object.
type Part<'a> = Vec<(u32, Option<&'a [u8]>, Cow<'a, [u8]>)>;

impl ChangeDecoder {
    /// A decoder of a table's rows and keys.
    pub fn json(table: &Table) -> Self {
        let any_time = EventTime {
            origin: TimeOrigin::Record,
            ..EventTime::default()
        };
        let key: Vec<Field> = table.key.iter().map(|at| table.fields[*at].clone()).collect();
        let form = match key.as_slice() {
            [field] if field.field_type == FieldType::String => KeyForm::Text(field.name.clone()),
            [field] => KeyForm::Value(field.name.clone()),
            _ => KeyForm::Object,
        };
        let named = key.into_iter().map(|field| Field {
            path: vec![field.name.clone()],
            ..field
        });
        let key_fields = Fields::new(named.collect());
        let whole = InputKey {
            fields: (0..key_fields.len()).collect(),
        };
        let of_row = InputKey {
            fields: table.key.clone(),
        };
        Self {
            rows: Decoder::json(&table.fields, Some(&of_row), any_time),
            keys: Decoder::json(&key_fields, Some(&whole), any_time),
            form,
        }
    }

    /// Decodes a batch.
    ///
    /// # Panics
    ///
    /// If the values together hold 2 GiB or more.
    pub fn decode(&mut self, records: &[Record<'_>]) -> TableChanges {
        let (mut rows, mut gone, mut refused) = (Part::new(), Part::new(), Vec::new());
        for (at, record) in (0..).zip(records) {
            match (record.value, record.key) {
                (Some(value), key) => rows.push((at, key, Cow::Borrowed(value))),
                (None, Some(key)) => gone.push((at, Some(key), self.form.object(key))),
                (None, None) => refused.push(unknown(at)),
            }
        }
        let (rows, row_origins) = decode(&mut self.rows, &rows, &mut refused);
        let mut bad_keys = Vec::new();
        let (deleted, deleted_origins) = decode(&mut self.keys, &gone, &mut bad_keys);
        refused.extend(bad_keys.into_iter().map(|bad| unknown(bad.input)));
        refused.sort_by_key(|refused| refused.input);
        TableChanges {
            rows,
            row_origins,
            deleted,
            deleted_origins,
            refused,
        }
    }
}

fn decode(decoder: &mut Decoder, part: &Part<'_>, refused: &mut Vec<Refused>) -> (RecordBatch, Vec<u32>) {
    let records: Vec<Record<'_>> = part
        .iter()
        .map(|(_, key, value)| Record {
            key: *key,
            value: Some(value),
            ..Record::default()
        })
        .collect();
    let place = |at: u32| part[at as usize].0;
    let mut bad = Vec::new();
    let decoded = decoder.decode(&records, &mut bad);
    refused.extend(bad.into_iter().map(|bad| Refused {
        input: place(bad.input),
        ..bad
    }));
    (decoded.columns, decoded.origins.into_iter().map(place).collect())
}

fn unknown(input: u32) -> Refused {
    Refused {
        input,
        refusal: Refusal::KeyMismatch,
        message: "the record has no value, and its key is not one of the table".to_owned(),
    }
}

impl KeyForm {
    fn object<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        let (Self::Text(name) | Self::Value(name)) = self else {
            return Cow::Borrowed(key);
        };
        let mut object = format!("{{\"{name}\":").into_bytes();
        match self {
            Self::Text(_) => write_text(key, &mut object),
            Self::Value(_) | Self::Object => object.extend_from_slice(key),
        }
        object.push(b'}');
        Cow::Owned(object)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use millrace_plan::{TableFormat, TableOrigin, TopicName};

    use super::*;

    fn field(name: &str, path: &str, field_type: FieldType) -> Field {
        Field {
            name: name.to_owned(),
            field_type,
            nullable: false,
            path: path.split('.').map(str::to_owned).collect(),
        }
    }

    /// `code` and `number` somewhere in the value, and `word`.
    fn table(key: Vec<usize>) -> Table {
        let fields = vec![
            field("code", "at.code", FieldType::String),
            field("number", "no", FieldType::Int64),
            field("word", "word", FieldType::String),
        ];
        Table {
            name: "words".to_owned(),
            origin: TableOrigin::Topic(TopicName::parse("words").expect("it is a name")),
            format: TableFormat::JsonLines,
            fields: Fields::new(fields),
            key,
            valid_from: None,
        }
    }

    fn record<'a>(key: Option<&'a str>, value: Option<&'a str>) -> Record<'a> {
        Record {
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            timestamp: -1,
            ..Record::default()
        }
    }

    #[test]
    fn values_are_rows_and_keys_without_one_delete() {
        let row = Some(r#"{"at":{"code":"a\"b"},"no":7,"word":"x"}"#);
        let rows: [(Vec<usize>, &str); 4] = [
            (vec![0], "a\"b"),
            (vec![1], "7"),
            (vec![0, 1], r#"{"code":"a\"b","number":7}"#),
            (vec![1, 0], r#"{"number":7,"code":"a\"b"}"#),
        ];
        for (key, text) in rows {
            let mut decoder = ChangeDecoder::json(&table(key.clone()));
            let records = [
                record(Some(text), None),
                record(Some(text), row),
                record(Some("other"), row),
                record(Some(text), Some("{}")),
                record(None, None),
                record(Some("{"), None),
                record(Some(text), None),
            ];
            let changes = decoder.decode(&records);
            assert_eq!((&changes.row_origins, changes.rows.num_rows()), (&vec![1], 1), "{text}");
            assert_eq!(changes.rows.column(2).as_string::<i32>().value(0), "x");
            // A lone brace is a text as good as any.
            let of_text = key == [0];
            let expected: &[u32] = if of_text { &[0, 5, 6] } else { &[0, 6] };
            assert_eq!(changes.deleted_origins, expected, "{text}");
            for (at, column) in key.iter().zip(changes.deleted.columns()) {
                match at {
                    0 => assert_eq!(column.as_string::<i32>().value(0), "a\"b"),
                    _ => assert_eq!(column.as_primitive::<Int64Type>().value(0), 7),
                }
            }
            let refused: Vec<_> = changes.refused.iter().map(|of| (of.input, of.refusal)).collect();
            let mut expected = vec![
                (2, Refusal::KeyMismatch),
                (3, Refusal::SchemaMismatch),
                (4, Refusal::KeyMismatch),
            ];
            expected.extend((!of_text).then_some((5, Refusal::KeyMismatch)));
            assert_eq!(refused, expected, "{text}");
        }
    }

    #[test]
    fn a_key_that_holds_more_than_its_field_deletes_nothing() {
        let mut decoder = ChangeDecoder::json(&table(vec![1]));
        for key in [r#"7,"more":1"#, "7 ", "07", "\"7\"", "null", ""] {
            let changes = decoder.decode(&[record(Some(key), None)]);
            assert_eq!((changes.deleted_origins.len(), changes.refused.len()), (0, 1), "{key}");
        }
    }
}
