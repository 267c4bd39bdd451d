//! A plan with its expressions compiled: made once, shared by the chains of all partitions.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLockWriteGuard};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{is_null, not, nullif};
use millrace_format::{Record, Refused};
use millrace_plan::{
    Aggregate, Deduplicate, Explode, Expression, Fields, FlatMap, Group, OperatorKind, Plan, Previous, StreamJoin,
    TableOrigin, Window,
};

use crate::chain::flow::Flow;
use crate::expr::{Computed, Failure, is_true};
use crate::operators::deduplicate::DeduplicateOperator;
use crate::operators::flat_map::Output;
use crate::operators::group::GroupOperator;
use crate::operators::join::{LiveTable, StreamJoinOperator, TableJoin};
use crate::operators::map::Map;
use crate::operators::previous::PreviousOperator;
use crate::operators::window::Partials;
use crate::operators::{Fallen, Keyed, Survivors, window};

/// A plan ready to run.
#[derive(Debug)]
pub struct Program {
    pub(super) plan: Arc<Plan>,
    pub(super) steps: Vec<Step>,
}

/// One compiled operator.
#[derive(Debug)]
pub(super) enum Step {
    Filter(Computed),
    Map(Map),
    Explode { spec: Explode, output: Fields },
    Split { outputs: Vec<Output>, output: Fields },
    Group { spec: Group, arguments: Arguments },
    Window { spec: Window, arguments: Arguments },
    Join(TableJoin),
    StreamJoin(StreamJoin),
    Deduplicate(Deduplicate),
    Previous(Previous),
}

/// The bytes of a plan's tables, by the position of the operator that joins each ([`Plan::tables`]).
pub type Tables = BTreeMap<usize, Vec<u8>>;

/// The compiled arguments of aggregates.
#[derive(Debug)]
pub(super) struct Arguments(Vec<Argument>);

/// Those of one aggregate.
#[derive(Debug)]
struct Argument {
    /// None counts rows.
    values: Option<Computed>,
    by: Option<Computed>,
    predicate: Option<Computed>,
}

impl Program {
    /// Compiles all expressions of a plan without tables. Fails only where plan and engine disagree, which is a bug.
    pub fn compile(plan: Arc<Plan>) -> Result<Self, String> {
        Self::with_tables(plan, &Tables::new())
    }

    /// Compiles all expressions and reads all tables. Besides bugs it fails where a table is not what the plan says; the
    /// error names its lines.
    pub fn with_tables(plan: Arc<Plan>, tables: &Tables) -> Result<Self, String> {
        let step = |position: usize| compile_step(&plan, position, tables);
        let steps = (0..plan.operators.len()).map(step).collect::<Result<_, _>>()?;
        Ok(Self { steps, plan })
    }

    /// Reads the rows that come combined into a stage; None where they never do.
    pub(super) fn partials(&self, stage: usize) -> Option<Partials> {
        let cut = &self.plan.repartitions[self.plan.cut_before(stage)?];
        let (input, output) = (self.plan.fields_into(cut.before), self.plan.fields_out_of(cut.before));
        match &self.steps[cut.before] {
            Step::Window { spec, .. } => Partials::of(spec, input, output),
            _ => None,
        }
    }

    /// Forgets all rows of tables that are topics, which are read anew.
    pub fn clear_tables(&self) {
        let tables = self.steps.iter().filter_map(Step::changing);
        tables.for_each(|mut table| table.clear());
    }

    /// Takes records of a topic, in their order, into the table of the join at `position`. They hold from the next step of
    /// any chain on. Returns those that cannot be used, which change nothing; the error says that the table is too large.
    pub fn change_table(&self, position: usize, records: &[Record<'_>]) -> Result<Vec<Refused>, String> {
        let table = self.steps.get(position).and_then(Step::changing);
        table.map_or(Ok(Vec::new()), |mut table| table.change(records))
    }

    /// How many rows the table of the join at `position` has, where it is a topic.
    pub fn table_rows(&self, position: usize) -> Option<usize> {
        Some(self.steps.get(position)?.changing()?.len())
    }
}

fn compile_step(plan: &Plan, position: usize, tables: &Tables) -> Result<Step, String> {
    let (input, output) = (plan.fields_into(position), plan.fields_out_of(position));
    Ok(match &plan.operators[position].kind {
        OperatorKind::Filter(filter) => Step::Filter(Computed::compile(&filter.predicate, input)?),
        OperatorKind::Map(projection) => Step::Map(Map::compile(projection, input, output)?),
        OperatorKind::FlatMap(FlatMap::Explode(spec)) => Step::Explode {
            spec: spec.clone(),
            output: output.clone(),
        },
        OperatorKind::FlatMap(FlatMap::Split(outputs)) => {
            let compile = |spec| Output::compile(spec, input, output);
            Step::Split {
                outputs: outputs.iter().map(compile).collect::<Result<_, _>>()?,
                output: output.clone(),
            }
        }
        OperatorKind::Group(spec) => Step::Group {
            spec: spec.clone(),
            arguments: Arguments::compile(&spec.aggregates, input)?,
        },
        OperatorKind::Window(spec) => Step::Window {
            spec: spec.clone(),
            arguments: Arguments::compile(&spec.aggregates, input)?,
        },
        OperatorKind::Join(spec) => {
            let name = &spec.table.name;
            if matches!(spec.table.origin, TableOrigin::Topic(_)) {
                return Ok(Step::Join(TableJoin::live(spec, output)));
            }
            let bytes = tables
                .get(&position)
                .ok_or_else(|| format!("table {name} was not read"))?;
            Step::Join(TableJoin::new(spec, output, bytes)?)
        }
        OperatorKind::StreamJoin(streams) => Step::StreamJoin(streams.join.clone()),
        OperatorKind::Deduplicate(spec) => Step::Deduplicate(spec.clone()),
        OperatorKind::Previous(spec) => Step::Previous(spec.clone()),
    })
}

impl Step {
    /// The table of a join, where it is one that changes.
    fn changing(&self) -> Option<RwLockWriteGuard<'_, LiveTable>> {
        match self {
            Self::Join(join) => join.changing(),
            _ => None,
        }
    }

