//! The operator as a process of the host, through a proxy of its own: so that a test can kill it at a chosen write.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::eventually::eventually;
use crate::process::Process;
use crate::programs::{get, program};

/// What an operator logs when it comes to lead.
pub const LEADS: &str = "\"leads\":true";
/// What it logs when it leads no more.
pub const LOST: &str = "\"leads\":false";
/// What it logs once it is up, leading or not.
pub const UP: &str = "answers /healthz";
/// More often than any kubelet.
const BETWEEN_PROBES: Duration = Duration::from_millis(250);
/// Longest start.
const START: Duration = Duration::from_secs(60);

/// How an operator is started.
pub struct Operators<'a> {
    kubeconfig: &'a Path,
    folder: &'a Path,
    namespace: &'a str,
    more: Vec<String>,
    starts: AtomicU32,
}

impl<'a> Operators<'a> {
    /// Operators that watch `namespace` and have their Lease there, through the API server of `kubeconfig`. Logs lie in
    /// `folder`.
    pub fn new(kubeconfig: &'a Path, folder: &'a Path, namespace: &'a str) -> Self {
        Self {
            kubeconfig,
            folder,
            namespace,
            more: Vec::new(),
            starts: AtomicU32::new(0),
        }
    }

    /// With these arguments as well.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.more.extend(arguments.iter().map(|it| (*it).to_owned()));
        self
    }

    /// Starts one called `identity`. Does not wait for anything.
    pub fn start(&self, identity: &str) -> Result<Process> {
        let mut command = Command::new(program("millrace-operator")?);
        command
            .env("KUBECONFIG", self.kubeconfig)
            .args(["--namespace", self.namespace, "--watch-namespace", self.namespace])
            .args(["--identity", identity, "--runner-image", crate::images::RUNNER])
            .args(["--admin", "127.0.0.1:0", "--observe-every", "1s"])
            .args(&self.more);
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("operator-{identity}-{start}.log"));
        Process::start(&format!("operator {identity}"), command, &log)
    }

    /// Starts one and waits until it leads.
    pub fn start_leading(&self, identity: &str) -> Result<Process> {
        let mut operator = self.start(identity)?;
        eventually("the operator leads", START, || {
            anyhow::ensure!(operator.is_running()?, "the operator ended: {}", operator.log_tail());
            Ok(operator.log().contains(LEADS).then_some(()))
        })?;
        Ok(operator)
    }
}

/// `host:port` where an operator answers probes, as it says itself.
pub fn admin(operator: &mut Process) -> Result<String> {
    eventually("the operator says where it answers", START, || {
        anyhow::ensure!(operator.is_running()?, "the operator ended: {}", operator.log_tail());
        let log = operator.log();
        let Some(line) = log.lines().find(|line| line.contains(UP)) else {
            return Ok(None);
        };
        // The line may be half written still.
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        Ok(line["address"].as_str().map(str::to_owned))
    })
}

/// HTTP status that an operator answers `GET path` with.
pub fn probe(admin: &str, path: &str) -> Result<u16> {
    Ok(get(admin, path)?.0)
}

/// Asks an operator for `/healthz` again and again, as a kubelet does, until [`Self::end`].
pub struct Kubelet {
    stop: Sender<()>,
    thread: JoinHandle<Vec<String>>,
}

impl Kubelet {
    /// Begins to ask.
    pub fn start(operator: &mut Process) -> Result<Self> {
        let address = admin(operator)?;
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("kubelet".to_owned());
        let thread = thread.spawn(move || ask(&address, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// All answers so far: `200`, another status, or why there was none.
    pub fn end(self) -> Result<Vec<String>> {
        drop(self.stop);
        self.thread.join().ok().context("asking does not panic")
    }
}

fn ask(address: &str, stopped: &Receiver<()>) -> Vec<String> {
    let mut answers = Vec::new();
    while stopped.recv_timeout(BETWEEN_PROBES) == Err(RecvTimeoutError::Timeout) {
        answers.push(match probe(address, "/healthz") {
            Ok(status) => status.to_string(),
            Err(error) => format!("{error:#}"),
        });
    }
    answers
}
