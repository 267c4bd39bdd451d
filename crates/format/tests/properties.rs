//! Decoding and encoding against a plain decoder on serde_json, over arbitrary records.

mod common;
#[path = "common/reference.rs"]
mod reference;

use common::*;
use millrace_format::Refusal;
use millrace_plan::{Field, FieldType, Fields, ItemKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A JSON value as it will be written; numbers are texts.
#[derive(Clone, Debug)]
enum Json {
    Word(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// One field of every type, two of them inside other objects.
fn schema() -> Vec<Field> {
    let line = vec![
        needed("sku", FieldType::String),
        nullable("count", FieldType::Int64),
        field("cost", decimal(12, 3), true, &["price", "cost"]),
    ];
    vec![
        nullable("flag", FieldType::Boolean),
        needed("count", FieldType::Int64),
        nullable("ratio", FieldType::Float64),
        nullable("price", decimal(10, 2)),
        nullable("wide", decimal(38, 10)),
        nullable("name", FieldType::String),
        nullable("at", FieldType::Timestamp),
        field("amount", FieldType::Float64, true, &["payment", "amount"]),
        field(
            "method of payment",
            FieldType::String,
            true,
            &["payment", "method", "kind"],
        ),
        nullable("tags", list(false, ItemKind::Scalar(FieldType::String))),
        nullable("lines", list(true, ItemKind::Object(line))),
    ]
}

fn integers() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|value| value.to_string()),
        (-50..50i64).prop_map(|value| value.to_string())
    ]
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => integers(),
        2 => (-99_999..99_999i64).prop_map(|cents| format!("{}.{:02}", cents / 100, cents.abs() % 100)),
        2 => any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| format!("{value:?}")),
        1 => "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
    ]
}

fn strings() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z]{0,12}", 1 => any::<String>(), 1 => "[\"\\\\\n\t\u{0}\u{1f}/é😀 ]{0,20}"]
}

fn word(strategy: impl Strategy<Value = String>) -> impl Strategy<Value = Json> {
    strategy.prop_map(Json::Word)
}

fn text(strategy: impl Strategy<Value = String>) -> impl Strategy<Value = Json> {
    strategy.prop_map(Json::Text)
}

fn anything() -> impl Strategy<Value = Json> {
    let scalar = prop_oneof![
        word(select(vec!["null".to_string(), "true".into(), "false".into()])),
        word(numbers()),
        text(strings()),
    ];
    scalar.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Json::List),
            vec((names(), inner), 0..6).prop_map(Json::Object)
        ]
    })
}

/// Names of members that may be declared ones in another place.
fn names() -> impl Strategy<Value = String> {
    let declared = ["count", "name", "payment", "kind", "sku", "price", "cost", "tags"];
    prop_oneof![2 => select(declared.to_vec()).prop_map(String::from), 2 => "[a-z]{0,3}", 1 => strings()]
}

/// Mostly `fitting`, sometimes nothing, sometimes anything.
fn member(name: &str, fitting: impl Strategy<Value = Json> + 'static) -> BoxedStrategy<Vec<(String, Json)>> {
    let name = name.to_string();
    let value = prop_oneof![30 => fitting.prop_map(Some), 3 => Just(None), 1 => anything().prop_map(Some)];
    value
        .prop_map(move |value| value.map(|value| (name.clone(), value)).into_iter().collect())
        .boxed()
}

fn object(members: Vec<BoxedStrategy<Vec<(String, Json)>>>) -> impl Strategy<Value = Json> {
    let undeclared = vec(("[A-Z]{1,2}", anything()), 0..3).prop_map(|members| members.into_iter().collect());
    let members = (members, undeclared).prop_map(|(mut declared, undeclared): (Vec<_>, Vec<_>)| {
        declared.push(undeclared);
        declared.concat()
    });
    members.prop_shuffle().prop_map(Json::Object)
}

