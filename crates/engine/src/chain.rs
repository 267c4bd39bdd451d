//! The flow on one page: records in, through the operators in order, effects out.

mod combine;
mod emit;
mod flow;
mod memory;
mod merge;
mod program;
mod reject;
mod time;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use millrace_format::{Decoder, Record, Refused};
use millrace_plan::{OperatorKind, Plan};

use crate::batch::Batch;
use crate::chain::combine::Combine;
use crate::chain::emit::Emitter;
use crate::chain::flow::Flow;
use crate::chain::merge::Run;
use crate::chain::program::Step;
pub use crate::chain::program::{Program, Tables};
use crate::chain::reject::Rejecter;
use crate::chain::time::{Rows, Time};
use crate::effects::{Effects, Reason};
use crate::operators::window::Partials;
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

/// One input partition of one stage: the operators' state, and how far event time has come.
pub struct Chain {
    program: Arc<Program>,
    stage: usize,
    decoder: Decoder,
    refused: Vec<Refused>,
    time: Time,
    ended: bool,
    clock: i64,
    /// One for each operator; None where it remembers nothing.
    states: Vec<Option<Box<dyn Keyed>>>,
    /// Reads rows that the stage before has combined; None where there are none.
    partials: Option<Partials>,
    /// Combines rows for the next stage; None where they go on one by one.
    combine: Option<Combine>,
    emitter: Emitter,
    rejecter: Rejecter,
}

impl Chain {
    /// A chain of the first stage that has seen nothing yet.
    pub fn new(program: Arc<Program>) -> Self {
        Self::of_stage(program, 0)
    }

