//! What a record's value may be and what becomes of it, rule by rule.

mod common;

use common::*;
use millrace_format::{Decoder, Record, Refusal};
use millrace_plan::{EventTime, Field, FieldType, Fields, InputKey, ItemKind, TimeOrigin, TimeUnit};

fn refusal(fields: &[Field], value: &str) -> (Refusal, String) {
    decode(fields, value.as_bytes()).expect_err("the record is bad")
}

fn mismatch(message: &str) -> (Refusal, String) {
    (Refusal::SchemaMismatch, message.to_string())
}

#[test]
fn the_value_must_be_exactly_one_object() {
    for value in [
        "{}",
        " \t\r\n{} \t\r\n",
        r#"{"a":1}"#,
        r#"{ "a" : [ 1 , { } , [ ] ] , "b" : null }"#,
    ] {
        assert_eq!(decode(&[], value.as_bytes()), Ok(vec![]), "{value}");
    }
    for (value, message) in [
        ("", "not a JSON object at byte 0"),
        ("  ", "not a JSON object at byte 2"),
        ("[]", "not a JSON object at byte 0"),
        ("1", "not a JSON object at byte 0"),
        ("null", "not a JSON object at byte 0"),
        ("\u{feff}{}", "not a JSON object at byte 0"),
        ("{}{}", "more after the JSON object at byte 2"),
        ("{},", "more after the JSON object at byte 2"),
        ("{}\0", "more after the JSON object at byte 2"),
        ("{", "invalid JSON: expected a member name at byte 1"),
        (
            r#"{"a"#,
            "invalid JSON: unfinished string or control character in it at byte 3",
        ),
        (r#"{"a""#, "invalid JSON: expected `:` at byte 4"),
        (r#"{"a":"#, "invalid JSON: expected a value at byte 5"),
        (r#"{"a":1"#, "invalid JSON: expected `,` or `}` at byte 6"),
        (r#"{"a":1,}"#, "invalid JSON: expected a member name at byte 7"),
        (r#"{,}"#, "invalid JSON: expected a member name at byte 1"),
        (r#"{'a':1}"#, "invalid JSON: expected a member name at byte 1"),
        (r#"{"a":[1,]}"#, "invalid JSON: expected a value at byte 8"),
        (r#"{"a":[1}}"#, "invalid JSON: expected `,` or `]` at byte 7"),
        (r#"{"a":[1"#, "invalid JSON: expected `,` or `]` at byte 7"),
        (r#"{"a":{"b":1]}"#, "invalid JSON: expected `,` or `}` at byte 11"),
        (r#"{"a":01}"#, "invalid JSON: expected `,` or `}` at byte 6"),
        (r#"{"a":-}"#, "invalid JSON: broken number at byte 6"),
        (r#"{"a":1.}"#, "invalid JSON: broken number at byte 7"),
        (r#"{"a":1e+}"#, "invalid JSON: broken number at byte 8"),
        (r#"{"a":.5}"#, "invalid JSON: expected a value at byte 5"),
        (r#"{"a":+1}"#, "invalid JSON: expected a value at byte 5"),
        (r#"{"a":NaN}"#, "invalid JSON: expected a value at byte 5"),
        (r#"{"a":tru}"#, "invalid JSON: expected a value at byte 5"),
        (r#"{"a":truey}"#, "invalid JSON: expected `,` or `}` at byte 9"),
        (r#"{"a":"\x"}"#, "invalid JSON: unknown escape at byte 6"),
        (r#"{"a":"\u12g4"}"#, "invalid JSON: unknown escape at byte 6"),
        (
            "{\"a\":\"\n\"}",
            "invalid JSON: unfinished string or control character in it at byte 6",
        ),
    ] {
        let expected = (Refusal::Undecodable, message.to_string());
        assert_eq!(refusal(&[], value), expected, "{value}");
        assert_eq!(
            refusal(&[nullable("a", FieldType::Int64)], value),
            expected,
            "{value} with a field"
        );
    }
}

#[test]
fn invalid_utf8_is_refused_wherever_it_stands() {
    for value in [
        &b"{\"a\":\"\xff\"}"[..],
        b"{\"\xc0\xaf\":1}",
        b"{}\xe2\x82",
        b"{\"b\":[\"\xed\xa0\x80\"]}",
    ] {
        let (refusal, message) = decode(&[], value).unwrap_err();
        assert_eq!(refusal, Refusal::Undecodable);
        assert!(message.starts_with("invalid UTF-8 at byte "), "{message}");
    }
}

#[test]
fn a_null_value_is_a_refusal_of_its_own() {
    let mut refused = Vec::new();
    let decoded = Decoder::json(&Fields::new(vec![]), None, by_record()).decode(&[Record::default()], &mut refused);
    assert_eq!(decoded.columns.num_rows(), 0);
    assert_eq!(refused[0].refusal, Refusal::NullValue);
}

#[test]
fn nesting_ends_at_128() {
    let nested = |depth: usize, open: &str, close: &str, inside: &str| {
        format!(
            "{{\"a\":{}{inside}{}}}",
            open.repeat(depth - 1),
            close.repeat(depth - 1)
        )
    };
    for (open, close, inside) in [
        ("[", "]", ""),
        ("[", "]", "1"),
        ("{\"a\":", "}", "1"),
        ("[{\"a\":", "}]", "1"),
    ] {
        let levels = open.matches(['[', '{']).count();
        let deepest = 1 + 127 / levels;
        assert_eq!(decode(&[], nested(deepest, open, close, inside).as_bytes()), Ok(vec![]));
        let (refusal, message) = refusal(&[], &nested(deepest + 1, open, close, inside));
        assert_eq!(refusal, Refusal::Undecodable);
        assert!(message.starts_with("nested deeper than 128 at byte"), "{message}");
    }
    // The same where the objects are declared, so walked one by one.
    let path = vec!["a"; 128];
    let declared = [field("a", FieldType::Int64, false, &path)];
    assert_eq!(
        decode(&declared, nested(128, "{\"a\":", "}", "1").as_bytes()),
        Ok(vec![Cell::Integer(1)])
    );
    assert_eq!(
        refusal(&declared, &nested(129, "{\"a\":", "}", "1")).0,
        Refusal::Undecodable
    );
}

#[test]
fn a_needed_member_may_stand_once() {
    let twice = r#"{"a":1,"b":{"c":1,"c":2},"a":1}"#;
    assert_eq!(decode(&[], twice.as_bytes()), Ok(vec![]));
    assert_eq!(
        decode(&[nullable("b", FieldType::String)], br#"{"a":1,"a":2}"#),
        Ok(vec![Cell::Null])
    );
    for path in [&["a"][..], &["b", "c"]] {
        let (refusal, message) = refusal(&[field("x", FieldType::Int64, false, path)], twice);
        assert_eq!(refusal, Refusal::Undecodable);
        assert!(
            message.starts_with("a needed member for the second time at byte"),
            "{message}"
        );
    }
    let spellings = r#"{"a":null,"\u0061":null}"#;
    assert_eq!(
        refusal(&[nullable("a", FieldType::Int64)], spellings).0,
        Refusal::Undecodable
    );
    let items = list(false, ItemKind::Object(vec![nullable("q", FieldType::Int64)]));
    assert_eq!(
        refusal(&[needed("l", items)], r#"{"l":[{"q":1},{"q":1,"q":1}]}"#).0,
        Refusal::Undecodable
    );
}

#[test]
fn names_match_by_their_text_in_any_spelling_and_order() {
    let fields = [
        needed("a", FieldType::Int64),
        needed("é\"\\", FieldType::Int64),
        needed("", FieldType::Int64),
    ];
    let expected = vec![Cell::Integer(1), Cell::Integer(2), Cell::Integer(3)];
    for value in [
        r#"{"a":1,"é\"\\":2,"":3}"#,
        r#"{"":3,"\u00e9\u0022\u005C":2,"\u0061":1}"#,
        r#"{"x":0,"" : 3,"ab":0,"a" :1,"\ud83d":0,"é\"\\" : 2 , "y\n":0}"#,
    ] {
        assert_eq!(decode(&fields, value.as_bytes()), Ok(expected.clone()), "{value}");
    }
}

#[test]
fn prediction_follows_records_that_change_their_layout() {
    let fields = Fields::new(vec![nullable("a", FieldType::Int64), nullable("b", FieldType::Int64)]);
    let values = [
        r#"{"a":1,"x":0,"b":2}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"b":2,"a":1}"#,
        r#"{"b":2,"x":0,"y":[{"a":7,"b":8}],"a":1}"#,
        r#"{"a":1,"x":0,"b":2}"#,
        r#"{"x":0,"xx":0,"b":2,"a":1}"#,
        r#"{"a":1,"ab":3,"b":2}"#,
        r#"{"xlonger-than-eight":0,"a":1,"xlonger-than-eighty":0,"b":2}"#,
        r#"{"xlonger-than-eighty":0,"a":1,"xlonger-than-eight":0,"b":2}"#,
    ];
    let values: Vec<&[u8]> = values.iter().cycle().take(50).map(|value| value.as_bytes()).collect();
    let (decoded, refused) = decode_all(&fields, &values);
    assert!(refused.is_empty(), "{refused:?}");
    for position in 0..values.len() {
        assert_eq!(
            row(&decoded.columns, position),
            [Cell::Integer(1), Cell::Integer(2)],
            "record {position}"
        );
    }
}

#[test]
fn long_names_are_told_apart_by_their_last_byte() {
    let fields = [
        needed("a name of some length 1", FieldType::Int64),
        needed("a name of some length 2", FieldType::Int64),
    ];
    let ordered = br#"{"a name of some length 1":1,"a name of some length 2":2,"a name of some length 3":3}"#;
    let others = br#"{"a name of some length 2":2,"a name of some length 3":3,"a name of some length 1":1}"#;
    let (decoded, refused) = decode_all(
        &Fields::new(fields.to_vec()),
        &[ordered, others, ordered, others, others],
    );
    assert!(refused.is_empty(), "{refused:?}");
    for position in 0..5 {
        assert_eq!(
            row(&decoded.columns, position),
            [Cell::Integer(1), Cell::Integer(2)],
            "record {position}"
        );
    }
}

#[test]
fn each_type_takes_its_values_and_refuses_the_rest() {
    let float = |value: f64| Cell::Float(value.to_bits());
    let text = |value: &str| Cell::Text(value.into());
    for (field_type, literal, expected) in [
        (FieldType::Boolean, "true", Ok(Cell::Boolean(true))),
        (FieldType::Boolean, "false", Ok(Cell::Boolean(false))),
        (
            FieldType::Boolean,
            "0",
            Err("field `f`: expected boolean, found number"),
        ),
        (
            FieldType::Boolean,
            "\"true\"",
            Err("field `f`: expected boolean, found string"),
        ),
        (FieldType::Int64, "-9223372036854775808", Ok(Cell::Integer(i64::MIN))),
        (FieldType::Int64, "9223372036854775807", Ok(Cell::Integer(i64::MAX))),
        (FieldType::Int64, "1.0", Ok(Cell::Integer(1))),
        (FieldType::Int64, "1e3", Ok(Cell::Integer(1000))),
        (
            FieldType::Int64,
            "9223372036854775808",
            Err("field `f`: number out of range for int64"),
        ),
        (
            FieldType::Int64,
            "1.5",
            Err("field `f`: not a whole number, expected int64"),
        ),
        (
            FieldType::Int64,
            "\"1\"",
            Err("field `f`: expected int64, found string"),
        ),
        (FieldType::Int64, "{}", Err("field `f`: expected int64, found object")),
        (FieldType::Float64, "12.34", Ok(float(12.34))),
        (FieldType::Float64, "-0", Ok(float(-0.0))),
        (FieldType::Float64, "1E-400", Ok(float(0.0))),
        (
            FieldType::Float64,
            "1e400",
            Err("field `f`: number out of range for float64"),
        ),
        (
            FieldType::Float64,
            "true",
            Err("field `f`: expected float64, found boolean"),
        ),
        (decimal(10, 2), "12.34", Ok(Cell::Decimal(1234))),
        (decimal(10, 2), "\"-12.3\"", Ok(Cell::Decimal(-1230))),
        (decimal(10, 2), r#""1\u0032""#, Ok(Cell::Decimal(1200))),
        (decimal(10, 2), "12345678.90", Ok(Cell::Decimal(1_234_567_890))),
        (decimal(10, 2), "1.5e7", Ok(Cell::Decimal(1_500_000_000))),
        (
            decimal(10, 2),
            "1e8",
            Err("field `f`: number out of range for decimal(10, 2)"),
        ),
        (
            decimal(10, 2),
            "0.001",
            Err("field `f`: more digits after the point than decimal(10, 2)"),
        ),
        (
            decimal(10, 2),
            "\"1.\"",
            Err("field `f`: string does not hold a number"),
        ),
        (
            decimal(10, 2),
            "\" 1\"",
            Err("field `f`: string does not hold a number"),
        ),
        (decimal(10, 2), "\"\"", Err("field `f`: string does not hold a number")),
        (
            decimal(10, 2),
            "[]",
            Err("field `f`: expected decimal(10, 2), found array"),
        ),
        (FieldType::String, "\"\"", Ok(text(""))),
        (FieldType::String, r#""a\n\u00e9\ud83d\ude00\"""#, Ok(text("a\né😀\""))),
        (FieldType::String, "1", Err("field `f`: expected string, found number")),
        (
            FieldType::Timestamp,
            "1357034400000",
            Ok(Cell::Integer(1_357_034_400_000)),
        ),
        (FieldType::Timestamp, "-1", Ok(Cell::Integer(-1))),
        (
            FieldType::Timestamp,
            "\"2013-01-01T05:00:00.1239-05:00\"",
            Ok(Cell::Integer(1_357_034_400_123)),
        ),
        (
            FieldType::Timestamp,
            r#""2013\u002d01-01T10:00:00Z""#,
            Ok(Cell::Integer(1_357_034_400_000)),
        ),
        (
            FieldType::Timestamp,
            "0.5",
            Err("field `f`: not a whole number, expected timestamp"),
        ),
        (
            FieldType::Timestamp,
            "\"2013-01-01T05:00:00\"",
            Err("field `f`: string is not an RFC 3339 timestamp with offset"),
        ),
        (
            FieldType::Timestamp,
            "false",
            Err("field `f`: expected timestamp, found boolean"),
        ),
    ] {
        let expected = expected.map_err(mismatch);
        assert_eq!(
            decode_field(&field_type, literal),
            expected,
            "{field_type:?} from {literal}"
        );
    }
}

#[test]
fn half_a_surrogate_pair_is_refused_only_where_it_is_read() {
    assert_eq!(decode(&[], br#"{"f":"\ud83d"}"#), Ok(vec![]));
    let (refusal, message) = decode_field(&FieldType::String, r#""ab\ud83d""#).unwrap_err();
    assert_eq!(
        (refusal, message.as_str()),
        (Refusal::Undecodable, "invalid JSON: half of a surrogate pair at byte 8")
    );
}

#[test]
fn missing_and_null_need_a_nullable_field() {
    let fields = |nullable| {
        [
            field("amount", FieldType::Float64, nullable, &["payment", "amount"]),
            field("kind", FieldType::String, nullable, &["payment", "method", "kind"]),
        ]
    };
    for (value, message) in [
        (r#"{}"#, "field `amount` is missing"),
        (r#"{"payment":null}"#, "field `amount` is missing"),
        (
            r#"{"payment":{"amount":null}}"#,
            "field `amount` is null but not nullable",
        ),
        (r#"{"payment":{"amount":1}}"#, "field `kind` is missing"),
        (r#"{"payment":{"amount":1,"method":null}}"#, "field `kind` is missing"),
        (r#"{"payment":{"amount":1,"method":{}}}"#, "field `kind` is missing"),
        (
            r#"{"payment":{"amount":1,"method":{"kind":null}}}"#,
            "field `kind` is null but not nullable",
        ),
    ] {
        assert_eq!(refusal(&fields(false), value), mismatch(message), "{value}");
        assert_eq!(
            decode(&fields(true), value.as_bytes()).unwrap()[1],
            Cell::Null,
            "{value}"
        );
    }
    for (value, message) in [
        (
            r#"{"payment":7}"#,
            "field `amount`: expected object at `payment`, found number",
        ),
        (
            r#"{"payment":[]}"#,
            "field `amount`: expected object at `payment`, found array",
        ),
        (
            r#"{"payment":{"method":"x"}}"#,
            "field `kind`: expected object at `payment.method`, found string",
        ),
        (
            r#"{"payment":{"amount":{}}}"#,
            "field `amount`: expected float64, found object",
        ),
    ] {
        assert_eq!(refusal(&fields(true), value), mismatch(message), "{value}");
    }
}

#[test]
fn two_fields_may_read_the_same_member() {
    let fields = [
        needed("a", FieldType::Float64),
        field("b", decimal(5, 1), false, &["a"]),
    ];
    assert_eq!(
        decode(&fields, br#"{"a":1.5}"#),
        Ok(vec![Cell::Float(1.5f64.to_bits()), Cell::Decimal(15)])
    );
}

#[test]
fn lists_hold_scalars() {
    let fields = |nullable| [needed("f", list(nullable, ItemKind::Scalar(FieldType::Int64)))];
    let cells = |items: &[Cell]| Ok(vec![Cell::List(items.to_vec())]);
    assert_eq!(decode(&fields(false), br#"{"f":[]}"#), cells(&[]));
    assert_eq!(
        decode(&fields(false), b"{\"f\": [ 1 ,\n2 ] }"),
        cells(&[Cell::Integer(1), Cell::Integer(2)])
    );
    assert_eq!(
        decode(&fields(true), br#"{"f":[null,3]}"#),
        cells(&[Cell::Null, Cell::Integer(3)])
    );
    for (value, message) in [
        (
            r#"{"f":[1,null]}"#,
            "field `f`: item 1: null, but items are not nullable",
        ),
        (r#"{"f":[1,2,"x"]}"#, "field `f`: item 2: expected int64, found string"),
        (r#"{"f":[[1]]}"#, "field `f`: item 0: expected int64, found array"),
        (r#"{"f":{}}"#, "field `f`: expected array, found object"),
        (r#"{"f":null}"#, "field `f` is null but not nullable"),
    ] {
        assert_eq!(refusal(&fields(false), value), mismatch(message), "{value}");
    }
}

#[test]
fn lists_hold_objects() {
    let object = vec![
        needed("sku", FieldType::String),
        field("cents", FieldType::Int64, true, &["price", "cents"]),
        nullable("note", FieldType::String),
    ];
    let fields = |nullable| [needed("f", list(nullable, ItemKind::Object(object.clone())))];
    let item = |sku: &str, cents| Cell::Object(vec![Cell::Text(sku.into()), cents, Cell::Null]);
    assert_eq!(
        decode(
            &fields(true),
            br#"{"f":[{"sku":"a","x":[{}],"price":{"y":1,"cents":5}},null,{"price":null,"sku":"\u0062"}]}"#
        ),
        Ok(vec![Cell::List(vec![
            item("a", Cell::Integer(5)),
            Cell::Null,
            item("b", Cell::Null)
        ])])
    );
    for (value, message) in [
        (r#"{"f":[null]}"#, "field `f`: item 0: null, but items are not nullable"),
        (r#"{"f":[{"sku":"a"},{}]}"#, "field `f`: item 1: field `sku` is missing"),
        (
            r#"{"f":[{"sku":1}]}"#,
            "field `f`: item 0: field `sku`: expected string, found number",
        ),
        (r#"{"f":["sku"]}"#, "field `f`: item 0: expected object, found string"),
    ] {
        assert_eq!(refusal(&fields(false), value), mismatch(message), "{value}");
    }
}

/// Every field type, each refusal at another place, between good records.
#[test]
fn refused_records_leave_no_trace() {
    let object = ItemKind::Object(vec![nullable("q", FieldType::Int64), needed("s", FieldType::String)]);
    let fields = Fields::new(vec![
        nullable("b", FieldType::Boolean),
        nullable("s", FieldType::String),
        nullable("d", decimal(5, 2)),
        nullable("t", FieldType::Timestamp),
        nullable("l", list(true, ItemKind::Scalar(FieldType::String))),
        nullable("o", list(true, object)),
        nullable("x", FieldType::Float64),
    ]);
    let good = r#"{"b":true,"s":"abc","d":1.5,"t":7,"l":["x",null],"o":[null,{"s":"y"}],"x":0.5}"#;
    let bad = [
        r#"{"b":true,"s":"ab\ud800","d":1}"#,
        r#"{"b":null,"s":null,"d":null,"t":"x"}"#,
        r#"{"b":true,"s":"abc","d":1.5,"t":7,"l":["p","q",null,1]}"#,
        r#"{"l":[null],"o":[null,null,{"q":null,"s":"z"},{"q":1}]}"#,
        r#"{"b":true,"s":"abc","d":1.5,"t":7,"l":["x",null],"o":[null,{"s":"y"}],"x":"last"}"#,
        r#"{"b":true,"s":"abc","d":1.5,"t":7,"l":["x",null],"o":[null,{"s":"y"}],"x":0.5} x"#,
        r#"{"#,
    ];
    let mut values: Vec<&[u8]> = Vec::new();
    for value in &bad {
        values.extend([value.as_bytes(), good.as_bytes(), value.as_bytes(), b"{}"]);
    }
    let (decoded, refused) = decode_all(&fields, &values);
    let expected = decode(&fields, good.as_bytes()).unwrap();
    assert_eq!(decoded.columns.num_rows(), values.len() / 2);
    for (position, origin) in decoded.origins.iter().enumerate() {
        let cells = row(&decoded.columns, position);
        assert_eq!(*origin as usize, position * 2 + 1);
        assert_eq!(
            cells,
            if position % 2 == 0 {
                expected.clone()
            } else {
                vec![Cell::Null; 7]
            }
        );
    }
    let inputs: Vec<u32> = refused.iter().map(|refused| refused.input).collect();
    assert_eq!(inputs, (0..values.len() as u32).step_by(2).collect::<Vec<_>>());
}

#[test]
fn the_record_key_must_be_the_text_of_its_fields() {
    let fields = Fields::new(vec![
        nullable("carrier", FieldType::String),
        nullable("flight", FieldType::Int64),
        nullable("delay", FieldType::Float64),
    ]);
    let plain = r#"{"carrier":"AA","flight":7,"delay":1.50}"#;
    let quoted = r#"{"carrier":"a\u0022b","flight":null}"#;
    let carrier = "record key is not the value of field `carrier`";
    for (key, value, record_key, message) in [
        (vec![0], plain, Some("AA"), None),
        (vec![0], plain, Some("AAA"), Some(carrier)),
        (vec![0], plain, Some("\"AA\""), Some(carrier)),
        (
            vec![0],
            plain,
            None,
            Some("record key is missing, should be the value of field `carrier`"),
        ),
        (vec![0], quoted, Some("a\"b"), None),
        (vec![0], "{}", Some("null"), None),
        (vec![0], "{}", Some(""), Some(carrier)),
        (vec![1], plain, Some("7"), None),
        (
            vec![1],
            plain,
            Some("07"),
            Some("record key is not the value of field `flight`"),
        ),
        (vec![1], quoted, Some("null"), None),
        (vec![2], plain, Some("1.5"), None),
        (vec![1, 0], plain, Some(r#"{"flight":7,"carrier":"AA"}"#), None),
        (vec![1, 0], quoted, Some(r#"{"flight":null,"carrier":"a\"b"}"#), None),
        (
            vec![1, 0],
            plain,
            Some(r#"{"carrier":"AA","flight":7}"#),
            Some("record key is not the JSON object of fields `flight`, `carrier`"),
        ),
    ] {
        let mut decoder = Decoder::json(&fields, Some(&InputKey { fields: key.clone() }), by_record());
        let record = Record {
            key: record_key.map(str::as_bytes),
            ..common::value(value.as_bytes())
        };
        let mut refused = Vec::new();
        let decoded = decoder.decode(&[record], &mut refused);
        let found = refused
            .first()
            .map(|refused| (refused.refusal, refused.message.as_str()));
        assert_eq!(
            found,
            message.map(|message| (Refusal::KeyMismatch, message)),
            "{key:?} {record_key:?}"
        );
        assert_eq!(decoded.columns.num_rows(), usize::from(message.is_none()));
    }
}

#[test]
fn refusals_of_every_kind_come_in_input_order() {
    let fields = Fields::new(vec![needed("k", FieldType::String)]);
    let key = InputKey { fields: vec![0] };
    let record = |key: &'static str, value: &'static str| Record {
        key: Some(key.as_bytes()),
        ..common::value(value.as_bytes())
    };
    let records = [
        record("a", r#"{"k":"b"}"#),
        record("a", r#"{"k":"a"}"#),
        record("a", r#"{}"#),
        record("b", r#"{"k":"a"}"#),
        record("b", r#"{"k":"b"}"#),
        record("b", r#"{"k":"b"#),
    ];
    let earlier = millrace_format::Refused {
        input: 9,
        refusal: Refusal::NullValue,
        message: String::new(),
    };
    let mut refused = vec![earlier.clone()];
    let decoded = Decoder::json(&fields, Some(&key), by_record()).decode(&records, &mut refused);
    assert_eq!(refused.remove(0), earlier);
    let found: Vec<_> = refused.iter().map(|refused| (refused.input, refused.refusal)).collect();
    let expected = [
        Refusal::KeyMismatch,
        Refusal::SchemaMismatch,
        Refusal::KeyMismatch,
        Refusal::Undecodable,
    ];
    assert_eq!(found, [0, 2, 3, 5].into_iter().zip(expected).collect::<Vec<_>>());
    assert_eq!(
        (decoded.origins, decoded.times.len(), decoded.columns.num_rows()),
        (vec![1, 4], 2, 2)
    );
    assert_eq!(row(&decoded.columns, 1), [Cell::Text("b".into())]);
}

#[test]
fn event_time_is_the_record_timestamp_or_a_field_in_its_unit() {
    let fields = Fields::new(vec![
        nullable("t", FieldType::Int64),
        nullable("at", FieldType::Timestamp),
    ]);
    let origin = |position, unit| TimeOrigin::Field { position, unit };
    let out_of_range = "field `t`, the event time, is out of range";
    for (origin, timestamp, value, expected) in [
        (TimeOrigin::Record, 5, "{}", Ok(5)),
        (TimeOrigin::Record, 0, "{}", Ok(0)),
        (TimeOrigin::Record, -1, "{}", Err("the record has no timestamp")),
        (origin(0, TimeUnit::Milliseconds), -1, r#"{"t":7}"#, Ok(7)),
        (origin(0, TimeUnit::Seconds), -1, r#"{"t":-7}"#, Ok(-7000)),
        (
            origin(0, TimeUnit::Seconds),
            0,
            r#"{"t":9223372036854776}"#,
            Err(out_of_range),
        ),
        (
            origin(0, TimeUnit::Seconds),
            0,
            r#"{"t":-9223372036854776}"#,
            Err(out_of_range),
        ),
        (origin(0, TimeUnit::Microseconds), 0, r#"{"t":1999}"#, Ok(1)),
        (origin(0, TimeUnit::Microseconds), 0, r#"{"t":-1}"#, Ok(-1)),
        (origin(0, TimeUnit::Nanoseconds), 0, r#"{"t":-1000001}"#, Ok(-2)),
        (
            origin(0, TimeUnit::Nanoseconds),
            0,
            r#"{"at":1}"#,
            Err("field `t`, the event time, is null"),
        ),
        (
            origin(1, TimeUnit::Milliseconds),
            0,
            r#"{"at":"1970-01-01T00:00:01Z"}"#,
            Ok(1000),
        ),
    ] {
        let mut decoder = Decoder::json(
            &fields,
            None,
            EventTime {
                origin,
                ..EventTime::default()
            },
        );
        let mut refused = Vec::new();
        let record = Record {
            timestamp,
            ..common::value(value.as_bytes())
        };
        let decoded = decoder.decode(&[record], &mut refused);
        let found = refused
            .first()
            .map(|refused| (refused.refusal, refused.message.as_str()));
        assert_eq!(decoded.times.first().copied(), expected.ok(), "{origin:?} {value}");
        assert_eq!(
            found,
            expected.err().map(|message| (Refusal::BadEventTime, message)),
            "{origin:?} {value}"
        );
        assert_eq!(decoded.columns.num_rows(), decoded.times.len());
    }
}

#[test]
fn without_fields_rows_are_still_counted() {
    let (decoded, refused) = decode_all(&Fields::new(vec![]), &[b"{}", b"{\"a\":1}", b"x", b"{}"]);
    assert_eq!((decoded.columns.num_rows(), decoded.columns.num_columns()), (3, 0));
    assert_eq!((decoded.origins, refused.len()), (vec![0, 1, 3], 1));
}

#[test]
fn a_decoder_starts_each_batch_afresh() {
    let fields = Fields::new(vec![nullable("s", FieldType::String), nullable("n", FieldType::Int64)]);
    let mut decoder = Decoder::json(&fields, None, by_record());
    let mut refused = Vec::new();
    for (value, expected) in [
        (r#"{"s":"a","n":1}"#, vec![Cell::Text("a".into()), Cell::Integer(1)]),
        (r#"{}"#, vec![Cell::Null, Cell::Null]),
        (r#"{"s":"b"}"#, vec![Cell::Text("b".into()), Cell::Null]),
    ] {
        let decoded = decoder.decode(&[common::value(value.as_bytes())], &mut refused);
        assert_eq!((row(&decoded.columns, 0), decoded.columns.num_rows()), (expected, 1));
    }
    assert_eq!(decoder.decode(&[], &mut refused).columns.num_rows(), 0);
    assert!(refused.is_empty());
}
