//! One operator in one or two lines.

use super::quoted;
use super::window;
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
            format!(
                "(window) for every {} and {} computes {}, and {}",
                keys(&window.keys),
                window::spans(window),
                aggregates(&window.aggregates),
                window::emits(window)
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
        let function = aggregate.function.as_str();
        match &aggregate.argument {
            Some(argument) => format!("{} = {function}({})", aggregate.name, one_line(&argument.text)),
            None => format!("{} = {function}", aggregate.name),
        }
    };
    aggregates.iter().map(aggregate).collect::<Vec<_>>().join(", ")
}

/// Expressions may be written over several lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
