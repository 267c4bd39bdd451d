//! What the partitions of one stage tell the next about event time, written into the open transaction behind all rows that
//! they speak of.

use std::time::Instant;

use millrace_connect::{Connector, Delivered, Error, Partition, Producer};
use millrace_engine::Note;

use super::Worker;
use crate::status;

impl<C: Connector, S> Worker<C, S> {
    /// Tells the next stage of every partition how far event time has come there, where that has changed.
    pub(super) fn tell_times(&mut self) -> Result<(), Error> {
        let (plan, now) = (self.program.plan(), Instant::now());
        let sources = plan.source.topics.len();
        for (Partition { topic, number }, task) in &mut self.tasks {
            let Some(watermark) = task.chain.says() else { continue };
            let idle = now.duration_since(task.read_at) >= plan.event_time.idle_timeout;
            if task.said == Some((watermark, idle)) {
                continue;
            }
            let stage = task.chain.stage();
            let together = (0..).zip(&self.partitions);
            let of = together
                .filter(|(topic, _)| plan.stage_reading(*topic) == stage)
                .map(|(_, count)| *count);
            let note = Note {
                from: (*topic, *number),
                of: of.sum(),
                watermark,
                idle,
            };
            let record = Delivered {
                value: Some(&note.encode()),
                timestamp: status::now(),
                ..Delivered::default()
            };
            let route = self.routes.internal(stage);
            for number in 0..self.partitions[sources + stage] {
                self.producer.send(route, number as i32, record)?;
            }
            task.said = Some((watermark, idle));
            task.changed = true;
        }
        Ok(())
    }
}
