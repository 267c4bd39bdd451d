//! `make bench`: CPU, time and memory of a runner and of Kafka Streams on the same topics of one broker, in turn.
//!
//! Settings by environment: `EVENTS` (default 2000000), `ROUNDS` (default 3).

use std::collections::HashMap;
use std::env;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use millrace_e2e::bench::{self, Job, Usage};
use millrace_e2e::broker::{Broker, Options};
use millrace_e2e::client::Client;
use millrace_e2e::eventually::eventually;
use millrace_e2e::jars::{cache, kafka_class_path};
use millrace_e2e::manifest::Manifest;
use millrace_e2e::process::Process;
use millrace_e2e::programs::Runners;
use serde_json::json;

const PARTITIONS: i32 = 4;
const SOURCE: &str = "bench-events";
const EMPTY: &str = "bench-nothing";
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a program is watched that has nothing to do.
const REST: Duration = Duration::from_secs(5);

/// The two programs that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Engine {
    Millrace,
    KafkaStreams,
}

impl Engine {
    /// As in tables, topics and state ids.
    fn name(self) -> &'static str {
        match self {
            Self::Millrace => "millrace",
            Self::KafkaStreams => "kafka-streams",
        }
    }
}

fn main() -> Result<()> {
    let number = |name: &str, default: u64| env::var(name).map_or(Ok(default), |text| text.parse());
    let (events, rounds) = (number("EVENTS", 2_000_000)?, number("ROUNDS", 3)?);
    compile_peer()?;
    let broker = Broker::start_with(&Options {
        heap: 1024,
        ..Options::default()
    })?;
    let client = broker.client();
    client.create_topic(EMPTY, PARTITIONS)?;
    client.create_topic(SOURCE, PARTITIONS)?;
    say(&format!(
        "writing {events} events, for instance {}",
        bench::event(0).text
    ))?;
    let expected = bench::fill(&client, SOURCE, events)?;

    let mut measured: HashMap<(Job, Engine), Vec<Usage>> = HashMap::new();
    let mut at_rest: HashMap<(Job, Engine), Usage> = HashMap::new();
    for job in Job::ALL {
        for engine in [Engine::Millrace, Engine::KafkaStreams] {
            let mut run = Run::start(
                engine,
                job,
                &broker,
                EMPTY,
                &format!("{}-{}-rest", job.name(), engine.name()),
            )?;
            at_rest.insert((job, engine), run.rest()?);
        }
    }
    for round in 1..=rounds {
        for job in Job::ALL {
            for engine in [Engine::Millrace, Engine::KafkaStreams] {
                let name = format!("{}-{}-{round}", job.name(), engine.name());
                let mut run = Run::start(engine, job, &broker, SOURCE, &name)?;
                let usage = run.until_caught_up()?;
                let found = bench::results(&client, &name, job)?;
                ensure!(
                    found == expected.of(job),
                    "{name} wrote {found:?}, expected {:?}",
                    expected.of(job)
                );
                say(&format!("{name}: {usage}, {} results, as expected", found.records))?;
                measured.entry((job, engine)).or_default().push(usage);
            }
        }
    }
    report(events, &measured, &at_rest)
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{line}")?)
}

fn compile_peer() -> Result<()> {
    let pom = Path::new(env!("MILLRACE_SOURCE")).join("e2e/bench/pom.xml");
    let output = format!("-Dmillrace.output={}", cache()?.join("bench").display());
    let status = Command::new("mvn")
        .args(["-q", "-B", "compile", &output, "-f"])
        .arg(pom)
        .status()
        .context("cannot start mvn")?;
    ensure!(status.success(), "mvn could not compile the Kafka Streams peer");
    Ok(())
}

/// One program at work between topics of its own.
struct Run<'a> {
    name: String,
    source: String,
    client: Client,
    process: Process,
    started: Instant,
    ready: &'a str,
    _folder: tempfile::TempDir,
}

