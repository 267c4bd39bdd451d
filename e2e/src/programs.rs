//! Millrace's own programs as a test starts them: `millrace` and `millrace-runner`, found where they were built.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::eventually::eventually;
use crate::process::Process;

/// Path of the program `name`: in `MILLRACE_BIN_DIR`, else where this test was built.
pub fn program(name: &str) -> Result<PathBuf> {
    let folder = match env::var_os("MILLRACE_BIN_DIR") {
        Some(set) => PathBuf::from(set),
        None => beside(&env::current_exe()?)?,
    };
    let path = folder.join(name);
    ensure!(
        path.exists(),
        "{} is not there: run `make build`, or set MILLRACE_BIN_DIR",
        path.display()
    );
    Ok(path)
}

/// Where programs lie that were built together with this one: its own folder, or for a test the one above `deps`.
fn beside(this: &Path) -> Result<PathBuf> {
    let folder = this.parent().context("a program lies in a folder")?;
    let folder = if folder.ends_with("deps") {
        folder.parent().context("deps lies in a folder")?
    } else {
        folder
    };
    Ok(folder.to_owned())
}

/// Runs `millrace` with `arguments` to its end, at most `within`. Its output is collected in files, so that a program
/// that hangs is killed and shown.
pub fn millrace<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>, within: Duration) -> Result<Output> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("stdout");
    let mut shell = Command::new("sh");
    // The shell only splits stdout from stderr; exec leaves no process between.
    shell
        .args(["-c", r#"out="$1"; shift; exec "$@" >"$out""#, "sh"])
        .arg(&out)
        .arg(program("millrace")?)
        .args(arguments);
    let mut process = Process::start("millrace", shell, &dir.path().join("stderr"))?;
    let status = process.wait(within)?;
    Ok(Output {
        status,
        stdout: fs::read(out)?,
        stderr: process.log().into_bytes(),
    })
}

/// How the runners of one pipeline are started.
pub struct Runners {
    plan: PathBuf,
    folder: PathBuf,
    secrets: Option<PathBuf>,
    starts: AtomicU32,
}

/// A running `millrace-runner`.
pub struct Runner {
    /// The process.
    pub process: Process,
}

impl Runners {
    /// Runners of the manifest at `plan`. They share the claim `folder/state`; their logs lie in `folder` as well.
    pub fn new(plan: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join("state"))?;
        Ok(Self {
            plan: plan.to_owned(),
            folder: folder.to_owned(),
            secrets: None,
            starts: AtomicU32::new(0),
        })
    }

    /// With secrets in `dir`, as files `<name>/<key>`.
    pub fn with_secrets(mut self, dir: &Path) -> Self {
        self.secrets = Some(dir.to_owned());
        self
    }

    /// The claim.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Starts one under the name `id`. Does not wait for anything.
    pub fn start(&self, id: &str) -> Result<Runner> {
        let mut command = Command::new(program("millrace-runner")?);
        command
            .arg("--plan")
            .arg(&self.plan)
            .arg("--state-dir")
            .arg(self.state());
        command.args(["--runner-id", id, "--admin", "127.0.0.1:0"]);
        if let Some(secrets) = &self.secrets {
            command.arg("--secrets-dir").arg(secrets);
        }
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("{id}-{start}.log"));
        Ok(Runner {
            process: Process::start(&format!("runner {id}"), command, &log)?,
        })
    }

    /// All that runners have logged, from all starts.
    pub fn logs(&self) -> Result<String> {
        Ok(self.log_files()?.into_values().collect())
    }

    /// The last lines of every log, for messages.
    pub fn log_tails(&self) -> String {
        let mut tails = String::new();
        for (name, log) in self.log_files().unwrap_or_default() {
            let lines: Vec<&str> = log.lines().collect();
            tails.push_str(&format!(
                "--- {name}\n{}\n",
                lines[lines.len().saturating_sub(15)..].join("\n")
            ));
        }
        tails
    }

    fn log_files(&self) -> Result<BTreeMap<String, String>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
                files.insert(path.display().to_string(), log);
            }
        }
        Ok(files)
    }
}

impl Runner {
    /// `host:port` of its admin listener, as it says itself.
    pub fn admin(&mut self) -> Result<String> {
        eventually(
            "the runner says where its admin listener is",
            Duration::from_secs(20),
            || {
                let log = self.process.log();
                if let Some((_, rest)) = log.split_once("admin listening on ") {
                    let address: String = rest
                        .chars()
                        .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
                        .collect();
                    if rest.len() > address.len() {
                        return Ok(Some(address));
                    }
                }
                if !self.process.is_running()? {
                    bail!("the runner has ended:\n{}", self.process.log_tail());
                }
                Ok(None)
            },
        )
    }

    /// Status and body that its admin listener answers `GET path` with.
    pub fn get(&mut self, path: &str) -> Result<(u16, String)> {
        let address = self.admin()?;
        get(&address, path).with_context(|| format!("{}'s log:\n{}", self.process.name(), self.process.log_tail()))
    }

    /// Sum over all labels of the metric called `name`; none if there is no such metric (yet).
    pub fn metric(&mut self, name: &str) -> Result<Option<f64>> {
        let (_, text) = self.get("/metrics")?;
        let mut sum = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if series.split('{').next() == Some(name) {
                *sum.get_or_insert(0.0) += value.parse::<f64>()?;
            }
        }
        Ok(sum)
    }

    /// Waits until `/readyz` says 200.
    pub fn wait_until_ready(&mut self, within: Duration) -> Result<()> {
        let address = self.admin()?;
        eventually("the runner is ready", within, || {
            if !self.process.is_running()? {
                bail!("the runner has ended:\n{}", self.process.log_tail());
            }
            Ok((get(&address, "/readyz")?.0 == 200).then_some(()))
        })
    }
}

pub(crate) fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split_whitespace().nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}
