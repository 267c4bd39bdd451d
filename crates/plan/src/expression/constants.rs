//! Computes what does not depend on a record. A constant part that fails would fail on every record, so it is a problem.

use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{ColumnarValue, Expr, Operator};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::BinaryExpr;

use super::types;

/// Replaces every part of a coerced expression that reads no field by its value.
pub(super) fn fold(expr: Expr) -> Result<Expr, String> {
    let mut failure = None;
    let folded = expr.transform_down(|node| {
        if divides_by_zero(&node) {
            failure.get_or_insert_with(|| format!("`{}` divides by zero", types::shown(&node)));
            return Ok(Transformed::new(node, false, TreeNodeRecursion::Stop));
        }
        let is_literal =
            matches!(node, Expr::Literal(..)) && !matches!(node, Expr::Literal(ScalarValue::Float64(_), _));
        if is_literal || node.any_column_refs() {
            return Ok(Transformed::no(node));
        }
        match evaluate(&node) {
            Ok(value) => Ok(Transformed::new(
                Expr::Literal(value, None),
                true,
                TreeNodeRecursion::Jump,
            )),
            Err(error) => {
                failure.get_or_insert_with(|| format!("`{}` fails: {}", types::shown(&node), super::words(&error)));
                Ok(Transformed::new(node, false, TreeNodeRecursion::Stop))
            }
        }
    });
    match (failure, folded) {
        (Some(failure), _) => Err(failure),
        (None, Ok(folded)) => Ok(folded.data),
        (None, Err(error)) => Err(super::words(&error)),
    }
}

fn divides_by_zero(expr: &Expr) -> bool {
    let Expr::BinaryExpr(binary) = expr else { return false };
    let Expr::Literal(divisor, _) = &*binary.right else {
        return false;
    };
    let zero = || ScalarValue::new_zero(&divisor.data_type()).is_ok_and(|zero| *divisor == zero);
    matches!(binary.op, Operator::Divide | Operator::Modulo) && zero()
}

fn evaluate(expr: &Expr) -> Result<ScalarValue> {
    static NO_COLUMNS: LazyLock<DFSchema> = LazyLock::new(DFSchema::empty);
    let context = PhysicalPlanningContext::default();
    let physical = datafusion_physical_expr::create_physical_expr(expr, &NO_COLUMNS, &ExecutionProps::new(), &context)?;
    let one_row = RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        vec![],
        &RecordBatchOptions::new().with_row_count(Some(1)),
    )?;
    let value = match without_wrapping(physical)?.evaluate(&one_row)? {
        ColumnarValue::Scalar(value) => value,
        ColumnarValue::Array(values) => ScalarValue::try_from_array(&values, 0)?,
    };
    match value {
        ScalarValue::Float64(Some(number)) if !number.is_finite() => Err(DataFusionError::Execution(
            "the result is not a finite number".to_owned(),
        )),
        value => Ok(value),
    }
}

/// DataFusion's integers wrap around unless told otherwise.
fn without_wrapping(physical: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let checked = physical.transform_up(|node| {
        let binary = (node.as_ref() as &dyn std::any::Any)
            .downcast_ref::<BinaryExpr>()
            .cloned();
        Ok(match binary {
            Some(binary) => Transformed::yes(Arc::new(binary.with_fail_on_overflow(true)) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(node),
        })
    })?;
    Ok(checked.data)
}
