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
        for (Partition { number, .. }, task) in &mut self.tasks {
            let stage = task.chain.stage();
            let cut = plan.cut_behind(stage);
            let (Some(watermark), Some(cut), Some(route)) = (task.chain.says(), cut, self.routes.internal(stage))
            else {
                continue;
            };
            let idle = now.duration_since(task.read_at) >= plan.event_time_of(stage).idle_timeout;
            if task.said == Some((watermark, idle)) {
                continue;
            }
            // The next stage hears of the partitions of all stages that write its topic.
            let together = (0..).zip(&self.partitions);
            let of = together
                .filter(|(topic, _)| plan.cut_behind(plan.stage_reading(*topic)) == Some(cut))
                .map(|(_, count)| *count);
            let note = Note {
                from: (task.place.topic.to_string(), *number),
                of: of.sum(),
                watermark,
                idle,
            };
            let record = Delivered {
                value: Some(&note.encode()),
                timestamp: status::now(),
                ..Delivered::default()
            };
            for number in 0..self.partitions[plan.topic_of(cut)] {
                self.producer.send(route, number as i32, record)?;
            }
            task.said = Some((watermark, idle));
            task.changed = true;
        }
        Ok(())
    }
}
