//! `make cluster`: a real Kubernetes of one node for trying things out, until Ctrl-C or the end of stdin. With a command
//! behind `--` it runs that instead, with `KUBECONFIG` and `PATH` set, and ends as the command does. `--broker` starts a
//! Kafka broker that host and pods reach under the same address, in `MILLRACE_TEST_BOOTSTRAP`; `--images` brings the
//! images of operator and runner, as they were built last, to the node; `--state` leaves the logs in a folder.

use std::ffi::OsString;
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, bail};
use millrace_e2e::broker::Broker;
use millrace_e2e::cluster::{Cluster, Options, STATE};
use millrace_e2e::installation::{broker_beside, import_images};
use millrace_e2e::process::send;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Default)]
struct Arguments {
    cluster: Options,
    broker: bool,
    images: bool,
    command: Vec<String>,
}

/// Why this program ends.
enum End {
    Command(ExitStatus),
    Signal(&'static str),
    Stdin,
}

fn main() -> Result<ExitCode> {
    let arguments = parse(std::env::args().skip(1))?;
    let cluster = Cluster::start(&arguments.cluster)?;
    if arguments.images {
        import_images(&cluster)?;
    }
    let broker = arguments.broker.then(|| broker_beside(&cluster)).transpose()?;
    let environment = environment(&cluster, broker.as_ref())?;
    let code = match arguments.command.split_first() {
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest).envs(environment);
            run(command.spawn().with_context(|| format!("cannot start {program}"))?)?
        }
        None => stay(&environment)?,
    };
    drop(broker);
    cluster.stop()?;
    Ok(code)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments> {
    let mut parsed = Arguments::default();
    parsed.cluster.fresh = true;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--broker" => parsed.broker = true,
            "--images" => parsed.images = true,
            "--state" => parsed.cluster.state = Some(PathBuf::from(arguments.next().context("--state FOLDER")?)),
            "--" => parsed.command = arguments.by_ref().collect(),
            _ => bail!("usage: millrace-cluster [--broker] [--images] [--state FOLDER] [-- COMMAND…]"),
        }
    }
    Ok(parsed)
}

fn environment(cluster: &Cluster, broker: Option<&Broker>) -> Result<Vec<(&'static str, OsString)>> {
    let mut environment: Vec<(&str, OsString)> = Vec::new();
    for (name, value) in cluster.kubectl().environment() {
        environment.push((name, value.into()));
    }
    let mut path = vec![cluster.programs().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    environment.push(("PATH", std::env::join_paths(path)?));
    if let Some(state) = cluster.state() {
        environment.push((STATE, state.into()));
    }
    if let Some(broker) = broker {
        environment.push(("MILLRACE_TEST_BOOTSTRAP", broker.bootstrap().into()));
    }
    Ok(environment)
}

/// Runs a command to its end. Ctrl-C reaches it by itself; SIGTERM is handed on.
fn run(mut child: Child) -> Result<ExitCode> {
    let (sender, ends) = channel();
    watch_signals(sender.clone());
    let pid = child.id();
    thread::spawn(move || child.wait().map(|status| sender.send(End::Command(status))));
    loop {
        match ends.recv().context("the command is waited for")? {
            // As a shell has it: 128 and the signal's number.
            End::Command(status) => {
                let code = status
                    .code()
                    .or(status.signal().map(|signal| 128 + signal))
                    .unwrap_or(1);
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            End::Signal("TERM") => send("TERM", pid)?,
            End::Signal(_) | End::Stdin => {}
        }
    }
}

/// Says how to use the cluster, and waits for a signal or the end of stdin.
fn stay(environment: &[(&str, OsString)]) -> Result<ExitCode> {
    for (name, value) in environment {
        writeln!(stdout(), "export {name}='{}'", value.display())?;
    }
    stdout().flush()?;
    let (sender, ends) = channel();
    watch_signals(sender.clone());
    thread::spawn(move || stdin().read_to_end(&mut Vec::new()).map(|_| sender.send(End::Stdin)));
    ends.recv().context("signals are waited for")?;
    Ok(ExitCode::SUCCESS)
}

fn watch_signals(ends: Sender<End>) {
    thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            loop {
                let got = tokio::select! {
                    _ = interrupt.recv() => "INT",
                    _ = terminate.recv() => "TERM",
                };
                ends.send(End::Signal(got))?;
            }
        })
    });
}
