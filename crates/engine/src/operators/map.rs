//! One row out for every row in: fields that stay and fields that are computed.

use arrow::array::ArrayRef;
use millrace_plan::{Column, Fields, Projection};

use crate::batch::Batch;
use crate::expr::{Computed, Failure};
use crate::operators::{Fallen, Survivors, record_batch};

/// A compiled projection.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    columns: Vec<Source>,
    output: Fields,
}

#[derive(Clone, Debug)]
enum Source {
    Input(usize),
    Computed(Computed),
}

impl Map {
    pub(crate) fn compile(projection: &Projection, input: &Fields, output: &Fields) -> Result<Self, String> {
        let compile = |column: &Column| match column {
            Column::Input(position) => Ok(Source::Input(*position)),
            Column::Computed(expression) => Computed::compile(expression, input).map(Source::Computed),
        };
        let columns = projection.columns.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self {
            columns,
            output: output.clone(),
        })
    }

    /// Maps the rows. Rows on which an expression fails are reported and left out.
    pub(crate) fn apply(&self, batch: Batch, fallen: &mut Vec<Fallen>) -> (Batch, Survivors) {
        let mut failures: Vec<Failure> = Vec::new();
        let columns: Vec<ArrayRef> = self
            .columns
            .iter()
            .map(|source| source.column(&batch, &mut failures))
            .collect();
        let survivors = Survivors::of(batch.len(), failures, fallen);
        let columns = columns.iter().map(|column| survivors.column(column)).collect();
        let mut batch = survivors.batch(batch);
        batch.columns = record_batch(&self.output, columns, batch.len());
        (batch, survivors)
    }
}

impl Source {
    fn column(&self, batch: &Batch, failures: &mut Vec<Failure>) -> ArrayRef {
        match self {
            Source::Input(position) => batch.columns.column(*position).clone(),
            Source::Computed(computed) => {
                let evaluated = computed.evaluate(&batch.columns);
                failures.extend(evaluated.failures);
                evaluated.values
            }
        }
    }
}
