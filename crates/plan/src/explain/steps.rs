//! One operator in one or two lines.

use super::numbers::millis;
use super::quoted;
use crate::{Aggregate, Column, Fields, FlatMap, Operator, OperatorKind, Projection};

/// What an operator does to the records with the fields `input`.
pub(super) fn describe(operator: &Operator, input: &Fields) -> String {
    let keys = |positions: &[usize]| quoted(positions.iter().map(|position| &input[*position].name));
    match &operator.kind {
        OperatorKind::Filter(filter) => format!("(filter) passes records where {}", one_line(&filter.predicate.text)),
        OperatorKind::Map(projection) => format!("(map) writes {}", columns(projection, &operator.output, input)),
        OperatorKind::FlatMap(FlatMap::Explode(explode)) => {
            let end = explode.array + operator.output.len() + 1 - input.len();
            let names = operator.output[explode.array..end]
                .iter()
                .map(|field| field.name.as_str());
            let array = &input[explode.array].name;
            format!(
                "(flatMap) makes one record for every item of `{array}`, with {}",
                quoted(names)
            )
        }
        OperatorKind::FlatMap(FlatMap::Split(outputs)) => {
            let output = |split: &crate::SplitOutput| {
                let condition = split
                    .predicate
                    .as_ref()
                    .map(|it| format!(" where {}", one_line(&it.text)));
                format!(
                    "{}{}",
                    columns(&split.projection, &operator.output, input),
                    condition.unwrap_or_default()
                )
            };
            let outputs: Vec<_> = outputs.iter().map(output).collect();
            format!("(flatMap) makes of every record: {}", outputs.join("; and "))
        }
        OperatorKind::Group(group) => {
            let aggregates = aggregates(&group.aggregates);
            format!(
                "(groupBy) for every {} keeps {aggregates}, and emits them after every record",
                keys(&group.keys)
            )
        }
        OperatorKind::Window(window) => {
            let offset = match window.tumbling.offset {
                0 => String::new(),
                offset => format!(" that start {} after the full one", millis(offset)),
            };
            let emits = match window.allowed_lateness {
                0 => "emits them once, when the window is over".to_owned(),
                lateness => format!(
                    "emits them when the window is over, after every late record for {} more, and a last time",
                    millis(lateness)
                ),
            };
            format!(
                "(window) for every {} and {} of event time{offset} computes {}, and {emits}",
                keys(&window.keys),
                millis(window.tumbling.size),
                aggregates(&window.aggregates)
            )
        }
    }
}

/// The fields in order; a field that is passed on unchanged is its name.
fn columns(projection: &Projection, output: &Fields, input: &Fields) -> String {
    let column = |(column, field): (&Column, &crate::Field)| match column {
        Column::Input(position) if input[*position].name == field.name => field.name.clone(),
        Column::Input(position) => format!("{} = {}", field.name, input[*position].name),
        Column::Computed(expression) => format!("{} = {}", field.name, one_line(&expression.text)),
    };
    projection
        .columns
        .iter()
        .zip(output.iter())
        .map(column)
        .collect::<Vec<_>>()
        .join(", ")
}

fn aggregates(aggregates: &[Aggregate]) -> String {
    let aggregate = |aggregate: &Aggregate| {
        let (name, function) = (&aggregate.name, aggregate.function.as_str());
        let call = match aggregate.call(|expression| one_line(&expression.text)) {
            nothing if nothing.is_empty() => format!("{name} = {function}"),
            call => format!("{name} = {function}({call})"),
        };
        match &aggregate.predicate {
            Some(predicate) => format!("{call} where {}", one_line(&predicate.text)),
            None => call,
        }
    };
    aggregates.iter().map(aggregate).collect::<Vec<_>>().join(", ")
}

/// Expressions may be written over several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
