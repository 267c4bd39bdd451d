//! The same job on Kafka Streams, on Flink, on a model that goes through the records one by one, and on `millrace run`.
//! The two peers are real: their libraries come from Maven Central, the programs in `oracle/` only feed them.

mod model;

mod ours;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::jars::{cache, fetch};
use crate::process::Process;

pub use model::{join, late, windows};
pub use ours::{Ours, knows, ours};

/// Longest run of a peer: a few seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// Another engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Kafka Streams' TopologyTestDriver.
    KafkaStreams,
    /// Flink's mini cluster.
    Flink,
}

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
            let side = if record.right { "right" } else { "left" };
            json!({"side": side, "key": record.key, "time": record.time, "value": record.value})
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

impl Peer {
    /// Folder below `oracle/` and main class.
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::KafkaStreams => ("kafka-streams", "Streams"),
            Self::Flink => ("flink", "Flink"),
        }
    }

    /// The results of each job.
    pub fn answer(self, jobs: &[Job]) -> Result<Vec<Vec<Value>>> {
        let class_path = self.class_path()?;
        let folder = tempfile::tempdir()?;
        let [input, output, log] = ["in", "out", "log"].map(|name| folder.path().join(name));
        let lines: Vec<String> = jobs.iter().map(|job| job.json().to_string()).collect();
        fs::write(&input, lines.join("\n"))?;
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"in="$1"; out="$2"; shift 2; exec "$@" <"$in" >"$out""#, "sh"]);
        shell
            .arg(&input)
            .arg(&output)
            .args(["java", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        // Kafka Streams keeps its state in the temporary folder, always under the same name.
        shell
            .arg(format!("-Djava.io.tmpdir={}", folder.path().display()))
            .arg("-cp")
            .arg(class_path)
            .arg(format!("io.millrace.oracle.{}", self.program().1));
        let mut process = Process::start(self.program().0, shell, &log)?;
        let status = process.wait(PATIENCE)?;
        ensure!(status.success(), "{}: {}", self.program().0, process.log_tail());
        let output = fs::read_to_string(output)?;
        let results: Vec<Vec<Value>> = output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(
            results.len() == jobs.len(),
            "{} answers to {} jobs",
            results.len(),
            jobs.len()
        );
        Ok(results)
    }

    /// Libraries and program; fetched and compiled where they are not there yet.
    fn class_path(self) -> Result<String> {
        static READY: [OnceLock<Result<String, String>>; 2] = [OnceLock::new(), OnceLock::new()];
        let ready = READY[self as usize].get_or_init(|| self.build().map_err(|error| format!("{error:#}")));
        ready.clone().map_err(anyhow::Error::msg)
    }

    fn build(self) -> Result<String> {
        let (name, class) = self.program();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle").join(name);
        let (pom, program) = (source.join("pom.xml"), source.join(format!("{class}.java")));
        // Another POM or program lies in another folder: what is there is whole and right.
        let home = cache()?.join("oracle").join(format!("{name}-{:016x}", digest(&pom)?));
        let (lib, classes) = (
            home.join("lib"),
            home.join(format!("classes-{:016x}", digest(&program)?)),
        );
        if !lib.exists() {
            fetch(&pom, &home, &lib)?;
        }
        if !classes.exists() {
            compile(&lib, &program, &home, &classes)?;
        }
        Ok(format!("{}:{}/*", classes.display(), lib.display()))
    }
}

fn compile(lib: &Path, program: &Path, home: &Path, classes: &Path) -> Result<()> {
    let fresh = tempfile::tempdir_in(home)?;
    let status = Command::new("javac")
        .args(["--release", "17", "-cp"])
        .arg(format!("{}/*", lib.display()))
        .arg("-d")
        .arg(fresh.path())
        .arg(program)
        .status()
        .context("cannot start javac (Debian package `openjdk-17-jdk-headless`)")?;
    ensure!(status.success(), "javac refuses {}", program.display());
    let fresh: PathBuf = fresh.keep();
    if fs::rename(&fresh, classes).is_err() {
        ensure!(
            classes.exists(),
            "cannot rename {} to {}",
            fresh.display(),
            classes.display()
        );
        fs::remove_dir_all(fresh)?;
    }
    Ok(())
}

fn digest(path: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    fs::read(path)
        .with_context(|| path.display().to_string())?
        .hash(&mut hasher);
    Ok(hasher.finish())
}
