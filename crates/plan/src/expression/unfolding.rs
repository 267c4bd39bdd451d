//! Bounds how much larger an expression gets when it is simplified: `coalesce(a, b)` becomes
//! `CASE WHEN a IS NOT NULL THEN a ELSE b END`, `a BETWEEN 1 AND 2` becomes `a >= 1 AND a <= 2`, and what is nested in
//! such a copy is copied again. Fifty nested `coalesce` would fill the memory.

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::Expr;

/// Nodes after simplification.
const MAX_NODES: u64 = 20_000;

/// Functions that are replaced by a `CASE` which names their arguments twice.
const COPYING: [&str; 3] = ["coalesce", "nvl", "nvl2"];

/// Refuses expressions that simplification could blow up.
pub(super) fn check(expr: &Expr) -> Result<(), String> {
    if nodes(expr) > MAX_NODES {
        return Err(
            "nests too many `coalesce`, `BETWEEN`, `IN` or comparisons in each other; split it over several map \
                    steps"
                .to_owned(),
        );
    }
    Ok(())
}

fn nodes(expr: &Expr) -> u64 {
    let mut operands: u64 = 0;
    let counted = expr.apply_children(|child| {
        operands = operands.saturating_add(nodes(child));
        Ok(TreeNodeRecursion::Continue)
    });
    counted.expect("the visitor returns no error");
    operands.saturating_mul(copies(expr)).saturating_add(2)
}

/// How often the operands can stand in what the node is simplified to.
fn copies(expr: &Expr) -> u64 {
    match expr {
        Expr::ScalarFunction(function) if COPYING.contains(&function.func.name()) => 2,
        Expr::Between(_) => 2,
        // Short lists become comparisons; long ones stay.
        Expr::InList(list) if list.list.len() <= 3 => list.list.len() as u64,
        // A comparison with a function of time becomes two comparisons with its argument.
        Expr::BinaryExpr(binary) if binary.op.supports_propagation() => 2,
        _ => 1,
    }
}
