//! Bounds how much longer a text can get: a few nested `repeat` or `replace` make gigabytes out of one record. The bound
//! is rough and errs upwards.

use datafusion_common::{DFSchema, ScalarValue};
use datafusion_expr::{Expr, ExprSchemable};

/// A text field is taken to be this long.
const FIELD: u64 = 1 << 10;
/// A text that is not built from texts: a number, an instant.
const VALUE: u64 = 64;
/// Texts built from such fields may get this long.
const MAX: u64 = 1 << 20;

/// Refuses expressions that could build a text of more than a mebibyte out of fields of a kibibyte.
pub(super) fn check(expr: &Expr, schema: &DFSchema) -> Result<(), String> {
    let bytes = bound(expr, schema)?;
    if bytes > MAX {
        return Err("could build a text of more than 1 MiB out of fields of 1 KiB".to_owned());
    }
    Ok(())
}

/// Bytes of the longest text that `expr` or a part of it builds.
fn bound(expr: &Expr, schema: &DFSchema) -> Result<u64, String> {
    match expr {
        Expr::Column(_) => Ok(if is_text(expr, schema) { FIELD } else { VALUE }),
        Expr::Literal(value, _) => Ok(value.try_as_str().flatten().map_or(VALUE, |text| text.len() as u64)),
        Expr::ScalarFunction(function) => {
            let args: Result<Vec<u64>, String> = function.args.iter().map(|arg| bound(arg, schema)).collect();
            let args = args?;
            let longest = function_bound(function.func.name(), &function.args, &args)?;
            let parts = args.into_iter().max().unwrap_or_default();
            Ok(if is_text(expr, schema) {
                longest.max(parts)
            } else {
                keep_excess(parts)
            })
        }
        other => {
            let mut sum = VALUE;
            for child in children(other) {
                sum = sum.saturating_add(bound(child, schema)?);
            }
            Ok(if is_text(other, schema) { sum } else { keep_excess(sum) })
        }
    }
}

/// A part that is too long stays a problem even where the whole is a number.
fn keep_excess(parts: u64) -> u64 {
    if parts > MAX { parts } else { VALUE }
}

fn function_bound(name: &str, args: &[Expr], bounds: &[u64]) -> Result<u64, String> {
    let at = |position: usize| bounds.get(position).copied().unwrap_or_default();
    let sum = bounds.iter().fold(VALUE, |sum, bytes| sum.saturating_add(*bytes));
    Ok(match name {
        "repeat" => at(0).saturating_mul(count(name, args)?),
        "lpad" | "rpad" => count(name, args)?.saturating_mul(4),
        "replace" => {
            let found = args.get(1).and_then(text_length).unwrap_or(0);
            // An empty text is found between all characters.
            let hits = at(0).checked_div(found).unwrap_or(at(0).saturating_add(1));
            at(0).saturating_add(hits.saturating_mul(at(2)))
        }
        "regexp_replace" => at(0)
            .saturating_add(1)
            .saturating_mul(at(2).saturating_add(1))
            .saturating_mul(2),
        "concat_ws" => sum.saturating_add(at(0).saturating_mul(bounds.len() as u64)),
        "to_char" => sum.saturating_mul(32),
        _ => sum,
    })
}

/// The length argument, which must be a literal: no field may decide how much memory a record takes.
fn count(name: &str, args: &[Expr]) -> Result<u64, String> {
    match args.get(1) {
        Some(Expr::Literal(ScalarValue::Int64(Some(count)), _)) => Ok((*count).max(0) as u64),
        Some(Expr::Negative(_)) => Ok(0),
        _ => Err(format!(
            "the length in `{name}` must be a whole number, not a computed value"
        )),
    }
}

fn text_length(expr: &Expr) -> Option<u64> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(|text| text.len() as u64),
        _ => None,
    }
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|data_type| data_type.is_string())
}

fn children(expr: &Expr) -> Vec<&Expr> {
    use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
    let mut children = Vec::new();
    expr.apply_children(|child| {
        children.push(child);
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("the visitor returns no error");
    children
}
