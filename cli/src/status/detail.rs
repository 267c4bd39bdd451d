//! Everything about one pipeline: its status, and what each runner answers.

use std::time::Duration;

use futures::future::join_all;
use kube::{Client, ResourceExt};
use millrace_crds::PipelineStatus;
use millrace_report::Report;
use serde::Serialize;

use super::samples::{self, Partition, Runner, Samples};
use crate::cluster::{self, Found, Pod};

/// Time between the two questions that make a rate. Runners take note about once a second.
const BETWEEN: Duration = Duration::from_millis(1500);

/// One pipeline.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// As written in YAML.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// A new one for every change of the spec.
    pub generation: Option<i64>,
    /// What the controller says; None if it has said nothing yet.
    pub status: Option<PipelineStatus>,
    /// Its runners, by pod.
    pub runners: Vec<Runner>,
    /// Partitions of the runners that answered, by topic and number.
    pub partitions: Vec<Partition>,
}

/// Asks the cluster and every runner. One that does not answer is in it with the reason.
pub async fn gather(client: &Client, found: &Found) -> anyhow::Result<Detail> {
    let namespace = found.namespace();
    let status = found.status();
    let selector = status.as_ref().map_or("", |status| status.selector.as_str());
    let pods = cluster::pods(client, &namespace, selector).await?;
    let asked = join_all(pods.iter().map(|pod| ask(client, pod))).await;
    let (runners, partitions): (Vec<_>, Vec<_>) = pods.iter().zip(asked).map(|(pod, asked)| told(pod, asked)).unzip();
    Ok(Detail {
        kind: found.kind.name,
        name: found.object.name_any(),
        generation: found.object.metadata.generation,
        namespace,
        status,
        runners,
        partitions: samples::merge(partitions.into_iter().flatten()),
    })
}

async fn ask(client: &Client, pod: &Pod) -> Result<Samples, String> {
    if !pod.is_running() {
        return Err(format!("its container does not run: {}", pod.phase()));
    }
    let first: Report = pod.report(client).await?;
    tokio::time::sleep(BETWEEN).await;
    Ok(match pod.report(client).await {
        Ok(last) => Samples {
            first: Some(first),
            last,
        },
        Err(_) => Samples {
            first: None,
            last: first,
        },
    })
}

fn told(pod: &Pod, asked: Result<Samples, String>) -> (Runner, Vec<Partition>) {
    let name = pod.name();
    let seen = Runner {
        phase: pod.phase(),
        ready: cluster::is_ready(&pod.0),
        restarts: pod.restarts(),
        last_words: pod.last_words(),
        pod: name.clone(),
        ..Runner::default()
    };
    match asked {
        Err(silence) => {
            let silence = Some(silence);
            (Runner { silence, ..seen }, Vec::new())
        }
        Ok(samples) => {
            let runner = Runner {
                read_per_second: samples.read_per_second(),
                written_per_second: samples.written_per_second(),
                trouble: samples.last.trouble.clone(),
                ..seen
            };
            (runner, samples.partitions(&name))
        }
    }
}
