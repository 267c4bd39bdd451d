//! The namespaces that a cluster lives in: mounts, processes and network of its own. A guard process holds them for as
//! long as their owner lives; the kernel ends everything inside with them (`e2e/cluster/guard.sh`).

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, stderr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::STATE;
use super::build::sources;
use super::network::{Network, SLOTS};
use crate::eventually::eventually;

/// Longest wait for another cluster of this machine to end.
const TURN: Duration = Duration::from_secs(45 * 60);
/// Exit code of `flock` when another has the lock.
const TAKEN: i32 = 99;
/// Marks a folder that may be emptied.
const MARK: &str = ".millrace-cluster";

/// What holds the namespaces. They end with it.
pub(super) struct Enclosure {
    guard: Child,
    /// Addresses of the cluster.
    pub network: Network,
    /// Folder of its state, as the host sees it.
    pub state: PathBuf,
}

impl Enclosure {
    /// Takes a free slot of this machine, waits for one if need be, and makes the namespaces. `state` is a folder to
    /// use and to leave the logs in; default: a temporary one.
    pub fn new(state: Option<&Path>, programs: &Path) -> Result<Self> {
        let mut told = false;
        eventually("another test cluster of this machine ends", TURN, || {
            for slot in 0..SLOTS {
                if let Some(enclosure) = Self::try_new(Network::new(slot), state, programs)? {
                    return Ok(Some(enclosure));
                }
            }
            if !told {
                writeln!(
                    stderr(),
                    "{SLOTS} test clusters run on this machine already: waiting for one to end"
                )?;
                told = true;
            }
            Ok(None)
        })
    }

    fn try_new(network: Network, state: Option<&Path>, programs: &Path) -> Result<Option<Self>> {
        let folder = match state {
            Some(folder) => std::path::absolute(folder)?,
            None => std::env::temp_dir().join(network.name()),
        };
        let lock = Path::new("/var/lock").join(network.name());
        // Most are found taken without starting anything; between here and `flock` somebody else may still come.
        if File::create(&lock).is_ok_and(|file| file.try_lock().is_err()) {
            return Ok(None);
        }
        let mut command = Command::new("flock");
        command
            .args(["--nonblock", "--conflict-exit-code", &TAKEN.to_string()])
            .arg(lock)
            .args([Path::new("sh"), &sources().join("guard.sh"), &folder, programs])
            .args([network.name(), network.prefix()])
            .arg(if state.is_some() { "keep" } else { "" })
            .env(STATE, &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the owner, which then takes the enclosure down in its own time.
            .process_group(0);
        if state.is_some() {
            check_is_free(&folder)?;
        }
        let mut guard = command
            .spawn()
            .context("cannot start flock (Debian package `util-linux`)")?;
        let out = guard.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        if line.trim() == "ready" {
            return Ok(Some(Self {
                guard,
                network,
                state: folder,
            }));
        }
        drop(guard.stdin.take());
        let status = guard.wait()?;
        if status.code() == Some(TAKEN) {
            return Ok(None);
        }
        bail!(
            "cannot make the namespaces of a test cluster: it needs root on a Linux of its own, and `.ci/tools cluster`"
        )
    }

    /// Ends everything inside and waits until it is gone.
    pub fn end(&mut self) -> Result<()> {
        drop(self.guard.stdin.take());
        eventually("the cluster is gone", Duration::from_secs(60), || {
            Ok(self.guard.try_wait()?)
        })
        .map(drop)
    }
}

impl Drop for Enclosure {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A folder that is given may be emptied only if a cluster made it, and none uses it.
fn check_is_free(folder: &Path) -> Result<()> {
    let Ok(mut entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    ensure!(
        entries.next().is_none() || folder.join(MARK).exists(),
        "{} holds something else: give a folder that is empty or not there",
        folder.display()
    );
    let init = fs::read_to_string(folder.join("pids/init")).unwrap_or_default();
    ensure!(
        init.is_empty() || !Path::new("/proc").join(init.trim()).exists(),
        "{} is the state of a cluster that runs",
        folder.display()
    );
    Ok(())
}

/// A command that runs inside of the namespaces of the cluster with this state.
pub(super) fn inside(state: &Path, program: &str) -> Result<Command> {
    let init = fs::read_to_string(state.join("pids/init"))
        .with_context(|| format!("no cluster runs with the state {}", state.display()))?;
    let mut command = Command::new("nsenter");
    command
        .args(["--mount", "--net", "--pid", "--target", init.trim(), "--", program])
        .env_clear()
        .env(
            "PATH",
            "/run/programs:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", "/tmp")
        // Says of every process to whom it belongs.
        .env(STATE, state)
        .stdin(Stdio::null())
        .process_group(0);
    Ok(command)
}
