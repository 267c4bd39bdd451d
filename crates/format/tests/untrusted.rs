//! Records made to hurt. Each would take minutes or the stack if the work were not linear and iterative.

mod common;

use common::*;
use millrace_format::{Decoder, Refusal};
use millrace_plan::{Field, FieldType, Fields, ItemKind};

const MEGABYTE: usize = 1 << 20;

fn fields() -> Vec<Field> {
    let object = ItemKind::Object(vec![nullable("a", FieldType::Int64)]);
    vec![
        nullable("s", FieldType::String),
        nullable("f", FieldType::Float64),
        nullable("i", FieldType::Int64),
        nullable("d", decimal(38, 10)),
        nullable("t", FieldType::Timestamp),
        nullable("l", list(true, ItemKind::Scalar(FieldType::Int64))),
        nullable("o", list(true, object)),
        field("n", FieldType::Int64, true, &["x", "y"]),
    ]
}

fn refusal(value: &[u8]) -> Refusal {
    decode(&fields(), value).expect_err("the record is bad").0
}

#[test]
fn deep_nesting_is_refused_without_using_the_stack() {
    for depth in [129, 10_000, MEGABYTE] {
        for open in ["[", "{\"x\":", "[{\"o\":", "{\"o\":["] {
            for name in ["s", "o", "x", "unknown"] {
                assert_eq!(
                    refusal(format!("{{\"{name}\":{}", open.repeat(depth)).as_bytes()),
                    Refusal::Undecodable
                );
            }
        }
    }
}

#[test]
fn long_strings_are_read_whole() {
    let plain = "x".repeat(MEGABYTE);
    let escaped = "\\u00e9\\n".repeat(MEGABYTE / 8);
    for (text, expected) in [(&plain, plain.clone()), (&escaped, "é\n".repeat(MEGABYTE / 8))] {
        let cells = decode(
            &fields(),
            format!("{{\"z\":\"{text}\",\"{text}\":0,\"s\":\"{text}\"}}").as_bytes(),
        );
        assert_eq!(cells.unwrap()[0], Cell::Text(expected));
    }
    for value in [
        format!("{{\"s\":\"{plain}"),
        format!("{{\"s\":\"{escaped}\\"),
        format!("{{\"{plain}"),
    ] {
        assert_eq!(refusal(value.as_bytes()), Refusal::Undecodable);
    }
    assert_eq!(
        refusal(format!("{{\"t\":\"{plain}\"}}").as_bytes()),
        Refusal::SchemaMismatch
    );
}

#[test]
fn huge_numbers_are_judged_by_their_value() {
    let digits = "9".repeat(MEGABYTE);
    for name in ["f", "i", "d", "t"] {
        for number in [
            digits.clone(),
            format!("-{digits}"),
            format!("1e{digits}"),
            format!("{digits}.{digits}"),
        ] {
            assert_eq!(
                refusal(format!("{{\"{name}\":{number}}}").as_bytes()),
                Refusal::SchemaMismatch
            );
        }
    }
    let zeros = "0".repeat(MEGABYTE);
    for number in [
        format!("0.{zeros}"),
        format!("0e{digits}"),
        format!("0.{zeros}e-{digits}"),
    ] {
        let cells = decode(
            &fields(),
            format!("{{\"i\":{number},\"d\":{number},\"f\":{number}}}").as_bytes(),
        )
        .unwrap();
        assert_eq!(cells[1..4], [Cell::Float(0), Cell::Integer(0), Cell::Decimal(0)]);
    }
    let cells = decode(
        &fields(),
        format!("{{\"i\":7.{zeros},\"d\":7.{zeros},\"f\":7.{zeros}}}").as_bytes(),
    )
    .unwrap();
    assert_eq!(
        cells[1..4],
        [
            Cell::Float(7f64.to_bits()),
            Cell::Integer(7),
            Cell::Decimal(70_000_000_000)
        ]
    );
}

