//! A child process with its log in a file. It never outlives its owner: dropped, it is killed; and if the owner itself is
//! killed, a guard process notices and kills it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::eventually::eventually;

const GUARD: &str = r#"trap '' INT TERM; cat >/dev/null; kill -9 "$1" 2>/dev/null; [ -z "$2" ] || rm -rf "$2" || { sleep 1; rm -rf "$2"; }"#;

/// Sends a signal, such as `TERM`, to a process.
// By the program: a crate for it would make DataFusion's dependencies differ between this crate's builds and all others.
pub fn send(signal: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    let sent = status.context("cannot start kill")?.success();
    anyhow::ensure!(sent, "cannot send SIG{signal} to process {pid}");
    Ok(())
}

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    guard: Child,
    log: PathBuf,
}

/// Memory of a process as the kernel counts it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident now.
    pub now: u64,
    /// Resident at most so far.
    pub peak: u64,
}

impl Process {
    /// Starts `command` with its stdout and stderr appended to the file `log`.
    pub fn start(name: &str, command: Command, log: &Path) -> Result<Self> {
        Self::start_with_scratch(name, command, log, Path::new(""))
    }

    /// Like [`Self::start`]; if its owner is killed, the guard removes the folder `scratch` as well.
    pub fn start_with_scratch(name: &str, mut command: Command, log: &Path, scratch: &Path) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        // The guard's stdin ends when this process does, however it ends.
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &child.id().to_string()])
            .arg(scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start sh")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            guard,
            log: log.to_owned(),
        })
    }

    /// What the process is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Everything that it has written so far.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines that it has written, for messages.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Sends SIGKILL and waits for the end. Fails if it had ended before.
    pub fn kill(&mut self) -> Result<()> {
        anyhow::ensure!(
            self.is_running()?,
            "{} has ended by itself:\n{}",
            self.name,
            self.log_tail()
        );
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGSTOP: it stands still until [`Self::signal_continue`].
    pub fn signal_stop(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Sends SIGCONT.
    pub fn signal_continue(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        send(signal, self.child.id()).with_context(|| self.name.clone())
    }

    /// Sends SIGTERM and waits at most `within` for the end.
    pub fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait(within)
    }

    /// Waits at most `within` for it to end by itself.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        eventually(&what, within, || Ok(self.child.try_wait()?))
            .with_context(|| format!("its log:\n{}", self.log_tail()))
    }

    /// Its memory.
    pub fn memory(&self) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).context("process is gone")?;
        let kilobytes = |name: &str| -> Result<u64> {
            let line = status
                .lines()
                .find(|line| line.starts_with(name))
                .with_context(|| format!("no {name}"))?;
            Ok(line.split_whitespace().nth(1).context("no number")?.parse::<u64>()? * 1024)
        };
        Ok(Memory {
            now: kilobytes("VmRSS:")?,
            peak: kilobytes("VmHWM:")?,
        })
    }

    /// CPU time used by all of its threads so far, user and system.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).context("process is gone")?;
        // The second field is the name in parentheses and may hold spaces: count from behind it.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .context("odd stat")?
            .1
            .split_whitespace()
            .collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // USER_HZ is 100 on every Linux that Rust runs on.
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: afterwards the process id may belong to someone else.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("shell", command, log).unwrap()
    }

    #[test]
    fn output_and_exit_code_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("echo out; echo err >&2; exit 3", &dir.path().join("log"));
        assert_eq!(process.wait(Duration::from_secs(10)).unwrap().code(), Some(3));
        assert_eq!(process.log(), "out\nerr\n");
        assert!(process.kill().is_err(), "it had ended before");
    }

    #[test]
    fn memory_and_cpu_of_a_running_process_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let process = shell("while :; do :; done", &dir.path().join("log"));
        let busy = eventually("some CPU is used", Duration::from_secs(20), || {
            Ok(process.cpu().ok().filter(|cpu| *cpu >= Duration::from_millis(50)))
        });
        busy.unwrap();
        let memory = process.memory().unwrap();
        assert!(memory.now > 100_000 && memory.peak >= memory.now, "{memory:?}");
    }

    #[test]
    fn terminated_process_ends_by_its_own_handler() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell(
            "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done",
            &dir.path().join("log"),
        );
        eventually("ready", Duration::from_secs(10), || {
            Ok(process.log().contains("ready").then_some(()))
        })
        .unwrap();
        assert_eq!(process.terminate(Duration::from_secs(10)).unwrap().code(), Some(7));
    }
}
