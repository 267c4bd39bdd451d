//! What is written for each value, byte for byte.

mod common;

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use common::*;
use millrace_format::KeyEncoder;
use millrace_plan::{Field, FieldType, Fields, ItemKind};

/// Decodes `value` into `fields` and writes the row again.
fn rewritten(fields: Vec<Field>, value: &str) -> String {
    let fields = Fields::new(fields);
    let (decoded, refused) = decode_all(&fields, &[value.as_bytes()]);
    assert!(refused.is_empty(), "{refused:?}");
    encode(&fields, &decoded.columns, 0)
}

fn key(fields: &Fields, positions: &[usize], value: &str) -> String {
    let (decoded, refused) = decode_all(fields, &[value.as_bytes()]);
    assert!(refused.is_empty(), "{refused:?}");
    let mut out = b"before ".to_vec();
    KeyEncoder::new(fields, positions)
        .bind(&decoded.columns)
        .write(0, &mut out);
    String::from_utf8(out.split_off(7)).expect("keys are UTF-8 here")
}

#[test]
fn fields_are_written_in_order_under_their_names() {
    let fields = vec![
        needed("b", FieldType::Boolean),
        field("a \"x\"", FieldType::Int64, true, &["nested", "a"]),
        nullable("s", FieldType::String),
        nullable("t", FieldType::Timestamp),
    ];
    assert_eq!(
        rewritten(
            fields,
            r#"{"s":"x\u0009\/é","nested":{"a":-5},"t":"1970-01-01T00:00:01Z","b":true}"#
        ),
        r#"{"b":true,"a \"x\"":-5,"s":"x\t/é","t":1000}"#
    );
    assert_eq!(rewritten(vec![], r#"{"s":1}"#), "{}");
    assert_eq!(rewritten(vec![nullable("s", FieldType::String)], "{}"), r#"{"s":null}"#);
}

#[test]
fn doubles_are_the_shortest_text_that_reads_back() {
    let values = vec![
        3.0,
        0.1,
        -0.0,
        12.34,
        1e300,
        5e-324,
        1e15,
        1e16,
        0.30000000000000004,
        1e-5,
        1e-6,
        f64::MAX,
    ];
    let texts = [
        "3.0",
        "0.1",
        "-0.0",
        "12.34",
        "1e300",
        "5e-324",
        "1000000000000000.0",
        "1e16",
        "0.30000000000000004",
        "0.00001",
        "1e-6",
        "1.7976931348623157e308",
    ];
    let fields = Fields::new(vec![needed("f", FieldType::Float64)]);
    let column: ArrayRef = Arc::new(Float64Array::from(values));
    let columns = RecordBatch::try_new(fields.schema().clone(), vec![column]).unwrap();
    for (row, text) in texts.iter().enumerate() {
        assert_eq!(encode(&fields, &columns, row), format!("{{\"f\":{text}}}"));
    }
}

#[test]
fn decimals_keep_all_digits_of_their_scale() {
    for (precision, scale, literal, text) in [
        (10, 2, "12.3", "12.30"),
        (10, 2, "0", "0.00"),
        (10, 2, "-0.05", "-0.05"),
        (10, 0, "-7", "-7"),
        (3, 3, "0.001", "0.001"),
        (
            38,
            38,
            "-0.00000000000000000000000000000000000001",
            "-0.00000000000000000000000000000000000001",
        ),
        (
            38,
            0,
            "99999999999999999999999999999999999999",
            "99999999999999999999999999999999999999",
        ),
    ] {
        let fields = vec![needed("f", decimal(precision, scale))];
        assert_eq!(
            rewritten(fields, &format!("{{\"f\":{literal}}}")),
            format!("{{\"f\":{text}}}")
        );
    }
}

#[test]
fn lists_and_objects_are_written_whole() {
    let object = ItemKind::Object(vec![needed("s", FieldType::String), nullable("d", decimal(4, 1))]);
    let fields = vec![
        nullable("l", list(true, ItemKind::Scalar(FieldType::Float64))),
        nullable("o", list(true, object)),
    ];
    assert_eq!(
        rewritten(
            fields.clone(),
            r#"{"l":[1,null,2.5],"o":[{"s":"x","d":1},null,{"s":""}]}"#
        ),
        r#"{"l":[1.0,null,2.5],"o":[{"s":"x","d":1.0},null,{"s":"","d":null}]}"#
    );
    assert_eq!(rewritten(fields.clone(), r#"{"l":[],"o":[]}"#), r#"{"l":[],"o":[]}"#);
    assert_eq!(rewritten(fields, r#"{}"#), r#"{"l":null,"o":null}"#);
}

#[test]
fn rows_of_a_slice_are_its_own() {
    let object = ItemKind::Object(vec![nullable("n", FieldType::Int64)]);
    let fields = Fields::new(vec![
        nullable("b", FieldType::Boolean),
        nullable("s", FieldType::String),
        nullable("o", list(true, object)),
    ]);
    let texts: Vec<String> = (0..40)
        .map(|row| match row % 4 {
            0 => r#"{"b":null,"s":null,"o":null}"#.to_string(),
            1 => format!(r#"{{"b":true,"s":"r{row}","o":[]}}"#),
            2 => format!(r#"{{"b":false,"s":"","o":[{{"n":{row}}},null]}}"#),
            _ => format!(r#"{{"b":null,"s":"é{row}","o":[null,{{"n":null}},{{"n":{row}}}]}}"#),
        })
        .collect();
    let values: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    let (decoded, _) = decode_all(&fields, &values);
    for start in [0, 1, 7, 13, 38] {
        let slice = decoded.columns.slice(start, 40 - start);
        for row in 0..slice.num_rows() {
            assert_eq!(encode(&fields, &slice, row), texts[start + row]);
        }
    }
}

#[test]
fn one_string_is_a_bare_key_and_several_fields_an_object() {
    let fields = Fields::new(vec![
        nullable("carrier", FieldType::String),
        nullable("flight", FieldType::Int64),
        nullable("paid", FieldType::Boolean),
    ]);
    let row = r#"{"carrier":"A\"A","flight":7,"paid":true}"#;
    assert_eq!(key(&fields, &[0], row), "A\"A");
    assert_eq!(key(&fields, &[1], row), "7");
    assert_eq!(key(&fields, &[2, 0], row), r#"{"paid":true,"carrier":"A\"A"}"#);
    assert_eq!(key(&fields, &[0], "{}"), "null");
    assert_eq!(key(&fields, &[1], "{}"), "null");
    assert_eq!(key(&fields, &[0, 1], "{}"), r#"{"carrier":null,"flight":null}"#);
}
