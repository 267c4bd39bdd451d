//! The January flights through one pipeline on a real broker: written in chunks, each only when the pipeline has come
//! close behind, so that there is always work going on while runners are killed, join and leave.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::client::{Client, Message, Stored, Writer};
use crate::eventually::eventually;
use crate::flights;
use crate::manifest::Manifest;
use crate::programs::{Runner, Runners};

/// Partitions of the source topic.
pub const PARTITIONS: i32 = 4;
/// Records written at a time.
const CHUNK: usize = 500;
/// Records by which the pipeline may be behind before more are written.
const BACKLOG: i64 = 1500;
/// Records that arrive while a runner is killed, joins or leaves.
const BURST: usize = 1000;
/// Records written at a time while a runner that should be killed has not committed anything yet.
const TRICKLE: usize = 50;
/// What happens to the runners, each when so many records are written (of 27,004).
const STEPS: [(usize, Step); 7] = [
    (3_000, Step::Kill(0)),
    (7_000, Step::Kill(1)),
    (9_000, Step::ThirdJoins),
    (11_000, Step::Kill(0)),
    (14_000, Step::Kill(1)),
    (16_000, Step::ThirdLeaves),
    (18_000, Step::Kill(0)),
];
/// A killed runner's partitions wait for the end of its session, and a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// One pipeline between topics of its own.
pub struct Scenario {
    /// Group, state id and sink topic.
    pub name: String,
    /// Source topic.
    pub source: String,
    client: Client,
    runners: Runners,
    _folder: TempDir,
}

/// What was done to the runners, as proof that it happened while they worked.
#[derive(Debug, Default)]
pub struct Faults {
    /// In the order in which they happened.
    pub kills: Vec<Kill>,
    /// Whether a third runner worked for a while and left in an orderly way.
    pub third_came_and_went: bool,
}

/// What happens to the runners.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This one of the pair is killed, and started again under its name.
    Kill(usize),
    ThirdJoins,
    ThirdLeaves,
}

/// The runners of a disturbed run.
struct Crew {
    pair: [Runner; 2],
    third: Option<Runner>,
}

/// State of the work right after a SIGKILL.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    /// Records whose offsets the group had committed.
    pub committed: i64,
    /// Records in the source topic.
    pub written: i64,
}

impl Faults {
    /// Checks that the faults hit a pipeline at work: five kills, each after further progress, the last before the end,
    /// most with records on their way (a runner may commit all between their arrival and its kill), and a third runner.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.kills.len() == 5 && self.third_came_and_went,
            "not all faults happened: {self:?}"
        );
        let at_work = self.kills.iter().filter(|kill| kill.committed < kill.written);
        ensure!(at_work.count() >= 3, "nothing was going on: {self:?}");
        ensure!(
            self.kills.is_sorted_by(|one, next| one.committed < next.committed),
            "no progress between: {self:?}"
        );
        ensure!(
            self.kills
                .iter()
                .all(|kill| kill.committed > 0 && kill.committed < 26_000),
            "too early or too late: {self:?}"
        );
        Ok(())
    }
}

impl Scenario {
    /// Prepares `manifest` to read `source` and to be called `name`. `bootstrap` is what runners are told; `client` looks
    /// from outside.
    pub fn new(manifest: Manifest, client: Client, bootstrap: &str, source: &str, name: &str) -> Result<Self> {
        Self::with_secrets(manifest, client, bootstrap, source, name, None)
    }

    /// Like [`Self::new`], with secrets in a folder.
    pub fn with_secrets(
        manifest: Manifest,
        client: Client,
        bootstrap: &str,
        source: &str,
        name: &str,
        secrets: Option<&Path>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("millrace-e2e-").tempdir()?;
        let plan = folder.path().join("pipeline.yaml");
        manifest.between(bootstrap, source, name).save(&plan)?;
        let mut runners = Runners::new(&plan, folder.path())?;
        if let Some(secrets) = secrets {
            runners = runners.with_secrets(secrets);
        }
        Ok(Self {
            name: name.to_owned(),
            source: source.to_owned(),
            client,
            runners,
            _folder: folder,
        })
    }

    /// How its runners are started.
    pub fn runners(&self) -> &Runners {
        &self.runners
    }

    /// Two runners, the January flights, no faults; ends when everything is committed.
    pub fn run_undisturbed(&self) -> Result<()> {
        self.undisturbed().with_context(|| self.runners.log_tails())
    }

    fn undisturbed(&self) -> Result<()> {
        let mut pair = [self.runners.start("runner-0")?, self.runners.start("runner-1")?];
        self.wait_until_caught_up()?;
        pair.iter_mut().try_for_each(leave)
    }

    /// Writes the January flights and then a closing record per partition, while two runners work: five times one of them
    /// is killed and started again, and a third joins and leaves. Ends when everything is committed.
    pub fn run_with_faults(&self) -> Result<Faults> {
        self.disturbed().with_context(|| self.runners.log_tails())
    }

