//! The same job on Kafka Streams, on Flink, on a model that goes through the records one by one, and on `millrace run`.
//! The two peers are real: their libraries come from Maven Central, the programs in `oracle/` only feed them.

mod aggregates;

mod input;

mod model;

mod ours;

mod peer;

use anyhow::{Context, Result};
use serde_json::{Value, json};

pub use aggregates::{Aggregates, COMPARED, Compared};
pub use input::records;
pub use model::{SessionEnds, join, windows};
pub use ours::{Ours, ours};
pub use peer::Peer;

/// What comes in, on one partition, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whether it is of the right stream or table of a join.
    pub right: bool,
    /// Record key and group key.
    pub key: String,
    /// Event time.
    pub time: i64,
    /// What is aggregated or joined.
    pub value: Option<i64>,
}

/// Which windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Of one size.
    Tumbling(i64),
    /// Size and slide.
    Sliding(i64, i64),
    /// Gap.
    Session(i64),
    /// Kafka Streams' SlidingWindows: from every record back and forward, both ends included. Nobody else has them.
    RecordAligned(i64),
}

/// What happens to rows without a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// They are left out.
    Inner,
    /// Those of the left stay.
    Left,
    /// All stay.
    Outer,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Count, sum, least and largest value a key and window.
    Windows {
        /// Which windows.
        windows: Windows,
        /// How long a window that has fired takes records.
        lateness: i64,
    },
    /// Pairs whose right time is from `left - before` to `left + after`.
    Join {
        /// Milliseconds.
        before: i64,
        /// Milliseconds.
        after: i64,
        /// Rows without a match.
        side: Side,
    },
    /// Pairs of the same tumbling window of this size.
    WindowJoin {
        /// Milliseconds.
        size: i64,
        /// Rows without a match.
        side: Side,
    },
    /// The newest row of the right side at that place of the input.
    Table {
        /// Rows without a match.
        side: Side,
    },
}

/// A question about an input.
#[derive(Clone, Debug)]
pub struct Job {
    /// The question.
    pub question: Question,
    /// How far records may be out of order: `maxOutOfOrderness`, the delay of Flink's watermark, Kafka Streams' grace.
    pub grace: i64,
    /// Only Kafka Streams: a result after every record, not one when the window is closed.
    pub updates: bool,
    /// The input.
    pub records: Vec<Record>,
}

/// One result of windows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Totals {
    /// Group.
    pub key: String,
    /// First instant of the window.
    pub start: i64,
    /// Its end, as the engine reports it.
    pub end: i64,
    /// Records.
    pub count: i64,
    /// Sum of the values, 0 over nothing.
    pub sum: i64,
    /// Least value.
    pub min: Option<i64>,
    /// Largest value.
    pub max: Option<i64>,
}

/// One result of a join.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// Key of both.
    pub key: String,
    /// The left value.
    pub left: Option<i64>,
    /// The right value.
    pub right: Option<i64>,
}

impl Job {
    /// As the programs in `oracle/` read it.
    fn json(&self) -> Value {
        let record = |record: &Record| {
            let mut json = record.json();
            json["side"] = json!(if record.right { "right" } else { "left" });
            json
        };
        let mut job = match self.question {
            Question::Windows { windows, lateness } => {
                let mut job = match windows {
                    Windows::Tumbling(size) => json!({"kind": "tumbling", "size": size}),
                    Windows::Sliding(size, slide) => json!({"kind": "sliding", "size": size, "slide": slide}),
                    Windows::Session(gap) => json!({"kind": "session", "gap": gap}),
                    Windows::RecordAligned(size) => json!({"kind": "record-aligned", "size": size}),
                };
                job["lateness"] = json!(lateness);
                job
            }
            Question::Join { before, after, side } => {
                json!({"kind": "join", "before": before, "after": after, "type": side.name()})
            }
            Question::WindowJoin { size, side } => json!({"kind": "window-join", "size": size, "type": side.name()}),
            Question::Table { side } => json!({"kind": "table", "type": side.name()}),
        };
        job["grace"] = json!(self.grace);
        job["updates"] = json!(self.updates);
        job["records"] = self.records.iter().map(record).collect();
        job
    }
}

impl Record {
    /// Its value, as all read it.
    fn json(&self) -> Value {
        json!({"key": self.key, "time": self.time, "value": self.value})
    }
}

impl Side {
    /// As in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Outer => "outer",
        }
    }
}

impl Totals {
    /// All results of windows among a peer's, in their order.
    pub fn all(results: &[Value]) -> Result<Vec<Self>> {
        let results = results.iter().filter(|result| result.get("late").is_none());
        results.map(Self::of).collect()
    }

    fn of(result: &Value) -> Result<Self> {
        let number = |name: &str| result[name].as_i64().with_context(|| format!("no {name} in {result}"));
        Ok(Self {
            key: result["key"].as_str().context("no key")?.to_owned(),
            start: number("start")?,
            end: number("end")?,
            count: number("count")?,
            sum: result["sum"].as_i64().unwrap_or_default(),
            min: result["min"].as_i64(),
            max: result["max"].as_i64(),
        })
    }
}

impl Pair {
    /// All pairs, in their order.
    pub fn all(results: &[Value]) -> Result<Vec<Self>> {
        let pair = |result: &Value| {
            Ok(Self {
                key: result["key"].as_str().context("no key")?.to_owned(),
                left: result["left"].as_i64(),
                right: result["right"].as_i64(),
            })
        };
        results.iter().map(pair).collect()
    }
}

/// Keys and times of the records that Flink left out as too late.
pub fn late_in_flink(results: &[Value]) -> Vec<(String, i64)> {
    let late = results.iter().filter(|result| result.get("late").is_some());
    let mut late: Vec<(String, i64)> = late
        .map(|result| {
            (
                result["key"].as_str().unwrap_or_default().to_owned(),
                result["time"].as_i64().unwrap_or_default(),
            )
        })
        .collect();
    late.sort();
    late
}
