//! Tables of joins that are topics: read to their end before the worker joins its group, and followed from then on. A change
//! holds for every record that is read after it; which records these are is not decided by the input alone, so a record
//! that is processed again may find a newer row.

use std::time::{Duration, Instant};

use millrace_connect::{Connector, Follower, Records};
use millrace_engine::Program;
use millrace_plan::TopicName;

use crate::error::Error;
use crate::metrics::Metrics;

/// Longest wait for the next records of a table before whoever waits is asked whether to go on.
const PATIENCE: Duration = Duration::from_millis(100);
/// Without any progress for so long, the table is given up, to be tried again.
const STUCK: Duration = Duration::from_secs(30);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);
/// Batches that are taken between two of the source.
const AT_ONCE: usize = 16;
/// Records that cannot be used and are described, of one batch.
const DESCRIBED: usize = 5;

/// The topics of all tables, being read.
pub(super) struct Tables<F> {
    /// None: no table is a topic.
    follower: Option<F>,
    topics: Vec<TopicName>,
    /// For each topic the joins that it is for, by position in the plan.
    joins: Vec<Vec<usize>>,
}

impl<F: Follower> Tables<F> {
    /// Reads all topics to what is their end now. `goes_on` is asked again and again meanwhile; where it says no, the
    /// worker is not wanted any more.
    pub(super) fn read<C: Connector<Follower = F>>(
        connector: &C,
        program: &Program,
        metrics: &Metrics,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Self, Error> {
        let (mut topics, mut joins) = (Vec::<TopicName>::new(), Vec::<Vec<usize>>::new());
        for (position, topic) in program.plan().table_topics() {
            match topics.iter().position(|known| known == topic) {
                Some(at) => joins[at].push(position),
                None => {
                    topics.push(topic.clone());
                    joins.push(vec![position]);
                }
            }
        }
        // What an earlier worker has read may lack what was deleted since.
        program.clear_tables();
        let follower = match topics.is_empty() {
            true => None,
            false => Some(connector.open_follower(&topics)?),
        };
        let mut tables = Self {
            follower,
            topics,
            joins,
        };
        tables.catch_up(program, metrics, goes_on)?;
        Ok(tables)
    }

    fn catch_up(
        &mut self,
        program: &Program,
        metrics: &Metrics,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let Some(mut follower) = self.follower.take() else {
            return Ok(());
        };
        let started = Instant::now();
        let (mut records, mut moved, mut next_line) = (0_u64, started, started + PROGRESS);
        while !follower.is_at_the_end() {
            if !goes_on() {
                return Err(Error::Away("told to stop while tables were read".to_owned()));
            }
            let now = Instant::now();
            if let Some(batch) = follower.poll(PATIENCE)? {
                records += batch.len() as u64;
                moved = now;
                self.take(&batch, program, metrics)?;
            } else if now.duration_since(moved) > STUCK && !follower.is_at_the_end() {
                let names: Vec<&str> = self.topics.iter().map(TopicName::as_str).collect();
                return Err(Error::Away(format!(
                    "nothing comes from table topic {}",
                    names.join(", ")
                )));
            }
            if now >= next_line {
                next_line = now + PROGRESS;
                tracing::info!(records, "reading tables");
            }
        }
        for (position, table) in program.plan().tables() {
            if let Some(rows) = program.table_rows(position) {
                let seconds = started.elapsed().as_secs_f64();
                metrics.table_rows(position, rows);
                tracing::info!(table = table.name, origin = %table.origin, rows, records, seconds, "a table is read");
            }
        }
        self.follower = Some(follower);
        Ok(())
    }

    /// Takes in what has come since. Returns whether there was anything.
    pub(super) fn follow(&mut self, program: &Program, metrics: &Metrics) -> Result<bool, Error> {
        let Some(mut follower) = self.follower.take() else {
            return Ok(false);
        };
        let mut found = false;
        for _ in 0..AT_ONCE {
            let Some(batch) = follower.poll(Duration::ZERO)? else {
                break;
            };
            self.take(&batch, program, metrics)?;
            found |= !batch.is_empty();
        }
        self.follower = Some(follower);
        Ok(found)
    }

    fn take(&self, batch: &F::Records, program: &Program, metrics: &Metrics) -> Result<(), Error> {
        let records = super::views(batch);
        let (at, number) = (usize::from(batch.partition().topic), batch.partition().number);
        for position in &self.joins[at] {
            let refused = program.change_table(*position, &records).map_err(Error::Stop)?;
            metrics.table_changed(*position, records.len() - refused.len(), refused.len());
            for refused in refused.iter().take(DESCRIBED) {
                let (topic, offset) = (&self.topics[at], records[refused.input as usize].offset);
                tracing::warn!(%topic, partition = number, offset, why = refused.message, "a record of a table is left out");
            }
        }
        Ok(())
    }
}
