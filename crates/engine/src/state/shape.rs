//! What an operator's state means, in words that are saved in front of it: state must never be read as something else.

use millrace_plan::{Aggregate, AggregateFunction, Fields, Tumbling};

use crate::state::codec::{self, CodecError, Reader};

/// One line for each thing that must stay as it is for state to keep its meaning: the window, each key's name and type,
/// each aggregate's function, argument and types. Names of results and the lateness may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    lines: Vec<String>,
}

impl Shape {
    pub(crate) fn new(window: Option<Tumbling>, keys: &[usize], aggregates: &[Aggregate], input: &Fields) -> Self {
        let window = window.map(|Tumbling { size, offset }| format!("window: tumbling, {size} ms, offset {offset} ms"));
        let key = |(at, key): (usize, &usize)| {
            let field = &input[*key];
            format!("key {}: {} {}", at + 1, field.name, field.field_type)
        };
        let aggregate = |(at, aggregate): (usize, &Aggregate)| {
            let argument = aggregate.argument.as_ref();
            let argument = argument.map(|argument| format!("{} {}", argument.text, argument.field_type));
            let (function, result) = (function_name(aggregate.function), &aggregate.result);
            format!(
                "aggregate {}: {function}({}) {result}",
                at + 1,
                argument.as_deref().unwrap_or("records")
            )
        };
        let keys = keys.iter().enumerate().map(key);
        let aggregates = aggregates.iter().enumerate().map(aggregate);
        Self {
            lines: window.into_iter().chain(keys).chain(aggregates).collect(),
        }
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        codec::put_length(out, self.lines.len());
        self.lines
            .iter()
            .for_each(|line| codec::put_bytes(out, line.as_bytes()));
    }

    pub(crate) fn load(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let lines = (0..reader.count(1)?)
            .map(|_| reader.text().map(str::to_owned))
            .collect::<Result<_, _>>()?;
        Ok(Self { lines })
    }

    /// What first differs between this, the plan's, and a saved shape.
    pub(crate) fn difference(&self, saved: &Self) -> Option<String> {
        let at = |lines: &[String], at: usize| {
            lines
                .get(at)
                .map_or("nothing more".to_owned(), |line| format!("`{line}`"))
        };
        let lines = self.lines.len().max(saved.lines.len());
        let differs = (0..lines).find(|line| self.lines.get(*line) != saved.lines.get(*line))?;
        Some(format!(
            "it was saved for {}, the plan has {}",
            at(&saved.lines, differs),
            at(&self.lines, differs)
        ))
    }
}

/// As written in the spec.
pub(crate) fn function_name(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
        AggregateFunction::Avg => "avg",
        AggregateFunction::Stddev => "stddev",
    }
}