fn records() -> impl Strategy<Value = Json> {
    let fitting_decimal = || (-99_999..99_999i64).prop_map(|cents| format!("{}.{:02}", cents / 100, cents.abs() % 100));
    let line = object(vec![
        member("sku", text(strings())),
        member("count", word(integers())),
        member("price", object(vec![member("cost", word(fitting_decimal()))])),
    ]);
    let instant = text(Just("2013-01-01T05:15:00.250-05:00".to_string()));
    let method = object(vec![member("kind", text(strings()))]);
    let lines = vec(prop_oneof![5 => line, 1 => word(Just("null".to_string()))], 0..4);
    object(vec![
        member("flag", word(select(vec!["true".to_string(), "false".into()]))),
        member("count", word(integers())),
        member(
            "ratio",
            word(numbers().prop_filter("finite", |text| text.parse::<f64>().is_ok_and(f64::is_finite))),
        ),
        member("price", prop_oneof![word(fitting_decimal()), text(fitting_decimal())]),
        member("wide", prop_oneof![word(fitting_decimal()), word(numbers())]),
        member("name", text(strings())),
        member("at", prop_oneof![word(integers()), instant]),
        member(
            "payment",
            object(vec![
                member("amount", word(fitting_decimal())),
                member("method", method),
            ]),
        ),
        member("tags", vec(text(strings()), 0..4).prop_map(Json::List)),
        member("lines", lines.prop_map(Json::List)),
    ])
}

/// Writes a value with spaces and spellings chosen by `dice`.
struct Writer {
    out: String,
    dice: u64,
}

impl Writer {
    fn throw(&mut self, sides: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn space(&mut self) {
        if self.throw(4) == 0 {
            let space = [" ", "\n", "  ", "\t\r\n   "][self.throw(4) as usize];
            self.out.push_str(space);
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match self.throw(40) {
                0 => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04X}"));
                    }
                }
                1 if character == '/' => self.out.push_str("\\/"),
                _ => {
                    let quoted = serde_json::to_string(&character).expect("a character is JSON");
                    self.out.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
        }
        self.out.push('"');
    }

    fn value(&mut self, value: &Json) {
        self.space();
        match value {
            Json::Word(word) => self.out.push_str(word),
            Json::Text(text) => self.text(text),
            Json::List(items) => {
                self.out.push('[');
                self.separated(items, |writer, item| writer.value(item));
                self.out.push(']');
            }
            Json::Object(members) => {
                self.out.push('{');
                self.separated(members, |writer, (name, value)| {
                    writer.space();
                    writer.text(name);
                    writer.space();
                    writer.out.push(':');
                    writer.value(value);
                });
                self.out.push('}');
            }
        }
        self.space();
    }

    fn separated<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.space();
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
    }
}

fn documents() -> impl Strategy<Value = String> {
    (records(), any::<u64>()).prop_map(|(record, dice)| {
        let mut writer = Writer {
            out: String::new(),
            dice,
        };
        writer.value(&record);
        writer.out
    })
}

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Cut(Index),
    Remove(Index),
    Replace(Index, u8),
    Insert(Index, u8),
    Repeat(Index, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let byte = || prop_oneof![4 => select(b"{}[]\",:\\/0123456789+-.eEtrufalsn \n\0\x1f".to_vec()), 1 => any::<u8>()];
    let change = prop_oneof![
        1 => any::<Index>().prop_map(Change::Cut),
        4 => any::<Index>().prop_map(Change::Remove),
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        2 => (any::<Index>(), 1..30usize).prop_map(|(at, length)| Change::Repeat(at, length)),
    ];
    vec(change, 0..4)
}

