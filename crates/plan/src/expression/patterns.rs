//! Regular expressions that stand in the text are compiled now: a broken one would fail on every record.

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, Operator};
use regex::RegexBuilder;

use super::types;

/// Bytes of a compiled pattern.
const MAX_COMPILED: usize = 1 << 20;

/// Compiles every literal pattern of the expression.
pub(super) fn check(expr: &Expr) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    let visited = expr.apply(|node| {
        if let Some(pattern) = pattern_of(node).and_then(literal)
            && let Err(error) = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build()
        {
            let reason = match error {
                regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
                error => error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            };
            let pattern = types::cut(pattern, 60);
            problems.push(format!(
                "pattern '{pattern}' is not a regular expression that can be used: {reason}"
            ));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.expect("the visitor returns no error");
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn pattern_of(node: &Expr) -> Option<&Expr> {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    match node {
        Expr::ScalarFunction(function) if function.func.name().starts_with("regexp_") => function.args.get(1),
        Expr::BinaryExpr(binary) if matches!(binary.op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch) => {
            Some(&binary.right)
        }
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}
