//! SQL scalar expressions over fields: parsed, checked, typed. Nothing is read but the text and the fields, and no
//! expression, however hostile, may take more than a moment or more than a little memory here.
//!
//! 1. [`syntax`]: text to syntax tree; size and depth limits; every field and function name is known.
//!    [`dialect`]: the SQL that is read.
//! 2. [`functions`]: the functions there are, and the planner that types the tree.
//! 3. [`types`]: operands that fit each other without guessing; the type of the result.
//! 4. [`growth`], [`unfolding`]: no text and no expression that grows out of proportion. [`patterns`]: regular expressions compile.
//! 5. [`constants`]: what is constant is computed now, so that `1 / 0` fails here and not on every record.

mod constants;
mod dialect;
mod functions;
mod growth;
mod patterns;
mod syntax;
mod types;
mod unfolding;

use std::sync::Arc;

use datafusion_common::{DFSchema, DataFusionError};
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Cast, Expr, ExprSchemable};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;

use crate::{FieldType, Fields};

/// Stack for parsing and typing: deep enough for every tree that the limits let through, in debug builds too.
const STACK: usize = 64 << 20;

/// A typed expression over the fields that come into an operator.
#[derive(Clone, Debug)]
pub struct Expression {
    /// As the user wrote it.
    pub text: String,
    /// Coerced and simplified; columns are unqualified names of the incoming fields.
    pub expr: Expr,
    /// Type of the value: `expr` ends in a cast to exactly this type's Arrow type where needed.
    pub field_type: FieldType,
    /// Whether the value may be null.
    pub nullable: bool,
}

impl Expression {
    /// Checks and types `text`, an SQL scalar expression of at most 4096 bytes over `fields`. Names are case sensitive.
    /// The errors are all that is wrong with it, each a sentence without the place.
    pub fn parse(text: &str, fields: &Fields) -> Result<Self, Vec<String>> {
        // A thread of its own for its stack alone: the parser recurses as deep as the text nests.
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, || check(text, fields))
                .map_err(|error| vec![format!("no thread to check the expression in: {error}")])?
                .join()
                .unwrap_or_else(|_| Err(vec!["is not supported: the planner gave up on it".to_owned()]))
        })
    }

    /// As [`Expression::parse`]; the result must be boolean.
    pub fn predicate(text: &str, fields: &Fields) -> Result<Self, Vec<String>> {
        let expression = Self::parse(text, fields)?;
        match expression.field_type {
            FieldType::Boolean => Ok(expression),
            other => Err(vec![format!("must be a condition (boolean), but is of type {other}")]),
        }
    }

    /// The field that the expression passes on as it is, if it does nothing else.
    pub fn as_field(&self) -> Option<&str> {
        match &self.expr {
            Expr::Column(column) => Some(&column.name),
            _ => None,
        }
    }

    /// Names of the fields that the expression reads.
    pub fn fields(&self) -> impl Iterator<Item = String> + use<> {
        self.expr
            .column_refs()
            .into_iter()
            .map(|column| column.name.clone())
            .collect::<Vec<_>>()
            .into_iter()
    }
}

fn check(text: &str, fields: &Fields) -> Result<Expression, Vec<String>> {
    let tree = syntax::parse(text, fields)?;
    let schema = scalar_columns(fields);
    let planned = functions::plan(tree, &schema).map_err(one)?;
    types::check_operands(&planned, &schema)?;
    growth::check(&planned, &schema).map_err(one)?;
    patterns::check(&planned)?;
    unfolding::check(&planned).map_err(one)?;

    let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&schema)).build());
    let coerced = simplifier
        .coerce(planned, &schema)
        .map_err(|error| one(words(&error)))?;
    let folded = constants::fold(coerced).map_err(one)?;
    let expr = simplifier.simplify(folded).map_err(|error| one(words(&error)))?;

    let found = expr.get_type(&schema).map_err(|error| one(words(&error)))?;
    let field_type = types::result(&found).map_err(one)?;
    let expr = match field_type.arrow() {
        wanted if wanted == found => expr,
        wanted => constants::fold(Expr::Cast(Cast::new(Box::new(expr), wanted))).map_err(one)?,
    };
    constants::try_out(&expr, fields).map_err(one)?;
    let nullable = expr.nullable(&schema).map_err(|error| one(words(&error)))?;
    Ok(Expression {
        text: text.to_owned(),
        expr,
        field_type,
        nullable,
    })
}

fn one(message: String) -> Vec<String> {
    vec![message]
}

/// Arrays have no place in expressions, so they are no columns.
fn scalar_columns(fields: &Fields) -> Arc<DFSchema> {
    let scalars = fields
        .iter()
        .filter(|field| !matches!(field.field_type, FieldType::Array(_)));
    let columns = scalars.map(crate::Field::arrow).collect();
    Arc::new(DFSchema::from_unqualified_fields(columns, Default::default()).expect("field names are unique"))
}

/// DataFusion's message in one line, with our names of types and without its own categories.
fn words(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.split("\n\n").next().unwrap_or_default();
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    const CATEGORIES: [&str; 11] = [
        "Internal error: ",
        "Arithmetic overflow: ",
        "Error during planning: ",
        "This feature is not implemented: ",
        "Execution error: ",
        "Arrow error: ",
        "Cast error: ",
        "Compute error: ",
        "Invalid argument error: ",
        "Parser error: ",
        "SQL error: ",
    ];
    while let Some(rest) = CATEGORIES.iter().find_map(|category| text.strip_prefix(category)) {
        text = rest.to_owned();
    }
    if let Some((function, tried)) = text.split_once("' failed to match any signature, errors: ") {
        let reasons: Vec<&str> = tried
            .split("Error during planning: ")
            .map(|reason| reason.trim_end_matches(','))
            .filter(|reason| !reason.is_empty())
            .collect();
        let function = function.trim_start_matches("Function '");
        text = format!("`{function}` does not take these arguments: {}", reasons.join("; "));
    }
    types::cut(&types::in_our_words(&text), 200)
}

#[cfg(test)]
mod tests;