impl Run<'_> {
    fn start(engine: Engine, job: Job, broker: &Broker, source: &str, name: &str) -> Result<Self> {
        let client = broker.client();
        client.create_topic(name, PARTITIONS)?;
        let folder = tempfile::Builder::new().prefix("millrace-bench-").tempdir()?;
        let started = Instant::now();
        let (process, ready) = match engine {
            Engine::Millrace => {
                let plan = folder.path().join("pipeline.yaml");
                Manifest::example(&format!("../e2e/bench/{}.yaml", job.name()))?
                    .between(broker.bootstrap(), source, name)
                    .with("spec.checkpoint.interval", json!("1s"))
                    .save(&plan)?;
                (
                    Runners::new(&plan, folder.path())?.start("bench")?.process,
                    "admin listening on",
                )
            }
            Engine::KafkaStreams => {
                let class_path = format!("{}:{}", cache()?.join("bench/classes").display(), kafka_class_path()?);
                let mut java = Command::new("java");
                java.args([
                    "-Xmx1g",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                    "-cp",
                    &class_path,
                ])
                .args([
                    "io.millrace.bench.Peer",
                    broker.bootstrap(),
                    job.name(),
                    source,
                    name,
                    name,
                ])
                .arg(folder.path().join("state"));
                (
                    Process::start("Kafka Streams", java, &folder.path().join("log"))?,
                    "RUNNING",
                )
            }
        };
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            client,
            process,
            started,
            ready,
            _folder: folder,
        })
    }

    /// What the program uses until it has started and then has nothing to do for a while.
    fn rest(&mut self) -> Result<Usage> {
        self.wait_until(|run| Ok(run.process.log().contains(run.ready)))?;
        let ready = Instant::now();
        self.wait_until(|_| Ok(ready.elapsed() >= REST))?;
        self.usage()
    }

    /// What the program uses from its start until all offsets are committed.
    fn until_caught_up(&mut self) -> Result<Usage> {
        let ends = self.client.high_watermarks(&self.source)?;
        self.wait_until(|run| Ok(run.client.committed(&run.name, &run.source)? == ends))?;
        self.usage()
    }

    fn usage(&self) -> Result<Usage> {
        let memory = self.process.memory()?;
        Ok(Usage {
            cpu: self.process.cpu()?,
            wall: self.started.elapsed(),
            memory: memory.now,
            peak: memory.peak,
        })
    }

    fn wait_until(&mut self, mut done: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let name = self.name.clone();
        eventually(&format!("{name} gets there"), PATIENCE, || {
            ensure!(
                self.process.is_running()?,
                "{name} has ended:\n{}",
                self.process.log_tail()
            );
            Ok(done(self)?.then_some(()))
        })
    }
}

/// Medians over the rounds. The start-up of a program, measured without input, is taken off in the second CPU column.
fn report(
    events: u64,
    measured: &HashMap<(Job, Engine), Vec<Usage>>,
    at_rest: &HashMap<(Job, Engine), Usage>,
) -> Result<()> {
    let millions = events as f64 / 1e6;
    say("\n| job | program | CPU-s per million events | without start-up | wall s | peak RSS MiB | RSS at rest MiB |")?;
    say("|---|---|---|---|---|---|---|")?;
    for job in Job::ALL {
        let mut costs = Vec::new();
        for engine in [Engine::Millrace, Engine::KafkaStreams] {
            let (runs, rest) = (&measured[&(job, engine)], at_rest[&(job, engine)]);
            let cpu = median(runs.iter().map(|run| run.cpu.as_secs_f64() / millions));
            let net = median(
                runs.iter()
                    .map(|run| run.cpu.saturating_sub(rest.cpu).as_secs_f64() / millions),
            );
            let wall = median(runs.iter().map(|run| run.wall.as_secs_f64()));
            let peak = runs.iter().map(|run| run.peak).max().unwrap_or_default() >> 20;
            say(&format!(
                "| {} | {} | {cpu:.2} | {net:.2} | {wall:.1} | {peak} | {} |",
                job.name(),
                engine.name(),
                rest.memory >> 20
            ))?;
            costs.push((cpu, net));
        }
        let ratio = |part: fn(&(f64, f64)) -> f64| part(&costs[1]) / part(&costs[0]);
        say(&format!(
            "| {} | Kafka Streams costs | {:.1} times as much | {:.1} times as much | | | |",
            job.name(),
            ratio(|cost| cost.0),
            ratio(|cost| cost.1)
        ))?;
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
