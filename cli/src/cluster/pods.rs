//! Runner pods of a pipeline, and what each says of itself.

use std::time::Duration;

use k8s_openapi::api::core::v1;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use millrace_report::Report;

use super::{Doing, explained};

/// Port on which runners answer.
const ADMIN_PORT: u16 = 9464;
/// Runners answer at once or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// One runner pod.
#[derive(Clone, Debug)]
pub struct Pod(pub v1::Pod);

/// The pods that a selector selects, by name.
pub async fn pods(client: &Client, namespace: &str, selector: &str) -> anyhow::Result<Vec<Pod>> {
    // An empty selector would select everything.
    if selector.is_empty() {
        return Ok(Vec::new());
    }
    let doing = Doing {
        verb: "list",
        resource: "pods",
        namespace: Some(namespace),
    };
    let api: Api<v1::Pod> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(selector)).await;
    let mut pods: Vec<Pod> = list
        .map_err(|error| explained(error, doing))?
        .into_iter()
        .map(Pod)
        .collect();
    pods.sort_by_cached_key(Pod::name);
    Ok(pods)
}

/// Whether a pod's `Ready` condition is true.
pub fn is_ready(pod: &v1::Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = |condition: &v1::PodCondition| condition.type_ == "Ready" && condition.status == "True";
    conditions.into_iter().flatten().any(ready)
}

impl Pod {
    /// Its name.
    pub fn name(&self) -> String {
        self.0.name_any()
    }

    /// As kubectl shows it: what the container waits for, else the phase.
    pub fn phase(&self) -> String {
        if self.0.metadata.deletion_timestamp.is_some() {
            return "Terminating".to_owned();
        }
        let waits = |container: &v1::ContainerStatus| container.state.clone()?.waiting?.reason;
        let phase = || self.0.status.as_ref().and_then(|status| status.phase.clone());
        let waiting = self.containers().find_map(waits);
        waiting.or_else(phase).unwrap_or_else(|| "Unknown".to_owned())
    }

    /// How often the container was started again.
    pub fn restarts(&self) -> i32 {
        self.containers().map(|container| container.restart_count).sum()
    }

    /// Whether its container runs.
    pub fn is_running(&self) -> bool {
        let runs =
            |container: &v1::ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
        self.containers().any(runs)
    }

    /// What the runner said when it ended, unless it runs well again.
    pub fn last_words(&self) -> Option<String> {
        if is_ready(&self.0) {
            return None;
        }
        let ended = |container: &v1::ContainerStatus| {
            let now = container.state.clone().and_then(|state| state.terminated);
            let before = container.last_state.clone().and_then(|state| state.terminated);
            now.or(before)?.message
        };
        self.containers().find_map(ended)
    }

    fn containers(&self) -> impl Iterator<Item = &v1::ContainerStatus> {
        let status = self.0.status.as_ref();
        status
            .and_then(|status| status.container_statuses.as_ref())
            .into_iter()
            .flatten()
    }

    /// Asks the runner, through the API server.
    pub async fn report(&self, client: &Client) -> Result<Report, String> {
        let namespace = self.0.namespace().unwrap_or_default();
        let path = millrace_report::PATH;
        let uri = format!(
            "/api/v1/namespaces/{namespace}/pods/{}:{ADMIN_PORT}/proxy{path}",
            self.name()
        );
        let request = http::Request::get(uri)
            .body(Vec::new())
            .map_err(|error| error.to_string())?;
        let doing = Doing {
            verb: "get",
            resource: "pods/proxy",
            namespace: Some(&namespace),
        };
        match tokio::time::timeout(PATIENCE, client.request::<Report>(request)).await {
            Ok(answer) => answer.map_err(|error| explained(error, doing).to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}
