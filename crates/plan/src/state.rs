//! What a plan remembers between records, and what a changed plan means for what another has remembered.

use std::fmt;

use crate::{Aggregate, Deduplicate, Fields, Keep, OperatorKind, OperatorName, Plan, Previous, Window};

/// One operator that remembers something, and what its state means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorState {
    /// The operator that owns the state.
    pub operator: String,
    /// `groupBy`, `window`, `join`, `deduplicate` or `previous`, as in the spec.
    pub kind: String,
    /// One line for each thing that must stay as it is for state to keep its meaning: the window, each key's name and
    /// type, each aggregate's function, argument and types, by which time state is kept. Names of results may change, and
    /// the lateness and other lengths of time.
    pub shape: Vec<String>,
}

/// State that a changed plan has no use for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostState {
    /// The operator that owned it.
    pub operator: String,
    /// Why it is of no use.
    pub why: String,
}

impl fmt::Display for LostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "state of operator `{}`: {}", self.operator, self.why)
    }
}

impl Plan {
    /// What this plan remembers between records.
    pub fn states(&self) -> Vec<OperatorState> {
        let state = |(position, operator): (usize, &crate::Operator)| {
            let input = self.fields_into(position);
            let shape = match &operator.kind {
                OperatorKind::Group(group) => {
                    let kept = group.ttl.iter().map(|ttl| ttl.shape());
                    shape(None, &group.keys, &group.aggregates, input)
                        .into_iter()
                        .chain(kept)
                        .collect()
                }
                OperatorKind::Window(window) => shape(Some(window), &window.keys, &window.aggregates, input),
                OperatorKind::Deduplicate(deduplicate) => deduplicate.shape(input),
                OperatorKind::Previous(previous) => previous.shape(input),
                OperatorKind::StreamJoin(streams) => streams.join.shape(input),
                _ => return None,
            };
            Some(OperatorState {
                operator: operator.name.as_str().to_owned(),
                kind: operator.kind.state()?.to_owned(),
                shape,
            })
        };
        self.operators.iter().enumerate().filter_map(state).collect()
    }

    /// Whether the spec allows to throw the state of `operator` away.
    pub fn may_drop(&self, operator: &str) -> bool {
        self.droppable.iter().any(|name| name.as_str() == operator)
    }

    /// Which of the states that another plan of the same pipeline has left this plan has no use for and may not drop.
    pub fn would_lose(&self, saved: &[OperatorState]) -> Vec<LostState> {
        let lost = saved.iter().filter_map(|saved| self.has_no_use_for(saved));
        lost.filter(|lost| !self.may_drop(&lost.operator)).collect()
    }

    /// Why this plan has no use for a state that another plan of the same pipeline has left; None if an operator goes on
    /// from it.
    pub fn has_no_use_for(&self, saved: &OperatorState) -> Option<LostState> {
        let named = |name: &str| name == saved.operator;
        let why = match self.states().iter().find(|state| named(&state.operator)) {
            Some(state) if state.kind == saved.kind => difference(&state.shape, &saved.shape)?,
            Some(state) => format!("it was a {}, now it is a {}", saved.kind, state.kind),
            None if self.operators.iter().any(|operator| named(operator.name.as_str())) => {
                format!("it was a {}, now it remembers nothing", saved.kind)
            }
            None => "the spec no longer has this operator".to_owned(),
        };
        Some(LostState {
            operator: saved.operator.clone(),
            why,
        })
    }
}

impl OperatorKind {
    /// What its state is called, as the operator in the spec; None if it remembers nothing.
    pub fn state(&self) -> Option<&'static str> {
        match self {
            Self::Group(_) => Some("groupBy"),
            Self::Window(_) => Some("window"),
            Self::Deduplicate(_) => Some("deduplicate"),
            Self::Previous(_) => Some("previous"),
            Self::StreamJoin(_) => Some("join"),
            Self::Filter(_) | Self::Map(_) | Self::FlatMap(_) | Self::Join(_) => None,
        }
    }
}

/// The lines that say what state of an aggregation means; see [`OperatorState::shape`].
pub fn shape(window: Option<&Window>, keys: &[usize], aggregates: &[Aggregate], input: &Fields) -> Vec<String> {
    let window = window.map(Window::shape);
    let key = |(at, key): (usize, &usize)| {
        let field = &input[*key];
        format!("key {}: {} {}", at + 1, field.name, field.field_type)
    };
    let aggregate = |(at, aggregate): (usize, &Aggregate)| {
        let call = aggregate.call(|expression| format!("{} {}", expression.text, expression.field_type));
        let call = if call.is_empty() { "records" } else { &call };
        let (function, result) = (aggregate.function.as_str(), &aggregate.result);
        let predicate = aggregate.predicate.as_ref();
        let predicate = predicate.map(|predicate| format!(" where {}", predicate.text));
        format!(
            "aggregate {}: {function}({call}) {result}{}",
            at + 1,
            predicate.unwrap_or_default()
        )
    };
    let keys = keys.iter().enumerate().map(key);
    let aggregates = aggregates.iter().enumerate().map(aggregate);
    window.into_iter().chain(keys).chain(aggregates).collect()
}

impl Deduplicate {
    /// See [`OperatorState::shape`]. The length of the time may change.
    pub fn shape(&self, input: &Fields) -> Vec<String> {
        let keep = match self.keep {
            Keep::First => "first",
            Keep::Last => "last",
        };
        let kept = format!("{keep} kept by {}", self.time.as_str());
        let mut lines = shape(None, &self.keys, &[], input);
        lines.push(kept);
        lines
    }
}

impl Previous {
    /// See [`OperatorState::shape`]. The names of the new fields may change, and the length of the time.
    pub fn shape(&self, input: &Fields) -> Vec<String> {
        let value = |(at, position): (usize, &usize)| {
            let field = &input[*position];
            format!("value {}: {} {}", at + 1, field.name, field.field_type)
        };
        let values = self.fields.iter().enumerate().map(value);
        let kept = self.ttl.iter().map(|ttl| ttl.shape());
        shape(None, &self.keys, &[], input)
            .into_iter()
            .chain(values)
            .chain(kept)
            .collect()
    }
}

/// What first differs between a plan's shape and a saved one.
pub fn difference(plan: &[String], saved: &[String]) -> Option<String> {
    let at = |lines: &[String], at: usize| {
        lines
            .get(at)
            .map_or("nothing more".to_owned(), |line| format!("`{line}`"))
    };
    let differs = (0..plan.len().max(saved.len())).find(|line| plan.get(*line) != saved.get(*line))?;
    Some(format!(
        "it was saved for {}, the plan has {}",
        at(saved, differs),
        at(plan, differs)
    ))
}

/// Operators whose state may be thrown away, from `spec.onStateChange`.
pub(crate) fn droppable(names: &[String]) -> Result<Vec<OperatorName>, String> {
    names.iter().map(|name| OperatorName::parse(name)).collect()
}
