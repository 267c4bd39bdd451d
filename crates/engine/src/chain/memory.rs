//! What a chain remembers: how much it is, and its way into a checkpoint and back, also under a changed plan.

use std::sync::Arc;

use millrace_plan::{LostState, OperatorState};

use super::Chain;
use super::time::Time;
use crate::checkpoint::Section;
use crate::note::Merged;
use crate::operators::{Keyed, StateSize};
use crate::state::codec::Reader;
use crate::state::saved_shape;

/// Names of the section that holds what a stage was told of event time; no operator can have the first.
const STAGE: &str = "(stage)";
const WATERMARKS: &str = "watermarks";

impl Chain {
    /// How much is remembered.
    pub fn state_size(&self) -> StateSize {
        let sizes = self.states.iter().flatten().map(|state| state.size());
        sizes.fold(StateSize::default(), |all, one| StateSize {
            groups: all.groups + one.groups,
            windows: all.windows + one.windows,
            bytes: all.bytes + one.bytes,
        })
    }

    /// What a checkpoint must hold of event time. A stage behind another holds what it was told, in a section.
    pub fn newest_event_time(&self) -> Option<i64> {
        match &self.time {
            Time::Own(watermark) => watermark.newest(),
            Time::Told(_) => None,
        }
    }

    /// What a checkpoint must hold of each operator that remembers something.
    pub fn save(&self) -> Vec<Section> {
        let operators = self.program.plan().operators.iter();
        let section = |(operator, state): (&millrace_plan::Operator, &Option<Box<dyn Keyed>>)| {
            let mut bytes = Vec::new();
            state.as_ref()?.save(&mut bytes);
            Some(Section {
                operator: operator.name.as_str().to_owned(),
                kind: operator.kind.state()?.to_owned(),
                bytes,
            })
        };
        let told = match &self.time {
            Time::Own(_) => None,
            Time::Told(merged) => {
                let mut bytes = Vec::new();
                merged.save(&mut bytes);
                Some(Section {
                    operator: STAGE.to_owned(),
                    kind: WATERMARKS.to_owned(),
                    bytes,
                })
            }
        };
        operators.zip(&self.states).filter_map(section).chain(told).collect()
    }

    /// Takes over what a checkpoint held, be it of this plan or of the one before it: event time, and the state of every
    /// operator whose name, kind and shape are still the same. Operators without saved state begin empty.
    ///
    /// Returns which state was thrown away. That happens only where the plan allows it; else state that the plan has no
    /// use for is an error: it is never lost in silence.
    pub fn load(&mut self, newest_event_time: Option<i64>, sections: &[Section]) -> Result<Vec<LostState>, String> {
        let program = Arc::clone(&self.program);
        let plan = program.plan();
        if let Time::Own(watermark) = &mut self.time {
            watermark.restore(newest_event_time);
        }
        let mut dropped = Vec::new();
        for section in sections {
            if section.kind == WATERMARKS {
                if let Time::Told(merged) = &mut self.time {
                    *merged = Merged::load(&section.bytes).map_err(|why| format!("watermarks: {why}"))?;
                }
                continue;
            }
            let unreadable = |why| format!("state of operator `{}`: {why}", section.operator);
            match plan.has_no_use_for(&meaning(section).map_err(unreadable)?) {
                None => self.load_section(section).map_err(unreadable)?,
                Some(lost) if plan.may_drop(&lost.operator) => dropped.push(lost),
                Some(lost) => {
                    return Err(format!(
                        "{lost}. Take the change of the spec back, or let the state be thrown away with \
                         `onStateChange: {{drop: [{}]}}`",
                        lost.operator
                    ));
                }
            }
        }
        Ok(dropped)
    }

    /// The plan has an operator of this name and kind.
    fn load_section(&mut self, section: &Section) -> Result<(), String> {
        let mut operators = self.program.plan().operators.iter();
        let position = operators.position(|operator| operator.name.as_str() == section.operator);
        match position.map(|position| &mut self.states[position]) {
            Some(Some(state)) => state.load(&section.bytes),
            Some(None) | None => Err("the operator no longer reads this topic".to_owned()),
        }
    }
}

/// Whose state a section is, and what it means.
fn meaning(section: &Section) -> Result<OperatorState, String> {
    let shape = saved_shape(&mut Reader::new(&section.bytes)).map_err(|error| error.to_string())?;
    Ok(OperatorState {
        operator: section.operator.clone(),
        kind: section.kind.clone(),
        shape,
    })
}
