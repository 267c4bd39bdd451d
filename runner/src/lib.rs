//! One runner: reads its plan, joins the consumer group, and processes the partitions that it is given, exactly once.
//!
//! Order of the modules = way of a record, from assignment to commit.

pub mod settings;

pub mod tables;

mod job;

pub mod kafka;

mod error;

mod worker;

mod task;

mod recover;

mod output;

mod commit;

pub mod metrics;

mod status;

pub mod last_words;

pub use error::Error;
pub use job::{Job, Until};
pub use output::Routes;
pub use settings::Settings;
pub use status::{Status, TroubleKind};
pub use worker::{Opening, Worker};

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use millrace_engine::Program;
use millrace_plan::Plan;
use millrace_service::{Admin, Health, Shutdown};
use prometheus::Registry;

use crate::metrics::Metrics;

/// How long a last commit may take after a stop signal, well below the time that a pod gets.
const LONGEST_GOODBYE: Duration = Duration::from_secs(10);
/// The same where something is wrong, so that it will hardly succeed.
const GOODBYE_IN_TROUBLE: Duration = Duration::from_secs(3);
/// How long anyone may still be answered at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs until shutdown is requested or a person must act.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let plan = Arc::new(read_plan(&settings)?);
    let tables = tables::read(&plan, settings.plan.parent(), settings.config_maps_dir.as_deref())?;
    let registry = Registry::new();
    let health = Health::default();
    let runner_id = settings.runner_id()?;
    let job = Job {
        program: Arc::new(Program::with_tables(Arc::clone(&plan), &tables).map_err(anyhow::Error::msg)?),
        settings: kafka::settings(&plan, &runner_id, settings.secrets_dir.clone()),
        status: Arc::new(Status::new(&runner_id)),
        runner_id,
        state_dir: settings.state_dir.clone(),
        metrics: Arc::new(Metrics::register(&plan, &registry)?),
        health: health.clone(),
        shutdown: shutdown.clone(),
    };
    let admin = Admin::bind(settings.admin)
        .await
        .with_context(|| format!("cannot listen on {}", settings.admin))?;
    tracing::info!("admin listening on {}", admin.address());
    let status = Arc::clone(&job.status);
    let admin = admin.with_json(millrace_report::PATH, {
        let status = Arc::clone(&status);
        move || serde_json::to_string(&status.report()).expect("a report is plain data")
    });
    let mut serving = tokio::spawn(admin.serve(registry, health, shutdown.clone()));

    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
        // Nobody listens only if the process is ending anyway.
        let _ = ended.send(job.run(Until::Stopped, &mut || {}));
    })?;
    let outcome = tokio::select! {
        outcome = end => outcome.context("the worker thread panicked")?,
        () = out_of_patience(&shutdown, &status) => {
            tracing::warn!("stopping without a last commit: what was not committed is done again by the next runner");
            Ok(())
        }
    };
    shutdown.request();
    // A client that keeps its connection open must not keep the process.
    if let Ok(served) = tokio::time::timeout(LAST_ANSWERS, &mut serving).await {
        served??;
    }
    outcome.map_err(anyhow::Error::from)
}

/// Returns when a runner that was told to stop has tried for long enough, which is not long where something is wrong: a
/// broker that is away would keep it for minutes.
async fn out_of_patience(shutdown: &Shutdown, status: &Status) {
    shutdown.requested().await;
    let told = tokio::time::Instant::now();
    loop {
        let patience = if status.is_well() {
            LONGEST_GOODBYE
        } else {
            GOODBYE_IN_TROUBLE
        };
        if told.elapsed() >= patience {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The plan of the first object in the plan file, which its other objects may serve as sources.
fn read_plan(settings: &Settings) -> anyhow::Result<Plan> {
    let path = settings.plan.display();
    let yaml = std::fs::read_to_string(&settings.plan).with_context(|| format!("cannot read {path}"))?;
    let explain = |problems: Vec<millrace_plan::Problem>| {
        let lines: Vec<String> = problems.iter().map(|problem| format!("{path}: {problem}")).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    };
    let manifests = millrace_plan::load(&yaml).map_err(explain)?;
    let (first, others) = manifests
        .split_first()
        .with_context(|| format!("{path} holds no object"))?;
    let mut plan = millrace_plan::validate(first, others).map_err(explain)?;
    if !settings.bootstrap.is_empty() {
        plan.source.connection.bootstrap_servers.clone_from(&settings.bootstrap);
    }
    Ok(plan)
}
