//! Text to syntax tree, within limits, with every name known. What SQL has beyond scalar expressions is refused here, so
//! that the planner never meets it.

use std::ops::ControlFlow;

use datafusion_sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Value, Visit, Visitor,
};
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Token;

use super::dialect::Scalar;
use super::functions::{self, Known};
use super::types;
use crate::{FieldType, Fields, suggest};

/// Bytes of text.
const MAX_BYTES: usize = 4096;
/// Expressions within expressions; a chain of `AND`s nests as deep as it is long.
const MAX_DEPTH: usize = 64;
/// Expressions in all.
const MAX_NODES: usize = 2000;
/// Recursions of the parser: it needs up to three for one level.
const MAX_RECURSIONS: usize = 3 * MAX_DEPTH + 8;

/// Parses `text`, which must be one scalar expression over `fields` and nothing more.
pub(super) fn parse(text: &str, fields: &Fields) -> Result<Expr, Vec<String>> {
    let tree = parse_text(text).map_err(|message| vec![message])?;
    let mut names = Names {
        fields,
        depth: 0,
        nodes: 0,
        found: Vec::new(),
    };
    if let ControlFlow::Break(message) = tree.visit(&mut names) {
        names.found.push(message);
    }
    if names.found.is_empty() {
        Ok(tree)
    } else {
        Err(names.found)
    }
}

fn parse_text(text: &str) -> Result<Expr, String> {
    if text.len() > MAX_BYTES {
        return Err(format!(
            "is {} bytes long; an expression may have {MAX_BYTES}",
            text.len()
        ));
    }
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    let dialect = Scalar::default();
    let parser = Parser::new(&dialect).with_recursion_limit(MAX_RECURSIONS);
    let mut parser = parser.try_with_sql(text).map_err(|error| not_sql(&error))?;
    let tree = parser.parse_expr().map_err(|error| not_sql(&error))?;
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(tree),
        token => Err(format!(
            "ends before `{token}` at column {}: one expression is expected",
            next.span.start.column
        )),
    }
}

fn not_sql(error: &ParserError) -> String {
    match error {
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            let message = message
                .replace("at Line: 1, Column: ", "at column ")
                .replace(", found: EOF", ", found the end");
            format!("is not an SQL expression: {message}")
        }
    }
}

fn too_deep() -> String {
    format!("nests deeper than {MAX_DEPTH} levels; split it over several map steps")
}

/// Looks at every node once. Breaks on what makes looking further pointless.
struct Names<'a> {
    fields: &'a Fields,
    depth: usize,
    nodes: usize,
    found: Vec<String>,
}

impl Visitor for Names<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<String> {
        ControlFlow::Break("subqueries are not supported: an expression sees one record only".to_owned())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
        self.depth += 1;
        self.nodes += 1;
        if self.depth > MAX_DEPTH {
            return ControlFlow::Break(too_deep());
        }
        if self.nodes > MAX_NODES {
            return ControlFlow::Break(format!(
                "has more than {MAX_NODES} parts; split it over several map steps"
            ));
        }
        self.check(expr)
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

impl Names<'_> {
    fn check(&mut self, expr: &Expr) -> ControlFlow<String> {
        match expr {
            Expr::Identifier(name) => self.field(name),
            Expr::CompoundIdentifier(parts) => {
                let path: Vec<_> = parts.iter().map(|part| part.value.as_str()).collect();
                let path = path.join(".");
                self.problem(format!(
                    "`{path}` is no field: declare a field with `path: {path}` and use its name"
                ));
            }
            Expr::Function(function) => self.function(function),
            Expr::Value(value) => {
                if let Value::Placeholder(name) = &value.value {
                    self.problem(format!("`{name}` stands for a parameter, and expressions have none"));
                }
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                return ControlFlow::Break(
                    "subqueries are not supported: an expression sees one record only".to_owned(),
                );
            }
            // DataFusion takes the pattern for a regular expression that need not match the whole text.
            Expr::SimilarTo { .. } => {
                self.problem("`SIMILAR TO` is not supported: use `~` with a regular expression".to_owned());
            }
            other if is_scalar(other) => {}
            other => {
                return ControlFlow::Break(format!(
                    "`{}` is not supported in expressions",
                    types::cut(&other.to_string(), 40)
                ));
            }
        }
        ControlFlow::Continue(())
    }

    fn field(&mut self, name: &ast::Ident) {
        let word = name.value.as_str();
        match self.fields.iter().find(|field| field.name == word) {
            Some(field) if matches!(field.field_type, FieldType::Array(_)) => {
                self.problem(format!(
                    "field `{word}` is an array: only `flatMap.explode` can read it"
                ));
            }
            Some(_) => {}
            None if name.quote_style == Some('"') => {
                let names = self.fields.iter().map(|field| field.name.as_str());
                let unknown = suggest::unknown("field", word, names);
                self.problem(format!("{unknown} (text stands in single quotes: '{word}')"));
            }
            None => {
                let names = self.fields.iter().map(|field| field.name.as_str());
                self.problem(suggest::unknown("field", word, names));
            }
        }
    }

    fn function(&mut self, function: &ast::Function) {
        let name = function.name.to_string();
        if function.over.is_some() {
            return self.problem(format!(
                "`{name} … OVER` looks at other records: an expression sees one record only"
            ));
        }
        match functions::known(&name) {
            Known::Scalar => {}
            Known::Refused(why) => return self.problem(why),
            Known::Unknown => return self.problem(suggest::unknown("function", &name, functions::names())),
        }
        let plain = matches!(function.parameters, FunctionArguments::None)
            && function.filter.is_none()
            && function.null_treatment.is_none()
            && function.within_group.is_empty()
            && match &function.args {
                FunctionArguments::None => true,
                FunctionArguments::Subquery(_) => false,
                FunctionArguments::List(list) => {
                    list.duplicate_treatment.is_none() && list.clauses.is_empty() && list.args.iter().all(is_plain)
                }
            };
        if !plain {
            self.problem(format!("function `{name}` takes plain arguments only"));
        }
    }

    fn problem(&mut self, message: String) {
        if !self.found.contains(&message) {
            self.found.push(message);
        }
    }
}

fn is_plain(argument: &FunctionArg) -> bool {
    matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(_)))
}

/// Whether the planner knows the construct and its value is a scalar.
fn is_scalar(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { array, format, .. } => !array && format.is_none(),
        Expr::Like { any, .. } | Expr::ILike { any, .. } => !any,
        Expr::AtTimeZone { time_zone, .. } => matches!(**time_zone, Expr::Value(_)),
        Expr::Trim { trim_characters, .. } => trim_characters.is_none(),
        Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::BinaryOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Overlay { .. }
        | Expr::Nested(_)
        | Expr::TypedString(_)
        | Expr::Case { .. }
        | Expr::Interval(_) => true,
        _ => false,
    }
}
