//! The last step: rows become records to send.

mod half;

use std::borrow::Cow;

use arrow::array::RecordBatch;
use millrace_format::{Encoder, KeyEncoder, Record};
use millrace_plan::{Operator, OperatorKind, Plan};

use crate::batch::Batch;
use crate::chain::emit::half::Half;
use crate::chain::flow::Flow;
use crate::effects::{Bytes, Effects, Emit};

/// Writes values and keys.
pub(super) struct Emitter {
    /// None: values are the input's own bytes.
    encoder: Option<Encoder>,
    /// Which columns go on to the next stage; None for all.
    pub(super) carried: Option<Vec<usize>>,
    /// What makes the key by which rows go on to the next stage.
    pub(super) next: Option<KeyEncoder>,
    /// Which half of a join's rows these are, where the next stage joins two streams.
    half: Option<Half>,
    /// For each operator whose rows get a record key of their own, what makes it.
    keys: Vec<Option<KeyEncoder>>,
}

impl Emitter {
    pub(super) fn new(plan: &Plan, stage: usize) -> Self {
        let key = |operator: &Operator| {
            let keys = match &operator.kind {
                OperatorKind::Group(group) => group.keys.len(),
                OperatorKind::Window(window) => window.keys.len(),
                OperatorKind::StreamJoin(streams) => streams.join.left.key.len(),
                OperatorKind::Filter(_)
                | OperatorKind::Map(_)
                | OperatorKind::FlatMap(_)
                | OperatorKind::Join(_)
                | OperatorKind::Deduplicate(_)
                | OperatorKind::Previous(_) => return None,
            };
            // The output of an aggregate or of a join of streams begins with its keys.
            Some(KeyEncoder::new(&operator.output, &(0..keys).collect::<Vec<_>>()))
        };
        let keys = plan.operators.iter().map(key).collect();
        let Some(cut) = plan.cut_behind(stage).map(|cut| &plan.repartitions[cut]) else {
            let encoder = (!plan.passes_bytes_through()).then(|| Encoder::json(plan.output()));
            return Self {
                encoder,
                carried: None,
                next: None,
                half: None,
                keys,
            };
        };
        if let OperatorKind::StreamJoin(streams) = &plan.operators[cut.before].kind {
            let half = Half::new(streams, plan.stream_of(stage).is_some());
            return Self {
                encoder: Some(Encoder::json(half.fields())),
                carried: None,
                next: Some(half.key(streams)),
                half: Some(half),
                keys,
            };
        }
        let fields = plan.fields_into(cut.before);
        let next = plan.operators[cut.before].kind.keys().unwrap_or_default();
        Self {
            encoder: Some(Encoder::json(fields)),
            carried: (fields.len() < plan.fields_before(cut.before).len()).then(|| cut.carried.clone()),
            next: Some(KeyEncoder::new(fields, next)),
            half: None,
            keys,
        }
    }

    /// Gives the rows that the operator at `position` made their record keys.
    pub(super) fn keyed(&self, position: usize, batch: Batch, effects: &mut Effects) -> Flow {
        let encoder = self.keys[position].as_ref().expect("such an operator made these rows");
        let bound = encoder.bind(&batch.columns);
        let keys = (0..batch.len())
            .map(|row| made(effects, |out| bound.write(row, out)))
            .collect();
        drop(bound);
        Flow::keyed(batch, keys)
    }

    /// Asks for every row to be sent.
    pub(super) fn emit(&self, flow: &Flow, records: &[Record<'_>], effects: &mut Effects) {
        let batch = &flow.batch;
        effects.emits.reserve(batch.len());
        match &self.encoder {
            None => {
                for origin in &batch.origins {
                    let bytes = Bytes::Input(*origin);
                    let timestamp = records[*origin as usize].timestamp;
                    effects.emits.push(Emit {
                        key: bytes,
                        value: bytes,
                        timestamp,
                        headers_of: Some(*origin),
                    });
                }
            }
            Some(encoder) => {
                let columns = self.columns(batch);
                let bound = encoder.bind(&columns);
                let next = self.next.as_ref().map(|next| next.bind(&columns));
                let internal = next.is_some();
                for row in 0..batch.len() {
                    let value = made(effects, |out| bound.write(row, out));
                    let key = match (&next, &flow.keys) {
                        (Some(next), _) => made(effects, |out| next.write(row, out)),
                        (None, Some(keys)) => keys[row],
                        (None, None) => batch.origin(row).map_or(Bytes::Null, Bytes::Input),
                    };
                    let headers_of = batch.origin(row).filter(|_| !internal && flow.keys.is_none());
                    effects.emits.push(Emit {
                        key,
                        value,
                        timestamp: batch.times[row],
                        headers_of,
                    });
                }
            }
        }
    }

    /// What is written of the rows.
    fn columns<'a>(&self, batch: &'a Batch) -> Cow<'a, RecordBatch> {
        match &self.half {
            None => Cow::Borrowed(&batch.columns),
            Some(half) => Cow::Owned(half.columns(&batch.columns)),
        }
    }
}

/// Appends bytes to the step's own and says where they are.
pub(super) fn made(effects: &mut Effects, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let start = effects.made.len() as u32;
    write(&mut effects.made);
    Bytes::Made {
        start,
        end: effects.made.len() as u32,
    }
}
