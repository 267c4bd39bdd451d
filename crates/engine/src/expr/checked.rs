//! Arithmetic that fails instead of giving a wrong number. DataFusion wraps integers around and lets infinity and NaN
//! pass; here both are failures of the row.

use std::any::Any;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Float64Type, Schema, SchemaRef};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DataFusionError, Result, ScalarValue};
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, Column, Literal, NegativeExpr};

pub(super) const NOT_FINITE: &str = "result is not a finite number (division by zero or overflow)";

/// Rewrites every node that could compute a wrong number into one that fails.
pub(super) fn checked(physical: Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let checked = physical.transform_up(|node| {
        let data_type = node.data_type(schema)?;
        if let Some(binary) = (node.as_ref() as &dyn Any).downcast_ref::<BinaryExpr>() {
            let binary: Arc<dyn PhysicalExpr> = Arc::new(binary.clone().with_fail_on_overflow(true));
            return Ok(Transformed::yes(if is_float(&data_type) {
                Finite::wrap(binary)
            } else {
                binary
            }));
        }
        if let Some(negative) = (node.as_ref() as &dyn Any).downcast_ref::<NegativeExpr>()
            && data_type == DataType::Int64
        {
            return Ok(Transformed::yes(negate(negative, &data_type)?));
        }
        let is_leaf = (node.as_ref() as &dyn Any).is::<Column>() || (node.as_ref() as &dyn Any).is::<Literal>();
        Ok(if is_float(&data_type) && !is_leaf {
            Transformed::yes(Finite::wrap(node))
        } else {
            Transformed::no(node)
        })
    })?;
    Ok(checked.data)
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float64 | DataType::Float32)
}

/// `-x` as `0 - x`: negating the smallest integer must fail, and DataFusion's negation wraps. Of decimals every value has
/// its opposite, and a difference would have one digit more than the plan says.
fn negate(negative: &NegativeExpr, data_type: &DataType) -> Result<Arc<dyn PhysicalExpr>> {
    let zero: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(ScalarValue::new_zero(data_type)?));
    Ok(Arc::new(
        BinaryExpr::new(zero, Operator::Minus, Arc::clone(negative.arg())).with_fail_on_overflow(true),
    ))
}

/// Passes the values of a float expression and fails on infinity and NaN.
#[derive(Debug, Eq)]
struct Finite {
    inner: Arc<dyn PhysicalExpr>,
}

impl Finite {
    fn wrap(inner: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(Self { inner })
    }
}

impl PartialEq for Finite {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Hash for Finite {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Finite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "finite({})", self.inner)
    }
}

impl PhysicalExpr for Finite {
    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.inner.evaluate(batch)?;
        let finite = match &values {
            ColumnarValue::Array(array) => all_finite(array.as_ref()),
            ColumnarValue::Scalar(ScalarValue::Float64(value)) => value.is_none_or(f64::is_finite),
            ColumnarValue::Scalar(ScalarValue::Float32(value)) => value.is_none_or(f32::is_finite),
            ColumnarValue::Scalar(_) => true,
        };
        if finite {
            Ok(values)
        } else {
            Err(DataFusionError::Execution(NOT_FINITE.to_owned()))
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Self::wrap(children.remove(0)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

/// What lies under a null does not count: kernels leave anything there.
fn all_finite(array: &dyn Array) -> bool {
    match array.data_type() {
        DataType::Float64 => {
            let floats = array.as_primitive::<Float64Type>();
            match floats.nulls() {
                None => floats.values().iter().all(|value| value.is_finite()),
                Some(_) => floats.iter().flatten().all(f64::is_finite),
            }
        }
        DataType::Float32 => array
            .as_primitive::<arrow::datatypes::Float32Type>()
            .iter()
            .flatten()
            .all(f32::is_finite),
        _ => true,
    }
}
