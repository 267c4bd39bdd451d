//! Random SQL expressions over the fields at one place of a plan. Some fail on some rows: that is wanted.

use millrace_plan::{Field, FieldType};

use crate::random::Random;

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    Whole,
    Double,
    Decimal,
    Text,
    Instant,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Boolean,
        Self::Whole,
        Self::Double,
        Self::Decimal,
        Self::Text,
        Self::Instant,
    ];

    /// None for arrays.
    pub(crate) fn of(field: &Field) -> Option<Self> {
        Some(match field.field_type {
            FieldType::Boolean => Self::Boolean,
            FieldType::Int64 => Self::Whole,
            FieldType::Float64 => Self::Double,
            FieldType::Decimal { .. } => Self::Decimal,
            FieldType::String => Self::Text,
            FieldType::Timestamp => Self::Instant,
            FieldType::Array(_) => return None,
        })
    }
}

/// Forms of an expression: `{b}` stands for a part that gives a boolean, `{i}` a whole number, `{f}` a double, `{d}` a
/// decimal, `{s}` a text, `{t}` an instant.
fn forms(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Boolean => &[
            "{i} < {i}",
            "{f} >= {f}",
            "{s} = {s}",
            "{s} LIKE '%a%'",
            "{s} IN ('a', 'bb', 'x')",
            "{i} BETWEEN -3 AND {i}",
            "{i} IS NULL",
            "{s} IS NOT NULL",
            "{b} AND {b}",
            "{b} OR {b}",
            "NOT {b}",
            "{t} > TIMESTAMP '1970-01-01T00:16:40.500'",
            "{i} IS DISTINCT FROM {i}",
            "{d} <> {d}",
        ],
        Kind::Whole => &[
            "{i} + {i}",
            "{i} - {i}",
            "{i} * {i}",
            "{i} / {i}",
            "{i} % 7",
            "abs({i})",
            "length({s})",
            "coalesce({i}, 4)",
            "nullif({i}, {i})",
            "CASE WHEN {b} THEN {i} ELSE {i} END",
            "CASE WHEN {b} THEN {i} END",
            "greatest({i}, {i})",
            "CAST({t} AS BIGINT)",
            "-{i}",
        ],
        Kind::Double => &[
            "{f} + {f}",
            "{f} * 0.5",
            "{f} / {f}",
            "sqrt({f})",
            "round({f})",
            "CAST({i} AS DOUBLE)",
            "coalesce({f}, 1.5)",
            "CASE WHEN {b} THEN {f} ELSE 2.0 END",
        ],
        Kind::Decimal => &[
            "coalesce({d}, CAST(1.5 AS DECIMAL(10, 2)))",
            "CAST({i} AS DECIMAL(10, 2))",
            "CASE WHEN {b} THEN {d} ELSE CAST(0.25 AS DECIMAL(10, 2)) END",
        ],
        Kind::Text => &[
            "upper({s})",
            "concat({s}, '-', {s})",
            "{s} || {s}",
            "substr({s}, 1, 2)",
            "replace({s}, 'a', 'aa')",
            "CAST({i} AS VARCHAR)",
            "coalesce({s}, 'none')",
            "CASE WHEN {b} THEN {s} ELSE 'other' END",
        ],
        Kind::Instant => &[
            "date_trunc('second', {t})",
            "{t} + INTERVAL '7 milliseconds'",
            "coalesce({t}, TIMESTAMP '1970-01-01T00:16:40')",
        ],
    }
}

fn literals(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Boolean => &["TRUE", "FALSE"],
        Kind::Whole => &["0", "1", "2", "5", "-3", "100"],
        Kind::Double => &["0.5", "2.0", "1e3"],
        Kind::Decimal => &["CAST(1.25 AS DECIMAL(10, 2))"],
        Kind::Text => &["'a'", "'bb'", "''"],
        Kind::Instant => &["TIMESTAMP '1970-01-01T00:16:41'"],
    }
}

/// An expression of a kind, at most `depth` forms deep.
pub(crate) fn expression(random: &mut Random, fields: &[Field], kind: Kind, depth: usize) -> String {
    let names: Vec<&str> = fields
        .iter()
        .filter(|field| Kind::of(field) == Some(kind))
        .map(|field| field.name.as_str())
        .collect();
    if depth == 0 || (!names.is_empty() && random.chance(25)) {
        return match names.is_empty() || random.chance(15) {
            true => random.pick(literals(kind)).to_owned(),
            false => random.pick(&names).to_owned(),
        };
    }
    let form = random.pick(forms(kind));
    let mut text = String::from("(");
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        let (part, after) = after.split_once('}').expect("forms close their braces");
        text.push_str(before);
        text.push_str(&expression(random, fields, kind_of(part), depth - 1));
        rest = after;
    }
    text.push_str(rest);
    text.push(')');
    text
}

fn kind_of(part: &str) -> Kind {
    match part {
        "b" => Kind::Boolean,
        "i" => Kind::Whole,
        "f" => Kind::Double,
        "d" => Kind::Decimal,
        "s" => Kind::Text,
        _ => Kind::Instant,
    }
}
