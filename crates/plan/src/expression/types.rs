//! Types in expressions. DataFusion turns text into numbers and numbers into text where an operator wants it; here that
//! is a problem that names both sides, because it hides mistakes and fails on records instead.

use std::sync::LazyLock;

use arrow::datatypes::DataType;
use datafusion_common::DFSchema;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Case, Expr, ExprSchemable, Operator};
use regex::Regex;

use crate::FieldType;

/// Functions whose arguments are alternatives of one value.
const ALTERNATIVES: [&str; 5] = ["coalesce", "greatest", "least", "nullif", "nvl"];

/// Types that compare with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Boolean,
    Number,
    Text,
    Time,
    /// Intervals, lists, NULL: left to the planner.
    Other,
}

/// Checks that operands fit each other in every comparison, `CASE`, list and sum. The errors are all mismatches.
pub(super) fn check_operands(expr: &Expr, schema: &DFSchema) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let visited = expr.apply(|node| {
        let found = check_node(node, schema);
        problems.extend(found);
        Ok(TreeNodeRecursion::Continue)
    });
    if let Err(error) = visited {
        problems.push(super::words(&error));
    }
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn check_node(node: &Expr, schema: &DFSchema) -> Option<String> {
    match node {
        Expr::BinaryExpr(binary)
            if matches!(binary.op, Operator::Eq | Operator::NotEq)
                && (is_null(&binary.left) || is_null(&binary.right)) =>
        {
            Some("comparing with NULL is never true: write `IS NULL` or `IS NOT NULL`".to_owned())
        }
        Expr::BinaryExpr(binary) if is_comparison(binary.op) => {
            mismatch("compare", &[&binary.left, &binary.right], schema)
        }
        Expr::BinaryExpr(binary) if is_arithmetic(binary.op) => [&binary.left, &binary.right]
            .into_iter()
            .find_map(|side| not_a_number(binary.op, side, schema)),
        Expr::Between(between) => mismatch("compare", &[&between.expr, &between.low, &between.high], schema),
        Expr::InList(list) => {
            let sides: Vec<_> = std::iter::once(&*list.expr).chain(&list.list).collect();
            mismatch("compare", &sides, schema)
        }
        Expr::Case(case) => check_case(case, schema),
        Expr::ScalarFunction(function) if ALTERNATIVES.contains(&function.func.name()) => {
            mismatch("mix", &function.args.iter().collect::<Vec<_>>(), schema)
        }
        _ => None,
    }
}

fn check_case(case: &Case, schema: &DFSchema) -> Option<String> {
    let whens = case.when_then_expr.iter().map(|(when, _)| &**when);
    let compared = case.expr.as_deref().and_then(|base| {
        let sides: Vec<_> = std::iter::once(base).chain(whens).collect();
        mismatch("compare", &sides, schema)
    });
    compared.or_else(|| {
        let results = case
            .when_then_expr
            .iter()
            .map(|(_, then)| &**then)
            .chain(case.else_expr.as_deref());
        mismatch("mix", &results.collect::<Vec<_>>(), schema)
    })
}

/// The first side that does not fit the first one with a known type.
fn mismatch(verb: &str, sides: &[&Expr], schema: &DFSchema) -> Option<String> {
    let typed: Vec<_> = sides
        .iter()
        .filter_map(|side| Some((*side, side.get_type(schema).ok()?)))
        .collect();
    let (first, first_type) = typed.iter().find(|(_, data_type)| class(data_type) != Class::Other)?;
    let (other, other_type) = typed
        .iter()
        .find(|(other, data_type)| !fit((first, first_type), (other, data_type)))?;
    Some(format!(
        "cannot {verb} `{}` ({}) and `{}` ({}); cast one of them",
        shown(first),
        name(first_type),
        shown(other),
        name(other_type)
    ))
}

fn fit((left, left_type): (&Expr, &DataType), (right, right_type): (&Expr, &DataType)) -> bool {
    match (class(left_type), class(right_type)) {
        (Class::Other, _) | (_, Class::Other) => true,
        // `at > '2013-01-01'`: the literal is read as an instant now, so it cannot fail later.
        (Class::Time, Class::Text) => matches!(right, Expr::Literal(..)),
        (Class::Text, Class::Time) => matches!(left, Expr::Literal(..)),
        (left, right) => left == right,
    }
}

