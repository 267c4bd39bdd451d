//! Rows that take no part: which bytes stand for them, and why they fell out.

use millrace_format::{Encoder, Refused};
use millrace_plan::{OperatorKind, Plan};

use crate::batch::Batch;
use crate::chain::emit::made;
use crate::effects::{Bytes, Effects, Reason, Rejected, Target};
use crate::partial::Partial;

/// Writes rejected rows.
pub(super) struct Rejecter {
    /// For each operator the encoder of the rows that come into it, where a row is not its input record any more.
    encoders: Vec<Option<Encoder>>,
    /// The encoder of the results of the stage's first operator, in whose shape combined rows are shown.
    combined: Option<Encoder>,
    texts: Vec<String>,
}

impl Rejecter {
    pub(super) fn new(plan: &Plan, stage: usize) -> Self {
        let mut splits = false;
        let first = plan.operators_of(stage).start;
        let mut encoders = Vec::new();
        for (position, operator) in plan.operators.iter().enumerate() {
            // What comes into a stage is a record of its own.
            splits &= position != first;
            encoders.push(splits.then(|| Encoder::json(plan.fields_into(position))));
            // One record may make several rows, of which only some fail: the record itself must not be replayed.
            splits |= !matches!(
                operator.kind,
                OperatorKind::Filter(_)
                    | OperatorKind::Map(_)
                    | OperatorKind::Join(_)
                    | OperatorKind::Deduplicate(_)
                    | OperatorKind::Previous(_)
            );
        }
        let texts = plan
            .operators
            .iter()
            .map(|operator| expression_texts(&operator.kind))
            .collect();
        let combined = plan.is_told(stage).then(|| Encoder::json(plan.fields_out_of(first)));
        Self {
            encoders,
            combined,
            texts,
        }
    }

    /// Records that could not be decoded.
    pub(super) fn refused(&self, refused: impl Iterator<Item = Refused>, effects: &mut Effects) {
        effects.rejected.extend(refused.map(|refused| Rejected {
            target: Target::DeadLetters,
            input: Some(refused.input),
            row: Bytes::Null,
            operator: None,
            reason: refused.refusal.into(),
            message: refused.message,
            rows: 1,
        }));
    }

    /// A row on which an expression of the operator failed.
    pub(super) fn failed(&self, operator: usize, batch: &Batch, row: usize, message: &str, effects: &mut Effects) {
        let message = format!("{message} in {}", self.texts[operator]);
        self.reject(operator, batch, row, Reason::ExpressionFailed, &message, effects);
    }

    /// A row that the operator could not take.
    pub(super) fn reject(
        &self,
        operator: usize,
        batch: &Batch,
        row: usize,
        reason: Reason,
        message: &str,
        effects: &mut Effects,
    ) {
        let bytes = match &self.encoders[operator] {
            None => Bytes::Null,
            Some(encoder) => made(effects, |out| encoder.bind(&batch.columns).write(row, out)),
        };
        effects.rejected.push(Rejected {
            target: target(reason),
            input: batch.origin(row),
            row: bytes,
            operator: Some(operator as u16),
            reason,
            message: message.to_owned(),
            rows: 1,
        });
    }

    /// A record that was to be a partial of the operator's window.
    pub(super) fn unreadable(&self, operator: usize, place: u32, message: String, effects: &mut Effects) {
        effects.rejected.push(Rejected {
            target: Target::DeadLetters,
            input: Some(place),
            row: Bytes::Null,
            operator: Some(operator as u16),
            reason: Reason::Undecodable,
            message,
            rows: 1,
        });
    }

    /// A partial that the operator could not take. `shown` is what can be said of its rows, in the shape of a result.
    pub(super) fn partial(
        &self,
        operator: usize,
        partial: &Partial<'_>,
        shown: Option<&Batch>,
        reason: Reason,
        message: String,
        effects: &mut Effects,
    ) {
        let row = match (&self.combined, shown) {
            (Some(encoder), Some(shown)) => made(effects, |out| encoder.bind(&shown.columns).write(0, out)),
            _ => Bytes::Null,
        };
        effects.rejected.push(Rejected {
            target: target(reason),
            input: Some(partial.place),
            row,
            operator: Some(operator as u16),
            reason,
            message,
            rows: partial.rows as u64,
        });
    }
}

fn target(reason: Reason) -> Target {
    match reason {
        Reason::Late => Target::LateRecords,
        _ => Target::DeadLetters,
    }
}

/// The expressions of an operator, for messages.
fn expression_texts(kind: &OperatorKind) -> String {
    let mut texts = Vec::new();
    millrace_plan::visit_expressions(kind, &mut |expression| texts.push(format!("`{}`", expression.text)));
    texts.join(", ")
}
