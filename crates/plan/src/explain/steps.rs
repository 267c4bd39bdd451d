//! One operator in one or two lines.

use super::numbers::millis;
use super::quoted;
use super::window;
use crate::{
    Aggregate, Column, Deduplicate, Fields, FlatMap, Join, JoinedStreams, Keep, Matching, Operator, OperatorKind,
    Previous, Projection, TableFormat, TableOrigin,
};

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
        OperatorKind::Join(join) => joined(join, operator, input),
        OperatorKind::StreamJoin(streams) => paired(streams, operator),
        OperatorKind::Deduplicate(deduplicate) => {
            format!("(deduplicate) {}", deduplicated(deduplicate, &keys(&deduplicate.keys)))
        }
        OperatorKind::Previous(Previous {
            keys: group, fields, ..
        }) => {
            let added = fields.iter().zip(&operator.output[input.len()..]);
            let added: Vec<_> = added
                .map(|(position, field)| format!("{} = {}", field.name, input[*position].name))
                .collect();
            format!(
                "(previous) adds {} of the record before with the same {}, or null",
                added.join(", "),
                keys(group)
            )
        }
    }
}

fn deduplicated(deduplicate: &Deduplicate, keys: &str) -> String {
    let (within, time) = (millis(deduplicate.within), deduplicate.time.as_str());
    match deduplicate.keep {
        Keep::First => format!("passes the first record for every {keys}, and drops others for {within} of {time}"),
        Keep::Last => format!(
            "passes records for every {keys}, but for those older than one that passed, which is remembered for {within} \
             of {time}"
        ),
    }
}

fn joined(join: &Join, operator: &Operator, input: &Fields) -> String {
    let table = &join.table;
    let added = operator.output[input.len()..].iter().zip(&join.fields);
    let added = added.map(|(field, position)| match &table.fields[*position].name {
        name if *name == field.name => format!("`{name}`"),
        name => format!("`{}` = {name}", field.name),
    });
    let added: Vec<_> = added.collect();
    let added = match added.as_slice() {
        [] => "looks in".to_owned(),
        added => format!("adds {} of", added.join(", ")),
    };
    let pairs = join.on.iter().zip(&table.key);
    let pairs = pairs.map(|(on, key)| format!("`{}` = {}", input[*on].name, table.fields[*key].name));
    let pairs: Vec<_> = pairs.collect();
    let row = match table.valid_from {
        Some(at) => format!(
            ", of the row with the last `{}` at the event time",
            table.fields[at].name
        ),
        None => String::new(),
    };
    let unmatched = match join.keeps_unmatched {
        true => "a record without a match goes on with NULL",
        false => "a record without a match is left out",
    };
    let format = match (&table.origin, table.format) {
        (TableOrigin::Topic(_), _) => "JSON, read to its end before the first record and then on",
        (_, TableFormat::Csv) => "CSV, read before the first record",
        (_, TableFormat::JsonLines) => "JSON lines, read before the first record",
    };
    format!(
        "(join) {added} table {} ({}, {format}) where {}{row}; {unmatched}",
        table.name,
        table.origin,
        pairs.join(" and ")
    )
}

fn paired(streams: &JoinedStreams, operator: &Operator) -> String {
    let JoinedStreams { other, join, input } = streams;
    let (left, right) = (join.left.keeps_unmatched, join.right.keeps_unmatched);
    let bare = |position: usize| match input[position].name.split_once('_') {
        Some((_, name)) => name,
        None => input[position].name.as_str(),
    };
    let pairs = join.left.key.iter().zip(&join.right.key);
    let pairs: Vec<_> = pairs
        .map(|(left, right)| format!("`{}` = {}", bare(*left), bare(*right)))
        .collect();
    let added = operator.output[operator.output.len() - join.right.fields.len()..].iter();
    let added: Vec<_> = added
        .zip(&join.right.fields)
        .map(|(field, position)| match bare(*position) {
            name if name == field.name => format!("`{name}`"),
            name => format!("`{}` = {name}", field.name),
        })
        .collect();
    let added = match added.as_slice() {
        [] => "nothing more".to_owned(),
        added => added.join(", "),
    };
    let which = match join.matching {
        Matching::Interval { before, after } => {
            format!("from {} before to {} after its time", millis(before), millis(after))
        }
        Matching::Window { size, slide, .. } if size == slide => {
            format!("in the same window of {}, when it is over", millis(size))
        }
        Matching::Window { size, slide, .. } => format!(
            "for every window of {} every {} that holds both, when it is over",
            millis(size),
            millis(slide)
        ),
        Matching::Remembered { ttl: Some(ttl) } => {
            format!("of which one comes while the other is remembered, for {}", millis(ttl))
        }
        Matching::Remembered { ttl: None } => "of which one comes before the other, whenever".to_owned(),
    };
    let unmatched = match (left, right) {
        (false, false) => "records without a match are left out".to_owned(),
        (true, false) => "a record without a match comes out with NULL".to_owned(),
        (false, true) => format!("those of {} without a match come out with NULL", other.name),
        (true, true) => "records without a match come out with NULL, those of both".to_owned(),
    };
    format!(
        "(join) pairs records with those of stream {} where {}, {which}; adds {added}; {unmatched}",
        other.name,
        pairs.join(" and ")
    )
}

/// Which rows of both streams a join remembers, and until when.
pub(super) fn remembered(streams: &JoinedStreams, out_of_orderness: i64) -> String {
    let late = out_of_orderness.max(streams.other.event_time.max_out_of_orderness);
    match streams.join.matching {
        Matching::Interval { before, after } => {
            format!(
                "the records of both streams of the last {}",
                millis(before + after + late)
            )
        }
        Matching::Window { size, .. } => {
            format!(
                "the records of both streams of open windows, each for {}",
                millis(size + late)
            )
        }
        Matching::Remembered { ttl: Some(ttl) } => {
            format!("the records of both streams of the last {}", millis(ttl + late))
        }
        Matching::Remembered { ttl: None } => "all records of both streams for ever: it grows without end".to_owned(),
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
