//! `millrace check`: whether an installation on a cluster works. Stores nothing: what it writes is a dry run. `helm test` runs
//! it from the operator's image.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::cluster::{Access, block_on};

/// Between two tries of a step.
const PAUSE: Duration = Duration::from_secs(1);

/// What to check, and where.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The operator's Deployment, as `namespace/name`.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        default_value = "millrace-system/millrace-operator"
    )]
    operator: String,
    #[command(flatten)]
    access: Access,
    /// Also checks that lag is served to autoscalers.
    #[arg(long)]
    external_metrics: bool,
    /// Also checks that a broken pipeline is refused.
    #[arg(long)]
    webhook: bool,
    /// Seconds to wait for all of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// One thing that must hold.
#[derive(Clone, Copy, Debug)]
enum Step {
    Kinds,
    Operator,
    Accepts,
    Refuses,
    Metrics,
}

/// Runs all steps, a line each. Exit code 1 if one does not hold in time.
pub fn check(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let found = arguments.access.connect().await?;
    let cluster = Installation {
        client: found.client,
        namespace: found.namespace,
        arguments,
    };
    let mut steps = vec![Step::Kinds, Step::Operator, Step::Accepts];
    steps.extend(arguments.webhook.then_some(Step::Refuses));
    steps.extend(arguments.external_metrics.then_some(Step::Metrics));
    let deadline = Instant::now() + Duration::from_secs(arguments.timeout);
    let mut code = ExitCode::SUCCESS;
    for step in steps {
        let line = match cluster.until(step, deadline).await {
            Ok(what) => format!("ok    {what}"),
            Err(error) => {
                code = ExitCode::FAILURE;
                format!("fails {error:#}")
            }
        };
        writeln!(std::io::stdout().lock(), "{line}")?;
    }
    Ok(code)
}

struct Installation<'a> {
    client: Client,
    namespace: String,
    arguments: &'a Arguments,
}

impl Installation<'_> {
    /// Tries until it holds: right after an installation the API server needs some seconds to notice everything.
    async fn until(&self, step: Step, deadline: Instant) -> anyhow::Result<String> {
        loop {
            let outcome = self.holds(step).await;
            if outcome.is_ok() || Instant::now() + PAUSE > deadline {
                return outcome;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn holds(&self, step: Step) -> anyhow::Result<String> {
        match step {
            Step::Kinds => self.kinds().await,
            Step::Operator => self.operator().await,
            Step::Accepts => self.accepts().await,
            Step::Refuses => self.refuses().await,
            Step::Metrics => self.metrics().await,
        }
    }

    async fn kinds(&self) -> anyhow::Result<String> {
        let served = self.client.list_api_group_resources("millrace.io/v1alpha1").await;
        let served = served.context("millrace.io/v1alpha1 is not served: install the CRDs")?;
        for kind in ["StreamPipeline", "WindowAggregation"] {
            ensure!(
                served.resources.iter().any(|it| it.kind == kind),
                "{kind} is not served: install the CRDs"
            );
        }
        Ok("StreamPipeline and WindowAggregation of millrace.io/v1alpha1 are served".to_owned())
    }

    async fn operator(&self) -> anyhow::Result<String> {
        let wanted = &self.arguments.operator;
        let (namespace, name) = wanted.split_once('/').context("--operator is `namespace/name`")?;
        let api = self.api(namespace, &resource("apps", "v1", "Deployment", "deployments"));
        let deployment = api
            .get(name)
            .await
            .with_context(|| format!("Deployment {wanted}"))?
            .data;
        let number = |path: &str| deployment.pointer(path).and_then(Value::as_i64);
        let replicas = number("/spec/replicas").unwrap_or(1);
        let ready = number("/status/readyReplicas").unwrap_or(0);
        let updated = number("/status/updatedReplicas").unwrap_or(0);
        ensure!(replicas > 0, "the operator {wanted} is scaled to 0");
        ensure!(
            ready >= replicas && updated >= replicas,
            "{ready} of {replicas} operators of {wanted} are ready"
        );
        Ok(format!("the operator {wanted} is ready"))
    }

    async fn accepts(&self) -> anyhow::Result<String> {
        self.dry_run("ts > 0").await.context("a pipeline is not accepted")?;
        Ok(format!("a pipeline is accepted in namespace {}", self.namespace))
    }

    async fn refuses(&self) -> anyhow::Result<String> {
        match self.dry_run("tss > 0").await {
            Ok(()) => bail!("a pipeline with an unknown field is accepted: the webhook is not called"),
            Err(kube::Error::Api(status)) if status.message.contains("unknown field `tss`") => {
                Ok("a broken pipeline is refused by the webhook".to_owned())
            }
            Err(error) => Err(error).context("a pipeline with an unknown field is refused for another reason"),
        }
    }

    async fn metrics(&self) -> anyhow::Result<String> {
        let served = self
            .client
            .list_api_group_resources("external.metrics.k8s.io/v1beta1")
            .await;
        let served = served.context("external.metrics.k8s.io/v1beta1 is not served")?;
        ensure!(
            !served.resources.is_empty(),
            "external.metrics.k8s.io/v1beta1 has no metric"
        );
        Ok("external.metrics.k8s.io/v1beta1 answers".to_owned())
    }

    /// Creates a pipeline with this condition, up to the point where it would be stored.
    async fn dry_run(&self, condition: &str) -> kube::Result<()> {
        let resource = resource("millrace.io", "v1alpha1", "StreamPipeline", "streampipelines");
        let object = DynamicObject::new("millrace-check", &resource).data(json!({"spec": {
            "source": {"kafka": {"bootstrapServers": ["localhost:9092"], "topics": ["millrace-check"]}},
            "schema": {"fields": [{"name": "ts", "type": "timestamp"}]},
            "operators": [{"name": "some", "filter": {"where": condition}}],
            "sinks": [{"name": "out", "kafka": {"topic": "millrace-checked"}}],
        }}));
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        self.api(&self.namespace, &resource)
            .create(&parameters, &object)
            .await
            .map(drop)
    }

    fn api(&self, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, resource)
    }
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}
