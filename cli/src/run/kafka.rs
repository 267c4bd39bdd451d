//! A run on Kafka: the runner's own job in this process, until Ctrl-C or until the end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_connect::kafka::Settings;
use millrace_engine::{Program, Tables};
use millrace_plan::Plan;
use millrace_runner::metrics::Metrics;
use millrace_runner::{Job, Status, Until, kafka};
use millrace_service::{Health, LogFormat, Shutdown, init_logs};

use super::Arguments;
use super::report::Report;
use crate::say;

/// How long a question to the cluster may take: a person waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Works until told to stop; commits and leaves.
pub fn run(mut plan: Plan, tables: &Tables, arguments: &Arguments) -> anyhow::Result<()> {
    init_logs(LogFormat::Text);
    plan.source
        .connection
        .bootstrap_servers
        .clone_from(&arguments.bootstrap);
    let plan = Arc::new(plan);
    let state_dir = arguments.state_dir.clone().map_or_else(default_state_dir, Ok)?;
    let shutdown = Shutdown::new();
    say(format_args!(
        "running {} {} on {}; checkpoints in {}; Ctrl-C commits and leaves",
        plan.kind,
        plan.name,
        arguments.bootstrap.join(","),
        state_dir.display()
    ));
    let job = Job {
        program: Arc::new(Program::with_tables(Arc::clone(&plan), tables).map_err(anyhow::Error::msg)?),
        settings: Settings {
            request_timeout: PATIENCE,
            ..kafka::settings(&plan, &arguments.runner_id, arguments.secrets_dir.clone())
        },
        status: Arc::new(Status::new(&arguments.runner_id)),
        runner_id: arguments.runner_id.clone(),
        state_dir,
        metrics: Arc::new(Metrics::register(&plan, &prometheus::Registry::new())?),
        health: Health::default(),
        shutdown: shutdown.clone(),
    };
    let until = if arguments.until_end {
        Until::End
    } else {
        Until::Stopped
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let metrics = Arc::clone(&job.metrics);
    let mut report = Report::start();
    let (ended, end) = tokio::sync::oneshot::channel();
    runtime.block_on(async {
        shutdown.on_signals()?;
        std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
            let outcome = job.run(until, &mut || report.progress(&job.metrics));
            // Nobody listens only if the process is ending anyway.
            let _ = ended.send((outcome, report));
        })?;
        let (outcome, report) = end.await.context("the worker thread panicked")?;
        report.summary(&metrics);
        Ok(outcome?)
    })
}

fn default_state_dir() -> anyhow::Result<PathBuf> {
    let under_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(under_home);
    base.map(|base| base.join("millrace"))
        .context("no home directory: name one for checkpoints with --state-dir")
}
