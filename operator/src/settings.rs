//! What the operator was told on its command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use millrace_service::LogFormat;

/// Keeps the runners of all StreamPipelines and WindowAggregations as their objects say.
#[derive(Clone, Debug, Parser)]
#[command(name = "millrace-operator", version)]
pub struct Settings {
    /// Namespace to watch; give it several times for several. Default: all namespaces.
    #[arg(
        long = "watch-namespace",
        value_name = "NAMESPACE",
        env = "MILLRACE_WATCH_NAMESPACES",
        value_delimiter = ','
    )]
    pub watch_namespaces: Vec<String>,
    /// Namespace that the operator runs in: holds its Lease and its Service.
    #[arg(long, value_name = "NAMESPACE", env = "MILLRACE_NAMESPACE")]
    pub namespace: String,
    /// This process's name, unique among the operator's replicas: the pod's name.
    #[arg(long, value_name = "NAME", env = "MILLRACE_POD_NAME")]
    pub identity: String,
    /// Image that the runners of all pipelines run.
    #[arg(long, value_name = "IMAGE", env = "MILLRACE_RUNNER_IMAGE")]
    pub runner_image: String,
    /// When the kubelet pulls it: `Always`, `IfNotPresent` or `Never`.
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent")]
    pub runner_image_pull_policy: String,
    /// Secret of a pipeline's own namespace with credentials for that image; give it several times for several.
    #[arg(long = "runner-image-pull-secret", value_name = "NAME")]
    pub runner_image_pull_secrets: Vec<String>,
    /// Address for /healthz, /readyz and /metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin: SocketAddr,
    /// Name of the Lease that decides which replica of the operator writes.
    #[arg(long, value_name = "NAME", default_value = "millrace-operator")]
    pub lease: String,
    /// Serves external.metrics.k8s.io, for autoscaling on lag.
    #[arg(long)]
    pub external_metrics: bool,
    /// Serves the validating webhook; the name is that of its ValidatingWebhookConfiguration.
    #[arg(long, value_name = "NAME")]
    pub webhook: Option<String>,
    /// Name of the Service in front of this operator: the API server calls it under this name.
    #[arg(long, value_name = "NAME", default_value = "millrace-operator")]
    pub service: String,
    /// Address for the API server: external metrics and webhook, over TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub serving: SocketAddr,
    /// How long a serving certificate is valid; it is renewed after half of that.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub certificate_lifetime: Duration,
    /// Time between two measurements of lag and throughput.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub observe_every: Duration,
    /// Longest life of one watch of the API server, 1s to 290s: shorter than what anything in between leaves to idle
    /// connections. A watch that was dropped without a word is noticed a few seconds after this time.
    #[arg(long, value_name = "DURATION", default_value = "200s", value_parser = watch_lifetime)]
    pub watch_lifetime: Duration,
    /// How log lines are written. RUST_LOG sets the level.
    #[arg(long, value_enum, default_value = "json")]
    pub log: LogFormat,
}

/// What the client of the API server takes.
fn watch_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration(text)?;
    let taken = Duration::from_secs(1)..=Duration::from_secs(290);
    taken
        .contains(&lifetime)
        .then_some(lifetime)
        .ok_or_else(|| "must be 1s to 290s".to_owned())
}

/// A whole number and `ms`, `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("write a whole number and ms, s, m or h, such as `30s`".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is not a duration"))?;
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}
