//! The flow on one page: records in, through the operators in order, effects out.

mod emit;
mod flow;
mod memory;
mod program;
mod reject;

use std::sync::Arc;

use arrow::array::ArrayRef;
use millrace_format::{Decoder, Record, Refused};
use millrace_plan::Plan;

use crate::batch::Batch;
use crate::chain::emit::Emitter;
use crate::chain::flow::Flow;
pub use crate::chain::program::Program;
use crate::chain::program::Step;
use crate::chain::reject::Rejecter;
use crate::effects::{Effects, Reason};
use crate::operators::{Fault, Keyed, Made, Now, filter, flat_map};
use crate::watermark::Watermark;

/// What comes in.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Records of the partition, in order, following on those of the step before.
    Records(&'a [Record<'a>]),
    /// The wall clock has come to this, in milliseconds since the epoch: what follows happens then. A clock that goes back
    /// stands still.
    Clock(i64),
    /// There will be no more: closes every window. Only a finite input (a file) ends.
    End,
}

/// One input partition: the operators' state, and how far event time has come.
pub struct Chain {
    program: Arc<Program>,
    decoder: Decoder,
    refused: Vec<Refused>,
    watermark: Watermark,
    clock: i64,
    /// One for each operator; None where it remembers nothing.
    states: Vec<Option<Box<dyn Keyed>>>,
    emitter: Emitter,
    rejecter: Rejecter,
}

impl Chain {
    /// A chain that has seen nothing yet.
    pub fn new(program: Arc<Program>) -> Self {
        let plan = program.plan();
        let state =
            |(position, step): (usize, &Step)| step.keyed(plan.fields_into(position), plan.fields_out_of(position));
        Self {
            decoder: Decoder::json(&plan.input, plan.key.as_ref(), plan.event_time),
            refused: Vec::new(),
            watermark: Watermark::new(plan.event_time),
            clock: 0,
            states: program.steps.iter().enumerate().map(state).collect(),
            emitter: Emitter::new(plan),
            rejecter: Rejecter::new(plan),
            program,
        }
    }

    /// Takes input in and says what to do. The same inputs in the same order give the same effects, however they are cut
    /// into steps.
    pub fn step(&mut self, input: Input<'_>, effects: &mut Effects) {
        let program = Arc::clone(&self.program);
        effects.passed.resize(program.steps.len(), 0);
        effects.expired.resize(program.steps.len(), 0);
        let (records, ended) = match input {
            Input::Records(records) => (records, false),
            Input::Clock(now) => {
                self.clock = self.clock.max(now);
                self.watermark.tick(self.clock);
                (&[] as &[Record<'_>], false)
            }
            Input::End => (&[] as &[Record<'_>], true),
        };
        let mut flow = Flow::of_records(self.decode(records, effects));
        if !records.is_empty() {
            self.watermark.stir();
            // Before the first clock there is nothing to count from.
            if self.clock > 0 {
                self.watermark.tick(self.clock);
            }
        }
        for (position, step) in program.steps.iter().enumerate() {
            flow = self.apply(position, step, flow, ended, effects);
            effects.passed[position] += flow.batch.len() as u64;
        }
        self.emitter.emit(&flow, records, effects);
    }

    fn decode(&mut self, records: &[Record<'_>], effects: &mut Effects) -> Batch {
        let decoded = self.decoder.decode(records, &mut self.refused);
        self.rejecter.refused(self.refused.drain(..), effects);
        let watermarks = decoded.times.iter().map(|time| self.watermark.observe(*time)).collect();
        Batch {
            columns: decoded.columns,
            origins: decoded.origins,
            times: decoded.times,
            watermarks,
        }
    }

    fn apply(&mut self, position: usize, step: &Step, flow: Flow, ended: bool, effects: &mut Effects) -> Flow {
        let mut fallen = Vec::new();
        let out = match step {
            Step::Filter(predicate) => {
                let mask = filter::passing(predicate, &flow.batch, &mut fallen);
                flow.filter(&mask)
            }
            Step::Map(map) => {
                let (batch, survivors) = map.apply(flow.batch.clone(), &mut fallen);
                flow.became(batch, survivors.mask())
            }
            Step::Explode { spec, output } => flow.flattened(flat_map::explode(spec, output, &flow.batch)),
            Step::Split { outputs, output } => {
                flow.flattened(flat_map::split(outputs, output, &flow.batch, &mut fallen))
            }
            Step::Group { arguments, .. } | Step::Window { arguments, .. } => {
                let (input, arguments) = arguments.evaluate(&flow, &mut fallen);
                self.keyed(position, input, &arguments, ended, effects)
            }
            Step::Deduplicate(_) | Step::Previous(_) => self.keyed(position, flow.clone(), &[], ended, effects),
        };
        for fall in fallen {
            self.rejecter
                .failed(position, &flow.batch, fall.row, fall.message, effects);
        }
        out
    }

    fn keyed(
        &mut self,
        position: usize,
        flow: Flow,
        arguments: &[Option<ArrayRef>],
        ended: bool,
        effects: &mut Effects,
    ) -> Flow {
        let now = Now {
            watermark: self.watermark.current(),
            clock: self.clock,
        };
        let keyed = self.states[position].as_mut().expect("steps with a key remember");
        let mut faults = Vec::new();
        // Rows of a step before that ended go on as any others.
        let made = match ended && flow.batch.len() == 0 {
            true => keyed.finish(),
            false => keyed.step(&flow.batch, arguments, now, &mut faults),
        };
        for (row, fault) in faults {
            let (reason, message) = match &fault {
                Fault::Late => (Reason::Late, "the record came after its window was closed"),
                Fault::Overflow(message) => (Reason::AggregateOverflow, message.as_str()),
            };
            self.rejecter
                .reject(position, &flow.batch, row, reason, message, effects);
        }
        effects.expired[position] += keyed.take_expired();
        effects.changed |= made.as_ref().is_some_and(|made| !made.is_empty());
        match made {
            Some(Made::Results(batch)) => self.emitter.keyed(position, batch, effects),
            Some(Made::Picked(picked)) => flow.picked(picked),
            None => Flow::empty(self.program.plan().fields_out_of(position)),
        }
    }

    /// Says that there are records to come, or that nobody looked: the partition is not idle now.
    pub fn stir(&mut self) {
        self.watermark.stir();
    }

    /// The partition's watermark, or None before the first record.
    pub fn watermark(&self) -> Option<i64> {
        self.watermark.newest().map(|_| self.watermark.current())
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

/// The plan of a program.
impl Program {
    /// What was compiled.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

#[cfg(test)]
mod tests;
