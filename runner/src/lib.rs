//! One runner: reads its plan, joins the consumer group, and processes the partitions that it is given, exactly once.
//!
//! Order of the modules = way of a record, from assignment to commit.

pub mod settings;

mod job;

pub mod kafka;

mod error;

mod worker;

mod task;

mod recover;

mod output;

mod commit;

pub mod metrics;

pub use error::Error;
pub use job::{Job, Until};
pub use output::Routes;
pub use settings::Settings;
pub use worker::Worker;

use std::sync::Arc;

use anyhow::Context;
use millrace_engine::Program;
use millrace_plan::Plan;
use millrace_service::{Admin, Health, Shutdown};
use prometheus::Registry;

use crate::metrics::Metrics;

/// Runs until shutdown is requested or a person must act.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let plan = Arc::new(read_plan(&settings)?);
    let registry = Registry::new();
    let health = Health::default();
    let runner_id = settings.runner_id()?;
    let job = Job {
        program: Arc::new(Program::compile(Arc::clone(&plan)).map_err(anyhow::Error::msg)?),
        settings: kafka::settings(&plan, &runner_id, settings.secrets_dir.clone()),
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
    let serving = tokio::spawn(admin.serve(registry, health, shutdown.clone()));

    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
        // Nobody listens only if the process is ending anyway.
        let _ = ended.send(job.run(Until::Stopped, &mut || {}));
    })?;
    let outcome = end.await.context("the worker thread panicked")?;
    shutdown.request();
    serving.await??;
    outcome.map_err(anyhow::Error::from)
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
