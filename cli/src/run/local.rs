//! A run without a broker: the runner's own loop on the in-memory connectors, fed with lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use millrace_connect::Delivered;
use millrace_connect::memory::{Broker, MemoryConnector, StoredRecord};
use millrace_connect::store::MemoryStore;
use millrace_engine::{Program, Tables};
use millrace_plan::{Plan, TopicName};
use millrace_runner::metrics::Metrics;
use millrace_runner::{Routes, Status, Worker};
use serde_json::json;

use super::Arguments;
use super::inputs::{self, Input};
use super::lines::create;
use super::report::Report;
use crate::say;

/// Bad records that are described on standard error when nobody asked for all of them.
const DESCRIBED: usize = 5;
/// Largest record of the in-memory broker: lines are bounded already.
const LARGEST_RECORD: usize = 64 * 1024 * 1024;

/// Reads all lines, writes all results, closes all windows.
pub fn run(plan: Plan, tables: &Tables, arguments: &Arguments) -> anyhow::Result<()> {
    let plan = Arc::new(plan);
    let program = Arc::new(Program::with_tables(Arc::clone(&plan), tables).map_err(anyhow::Error::msg)?);
    let metrics = Arc::new(Metrics::register(&plan, &prometheus::Registry::new())?);
    let mut inputs = inputs::open(&plan, &arguments.input)?;
    let mut results = Results::open(&plan, arguments)?;
    let broker = broker(&plan, arguments.partitions);
    super::tables::fill(&broker, &plan, &arguments.tables)?;
    let status = Arc::new(Status::new("local"));
    let connector = MemoryConnector::new(broker.clone(), plan.topics(), plan.source.group.clone());
    let mut worker = Worker::open(
        connector,
        MemoryStore::new(),
        program,
        Arc::clone(&metrics),
        status,
        "local",
    )?;
    if metrics.table_errors() > 0 {
        say(format_args!(
            "{} lines of tables are no rows and were left out",
            metrics.table_errors()
        ));
    }
    let topics = plan.topics();
    let mut report = Report::start();
    loop {
        let mut ended = true;
        for input in &mut inputs {
            ended &= !hand_over(input, &broker)?;
        }
        while worker.turn(Duration::ZERO)? {}
        if ended {
            worker.finish()?
        } else {
            worker.commit()?
        }
        for (partition, position) in worker.positions() {
            broker.truncate_before(
                topics[usize::from(partition.topic)].as_str(),
                partition.number,
                position,
            )?;
        }
        results.drain(&broker)?;
        report.progress(&metrics);
        if ended {
            break;
        }
    }
    results.finish(&metrics)?;
    report.summary(&metrics);
    Ok(())
}

/// Writes the next lines into their topic. Returns whether there were any.
fn hand_over(input: &mut Input, broker: &Broker) -> anyhow::Result<bool> {
    let chunk = input.lines.chunk()?;
    // As a broker would stamp them; specs with `eventTime.field` do not look at it.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as i64;
    for (line, key) in chunk.iter().zip(input.keys.of(&chunk)) {
        let partition = key.is_none().then_some(0);
        let record = Delivered {
            key: key.as_deref(),
            value: Some(line),
            timestamp: now,
            headers: &[],
        };
        broker
            .append(&input.topic, partition, record)
            .context("cannot hand a record to the engine")?;
    }
    Ok(!chunk.is_empty())
}

/// An in-memory broker with the plan's topics. Results share one partition, so that they stay in order.
fn broker(plan: &Plan, partitions: u16) -> Broker {
    let broker = Broker::new();
    broker.set_max_record_bytes(LARGEST_RECORD);
    for topic in plan.topics() {
        broker.create_topic(topic.as_str(), partitions);
    }
    for topic in Routes::of(plan).topics() {
        broker.create_topic(topic.name.as_str(), 1);
    }
    broker
}