    fn disturbed(&self) -> Result<Faults> {
        let lines = flights::january()?;
        let messages = lines
            .iter()
            .map(|line| flights::message(line))
            .collect::<Result<Vec<_>>>()?;
        let writer = self.client.writer()?;
        let pair = [self.runners.start("runner-0")?, self.runners.start("runner-1")?];
        let mut crew = Crew { pair, third: None };
        let mut faults = Faults::default();
        let mut steps = STEPS.into_iter().peekable();
        let mut written = 0;
        let next = |written: &mut usize, size: usize| {
            let chunk = &messages[*written..messages.len().min(*written + size)];
            *written += chunk.len();
            chunk.iter().cloned()
        };
        while written < messages.len() {
            let due = steps
                .peek()
                .filter(|(after, _)| written >= *after)
                .map(|(_, step)| *step);
            let ready = match due {
                Some(step) => crew.is_ready_for(step)?,
                None => true,
            };
            let size = if ready { CHUNK } else { TRICKLE };
            writer.write(&self.source, next(&mut written, size))?;
            match due {
                Some(step) if ready => {
                    let arriving = next(&mut written, BURST);
                    self.take(step, &mut crew, &mut faults, (&writer, arriving))?;
                    steps.next();
                    self.wait_until_at_most_behind(BACKLOG)?;
                }
                // Something to commit, for a runner that has come back to partitions without anything new.
                Some(_) => self.wait_until_at_most_behind(0)?,
                None => self.wait_until_at_most_behind(BACKLOG)?,
            }
        }
        writer.write(&self.source, flights::closing(PARTITIONS))?;
        self.wait_until_caught_up()?;
        crew.pair.iter_mut().try_for_each(leave)?;
        Ok(faults)
    }

    /// Lets one runner work until the group has committed the ends of `topic` too.
    pub fn catch_up_on(&self, topic: &str) -> Result<()> {
        let catch_up = || {
            let mut runner = self.runners.start("runner-0")?;
            eventually(&format!("{} commits all of {topic}", self.name), PATIENCE, || {
                let ends = self.client.high_watermarks(topic)?;
                Ok((self.client.committed(&self.name, topic)? == ends).then_some(()))
            })?;
            leave(&mut runner)
        };
        catch_up().with_context(|| self.runners.log_tails())
    }

    /// Takes a step while records arrive.
    fn take(
        &self,
        step: Step,
        crew: &mut Crew,
        faults: &mut Faults,
        (writer, arriving): (&Writer, impl Iterator<Item = Message>),
    ) -> Result<()> {
        match step {
            Step::Kill(victim) => {
                let before = self.written()?;
                writer.write_while(&self.source, arriving, || {
                    eventually("the first records arrive", PATIENCE, || {
                        Ok((self.written()? > before).then_some(()))
                    })?;
                    crew.pair[victim].process.kill()
                })?;
                faults.kills.push(Kill {
                    committed: self.committed()?,
                    written: self.written()?,
                });
                crew.pair[victim] = self.runners.start(&format!("runner-{victim}"))?;
            }
            Step::ThirdJoins => {
                writer.write(&self.source, arriving)?;
                crew.third = Some(self.runners.start("runner-2")?);
            }
            Step::ThirdLeaves => {
                writer.write(&self.source, arriving)?;
                leave(&mut crew.third.take().context("it has joined before")?)?;
                faults.third_came_and_went = true;
            }
        }
        Ok(())
    }

    /// All that stands in the source topic.
    pub fn input(&self) -> Result<Vec<Stored>> {
        self.client.read_committed(&self.source)
    }

    /// All committed records of the sink topic.
    pub fn output(&self) -> Result<Vec<Stored>> {
        self.client.read_committed(&self.name)
    }

    /// All committed records of the topic `<name>-<suffix>`; none if there is no such topic.
    pub fn aside(&self, suffix: &str) -> Result<Vec<Stored>> {
        let topic = format!("{}-{suffix}", self.name);
        if self.client.has_topic(&topic)? {
            self.client.read_committed(&topic)
        } else {
            Ok(Vec::new())
        }
    }

    /// Waits until the group's committed offsets are the ends of the source topic.
    pub fn wait_until_caught_up(&self) -> Result<()> {
        let ends = self.client.high_watermarks(&self.source)?;
        eventually(&format!("{} commits {ends:?}", self.name), PATIENCE, || {
            Ok((self.client.committed(&self.name, &self.source)? == ends).then_some(()))
        })
    }

    /// Checks that no transaction is left open on the sink: a reader of committed records gets to the very end.
    pub fn check_no_transaction_hangs(&self) -> Result<()> {
        eventually("the last stable offset is the high watermark", PATIENCE, || {
            Ok((self.client.stable_ends(&self.name)? == self.client.high_watermarks(&self.name)?).then_some(()))
        })
    }

    /// Records that the group has committed.
    pub fn committed(&self) -> Result<i64> {
        Ok(self.client.committed(&self.name, &self.source)?.iter().sum())
    }

    fn written(&self) -> Result<i64> {
        Ok(self.client.high_watermarks(&self.source)?.iter().sum())
    }

    fn wait_until_at_most_behind(&self, records: i64) -> Result<()> {
        let enough = self.written()? - records;
        eventually(&format!("{} commits {enough} records", self.name), PATIENCE, || {
            Ok((self.committed()? >= enough).then_some(()))
        })
    }
}

impl Crew {
    /// Whether a step would hit a runner at work: one that has committed something since it was started.
    fn is_ready_for(&mut self, step: Step) -> Result<bool> {
        let runner = match step {
            Step::Kill(victim) => &mut self.pair[victim],
            Step::ThirdLeaves => self.third.as_mut().context("it has joined before")?,
            Step::ThirdJoins => return Ok(true),
        };
        let commits = runner.metric("stream_checkpoint_duration_seconds_count")?;
        Ok(commits.is_some_and(|commits| commits > 0.0))
    }
}

fn leave(runner: &mut Runner) -> Result<()> {
    let status = runner.process.terminate(Duration::from_secs(30))?;
    ensure!(
        status.success(),
        "{} left with {status}:\n{}",
        runner.process.name(),
        runner.process.log_tail()
    );
    Ok(())
}
