//! The controller, at work against the API server in memory.

use std::time::Duration;

use kube::Config;
use millrace_operator::controller::{self, Controller, Known};
use millrace_operator::lease::{Election, Leadership};
use millrace_operator::metrics;
use millrace_operator::observe::Observations;
use millrace_operator::settings::Settings;
use millrace_service::{Health, Shutdown};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::FakeApi;

/// A controller at work, with its part in the election.
pub struct Operator {
    /// The API server that it works with.
    pub fake: FakeApi,
    registry: Registry,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Operator {
    pub async fn start(objects: &[(&str, Value)]) -> Self {
        let fake = FakeApi::start().await;
        objects.iter().for_each(|(path, object)| fake.put(path, object.clone()));
        Self::on(fake).await
    }

    pub async fn on(fake: FakeApi) -> Self {
        let config = Config::new(fake.url.parse().unwrap());
        let client = controller::client(&config).unwrap();
        let settings = settings();
        let registry = Registry::new();
        let (observations, changed) = Observations::new();
        let (elections, elected) = watch::channel(false);
        let (syncs, _) = watch::channel(false);
        let leadership = Leadership::default();
        let controller = Controller {
            config,
            client: client.clone(),
            settings: settings.clone(),
            observations: observations.clone(),
            changed,
            reconciles: metrics::register(&registry, observations, leadership.clone()).unwrap(),
            leadership: leadership.clone(),
            elected,
            health: Health::default(),
        };
        let stop = Shutdown::new();
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            let election = Election::new(client, &settings, leadership, elections);
            let (ran, ()) = tokio::join!(
                Box::pin(controller.run(Known::default(), syncs, stopping.clone())),
                election.keep(&stopping)
            );
            ran.unwrap();
            election.release().await;
        });
        Self {
            fake,
            registry,
            stop,
            task,
        }
    }

    /// Causes a look at the pipeline, and returns when it is done. Looks end in order, so one that began before the cause
    /// can be counted: two of them make sure.
    pub async fn look_again(&self) {
        for round in 0..2 {
            let before = self.looks();
            let neighbour = "/api/v1/namespaces/n/pods/bystander";
            let marks = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "bystander",
                    "labels": {"app.kubernetes.io/managed-by": "millrace-operator", "millrace.io/kind": "StreamPipeline"},
                    "annotations": {"millrace.io/name": "p", "round": format!("{round} {before}")},
                },
            });
            self.fake.put(neighbour, marks);
            let looked = async {
                while self.looks() == before {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), looked).await.unwrap();
        }
    }

    fn looks(&self) -> u64 {
        let families = self.registry.gather();
        let looks = families
            .iter()
            .filter(|family| family.name() == "millrace_reconciles_total");
        let counts = looks.flat_map(|family| family.get_metric());
        counts.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    pub async fn stop(self) {
        self.stop.request();
        tokio::time::timeout(Duration::from_secs(20), self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

fn settings() -> Settings {
    use clap::Parser;
    Settings::parse_from([
        "millrace-operator",
        "--namespace=system",
        "--identity=me",
        "--runner-image=millrace/runner:test",
    ])
}
