//! The operator as a process of the host, through a proxy of its own: so that a test can kill it at a chosen write.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;

use crate::eventually::eventually;
use crate::process::Process;
use crate::programs::program;

/// What an operator logs when it comes to lead.
pub const LEADS: &str = "\"leads\":true";
/// What it logs once it is up, leading or not.
pub const UP: &str = "answers /healthz";
/// Longest start.
const START: Duration = Duration::from_secs(60);

/// How an operator is started.
pub struct Operators<'a> {
    kubeconfig: &'a Path,
    folder: &'a Path,
    namespace: &'a str,
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
            starts: AtomicU32::new(0),
        }
    }

    /// Starts one called `identity`. Does not wait for anything.
    pub fn start(&self, identity: &str) -> Result<Process> {
        let mut command = Command::new(program("millrace-operator")?);
        command
            .env("KUBECONFIG", self.kubeconfig)
            .args(["--namespace", self.namespace, "--watch-namespace", self.namespace])
            .args(["--identity", identity, "--runner-image", crate::images::RUNNER])
            .args(["--admin", "127.0.0.1:0", "--observe-every", "1s"]);
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
