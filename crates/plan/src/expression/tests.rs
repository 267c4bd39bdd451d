//! Tables: what is accepted with which type, what constants are worth, what is refused with which words, and what an
//! enemy would write.

use std::time::{Duration, Instant};

use super::*;
use crate::{ArrayItem, Field, ItemKind};

fn fields() -> Fields {
    let field = |name: &str, field_type, nullable| Field::computed(name, field_type, nullable);
    let legs = ArrayItem {
        nullable: false,
        kind: ItemKind::Scalar(FieldType::Int64),
    };
    Fields::new(vec![
        field("carrier", FieldType::String, false),
        field("delay", FieldType::Int64, true),
        field("flight", FieldType::Int64, false),
        field("distance", FieldType::Float64, false),
        field(
            "fare",
            FieldType::Decimal {
                precision: 10,
                scale: 2,
            },
            false,
        ),
        field("at", FieldType::Timestamp, false),
        field("ok", FieldType::Boolean, true),
        field("order", FieldType::Int64, false),
        field("legs", FieldType::Array(Arc::new(legs)), false),
    ])
}

fn parse(text: &str) -> Result<Expression, Vec<String>> {
    Expression::parse(text, &fields())
}

#[test]
fn types_follow_from_fields_and_operators() {
    for (text, field_type, nullable) in [
        ("delay > 15", "boolean", true),
        ("delay == 15", "boolean", true),
        ("flight = 15 AND carrier LIKE 'A%'", "boolean", false),
        ("delay IS NULL", "boolean", false),
        ("delay BETWEEN 1 AND 10", "boolean", true),
        ("delay IN (1, 2, 3, 4, 5)", "boolean", true),
        ("at > '2013-01-01T00:00:00Z'", "boolean", false),
        ("at > TIMESTAMP '2013-01-01 00:00:00'", "boolean", false),
        ("carrier ~ '^A' OR carrier ~* 'a|b'", "boolean", false),
        ("delay / 60", "int64", true),
        ("delay / 60.0", "float64", true),
        ("flight + 1", "int64", false),
        ("flight % 7", "int64", false),
        ("-flight", "int64", false),
        ("distance * flight", "float64", false),
        ("fare * 2", "decimal(31, 2)", false),
        ("fare + fare", "decimal(11, 2)", false),
        ("fare * 1.5", "float64", false),
        ("order + \"order\"", "int64", false),
        ("UPPER(carrier) || '-' || flight", "string", true),
        ("substring(carrier from 1 for 2)", "string", true),
        ("overlay(carrier placing 'x' from 1)", "string", true),
        ("trim(both ' ' from carrier)", "string", true),
        ("position('A' in carrier)", "int64", false),
        ("length(carrier)", "int64", true),
        ("regexp_replace(carrier, '(A)(B)', '\\2')", "string", true),
        ("coalesce(delay, 0)", "int64", false),
        ("nullif(flight, 0)", "int64", true),
        ("CASE WHEN delay > 15 THEN 'late' ELSE 'on time' END", "string", false),
        ("CASE carrier WHEN 'AA' THEN 1 END", "int64", true),
        ("CAST(carrier AS BIGINT)", "int64", false),
        ("TRY_CAST(carrier AS BIGINT)", "int64", true),
        ("flight::varchar", "string", false),
        ("CAST(flight AS SMALLINT)", "int64", false),
        ("CAST(flight AS REAL)", "float64", false),
        ("CAST(flight AS DECIMAL(12, 3))", "decimal(12, 3)", false),
        ("CAST(NULL AS DOUBLE)", "float64", true),
        ("extract(hour from at)", "int64", false),
        ("date_part('epoch', at)", "float64", false),
        ("date_trunc('hour', at)", "timestamp", false),
        ("at + INTERVAL '1 hour'", "timestamp", false),
        ("CAST(at AS DATE)", "timestamp", false),
        ("to_timestamp_millis(flight)", "timestamp", true),
        ("at AT TIME ZONE 'America/New_York'", "timestamp", false),
        ("flight /* inline */ > 1 -- and at the end", "boolean", false),
    ] {
        let parsed = parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        assert_eq!(
            (parsed.field_type.to_string().as_str(), parsed.nullable),
            (field_type, nullable),
            "{text}"
        );
        let schema = scalar_columns(&fields());
        assert_eq!(
            parsed.expr.get_type(&schema).unwrap(),
            parsed.field_type.arrow(),
            "{text}"
        );
    }
}

