//! The plan's Kafka cluster: its topics made ready, and a connector for one runner.

use std::path::PathBuf;
use std::time::Duration;

use millrace_connect::kafka::{KafkaConnector, Settings};
use millrace_plan::Plan;

use crate::error::Error;
use crate::output::Routes;

/// Shortest transaction time-out: how long a runner that vanished may block readers of its results.
const SHORTEST_TRANSACTION: Duration = Duration::from_secs(15);
/// Longest one: what brokers allow unless told otherwise (`transaction.max.timeout.ms`).
const LONGEST_TRANSACTION: Duration = Duration::from_secs(15 * 60);

/// What a runner decides about its clients.
pub fn settings(plan: &Plan, runner_id: &str, secrets_dir: Option<PathBuf>) -> Settings {
    let defaults = Settings::default();
    Settings {
        secrets_dir: secrets_dir.unwrap_or(defaults.secrets_dir),
        client_id: format!("millrace-{runner_id}"),
        transaction_timeout: (3 * plan.checkpoint_interval).clamp(SHORTEST_TRANSACTION, LONGEST_TRANSACTION),
        ..defaults
    }
}

/// Checks that the source topics exist, creates those that the plan writes, and returns what opens both sides.
pub fn connect(plan: &Plan, settings: &Settings) -> Result<KafkaConnector, Error> {
    let source = &plan.source;
    let connector = KafkaConnector::new(
        source.connection.clone(),
        settings.clone(),
        plan.source_topics(),
        source.group.clone(),
    );
    connector.source_partitions()?;
    let routes = Routes::of(plan);
    connector.prepare_topics(&routes.topics().iter().collect::<Vec<_>>())?;
    Ok(connector.reading(plan.topics()))
}
