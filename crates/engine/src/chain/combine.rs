//! Rows on their way to the next stage: those of a batch put together where the plan allows it and it pays.

use millrace_plan::Plan;

use crate::chain::emit::{Emitter, made};
use crate::chain::flow::Flow;
use crate::chain::program::{Program, Step};
use crate::effects::{Effects, Emit};
use crate::operators::Fallen;
use crate::operators::window::Combiner;

/// Longest partial, in bytes: far below what a Kafka record may have. Rows of a batch in which one is longer cross one
/// by one, and each of them is much smaller.
const LONGEST: usize = 64 * 1024;

/// Puts rows together for the window behind the cut.
pub(super) struct Combine {
    /// Position of the window.
    pub(super) before: usize,
    combiner: Combiner,
}

impl Combine {
    /// None where rows cross one by one.
    pub(super) fn of_stage(program: &Program, stage: usize) -> Option<Self> {
        let plan: &Plan = program.plan();
        let cut = &plan.repartitions[plan.cut_behind(stage)?];
        plan.combines(cut).ok()?;
        let Step::Window { spec, .. } = &program.steps[cut.before] else {
            return None;
        };
        Some(Self {
            before: cut.before,
            combiner: Combiner::new(spec, plan.fields_into(cut.before))?,
        })
    }

    /// Asks for the rows to be sent, combined. Returns those that must go on one by one: all, or none, but for those on
    /// which an expression of the window fails, which go to `fallen` by their position in `flow`.
    pub(super) fn emit(
        &mut self,
        flow: &Flow,
        program: &Program,
        emitter: &Emitter,
        effects: &mut Effects,
        fallen: &mut Vec<Fallen>,
    ) -> Option<Flow> {
        let Step::Window { arguments, .. } = &program.steps[self.before] else {
            return Some(flow.clone());
        };
        let (flow, arguments) = arguments.evaluate(flow, fallen);
        if !self.combiner.combine(&flow.batch, &arguments) {
            return Some(flow);
        }
        let before = (effects.emits.len(), effects.made.len());
        let Some(keys) = emitter.next.as_ref().map(|next| next.bind(&flow.batch.columns)) else {
            return Some(flow);
        };
        for at in 0..self.combiner.len() {
            let mut first = 0;
            let start = effects.made.len();
            let value = made(effects, |out| {
                first = self.combiner.write(at, out);
            });
            if effects.made.len() - start > LONGEST {
                effects.emits.truncate(before.0);
                effects.made.truncate(before.1);
                self.combiner.leave_some_alone();
                drop(keys);
                return Some(flow);
            }
            let key = made(effects, |out| keys.write(first, out));
            effects.emits.push(Emit {
                key,
                value,
                timestamp: flow.batch.times[first],
                headers_of: None,
            });
        }
        None
    }
}
