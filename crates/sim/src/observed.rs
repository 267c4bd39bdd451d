//! What a reader of committed records would see of a run, as text, and how two runs differ.

use std::collections::BTreeMap;

use std::sync::Arc;

use millrace_engine::{Bytes, Chain, Effects, Input, Program, Record};
use millrace_plan::Plan;

use crate::input::Stored;

/// Everything that a run asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// In order: it must not depend on cuts.
    results: Vec<String>,
    /// Rows for the next stage that may be combined: how they are cut into records may depend on cuts.
    rows: Vec<Stored>,
    /// In order for each operator and reason; how those stand among each other, and among results, is free.
    rejected: BTreeMap<String, Vec<String>>,
    /// Rows that each operator passed on.
    passed: Vec<u64>,
    /// How far event time had come at the end.
    newest: Option<i64>,
}

impl Observed {
    /// What a step asked for. Positions in the step's input become offsets.
    pub(crate) fn of(effects: &Effects, records: &[Record<'_>], plan: &Plan) -> Self {
        let input = |at: u32| &records[at as usize];
        let offset = |at: Option<u32>| at.map_or_else(|| "none".to_owned(), |at| input(at).offset.to_string());
        let mut observed = Self {
            passed: effects.passed.clone(),
            ..Self::default()
        };
        for emit in &effects.emits {
            let key = shown(effects.resolve(emit.key, |at| input(at).key));
            let value = shown(effects.resolve(emit.value, |at| input(at).value));
            let (time, headers) = (emit.timestamp, offset(emit.headers_of));
            observed
                .results
                .push(format!("{key} = {value} at {time}, headers of {headers}"));
        }
        for rejected in &effects.rejected {
            let operator = rejected
                .operator
                .map(|at| plan.operators[usize::from(at)].name.as_str());
            let place = format!("{} {:?}", operator.unwrap_or("decoder"), rejected.reason);
            let row = match rejected.row {
                Bytes::Null => String::new(),
                made => shown(effects.resolve(made, |_| None)),
            };
            let text = format!(
                "{} {row} {:?}: {}",
                offset(rejected.input),
                rejected.target,
                rejected.message
            );
            observed.rejected.entry(place).or_default().push(text);
        }
        observed
    }

    /// Adds what came later.
    pub(crate) fn append(&mut self, later: Self) {
        self.results.extend(later.results);
        self.rows.extend(later.rows);
        for (place, texts) in later.rejected {
            self.rejected.entry(place).or_default().extend(texts);
        }
        self.passed.resize(self.passed.len().max(later.passed.len()), 0);
        self.passed
            .iter_mut()
            .zip(later.passed)
            .for_each(|(sum, more)| *sum += more);
    }

    /// The same, where the results are rows that may be combined for the next stage.
    pub(crate) fn of_rows(effects: &Effects, records: &[Record<'_>], plan: &Plan) -> Self {
        Self {
            results: Vec::new(),
            rows: effects
                .emits
                .iter()
                .map(|emit| Stored::of(emit, effects, records))
                .collect(),
            ..Self::of(effects, records, plan)
        }
    }

    /// With what the stages behind make of the rows for them, in place of the rows.
    pub(crate) fn settled(mut self, program: &Arc<Program>, stage: usize) -> Self {
        let mut rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return self;
        }
        for stage in stage + 1..program.plan().stages() {
            let records: Vec<Record<'_>> = (0..).zip(&rows).map(|(offset, row)| row.record(offset)).collect();
            let mut chain = Chain::of_stage(Arc::clone(program), stage);
            let mut effects = Effects::default();
            chain.step(Input::Records(&records), &mut effects);
            chain.step(Input::End, &mut effects);
            rows = Self::of_rows(&effects, &records, program.plan()).rows;
        }
        self.results.extend(rows.iter().map(line));
        self
    }

    /// The results that another run has and this one has not, or the other way round.
    pub(crate) fn other_results(&self, other: &Self) -> Option<String> {
        let results = |one: &Self| Self {
            results: one.results.clone(),
            ..Self::default()
        };
        results(self).difference(&results(other))
    }

    /// With how far event time has come.
    pub(crate) fn at(mut self, newest: Option<i64>) -> Self {
        self.newest = newest;
        self
    }

    pub(crate) fn results(&self) -> usize {
        self.results.len() + self.rows.len()
    }

    pub(crate) fn rejected(&self) -> usize {
        self.rejected.values().map(Vec::len).sum()
    }

    /// What another run has that this one has not, or the other way round.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let mut parts = vec![("results".to_owned(), &self.results[..], &other.results[..])];
        let none: &[String] = &[];
        let places = self.rejected.keys().chain(other.rejected.keys());
        for place in places {
            let [ours, theirs] = [self, other].map(|one| one.rejected.get(place).map_or(none, |texts| &texts[..]));
            parts.push((format!("rows rejected by {place}"), ours, theirs));
        }
        for (what, ours, theirs) in parts {
            if let Some(at) = (0..ours.len().max(theirs.len())).find(|at| ours.get(*at) != theirs.get(*at)) {
                let text = |texts: &[String]| texts.get(at).map_or("nothing more".to_owned(), Clone::clone);
                return Some(format!(
                    "{what} differ at {at} (of {} and {})\n  whole run:   {}\n  crashed run: {}",
                    ours.len(),
                    theirs.len(),
                    text(ours),
                    text(theirs)
                ));
            }
        }
        let rest = |one: &Self| {
            format!(
                "{:?} rows passed on by the operators, newest event time {:?}",
                one.passed, one.newest
            )
        };
        let (ours, theirs) = (rest(self), rest(other));
        (ours != theirs).then(|| format!("counts differ\n  whole run:   {ours}\n  crashed run: {theirs}"))
    }

    /// Every line, for a person.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let results = self.results.iter().cloned().chain(self.rows.iter().map(line));
        let results = results.map(|text| format!("  + {text}"));
        let rejected = self
            .rejected
            .iter()
            .flat_map(|(place, texts)| texts.iter().map(move |text| format!("  - {place}: {text}")));
        results.chain(rejected)
    }
}

fn line(row: &Stored) -> String {
    let (key, value) = (shown(row.key.as_deref()), shown(row.value.as_deref()));
    format!("{key} = {value} at {}", row.timestamp)
}

/// Bytes as text.
pub(crate) fn shown(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(
        || "null".to_owned(),
        |bytes| String::from_utf8_lossy(bytes).into_owned(),
    )
}
