//! The peers' programs: fetched, compiled once, and asked.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::jars::{cache, fetch};
use crate::peers::Job;
use crate::process::Process;

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
        self.play(&jobs.iter().map(Job::json).collect::<Vec<_>>())
    }

    /// The results of each job, as the program reads it.
    pub(super) fn play(self, jobs: &[Value]) -> Result<Vec<Vec<Value>>> {
        let class_path = self.class_path()?;
        let folder = tempfile::tempdir()?;
        let [input, output, log] = ["in", "out", "log"].map(|name| folder.path().join(name));
        let lines: Vec<String> = jobs.iter().map(Value::to_string).collect();
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
        let source = Path::new(env!("MILLRACE_SOURCE")).join("e2e/oracle").join(name);
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