/// The files that results, dead letters and late records go to.
struct Results {
    output: Box<dyn Write>,
    dead_letters: Option<Box<dyn Write>>,
    late: Option<Box<dyn Write>>,
    topics: [Option<TopicName>; 3],
    read: BTreeMap<TopicName, i64>,
    described: usize,
}

impl Results {
    fn open(plan: &Plan, arguments: &Arguments) -> anyhow::Result<Self> {
        Ok(Self {
            output: create(&arguments.output)?,
            dead_letters: arguments.dead_letters.as_deref().map(create).transpose()?,
            late: arguments.late.as_deref().map(create).transpose()?,
            topics: [
                Some(plan.sinks[0].topic.name.clone()),
                Some(plan.dead_letter.name.clone()),
                plan.late_records.as_ref().map(|topic| topic.name.clone()),
            ],
            read: BTreeMap::new(),
            described: 0,
        })
    }

    /// Writes what was committed since the last call, and forgets it.
    fn drain(&mut self, broker: &Broker) -> anyhow::Result<()> {
        let [results, dead_letters, late] = self.topics.clone();
        for record in self.committed(broker, results)? {
            write_line(&mut self.output, record.value.as_deref().unwrap_or(b"null"))?;
        }
        for record in self.committed(broker, dead_letters)? {
            self.dead_letter(&record)?;
        }
        for record in self.committed(broker, late)? {
            if let Some(late) = &mut self.late {
                write_line(late, record.value.as_deref().unwrap_or(b"null"))?;
            }
        }
        self.output.flush()?;
        Ok(())
    }

    fn committed(&mut self, broker: &Broker, topic: Option<TopicName>) -> anyhow::Result<Vec<Arc<StoredRecord>>> {
        let Some(topic) = topic else { return Ok(Vec::new()) };
        let position = self.read.entry(topic.clone()).or_default();
        let (records, next) = broker.read_committed_from(topic.as_str(), 0, *position)?;
        broker.truncate_before(topic.as_str(), 0, next)?;
        *position = next;
        Ok(records)
    }

    fn dead_letter(&mut self, record: &StoredRecord) -> anyhow::Result<()> {
        let header = |name: &str| {
            let found = record.headers.iter().find(|(found, _)| found == name);
            found
                .and_then(|(_, value)| value.as_deref())
                .map(String::from_utf8_lossy)
                .unwrap_or_default()
                .into_owned()
        };
        if let Some(dead_letters) = &mut self.dead_letters {
            let value = record.value.as_deref().map(String::from_utf8_lossy);
            let line = json!({
                "reason": header("millrace.reason"),
                "error": header("millrace.error"),
                "operator": header("millrace.operator"),
                "topic": header("millrace.topic"),
                "partition": header("millrace.partition").parse::<i32>().ok(),
                "offset": header("millrace.offset").parse::<i64>().ok(),
                "value": value,
            });
            return write_line(dead_letters, line.to_string().as_bytes());
        }
        self.described += 1;
        if self.described <= DESCRIBED {
            let (offset, operator) = (header("millrace.offset"), header("millrace.operator"));
            say(format_args!(
                "bad record at offset {offset}, operator {operator}: {}",
                header("millrace.error")
            ));
        }
        Ok(())
    }

    fn finish(mut self, metrics: &Metrics) -> anyhow::Result<()> {
        let hidden = self.described.saturating_sub(DESCRIBED);
        if hidden > 0 {
            say(format_args!(
                "and {hidden} more bad records: --dead-letters PATH writes them all"
            ));
        }
        if self.late.is_none() && metrics.late.total() > 0 && self.topics[2].is_some() {
            say(format_args!("late records were dropped: --late PATH writes them"));
        }
        for file in [Some(&mut self.output), self.dead_letters.as_mut(), self.late.as_mut()]
            .into_iter()
            .flatten()
        {
            file.flush()?;
        }
        Ok(())
    }
}

fn write_line(out: &mut dyn Write, line: &[u8]) -> anyhow::Result<()> {
    out.write_all(line)?;
    Ok(out.write_all(b"\n")?)
}
