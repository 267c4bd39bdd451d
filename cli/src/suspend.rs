//! `millrace suspend` and `millrace resume`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use millrace_crds::ConditionType;
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{self, Access, Cluster, Doing, Found, Named, explained};

/// Time between two looks while waiting.
const PERIOD: Duration = Duration::from_millis(500);

/// Which pipeline, and whether to wait.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The pipeline, by name or as `streampipeline/NAME` or `windowaggregation/NAME`.
    #[arg(value_name = "NAME")]
    name: Named,
    /// Waits until it is done.
    #[arg(long)]
    wait: bool,
    /// How long to wait, such as `30s` or `5m`.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = millrace_plan::parse_duration, requires = "wait")]
    timeout: Duration,
    #[command(flatten)]
    access: Access,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Runners commit and end.
    Suspended,
    /// Runners start where they ended.
    Resumed,
}

impl To {
    fn flag(self) -> bool {
        self == Self::Suspended
    }

    fn word(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
        }
    }

    /// What is true once it is done.
    fn condition(self) -> ConditionType {
        match self {
            Self::Suspended => ConditionType::Suspended,
            Self::Resumed => ConditionType::Ready,
        }
    }
}

/// Sets `spec.suspend`, and says whether that changed anything.
pub fn set(arguments: &Arguments, to: To) -> anyhow::Result<ExitCode> {
    cluster::block_on(async {
        let cluster = arguments.access.connect().await?;
        let found = cluster::find(&cluster, &arguments.name).await?;
        let unchanged = found.suspend() == to.flag();
        let found = if unchanged {
            found
        } else {
            patch(&cluster, &found, to).await?
        };
        let already = if unchanged { " already" } else { "" };
        writeln!(std::io::stdout().lock(), "{} {}{already}", found.reference(), to.word())?;
        if arguments.wait {
            wait(&cluster, &found, to, arguments.timeout).await?;
            let condition = to.condition().as_str();
            writeln!(
                std::io::stdout().lock(),
                "{} condition met: {condition}",
                found.reference()
            )?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn patch(cluster: &Cluster, found: &Found, to: To) -> anyhow::Result<Found> {
    let doing = Doing {
        verb: "patch",
        resource: found.kind.plural,
        namespace: Some(&cluster.namespace),
    };
    let api = found.kind.api(&cluster.client, Some(&cluster.namespace));
    let change = Patch::Merge(json!({"spec": {"suspend": to.flag()}}));
    let patched = api
        .patch(&found.object.name_any(), &PatchParams::default(), &change)
        .await;
    Ok(Found {
        kind: found.kind,
        object: patched.map_err(|error| explained(error, doing))?,
    })
}

async fn wait(cluster: &Cluster, asked: &Found, to: To, timeout: Duration) -> anyhow::Result<()> {
    let doing = Doing {
        verb: "get",
        resource: asked.kind.plural,
        namespace: Some(&cluster.namespace),
    };
    let generation = asked.object.metadata.generation.unwrap_or_default();
    let api = asked.kind.api(&cluster.client, Some(&cluster.namespace));
    let deadline = Instant::now() + timeout;
    loop {
        let object = api.get(&asked.object.name_any()).await;
        let now = Found {
            kind: asked.kind,
            object: object.map_err(|error| explained(error, doing))?,
        };
        let progress = progress(&now, to, generation);
        let Err(why) = progress else { return Ok(()) };
        if Instant::now() >= deadline {
            bail!("{} is not {} after {timeout:?}: {why}", asked.reference(), to.word());
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Whether the controller says so of this generation or a later one; else what it says.
fn progress(now: &Found, to: To, generation: i64) -> Result<(), String> {
    let status = now.status().unwrap_or_default();
    if status.observed_generation.is_none_or(|observed| observed < generation) {
        return Err("the controller has not seen the change yet; is it running?".to_owned());
    }
    let wanted = to.condition().as_str();
    match status.conditions.iter().find(|condition| condition.type_ == wanted) {
        Some(condition) if condition.status == "True" => Ok(()),
        Some(condition) => Err(format!("{wanted} is {}: {}", condition.status, condition.message)),
        None => Err(format!("the controller says nothing of {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::KINDS;

    fn found(generation: i64, status: &str) -> Found {
        let object = json!({
            "apiVersion": "millrace.io/v1alpha1", "kind": "StreamPipeline", "metadata": {"name": "x"},
            "status": {"observedGeneration": generation, "conditions": [
                {"type": "Suspended", "status": status, "reason": "R", "message": "2 runners commit and leave",
                 "lastTransitionTime": "2020-01-01T00:00:00Z"}]},
        });
        Found {
            kind: KINDS[0],
            object: serde_json::from_value(object).unwrap(),
        }
    }

    #[test]
    fn waiting_ends_with_the_condition_of_this_generation_only() {
        let progress = |found: &Found| progress(found, To::Suspended, 4);
        assert_eq!(progress(&found(4, "True")), Ok(()));
        assert_eq!(progress(&found(5, "True")), Ok(()));
        assert!(progress(&found(3, "True")).is_err_and(|why| why.contains("has not seen the change")));
        let goes_on = progress(&found(4, "False"));
        assert_eq!(
            goes_on,
            Err("Suspended is False: 2 runners commit and leave".to_owned())
        );
    }
}