fn changed(document: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = document.as_bytes().to_vec();
    for change in changes {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match change {
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Remove(at) if place(at) < bytes.len() => drop(bytes.remove(place(at))),
            Change::Replace(at, byte) if place(at) < bytes.len() => {
                let place = place(at);
                bytes[place] = *byte;
            }
            Change::Insert(at, byte) => bytes.insert(place(at), *byte),
            Change::Repeat(at, length) => {
                let start = place(at);
                let end = (start + length).min(bytes.len());
                let again = bytes[start..end].to_vec();
                bytes.splice(end..end, again);
            }
            Change::Remove(_) | Change::Replace(..) => (),
        }
    }
    bytes
}

/// Decodes all in one batch and compares each with the reference.
fn agree(documents: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let fields = Fields::new(schema());
    let values: Vec<&[u8]> = documents.iter().map(Vec::as_slice).collect();
    let (decoded, refused) = decode_all(&fields, &values);
    let mut found: Vec<Result<Vec<Cell>, Refusal>> = vec![Err(Refusal::NullValue); documents.len()];
    for (position, origin) in decoded.origins.iter().enumerate() {
        found[*origin as usize] = Ok(row(&decoded.columns, position));
    }
    for refused in &refused {
        found[refused.input as usize] = Err(refused.refusal);
    }
    for (document, found) in documents.iter().zip(found) {
        let expected = reference::decode(&fields, document);
        prop_assert_eq!(found, expected, "{}", String::from_utf8_lossy(document));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_agrees_with_the_reference(documents in vec(documents(), 1..12)) {
        let documents: Vec<_> = documents.into_iter().map(String::into_bytes).collect();
        agree(&documents)?;
    }

    #[test]
    fn damaged_documents_are_accepted_exactly_if_serde_json_accepts_them(
        documents in vec((documents(), changes()), 1..12),
    ) {
        let documents: Vec<_> = documents.iter().map(|(document, changes)| changed(document, changes)).collect();
        for document in &documents {
            let accepted = decode(&[], document).is_ok();
            prop_assert_eq!(accepted, reference::is_object(document), "{}", String::from_utf8_lossy(document));
        }
        // serde_json refuses names with half a surrogate pair, and the schema names none of them.
        let readable = |document: &Vec<u8>| !String::from_utf8_lossy(document).to_lowercase().contains("\\ud");
        agree(&documents.into_iter().filter(readable).collect::<Vec<_>>())?;
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_values(documents in vec(documents(), 1..12)) {
        let fields = Fields::new(schema());
        let values: Vec<&[u8]> = documents.iter().map(String::as_bytes).collect();
        let (decoded, _) = decode_all(&fields, &values);
        let written: Vec<Field> = fields.iter().map(as_written).collect();
        for position in 0..decoded.columns.num_rows() {
            let text = encode(&fields, &decoded.columns, position);
            let cells = row(&decoded.columns, position);
            prop_assert_eq!(decode(&written, text.as_bytes()), Ok(cells.clone()), "{}", &text);
            prop_assert_eq!(reference::decode(&written, text.as_bytes()), Ok(cells), "{}", &text);
        }
    }

    #[test]
    fn every_instant_is_read_in_every_zone(
        millis in -62_167_132_800_000..253_402_214_400_000i64, offset in -1439..1440i64, small in any::<bool>(),
    ) {
        let local = arrow::temporal_conversions::timestamp_ms_to_datetime(millis + offset * 60_000).unwrap();
        let sign = if offset < 0 { '-' } else { '+' };
        let zone = format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
        let local = local.to_string().replace(' ', if small { "t" } else { "T" });
        let cell = decode_field(&FieldType::Timestamp, &format!("\"{local}{zone}\""));
        prop_assert_eq!(cell, Ok(Cell::Integer(millis)), "{}{}", local, zone);
    }
}

/// The field as the encoder writes it: under its own name.
fn as_written(field: &Field) -> Field {
    let mut field = Field::computed(&field.name, field.field_type.clone(), field.nullable);
    if let FieldType::Array(item) = &field.field_type
        && let ItemKind::Object(fields) = &item.kind
    {
        field.field_type = list(item.nullable, ItemKind::Object(fields.iter().map(as_written).collect()));
    }
    field
}
