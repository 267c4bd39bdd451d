//! A plan with its expressions compiled: made once, shared by the chains of all partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use millrace_plan::{Aggregate, Deduplicate, Explode, Fields, FlatMap, Group, OperatorKind, Plan, Previous, Window};

use crate::chain::flow::Flow;
use crate::expr::Computed;
use crate::operators::deduplicate::DeduplicateOperator;
use crate::operators::flat_map::Output;
use crate::operators::group::GroupOperator;
use crate::operators::join::TableJoin;
use crate::operators::map::Map;
use crate::operators::previous::PreviousOperator;
use crate::operators::window::WindowOperator;
use crate::operators::{Fallen, Keyed, Survivors};

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
    Deduplicate(Deduplicate),
    Previous(Previous),
}

/// The bytes of a plan's tables, by the position of the operator that joins each ([`Plan::tables`]).
pub type Tables = BTreeMap<usize, Vec<u8>>;

/// The compiled arguments of aggregates; None counts rows.
#[derive(Debug)]
pub(super) struct Arguments(Vec<Option<Computed>>);

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
            let bytes = tables
                .get(&position)
                .ok_or_else(|| format!("table {name} was not read"))?;
            Step::Join(TableJoin::new(spec, output, bytes)?)
        }
        OperatorKind::Deduplicate(spec) => Step::Deduplicate(spec.clone()),
        OperatorKind::Previous(spec) => Step::Previous(spec.clone()),
    })
}

impl Step {
    /// What the step remembers at the beginning; None if it remembers nothing.
    pub(super) fn keyed(&self, input: &Fields, output: &Fields) -> Option<Box<dyn Keyed>> {
        match self {
            Self::Group { spec, .. } => Some(Box::new(GroupOperator::new(spec, input, output))),
            Self::Window { spec, .. } => Some(Box::new(WindowOperator::new(spec, input, output))),
            Self::Deduplicate(spec) => Some(Box::new(DeduplicateOperator::new(spec, input))),
            Self::Previous(spec) => Some(Box::new(PreviousOperator::new(spec, input, output))),
            Self::Filter(_) | Self::Map(_) | Self::Explode { .. } | Self::Split { .. } | Self::Join(_) => None,
        }
    }
}

impl Arguments {
    fn compile(aggregates: &[Aggregate], input: &Fields) -> Result<Self, String> {
        let compile = |aggregate: &Aggregate| {
            aggregate
                .argument
                .as_ref()
                .map(|argument| Computed::compile(argument, input))
                .transpose()
        };
        aggregates.iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// Evaluates all arguments; rows on which one fails are reported and left out of everything returned.
    pub(super) fn evaluate(&self, flow: &Flow, fallen: &mut Vec<Fallen>) -> (Flow, Vec<Option<ArrayRef>>) {
        let mut failures = Vec::new();
        let mut evaluate = |argument: &Option<Computed>| {
            let evaluated = argument.as_ref()?.evaluate(&flow.batch.columns);
            failures.extend(evaluated.failures);
            Some(evaluated.values)
        };
        let values: Vec<Option<ArrayRef>> = self.0.iter().map(&mut evaluate).collect();
        let survivors = Survivors::of(flow.batch.len(), failures, fallen);
        let values = values
            .iter()
            .map(|values| values.as_ref().map(|values| survivors.column(values)))
            .collect();
        (
            flow.became(survivors.batch(flow.batch.clone()), survivors.mask()),
            values,
        )
    }
}
