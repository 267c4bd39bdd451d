//! What a runner was told: by its command line, and by the plan file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use millrace_service::LogFormat;

/// Runs one pipeline's share of the work: joins its consumer group and processes the partitions that it is given.
#[derive(Clone, Debug, Parser)]
#[command(name = "millrace-runner", version)]
pub struct Settings {
    /// YAML file with the StreamPipeline or WindowAggregation to run. Further documents in it are objects that its
    /// source may refer to.
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Directory for checkpoints. All runners of a pipeline must share it, or partitions cannot move between them.
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Directory that holds Secrets as `<name>/<key>` files.
    #[arg(long, value_name = "DIR")]
    pub secrets_dir: Option<PathBuf>,
    /// Directory that holds ConfigMaps as `<name>/<key>` files: the tables of joins.
    #[arg(long, value_name = "DIR")]
    pub config_maps_dir: Option<PathBuf>,
    /// Brokers to use instead of the manifest's: `host:port`, several separated by commas.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub bootstrap: Vec<String>,
    /// Name of this runner, unique in its pipeline and the same after a restart: the pod's name. A second runner of the
    /// same name takes the first one's place. Default: the host name.
    #[arg(long, value_name = "ID", env = "MILLRACE_RUNNER_ID")]
    pub runner_id: Option<String>,
    /// Address for /healthz, /readyz, /metrics and /status; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9464")]
    pub admin: SocketAddr,
    /// File for one last sentence where the runner ends because a person must act, as Kubernetes shows it with the pod.
    #[arg(long, value_name = "FILE")]
    pub termination_log: Option<PathBuf>,
    /// How log lines are written. RUST_LOG sets the level.
    #[arg(long, value_enum, default_value = "json")]
    pub log: LogFormat,
}

impl Settings {
    /// The runner's name: as told, else the host's.
    pub fn runner_id(&self) -> anyhow::Result<String> {
        let id = match &self.runner_id {
            Some(id) => id.clone(),
            None => std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map(|name| name.trim().to_owned())
                .map_err(|error| anyhow::anyhow!("cannot read the host name ({error}): give --runner-id"))?,
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        anyhow::ensure!(
            !id.is_empty() && id.len() <= 100 && id.chars().all(allowed),
            "--runner-id `{id}` is not valid: 1 to 100 characters of a-z A-Z 0-9 . _ -"
        );
        Ok(id)
    }
}
