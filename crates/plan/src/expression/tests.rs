//! Tables: what is accepted with which type, and what is refused with which words.

use std::time::{Duration, Instant};

use super::*;
use crate::{ArrayItem, Field, ItemKind};

fn fields() -> Fields {
    let field = |name: &str, field_type, nullable| Field::computed(name, field_type, nullable);
    Fields::new(vec![
        field("carrier", FieldType::String, false),
        field("dep_delay", FieldType::Int64, true),
        field("distance", FieldType::Float64, false),
        field(
            "amount",
            FieldType::Decimal {
                precision: 10,
                scale: 2,
            },
            false,
        ),
        field("at", FieldType::Timestamp, false),
        field("ok", FieldType::Boolean, true),
        field("order", FieldType::Int64, false),
        field(
            "legs",
            FieldType::Array(Arc::new(ArrayItem {
                nullable: false,
                kind: ItemKind::Scalar(FieldType::Int64),
            })),
            false,
        ),
    ])
}

#[test]
fn show() {
    for text in std::fs::read_to_string("/tmp/exprs.txt").unwrap().lines() {
        let start = Instant::now();
        match Expression::parse(text, &fields()) {
            Ok(e) => println!(
                "OK  {text:60.80} => {} {} {:?} {}",
                e.field_type,
                e.nullable,
                start.elapsed(),
                &e.expr.to_string().chars().take(100).collect::<String>()
            ),
            Err(m) => println!("ERR {text:60.80} => {:?} {:?}", start.elapsed(), m),
        }
    }
}