    /// A chain of a stage that has seen nothing yet.
    pub fn of_stage(program: Arc<Program>, stage: usize) -> Self {
        let plan = program.plan();
        let operators = plan.operators_of(stage);
        let state = |(position, step): (usize, &Step)| match operators.contains(&position) {
            true => step.keyed(plan.fields_into(position), plan.fields_out_of(position)),
            false => None,
        };
        Self {
            decoder: time::decoder(plan, stage),
            refused: Vec::new(),
            time: Time::of_stage(plan, stage),
            ended: false,
            stage,
            clock: 0,
            states: program.steps.iter().enumerate().map(state).collect(),
            partials: program.partials(stage),
            combine: Combine::of_stage(&program, stage),
            emitter: Emitter::new(plan, stage),
            rejecter: Rejecter::new(plan, stage),
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
                self.time.tick(self.clock);
                (&[] as &[Record<'_>], false)
            }
            Input::End => (&[] as &[Record<'_>], true),
        };
        self.ended |= ended;
        let mut from = 0;
        loop {
            let run = self.run(records, from);
            from = run.records.end;
            self.take_in(&program, records, run, ended, effects);
            if from == records.len() {
                break;
            }
        }
    }

    fn take_in(&mut self, program: &Program, records: &[Record<'_>], run: Run, ended: bool, effects: &mut Effects) {
        let mut operators = program.plan().operators_of(self.stage);
        let (mut flow, mut now) = if run.partials {
            let window = operators.next().expect("a window reads partials");
            let (flow, now) = self.merge(window, records, run.records, effects);
            effects.passed[window] += flow.batch.len() as u64;
            (flow, now)
        } else {
            let flow = Flow::of_records(self.decode(records, run.records, effects));
            if !records.is_empty() {
                self.time.stir();
                // Before the first clock there is nothing to count from.
                if self.clock > 0 {
                    self.time.tick(self.clock);
                }
            }
            (flow, self.now())
        };
        for position in operators {
            flow = self.apply(position, &program.steps[position], flow, (&mut now, ended), effects);
            effects.passed[position] += flow.batch.len() as u64;
        }
        self.emit(program, flow, records, effects);
    }

    /// The last step: rows become records, combined where that can be.
    fn emit(&mut self, program: &Program, flow: Flow, records: &[Record<'_>], effects: &mut Effects) {
        let flow = match &self.emitter.carried {
            Some(carried) => flow.project(carried),
            None => flow,
        };
        let Some(combine) = &mut self.combine else {
            return self.emitter.emit(&flow, records, effects);
        };
        let mut fallen = Vec::new();
        let left = combine.emit(&flow, program, &self.emitter, effects, &mut fallen);
        for fall in fallen {
            self.rejecter
                .failed(combine.before, &flow.batch, fall.row, fall.message, effects);
        }
        if let Some(flow) = left {
            self.emitter.emit(&flow, records, effects);
        }
    }

    fn decode(&mut self, records: &[Record<'_>], run: Range<usize>, effects: &mut Effects) -> Batch {
        match &mut self.time {
            Time::Own(watermark) => {
                // Only the rows of an internal topic come in runs.
                let decoded = self.decoder.decode(records, &mut self.refused);
                self.rejecter.refused(self.refused.drain(..), effects);
                let watermarks = decoded.times.iter().map(|time| watermark.observe(*time)).collect();
                Batch {
                    columns: decoded.columns,
                    origins: decoded.origins,
                    times: decoded.times,
                    watermarks,
                }
            }
            Time::Told(merged) => {
                let rows = Rows::among(&records[run.clone()], run.start as u32, merged);
                let decoded = self.decoder.decode(&rows.records, &mut self.refused);
                let refused = self.refused.drain(..).map(|refused| Refused {
                    input: rows.places[refused.input as usize],
                    ..refused
                });
                self.rejecter.refused(refused, effects);
                let at = |origin: &u32| *origin as usize;
                Batch {
                    columns: decoded.columns,
                    origins: decoded.origins.iter().map(|origin| rows.places[at(origin)]).collect(),
                    times: decoded.times,
                    watermarks: decoded
                        .origins
                        .iter()
                        .map(|origin| rows.watermarks[at(origin)])
                        .collect(),
                }
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            watermark: self.time.watermark(),
            clock: self.clock,
        }
    }

    fn apply(
        &mut self,
        position: usize,
        step: &Step,
        flow: Flow,
        (now, ended): (&mut Now, bool),
        effects: &mut Effects,
    ) -> Flow {
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
            Step::Join(join) => flow.picked(join.apply(&flow.batch)),
            Step::Group { arguments, .. } | Step::Window { arguments, .. } => {
                let (input, arguments) = arguments.evaluate(&flow, &mut fallen);
                self.keyed(position, input, &arguments, (now, ended), effects)
            }
            Step::StreamJoin(_) | Step::Deduplicate(_) | Step::Previous(_) => {
                self.keyed(position, flow.clone(), &[], (now, ended), effects)
            }
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
        (now, ended): (&mut Now, bool),
        effects: &mut Effects,
    ) -> Flow {
        let keyed = self.states[position].as_mut().expect("steps with a key remember");
        let mut faults = Vec::new();
        let made = keyed.step(&flow.batch, arguments, *now, &mut faults);
        let last = if ended { keyed.finish() } else { None };
        now.watermark = keyed.watermark_behind(*now);
        for (row, fault) in faults {
            let (reason, message) = match &fault {
                Fault::Late => (Reason::Late, late(&self.program.plan().operators[position].kind)),
                Fault::Overflow(message) => (Reason::AggregateOverflow, message.as_str()),
                Fault::Unreadable(message) => (Reason::Undecodable, message.as_str()),
            };
            self.rejecter
                .reject(position, &flow.batch, row, reason, message, effects);
        }
        effects.expired[position] += keyed.take_expired();
        let made = self.made(position, Some(&flow), made, effects);
        made.then(self.made(position, Some(&flow), last, effects))
    }

    /// What an operator made, of `flow` if it picked some of its rows, on its way to the next one.
    fn made(&self, position: usize, flow: Option<&Flow>, made: Option<Made>, effects: &mut Effects) -> Flow {
        effects.changed |= made.as_ref().is_some_and(|made| !made.is_empty());
        match (made, flow) {
            (Some(Made::Results(batch)), _) => self.emitter.keyed(position, batch, effects),
            (Some(Made::Picked(picked)), Some(flow)) => flow.picked(picked),
            _ => Flow::empty(self.program.plan().fields_out_of(position)),
        }
    }

    /// How far time has come for the results: what is still to come lies after that.
    pub fn watermark_of_results(&self) -> i64 {
        let mut now = self.now();
        for keyed in self.states.iter().flatten() {
            now.watermark = keyed.watermark_behind(now);
        }
        now.watermark
    }

    /// Says that there are records to come, or that nobody looked: the partition is not idle now.
    pub fn stir(&mut self) {
        self.time.stir();
    }

    /// The partition's watermark, or None before the first record.
    pub fn watermark(&self) -> Option<i64> {
        Some(self.time.watermark()).filter(|watermark| *watermark != Watermark::NONE)
    }

    /// Which partition of the stages before holds the watermark back, of all that this stage is told of: name of its topic,
    /// and number. None: nobody is waited for, or there is no stage before.
    pub fn held_back_by(&self, before: impl Iterator<Item = (String, i32)>) -> Option<(String, i32)> {
        self.time.held_back_by(before)
    }

    /// What the next stage is to know of event time here: the watermark of the results, which is as late as can be once the input has
    /// ended. None: there is no next stage.
    pub fn says(&self) -> Option<Option<i64>> {
        let says = match self.ended {
            true => Some(i64::MAX),
            false => Some(self.watermark_of_results()).filter(|watermark| *watermark != Watermark::NONE),
        };
        self.program.plan().cut_behind(self.stage).map(|_| says)
    }

    /// Which stage this is.
    pub fn stage(&self) -> usize {
        self.stage
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("watermark", &self.watermark())
            .finish_non_exhaustive()
    }
}

/// Why a record takes no part.
fn late(kind: &OperatorKind) -> &'static str {
    match kind {
        OperatorKind::StreamJoin(_) => "the record came after all that could match it was joined",
        _ => "the record came after its window was closed",
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