#[test]
fn many_members_and_items_take_linear_time() {
    let distinct: String = (0..100_000)
        .map(|number| format!("\"member-{number}\":{number},"))
        .collect();
    let same = "\"m\":0,".repeat(100_000);
    for members in [distinct, same] {
        for _ in 0..2 {
            let cells = decode(
                &fields(),
                format!("{{{members}\"i\":5,\"x\":{{{members}\"y\":7}}}}").as_bytes(),
            )
            .unwrap();
            assert_eq!((&cells[2], &cells[7]), (&Cell::Integer(5), &Cell::Integer(7)));
        }
    }
    let items = "1,".repeat(200_000);
    let objects = "{\"b\":[{}],\"a\":1},".repeat(50_000);
    let cells = decode(
        &fields(),
        format!("{{\"l\":[{items}null],\"o\":[{objects}null]}}").as_bytes(),
    )
    .unwrap();
    assert!(matches!(&cells[5], Cell::List(items) if items.len() == 200_001 && items[200_000] == Cell::Null));
    assert!(matches!(&cells[6], Cell::List(items) if items.len() == 50_001 && items[50_000] == Cell::Null));
}

/// A thousand different attacks, a good record after each: only the good ones come out, in order, in one batch.
#[test]
fn good_records_survive_between_bad_ones() {
    let good = r#"{"s":"ok","f":0.5,"i":1,"d":"2.5","t":3,"l":[4],"o":[{"a":5}],"x":{"y":6}}"#.as_bytes();
    let attacks = |number: usize| -> Vec<u8> {
        match number % 10 {
            0 => good[..1 + number % (good.len() - 1)].to_vec(),
            1 => [good, b"\xff"].concat(),
            2 => [good, good].concat(),
            3 => format!("{{\"s\":\"{}\\ud800\"}}", "x".repeat(number)).into_bytes(),
            4 => format!("{{\"l\":[{}\"\"]}}", "1,".repeat(number)).into_bytes(),
            5 => format!("{{\"o\":[{}{{\"a\":0.5}}]}}", "{\"a\":1},null,".repeat(number)).into_bytes(),
            6 => format!("{{\"x\":{{\"y\":1,\"y\":{number}}}}}").into_bytes(),
            7 => format!("{{\"i\":1e{number}1}}").into_bytes(),
            8 => "[".repeat(number).into_bytes(),
            _ => vec![number as u8; number],
        }
    };
    let attacks: Vec<Vec<u8>> = (1..=1000).map(attacks).collect();
    let values: Vec<&[u8]> = attacks.iter().flat_map(|attack| [attack.as_slice(), good]).collect();
    let (decoded, refused) = decode_all(&Fields::new(fields()), &values);
    assert_eq!((decoded.origins.len(), refused.len()), (1000, 1000));
    let expected = decode(&fields(), good).unwrap();
    for (position, origin) in decoded.origins.iter().enumerate() {
        assert_eq!(
            (*origin as usize, row(&decoded.columns, position)),
            (2 * position + 1, expected.clone())
        );
    }
}

#[test]
fn messages_hold_no_values() {
    let secret = "hunter2";
    for value in [
        format!("{{\"s\":\"{secret}"),
        format!("{{\"i\":\"{secret}\"}}"),
        format!("{{\"d\":\"{secret}\"}}"),
        format!("{{\"t\":\"{secret}\"}}"),
        format!("{{\"l\":[\"{secret}\"]}}"),
        format!("{{\"o\":[{{\"a\":\"{secret}\"}}]}}"),
        format!("{{\"x\":\"{secret}\"}}"),
        format!("{{\"{secret}\":}}"),
        secret.to_string(),
    ] {
        let (_, message) = decode(&fields(), value.as_bytes()).unwrap_err();
        assert!(!message.contains(secret), "{message}");
    }
}

#[test]
fn a_decoder_that_has_seen_anything_still_decodes() {
    let declared = Fields::new(fields());
    let mut decoder = Decoder::json(&declared, None, by_record());
    let mut refused = Vec::new();
    for round in 0..300 {
        let noise: String = (0..50)
            .map(|number| format!("\"{}\":{{}},", round * 50 + number))
            .collect();
        let value = format!("{{{noise}\"i\":{round},\"x\":{{{noise}\"y\":1}}}}");
        let decoded = decoder.decode(&[value_of(&value)], &mut refused);
        assert_eq!(row(&decoded.columns, 0)[2], Cell::Integer(round));
    }
    assert!(refused.is_empty());
}

fn value_of(text: &str) -> millrace_format::Record<'_> {
    value(text.as_bytes())
}
