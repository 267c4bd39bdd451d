//! Plan expressions as column functions: compiled once, evaluated a batch at a time. A row on which the expression fails
//! is named and the others keep their values; no batch fails as a whole.

mod checked;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion_common::{DFSchema, DataFusionError};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_physical_expr::PhysicalExpr;
use millrace_plan::{Expression, Fields};

/// A compiled expression over one list of fields.
#[derive(Clone, Debug)]
pub(crate) struct Computed {
    physical: Arc<dyn PhysicalExpr>,
    data_type: DataType,
}

/// The values of a batch, and the rows that have none because the expression failed on them.
pub(crate) struct Evaluated {
    pub(crate) values: ArrayRef,
    pub(crate) failures: Vec<Failure>,
}

/// One row on which an expression failed.
pub(crate) struct Failure {
    pub(crate) row: usize,
    /// What went wrong, without any value of the row.
    pub(crate) message: &'static str,
}

impl Computed {
    /// Compiles `expression` over `fields`. Fails only where plan and engine disagree, which is a bug.
    pub(crate) fn compile(expression: &Expression, fields: &Fields) -> Result<Self, String> {
        let schema = DFSchema::try_from(fields.schema().as_ref().clone()).map_err(|error| error.to_string())?;
        let physical = datafusion_physical_expr::create_physical_expr(
            &expression.expr,
            &schema,
            &ExecutionProps::new(),
            &PhysicalPlanningContext::default(),
        )
        .and_then(|physical| checked::checked(physical, fields.schema()))
        .map_err(|error| format!("expression `{}` does not compile: {error}", expression.text))?;
        Ok(Self {
            physical,
            data_type: expression.field_type.arrow(),
        })
    }

    /// Evaluates all rows at once; only if that fails, looks for the rows that are to blame.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Evaluated {
        let mut failures = Vec::new();
        let values = match self.try_evaluate(batch) {
            Ok(values) => values,
            Err(error) => self.evaluate_parts(batch, 0, &error, &mut failures),
        };
        Evaluated { values, failures }
    }

    /// Halves the batch until the failing rows stand alone. A row alone decides: AND and OR may evaluate a side for a
    /// whole batch that a single row would never reach.
    fn evaluate_parts(
        &self,
        batch: &RecordBatch,
        first: usize,
        error: &DataFusionError,
        failures: &mut Vec<Failure>,
    ) -> ArrayRef {
        let rows = batch.num_rows();
        if rows <= 1 {
            failures.push(Failure {
                row: first,
                message: describe(error),
            });
            return new_null_array(&self.data_type, rows);
        }
        let half = rows / 2;
        let parts = [(0, half), (half, rows - half)].map(|(start, length)| {
            let part = batch.slice(start, length);
            match self.try_evaluate(&part) {
                Ok(values) => values,
                Err(error) => self.evaluate_parts(&part, first + start, &error, failures),
            }
        });
        concat(&[parts[0].as_ref(), parts[1].as_ref()]).expect("both halves have the expression's type")
    }

    fn try_evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        self.physical.evaluate(batch)?.into_array(batch.num_rows())
    }
}

/// The rows for which a predicate's values are true: NULL counts as false.
pub(crate) fn is_true(values: &ArrayRef) -> BooleanArray {
    let values = values
        .as_any()
        .downcast_ref::<BooleanArray>()
        .expect("the plan demands boolean predicates");
    match values.nulls() {
        None => values.clone(),
        Some(_) => arrow::compute::prep_null_mask_filter(values),
    }
}

/// Says what went wrong without repeating values of the row, which error texts of the libraries do.
fn describe(error: &DataFusionError) -> &'static str {
    match error {
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::DivideByZero => "division by zero",
            ArrowError::ArithmeticOverflow(_) => "arithmetic overflow",
            ArrowError::CastError(_) | ArrowError::ParseError(_) => "a value cannot be cast to the type asked for",
            ArrowError::InvalidArgumentError(_) | ArrowError::ComputeError(_) => "a function refused its argument",
            _ => "evaluation failed",
        },
        DataFusionError::Execution(text) if text == checked::NOT_FINITE => checked::NOT_FINITE,
        DataFusionError::Execution(_) => "a function refused its argument",
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => describe(inner),
        DataFusionError::Shared(inner) => describe(inner),
        _ => "evaluation failed",
    }
}
