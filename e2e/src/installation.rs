//! A real cluster with a broker that pods can reach, and Millrace installed on it by its chart.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::broker::{Broker, Options as BrokerOptions};
use crate::cluster::{Cluster, Options as ClusterOptions};
use crate::eventually::eventually;
use crate::images;
use crate::kubectl::Kubectl;
use crate::programs::program;

/// Where tests of one program run: started once.
pub struct World {
    /// The cluster.
    pub cluster: Cluster,
    /// Its `kubectl` and `helm`.
    pub kubectl: Kubectl,
    /// The broker, at an address that pods reach as well.
    pub broker: Broker,
}

/// The world of this test program, with the images of operator and runner on its node.
///
/// # Panics
/// Where cluster or broker do not start.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::start().unwrap_or_else(|error| unreachable!("no cluster: {error:#}")))
}

/// `helm install` of the checkout's chart as the release `millrace`, with `values` as `--set` takes them; ends when the
/// operator is ready.
pub fn install(kubectl: &Kubectl, namespace: &str, values: &[&str]) -> Result<()> {
    let chart = Path::new(env!("MILLRACE_SOURCE")).join("charts/millrace");
    let chart = chart.to_str().context("a path of UTF-8")?;
    let mut arguments = vec!["upgrade", "--install", "millrace", chart, "--namespace", namespace];
    arguments.extend(["--create-namespace", "--wait", "--timeout", "3m"]);
    for value in values {
        arguments.extend(["--set", value]);
    }
    kubectl.helm(&arguments).map(drop)
}

/// A broker that the cluster's pods reach under the same address as this machine.
pub fn broker_beside(cluster: &Cluster) -> Result<Broker> {
    Broker::start_with(&BrokerOptions {
        host: cluster.host_for_pods(),
        ..BrokerOptions::default()
    })
}

/// Brings the images of operator and runner, as they were built last, to the node.
pub fn import_images(cluster: &Cluster) -> Result<()> {
    let operator = [program("millrace-operator")?, program("millrace")?];
    cluster.import_image(&images::of_programs(images::OPERATOR, &operator)?)?;
    cluster.import_image(&images::of_programs(images::RUNNER, &[program("millrace-runner")?])?)
}

impl World {
    fn start() -> Result<Self> {
        let cluster = Cluster::start(&ClusterOptions::default())?;
        let kubectl = cluster.kubectl();
        let broker = broker_beside(&cluster)?;
        import_images(&cluster)?;
        Ok(Self {
            cluster,
            kubectl,
            broker,
        })
    }

    /// Applies the definitions of both kinds, for tests that install nothing else.
    pub fn install_crds(&self) -> Result<()> {
        let folder = Path::new(env!("MILLRACE_SOURCE")).join("crds");
        for file in ["streampipelines.yaml", "windowaggregations.yaml"] {
            let path = folder.join(file);
            let path = path.to_str().context("a path of UTF-8")?;
            self.kubectl.run(&["apply", "--server-side", "--filename", path])?;
        }
        let all = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
        self.kubectl.run(&all).map(drop)
    }

    /// What is left in a namespace, as `Kind/name`, once what is being deleted is gone: everything but what every
    /// namespace has.
    pub fn left_in(&self, namespace: &str, within: Duration) -> Result<Vec<String>> {
        let kinds = "deployments,replicasets,pods,services,endpointslices,configmaps,persistentvolumeclaims,serviceaccounts,\
                     poddisruptionbudgets,horizontalpodautoscalers,secrets,leases,streampipelines,windowaggregations";
        let mut left = Vec::new();
        let only_kept = |name: &String| name.starts_with("PersistentVolumeClaim/");
        let _ = eventually("everything else is gone", within, || {
            left = self
                .kubectl
                .list(namespace, kinds)?
                .iter()
                .filter_map(name_of)
                .filter(|name| !["ServiceAccount/default", "ConfigMap/kube-root-ca.crt"].contains(&name.as_str()))
                .collect();
            Ok(left.iter().all(only_kept).then_some(()))
        });
        left.sort();
        Ok(left)
    }
}

fn name_of(object: &Value) -> Option<String> {
    Some(format!(
        "{}/{}",
        object["kind"].as_str()?,
        object["metadata"]["name"].as_str()?
    ))
}

/// Millrace, installed by the chart as the release `millrace`.
pub struct Installation<'a> {
    world: &'a World,
    namespace: String,
}

impl<'a> Installation<'a> {
    /// `helm install` with `values` (as `--set` takes them), in a namespace that enforces Pod Security `restricted`; ends
    /// when the operator is ready.
    pub fn install(world: &'a World, namespace: &str, values: &[&str]) -> Result<Self> {
        world.kubectl.restricted_namespace(namespace)?;
        let images = images::values();
        let values: Vec<&str> = images
            .iter()
            .map(String::as_str)
            .chain(values.iter().copied())
            .collect();
        let this = Self {
            world,
            namespace: namespace.to_owned(),
        };
        install(&world.kubectl, namespace, &values).with_context(|| this.describe())?;
        Ok(this)
    }

    /// Name of the operator's running pod, or of one of them.
    pub fn operator_pod(&self) -> Result<String> {
        self.operator_pods()?.pop().context("no operator runs")
    }

    /// Names of all its running pods.
    pub fn operator_pods(&self) -> Result<Vec<String>> {
        let pods = self.world.kubectl.list(&self.namespace, "pods")?;
        let running = |pod: &&Value| {
            pod["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"
                && pod["metadata"].get("deletionTimestamp").is_none()
        };
        let names = pods.iter().filter(running);
        let names = names.filter_map(|pod| pod["metadata"]["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Bytes of memory of the largest operator, as the node's kernel counts them: what it has allocated, and all that is
    /// resident, its program's own pages included.
    pub fn operator_memory(&self) -> Result<(u64, u64)> {
        // The kernel cuts names of programs off after 15 characters.
        let ask = "for each in $(pgrep -x millrace-operat); do cat /proc/$each/status; done";
        let output = self.world.cluster.on_node("sh")?.args(["-c", ask]).output()?;
        let status = String::from_utf8(output.stdout)?;
        let bytes = |name: &str| {
            let lines = status.lines().filter(|line| line.starts_with(name));
            lines
                .filter_map(|line| Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10))
                .max()
        };
        bytes("RssAnon")
            .zip(bytes("VmRSS"))
            .context("the operator runs on the node")
    }

    /// What its pods and events say, for a failed test.
    pub fn describe(&self) -> String {
        let ask = |arguments: &[&str]| {
            self.world
                .kubectl
                .run(arguments)
                .unwrap_or_else(|error| error.to_string())
        };
        let namespace = self.namespace.as_str();
        format!(
            "{}\n{}\n{}",
            ask(&["get", "pods", "-n", namespace, "-o", "wide"]),
            ask(&["get", "events", "-n", namespace]),
            ask(&[
                "logs",
                "-n",
                namespace,
                "-l",
                "app.kubernetes.io/component=operator",
                "--tail=40"
            ])
        )
    }

    /// `helm uninstall`; everything but the CRDs is gone afterwards.
    pub fn uninstall(self) -> Result<()> {
        self.world.kubectl.helm(&[
            "uninstall",
            "millrace",
            "--namespace",
            &self.namespace,
            "--wait",
            "--timeout",
            "2m",
        ])?;
        let left = self.world.left_in(&self.namespace, Duration::from_secs(60))?;
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }
}