#[test]
fn constants_are_computed_at_once() {
    for (text, value) in [
        ("1 = 1", "true"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("7.5 % 2", "1.5"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("round(2.5)", "3"),
        ("CAST(2.7 AS BIGINT)", "2"),
        ("CAST(1.5 AS VARCHAR)", "1.5"),
        ("'a' || 1", "a1"),
        ("substr('hello', 2, 3)", "ell"),
        ("regexp_replace('ab', '(a)(b)', '\\2\\1')", "ba"),
        ("coalesce(NULL, 1)", "1"),
        ("CAST('1.005' AS DECIMAL(10, 2))", "1.01"),
        // Instants are milliseconds, whichever way they came about.
        ("CAST(TIMESTAMP '2013-01-01' AS BIGINT)", "1356998400000"),
        ("TIMESTAMP '2013-01-01T12:00:00+05:00'", "1357023600000"),
        ("to_timestamp('2013-01-01T12:00:00+05:00')", "1357023600000"),
        ("DATE '2013-01-01'", "1356998400000"),
        ("TIMESTAMP '2013-01-01' - INTERVAL '1 month'", "1354320000000"),
        (
            "date_part('hour', TIMESTAMP '2013-01-01T12:00:00' AT TIME ZONE 'UTC' AT TIME ZONE 'America/New_York')",
            "7",
        ),
    ] {
        let parsed = parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        let Expr::Literal(found, _) = &parsed.expr else {
            panic!("{text} became {}", parsed.expr)
        };
        assert_eq!(found.to_string(), value, "{text}");
    }
}

#[test]
fn a_lone_field_is_recognised() {
    assert_eq!(parse("carrier").unwrap().as_field(), Some("carrier"));
    assert_eq!(parse("(((carrier)))").unwrap().as_field(), Some("carrier"));
    assert_eq!(parse("flight + 1").unwrap().as_field(), None);
    let mut read: Vec<_> = parse("flight + delay > flight").unwrap().fields().collect();
    read.sort();
    assert_eq!(read, ["delay", "flight"]);
}

#[test]
fn what_is_wrong_is_said_in_words() {
    for (text, problem) in [
        ("dlay > 1", "unknown field `dlay`; did you mean `delay`?"),
        ("Carrier = 'AA'", "unknown field `Carrier`; did you mean `carrier`?"),
        (
            "carrier = \"AA\"",
            "unknown field `AA` (text stands in single quotes: 'AA')",
        ),
        (
            "payment.amount",
            "`payment.amount` is no field: declare a field with `path: payment.amount` and use its name",
        ),
        ("uper(carrier)", "unknown function `uper`; did you mean `upper`?"),
        ("legs", "field `legs` is an array: only `flatMap.explode` can read it"),
        (
            "now() > at",
            "function `now` is not deterministic: a replay after a crash would compute something else",
        ),
        (
            "sum(delay)",
            "`sum` aggregates over records: use an operator `groupBy` or `window` for it",
        ),
        (
            "lag(delay)",
            "`lag` looks at other records: an expression sees one record only",
        ),
        ("upper(DISTINCT carrier)", "function `upper` takes plain arguments only"),
        (
            "regexp_match(carrier, 'a')",
            "`regexp_match` returns a list: use `regexp_like` or `regexp_replace`",
        ),
        (
            "(SELECT 1)",
            "subqueries are not supported: an expression sees one record only",
        ),
        (
            "flight IN (SELECT 1)",
            "subqueries are not supported: an expression sees one record only",
        ),
        (
            "carrier SIMILAR TO 'A|B'",
            "`SIMILAR TO` is not supported: use `~` with a regular expression",
        ),
        ("$1", "`$1` stands for a parameter, and expressions have none"),
        (
            "flight > 1; DROP TABLE x",
            "ends before `;` at column 11: one expression is expected",
        ),
        (
            "flight >",
            "is not an SQL expression: Expected: an expression, found the end",
        ),
        ("", "is empty"),
        (
            "carrier = 5",
            "cannot compare `carrier` (string) and `5` (int64); cast one of them",
        ),
        (
            "flight BETWEEN 'a' AND 'b'",
            "cannot compare `flight` (int64) and `'a'` (string); cast one of them",
        ),
        (
            "CASE carrier WHEN 1 THEN 2 END",
            "cannot compare `carrier` (string) and `1` (int64); cast one of them",
        ),
        (
            "coalesce(flight, 'x')",
            "cannot mix `flight` (int64) and `'x'` (string); cast one of them",
        ),
        (
            "ok = 1",
            "cannot compare `ok` (boolean) and `1` (int64); cast one of them",
        ),
        (
            "at > flight",
            "cannot compare `at` (timestamp) and `flight` (int64); cast one of them",
        ),
        (
            "at > 'soon'",
            "`'soon'` fails: Error parsing timestamp from 'soon': timestamp must contain at least 10 characters",
        ),
        ("carrier + 1", "`+` needs numbers, but `carrier` is string; cast it"),
        (
            "delay = NULL",
            "comparing with NULL is never true: write `IS NULL` or `IS NOT NULL`",
        ),
        (
            "NULL",
            "is always NULL and has no type; write for example `CAST(NULL AS DOUBLE)`",
        ),
        (
            "at - at",
            "has a result of type interval, which cannot be written; cast it",
        ),
        (
            "CAST(flight AS DECIMAL(50, 3))",
            "has a result of type decimal(50, 3), which cannot be written; cast it",
        ),
        ("1 / 0", "`1 / 0` divides by zero"),
        ("CASE WHEN ok THEN 1 / 0 ELSE 1 END", "`1 / 0` divides by zero"),
        (
            "9223372036854775807 + 1",
            "`9223372036854775807 + 1` fails: Overflow happened on: 9223372036854775807 + 1",
        ),
        ("1e400 > distance", "`inf` fails: the result is not a finite number"),
        (
            "carrier ~ '('",
            "pattern '(' is not a regular expression that can be used: unclosed group",
        ),
        (
            "at AT TIME ZONE 'Nowhere/Land' > at",
            "fails on every record: Invalid timezone \"Nowhere/Land\": failed to parse timezone",
        ),
        (
            "date_part('huor', at)",
            "fails on every record: Date part 'huor' not supported",
        ),
        (
            "repeat(carrier, flight)",
            "the length in `repeat` must be a whole number, not a computed value",
        ),
        (
            "repeat(carrier, 2000)",
            "could build a text of more than 1 MiB out of fields of 1 KiB",
        ),
    ] {
        match parse(text) {
            Err(problems) => assert_eq!(problems, [problem], "{text}"),
            Ok(parsed) => panic!("{text} became {}", parsed.expr),
        }
    }
}

#[test]
fn all_unknown_names_are_said_at_once() {
    let problems = parse("dlay > 1 AND uper(carier) = 'X' AND dlay < 5").unwrap_err();
    assert_eq!(
        problems,
        [
            "unknown field `dlay`; did you mean `delay`?",
            "unknown function `uper`; did you mean `upper`?",
            "unknown field `carier`; did you mean `carrier`?",
        ]
    );
}

#[test]
fn a_predicate_must_be_boolean() {
    assert!(Expression::predicate("ok", &fields()).is_ok());
    let problems = Expression::predicate("flight", &fields()).unwrap_err();
    assert_eq!(problems, ["must be a condition (boolean), but is of type int64"]);
}

/// Texts that are refused whatever they may mean.
fn refused() -> Vec<String> {
    let nested = |open: &str, times: usize, close: &str| format!("{}flight{}", open.repeat(times), close.repeat(times));
    let bombs = ["repeat", "lpad", "rpad"].map(|function| format!("{function}(carrier, 2147483647)"));
    let mut refused = vec![
        nested("(", 2000, ")"),
        "(".repeat(4000),
        "[".repeat(4000),
        "{".repeat(4000),
        "/*".repeat(2000),
        "'".repeat(4001),
        "\"".repeat(4001),
        "\0".to_owned(),
        "9".repeat(4000),
        format!("'{}'", "x".repeat(4095)),
        "NOT ".repeat(1000) + "ok",
        "- ".repeat(2000) + "flight",
        "-".repeat(4000),
        vec!["flight"; 500].join("+"),
        vec!["ok"; 500].join(" AND "),
        vec!["1"; 2040].join("+"),
        "flight".to_owned() + &"::bigint".repeat(400),
        "flight".to_owned() + &"[1]".repeat(1000),
        "flight".to_owned() + &"!".repeat(4000),
        "CASE WHEN ".repeat(300) + "ok",
        "CASE ".repeat(600),
        "CAST(".repeat(500) + "flight",
        "CAST(".repeat(40) + "flight",
        nested("CAST(", 60, " AS )"),
        "abs(".repeat(60),
        "INTERVAL ".repeat(400),
        "EXTRACT(year FROM ".repeat(200),
        "(SELECT ".repeat(400),
        "EXISTS(SELECT 1 WHERE ".repeat(100),
        "flight BETWEEN 1 AND ".repeat(150) + "1",
        "carrier LIKE ".repeat(200) + "'a'",
        nested("coalesce(", 50, ", 1)"),
        nested("nvl(", 50, ", 1)"),
        format!("{}ok{}", "(".repeat(40), " IN (true, false))".repeat(40)),
        format!("{}ok{}", "(".repeat(40), " BETWEEN false AND true)".repeat(40)),
        "repeat(repeat(repeat(repeat('a', 1000), 1000), 1000), 1000)".to_owned(),
        format!("{}'aaaa'{}", "replace(".repeat(20), ", 'a', 'aaaaaaaaaa')".repeat(20)),
        format!(
            "{}'aaaa'{}",
            "regexp_replace(".repeat(20),
            ", 'a', 'aaaaaaaaaa', 'g')".repeat(20)
        ),
        format!("{}carrier{}", "replace(".repeat(20), ", '', carrier)".repeat(20)),
        "regexp_like(carrier, 'a{1,1000}{1,1000}{1,1000}')".to_owned(),
        format!("carrier ~ '{}a{}'", "(".repeat(1000), ")".repeat(1000)),
        "power(power(power(9, 9), 9), 9)".to_owned(),
        "factorial(1000000)".to_owned(),
        "random()".to_owned(),
        "uuid()".to_owned(),
        "current_timestamp".to_owned(),
        "flight > 1 UNION SELECT 1".to_owned(),
        "flight > 1; DELETE FROM x".to_owned(),
        "@@version".to_owned(),
        "version()".to_owned(),
        "input_file_name()".to_owned(),
        "at + INTERVAL '999999999999 years'".to_owned(),
    ];
    refused.extend(bombs);
    refused
}

/// Texts that look dangerous and are not.
fn harmless() -> Vec<String> {
    vec![
        "NOT ".repeat(60) + "ok",
        format!("{}flight{}", "(".repeat(60), ")".repeat(60)),
        format!("{}1{}", "CASE WHEN ok THEN ".repeat(60), " END".repeat(60)),
        format!("{}flight{}", "CAST(".repeat(60), " AS BIGINT)".repeat(60)),
        vec!["carrier"; 60].join("||"),
        format!("CASE carrier {} END", "WHEN 'a' THEN 1 ".repeat(240)),
        format!(
            "flight IN ({})",
            (0..900).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
        ),
        format!("concat({})", vec!["carrier"; 400].join(",")),
        "carrier ~ '(a+)+$'".to_owned(),
        format!("carrier ~ '{}'", "(a|b)*".repeat(300)),
        "left(carrier, 9223372036854775807)".to_owned(),
        "substr(carrier, 9223372036854775807, 9223372036854775807)".to_owned(),
    ]
}

#[test]
fn hostile_expressions_are_refused_or_harmless_and_always_quick() {
    // Far more than any takes; what this catches takes hours or all memory.
    const SOON: Duration = Duration::from_secs(20);
    let hostile: Vec<_> = refused().into_iter().map(|text| (text, false)).collect();
    assert!(hostile.len() >= 50);
    for (text, accepted) in hostile
        .into_iter()
        .chain(harmless().into_iter().map(|text| (text, true)))
    {
        let start = Instant::now();
        let parsed = parse(&text);
        let excerpt: String = text.chars().take(60).collect();
        assert!(start.elapsed() < SOON, "{excerpt} took {:?}", start.elapsed());
        match parsed {
            Ok(parsed) => assert!(accepted, "{excerpt} became {}", parsed.expr),
            Err(problems) => assert!(!accepted, "{excerpt}: {problems:?}"),
        }
    }
}
