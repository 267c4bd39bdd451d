//! Computes what does not depend on a record, and tries out the rest on one that is all NULL. What fails here would fail on
//! every record, so it is a problem.

use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{FieldRef, Schema};
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{ColumnarValue, Expr, Operator};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::BinaryExpr;

use super::types;
use crate::Fields;

/// Replaces every part of a coerced expression that reads no field by its value.
pub(super) fn fold(expr: Expr) -> std::result::Result<Expr, String> {
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
        match value_of(&node) {
            Ok(value) => Ok(Transformed::new(
                Expr::Literal(value, None),
                true,
                TreeNodeRecursion::Jump,
            )),
            // Some functions (coalesce) cannot be evaluated until simplification has rewritten them; their arguments can.
            Err(DataFusionError::Internal(_)) => Ok(Transformed::no(node)),
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

/// Evaluates the whole on a record that is all NULL: what fails there, such as `date_trunc('huor', at)`, fails whatever a
/// record holds.
pub(super) fn try_out(expr: &Expr, fields: &Fields) -> std::result::Result<(), String> {
    let nullable = |field: &FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(
        fields.schema().fields().iter().map(nullable).collect::<Vec<_>>(),
    ));
    let nothing = schema
        .fields()
        .iter()
        .map(|field| new_null_array(field.data_type(), 1))
        .collect();
    let tried = DFSchema::try_from(Arc::clone(&schema)).and_then(|columns| {
        let row = RecordBatch::try_new_with_options(schema, nothing, &one_row())?;
        evaluate(expr, &columns, &row)
    });
    tried
        .map(|_| ())
        .map_err(|error| format!("fails on every record: {}", super::words(&error)))
}

fn one_row() -> RecordBatchOptions {
    RecordBatchOptions::new().with_row_count(Some(1))
}

fn value_of(expr: &Expr) -> Result<ScalarValue> {
    static NO_COLUMNS: LazyLock<DFSchema> = LazyLock::new(DFSchema::empty);
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one_row())?;
    evaluate(expr, &NO_COLUMNS, &row)
}

fn evaluate(expr: &Expr, columns: &DFSchema, row: &RecordBatch) -> Result<ScalarValue> {
    let context = PhysicalPlanningContext::default();
    let physical = datafusion_physical_expr::create_physical_expr(expr, columns, &ExecutionProps::new(), &context)?;
    let value = match without_wrapping(physical)?.evaluate(row)? {
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
