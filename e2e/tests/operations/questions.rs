//! Five questions a second to the API server, over connections that stay open, as an autoscaler asks.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const PACE: Duration = Duration::from_millis(200);

/// What came of them.
#[derive(Debug, Default)]
pub struct Answers {
    /// How many were answered as they should be.
    pub good: usize,
    /// What the others said.
    pub bad: Vec<String>,
}

/// Asks for `path` five times a second, so many times in all, whether or not the question before was answered. A good
/// answer contains `expected`.
pub fn ask(kubeconfig: &Path, path: &str, times: usize, expected: &str) -> Result<Answers> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        let client = Client::try_from(config)?;
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut questions = JoinSet::new();
        for _ in 0..times {
            pace.tick().await;
            let (client, request) = (client.clone(), axum::http::Request::get(path).body(Vec::new())?);
            questions.spawn(async move { client.request_text(request).await });
        }
        let mut answers = Answers::default();
        while let Some(answer) = questions.join_next().await {
            match answer? {
                Ok(text) if text.contains(expected) => answers.good += 1,
                Ok(text) => answers.bad.push(text),
                Err(error) => answers.bad.push(error.to_string()),
            }
        }
        Ok(answers)
    })
}
