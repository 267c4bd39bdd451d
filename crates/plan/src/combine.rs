//! Whether the rows of a batch may be combined before they change partitions: one record for each group and piece of time,
//! instead of one for each row. Only where nobody can tell the difference by the results.

use crate::{Aggregate, AggregateFunction, Emit, FieldType, OperatorKind, Plan, Repartition, TimeDomain, WindowKind};

impl Plan {
    /// Whether rows are combined before they cross this cut; if not, why. Nothing else depends on it: the stage behind
    /// takes both, in any mix.
    pub fn combines(&self, cut: &Repartition) -> Result<(), String> {
        let operator = &self.operators[cut.before];
        let OperatorKind::Window(window) = &operator.kind else {
            return Err(format!("{} needs every row by itself", operator.name));
        };
        if let WindowKind::Session(_) = window.kind {
            return Err("rows make the sessions".to_owned());
        }
        if window.time == TimeDomain::Processing {
            return Err("each row is of the time at which it is read".to_owned());
        }
        if window.emit == Emit::OnUpdate {
            return Err("every row makes a result".to_owned());
        }
        if window.allowed_lateness > 0 {
            return Err("every late row makes a result".to_owned());
        }
        if self.late_records.is_some() {
            return Err("late rows are written to their topic".to_owned());
        }
        match window.aggregates.iter().find_map(why_not) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

/// Why the values of parts, put together, could be others than those of all rows.
fn why_not(aggregate: &Aggregate) -> Option<String> {
    let name = &aggregate.name;
    let argument = aggregate.argument.as_ref().map(|argument| &argument.field_type);
    match aggregate.function {
        AggregateFunction::Sum | AggregateFunction::Avg if argument == Some(&FieldType::Float64) => {
            Some(format!("`{name}` adds doubles, which depends on their order"))
        }
        AggregateFunction::Sum | AggregateFunction::Avg if aggregate.distinct => {
            Some(format!("`{name}` is over distinct values"))
        }
        AggregateFunction::Stddev
        | AggregateFunction::StddevPop
        | AggregateFunction::Variance
        | AggregateFunction::VariancePop => {
            Some(format!("`{name}` depends on the order of the rows in its last digits"))
        }
        AggregateFunction::CollectList { .. } => Some(format!("`{name}` refuses single rows when it is full")),
        AggregateFunction::Count
        | AggregateFunction::Sum
        | AggregateFunction::Avg
        | AggregateFunction::Min
        | AggregateFunction::Max
        | AggregateFunction::First
        | AggregateFunction::Last
        | AggregateFunction::CountDistinct
        | AggregateFunction::ApproxCountDistinct
        | AggregateFunction::ApproxPercentile(_)
        | AggregateFunction::Top { .. } => None,
    }
}
