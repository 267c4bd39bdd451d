//! What the verbs that talk to a cluster share: how to reach it, its pipelines, and their pods.

mod failure;
mod objects;
mod pods;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

pub use failure::{Doing, explained};
#[cfg(test)]
pub use objects::KINDS;
pub use objects::{Found, Named, find, list};
pub use pods::{Pod, is_ready, pods};

/// How long a person waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Which cluster and namespace, as with kubectl.
#[derive(Clone, Debug, clap::Args)]
pub struct Access {
    /// Namespace. Default: the context's.
    #[arg(long, short, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig. Default: its current one.
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Kubeconfig file. Default: `$KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    /// Asks and gives up soon.
    pub client: Client,
    /// Asks and goes on listening.
    pub streams: Client,
    /// Where, if nothing else is said.
    pub namespace: String,
}

impl Access {
    /// Reads the kubeconfig. Nothing is asked yet.
    pub async fn connect(&self) -> anyhow::Result<Cluster> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match &self.kubeconfig {
            Some(path) => from_file(path, &options).await?,
            None => self.inferred(&options).await?,
        };
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let unusable = "the kubeconfig cannot be used";
        let streams = Client::try_from(config.clone()).context(unusable)?;
        config.read_timeout = Some(PATIENCE);
        Ok(Cluster {
            client: Client::try_from(config).context(unusable)?,
            streams,
            namespace,
        })
    }

    async fn inferred(&self, options: &KubeConfigOptions) -> anyhow::Result<Config> {
        let outside = match Config::from_kubeconfig(options).await {
            Ok(config) => return Ok(config),
            Err(error) => error,
        };
        // A file that is there and wrong, or a context that it does not have, must not be passed over in silence.
        let no_file = Kubeconfig::read().is_err() && std::env::var_os("KUBECONFIG").is_none();
        if self.context.is_none()
            && no_file
            && let Ok(config) = Config::incluster()
        {
            return Ok(config);
        }
        // Its text has its causes in it already.
        anyhow::bail!(
            "no cluster to talk to: {outside}. Name a kubeconfig with --kubeconfig or KUBECONFIG, and a context of it with \
             --context"
        )
    }
}

async fn from_file(path: &Path, options: &KubeConfigOptions) -> anyhow::Result<Config> {
    let cannot = |error| anyhow::anyhow!("cannot use {}: {error}", path.display());
    let file = Kubeconfig::read_from(path).map_err(cannot)?;
    Config::from_custom_kubeconfig(file, options).await.map_err(cannot)
}

/// Runs a verb that talks to a cluster.
pub fn block_on<T>(verb: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(verb)
}