    /// What the step remembers at the beginning; None if it remembers nothing.
    pub(super) fn keyed(&self, input: &Fields, output: &Fields) -> Option<Box<dyn Keyed>> {
        match self {
            Self::Group { spec, .. } => Some(Box::new(GroupOperator::new(spec, input, output))),
            Self::Window { spec, .. } => Some(window::operator(spec, input, output)),
            Self::StreamJoin(spec) => Some(Box::new(StreamJoinOperator::new(spec, input, output))),
            Self::Deduplicate(spec) => Some(Box::new(DeduplicateOperator::new(spec, input))),
            Self::Previous(spec) => Some(Box::new(PreviousOperator::new(spec, input, output))),
            Self::Filter(_) | Self::Map(_) | Self::Explode { .. } | Self::Split { .. } | Self::Join(_) => None,
        }
    }
}

impl Arguments {
    fn compile(aggregates: &[Aggregate], input: &Fields) -> Result<Self, String> {
        let computed = |expression: &Option<Expression>| {
            let compiled = expression
                .as_ref()
                .map(|expression| Computed::compile(expression, input));
            compiled.transpose()
        };
        let compile = |aggregate: &Aggregate| {
            Ok(Argument {
                values: computed(&aggregate.argument)?,
                by: computed(&aggregate.by)?,
                predicate: computed(&aggregate.predicate)?,
            })
        };
        aggregates.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Evaluates all arguments, for each aggregate what it is computed over and, if there is such, what it is ordered by;
    /// rows on which one fails are reported and left out of everything returned.
    pub(super) fn evaluate(&self, flow: &Flow, fallen: &mut Vec<Fallen>) -> (Flow, Vec<Option<ArrayRef>>) {
        let (mut failures, mut columns) = (Vec::new(), Vec::new());
        for argument in &self.0 {
            argument.evaluate(&flow.batch.columns, &mut failures, &mut columns);
        }
        let survivors = Survivors::of(flow.batch.len(), failures, fallen);
        let columns = columns
            .iter()
            .map(|values: &Option<ArrayRef>| values.as_ref().map(|values| survivors.column(values)))
            .collect();
        (
            flow.became(survivors.batch(flow.batch.clone()), survivors.mask()),
            columns,
        )
    }
}

impl Argument {
    /// Rows that take no part are null in the first column, and do not fail.
    fn evaluate(&self, batch: &RecordBatch, failures: &mut Vec<Failure>, columns: &mut Vec<Option<ArrayRef>>) {
        let predicate = self.predicate.as_ref().map(|predicate| {
            let evaluated = predicate.evaluate(batch);
            failures.extend(evaluated.failures);
            evaluated.values
        });
        let takes_part = predicate.as_ref().map(is_true);
        let mut evaluate = |computed: &Computed| {
            let evaluated = computed.evaluate(batch);
            let counts = |failure: &Failure| takes_part.as_ref().is_none_or(|mask| mask.value(failure.row));
            failures.extend(evaluated.failures.into_iter().filter(counts));
            evaluated.values
        };
        let by = self.by.as_ref().map(&mut evaluate);
        let mut values = match &self.values {
            Some(values) => Some(evaluate(values)),
            // Of rows that are counted something must be null.
            None => predicate,
        };
        let leave_out = |values: &mut Option<ArrayRef>, rows: BooleanArray| {
            *values = values
                .take()
                .map(|values| nullif(&values, &rows).expect("both are as long as the batch"));
        };
        if let Some(mask) = &takes_part {
            leave_out(&mut values, not(mask).expect("a mask can be turned round"));
        }
        if let Some(by) = &by {
            leave_out(&mut values, is_null(by).expect("every column can be asked for nulls"));
        }
        columns.push(values);
        columns.extend(by.map(Some));
    }
}
