//! One replica of the operator, as far as it serves.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::Parser;
use millrace_crds::manifest::Manifest;
use millrace_operator::key::ObjectKey;
use millrace_operator::observe::{Lag, Observation, SourceState};
use millrace_operator::serving::{Metrics, Serving, Standing, serve};
use millrace_operator::settings::Settings;
use millrace_service::Shutdown;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::caller::{Answer, Client, call, get};
use crate::cluster::{Cluster, NAMESPACE, SERVICE, WEBHOOKS};

pub const METRIC: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/millrace_lag_records";

/// A replica that runs until it is dropped.
pub struct Replica {
    pub address: SocketAddr,
    pub standing: watch::Receiver<Standing>,
    pub observed: Arc<Mutex<HashMap<String, Arc<Observation>>>>,
    pub registry: Registry,
    shutdown: Shutdown,
}

impl Replica {
    /// Starts one that knows the pipelines `orders` (3 records behind, 2 s) and `returns` (not behind) of namespace
    /// `shop`.
    pub async fn start(cluster: &Cluster, lifetime: &str) -> Self {
        let observed = HashMap::from([("orders".to_owned(), lag(3, 2)), ("returns".to_owned(), lag(0, 0))]);
        let observed = Arc::new(Mutex::new(observed));
        let seen = Arc::clone(&observed);
        let (standing, watched) = watch::channel(Standing::default());
        let (shutdown, registry) = (Shutdown::new(), Registry::new());
        let serving = Serving {
            client: cluster.client().await,
            settings: settings(lifetime),
            latest: Arc::new(move |key: &ObjectKey| seen.lock().unwrap().get(&key.name).cloned()),
            manifests: Arc::new(|namespace| match namespace {
                "shop" => manifests(),
                _ => Vec::new(),
            }),
            metrics: Metrics::register(&registry).unwrap(),
            standing,
            shutdown: shutdown.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(serving, listener));
        Self {
            address,
            standing: watched,
            observed,
            registry,
            shutdown,
        }
    }

    /// Starts one and waits until it has done what it can for being trusted.
    pub async fn settled(cluster: &Cluster, lifetime: &str) -> Self {
        let mut replica = Self::start(cluster, lifetime).await;
        let settled = replica.standing.wait_for(|standing| standing.settled);
        tokio::time::timeout(std::time::Duration::from_secs(20), settled)
            .await
            .unwrap()
            .unwrap();
        replica
    }

    /// A GET as that client in the name of that user.
    pub async fn get(&self, cluster: &Cluster, client: &Client, user: &str, path: &str) -> Answer {
        let headers = [("x-remote-user", user), ("x-remote-group", "system:authenticated")];
        call(self.address, &cluster.bundle(), client, get(path, &headers))
            .await
            .unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

/// An observation of now.
pub fn lag(records: i64, seconds: i64) -> Arc<Observation> {
    Arc::new(Observation {
        source: Some(SourceState::Reachable),
        lag: Some(Lag {
            records,
            seconds: Some(seconds),
        }),
        lag_at: Some(Instant::now()),
        ..Observation::default()
    })
}

fn settings(lifetime: &str) -> Settings {
    let arguments = [
        "millrace-operator",
        "--namespace",
        NAMESPACE,
        "--service",
        SERVICE,
        "--identity",
        "a",
        "--runner-image",
        "i",
        "--external-metrics",
        "--webhook",
        WEBHOOKS,
        "--certificate-lifetime",
        lifetime,
    ];
    Settings::try_parse_from(arguments).unwrap()
}

fn manifests() -> Vec<Manifest> {
    let one = |name: &str| {
        format!(
            r#"
apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}, namespace: shop}}
spec:
  source: {{kafka: {{bootstrapServers: ["kafka:9092"], topics: [{name}]}}}}
  schema: {{fields: [{{name: id, type: string}}]}}
  sinks: [{{name: out, kafka: {{topic: {name}-out}}}}]
"#
        )
    };
    millrace_plan::load(&[one("orders"), one("returns")].join("---\n")).unwrap()
}