fn not_a_number(operator: Operator, side: &Expr, schema: &DFSchema) -> Option<String> {
    let data_type = side.get_type(schema).ok()?;
    matches!(class(&data_type), Class::Text | Class::Boolean).then(|| {
        format!(
            "`{operator}` needs numbers, but `{}` is {}; cast it",
            shown(side),
            name(&data_type)
        )
    })
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}

/// An expression as a person would write it. Casts that the planner put in are left out.
pub(super) fn shown(expr: &Expr) -> String {
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(?:Int|UInt|Float)\d+\(([^()]*)\)").expect("it is valid"));
    static TEXT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\bUtf8\("([^"]*)"\)"#).expect("it is valid"));
    static CAST: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bCAST\((\w+|'[^']*') AS \w+(?:\([^()]*\))?\)").expect("it is valid"));
    if let Expr::Literal(value, _) = expr {
        let text = value.try_as_str().flatten();
        return cut(&text.map_or_else(|| value.to_string(), |text| format!("'{text}'")), 60);
    }
    let text = expr.to_string();
    let text = NUMBER.replace_all(&text, "$1");
    let text = TEXT.replace_all(&text, "'$1'");
    cut(&CAST.replace_all(&text, "$1"), 60)
}

/// At most `most` characters of a text.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        operator,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

fn is_arithmetic(operator: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(operator, Plus | Minus | Multiply | Divide | Modulo)
}

fn class(data_type: &DataType) -> Class {
    match data_type {
        DataType::Boolean => Class::Boolean,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Class::Text,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Class::Time,
        other if other.is_numeric() => Class::Number,
        _ => Class::Other,
    }
}

/// The field type that holds values of `data_type`, if one does.
pub(super) fn result(data_type: &DataType) -> Result<FieldType, String> {
    Ok(match data_type {
        DataType::Boolean => FieldType::Boolean,
        integer if integer.is_integer() => FieldType::Int64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => FieldType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if (0..=*precision as i8).contains(scale) =>
        {
            FieldType::Decimal {
                precision: *precision,
                scale: *scale as u8,
            }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => FieldType::String,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => FieldType::Timestamp,
        DataType::Null => {
            return Err("is always NULL and has no type; write for example `CAST(NULL AS DOUBLE)`".into());
        }
        other => {
            return Err(format!(
                "has a result of type {}, which cannot be written; cast it",
                other_name(other)
            ));
        }
    })
}

fn name(data_type: &DataType) -> String {
    match (data_type, result(data_type)) {
        (DataType::Date32 | DataType::Date64, _) => "date".to_owned(),
        (_, Ok(field_type)) => field_type.to_string(),
        (other, Err(_)) => other_name(other),
    }
}

/// Name of a type that no field has.
fn other_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Decimal256(precision, scale) => format!("decimal({precision}, {scale})"),
        other => other.to_string().to_lowercase(),
    }
}

/// Replaces Arrow's names of types by ours.
pub(super) fn in_our_words(text: &str) -> String {
    const NAMES: [(&str, &str); 12] = [
        ("LargeUtf8", "string"),
        ("Utf8View", "string"),
        ("Utf8", "string"),
        ("Timestamp(Millisecond, None)", "timestamp"),
        ("Timestamp(Nanosecond, None)", "timestamp"),
        ("Timestamp(ms)", "timestamp"),
        ("Timestamp(ns)", "timestamp"),
        ("Date32", "date"),
        ("Boolean", "boolean"),
        ("Int64", "int64"),
        ("Float64", "float64"),
        ("Decimal128", "decimal"),
    ];
    let text = text
        .split_once(" (DataType:")
        .map_or(text, |(before, _)| before)
        .replace("requires String", "requires string");
    NAMES
        .iter()
        .fold(text, |text, (theirs, ours)| text.replace(theirs, ours))
}
