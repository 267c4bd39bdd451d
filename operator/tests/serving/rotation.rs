//! Certificates that change under requests.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use prometheus::TextEncoder;

use crate::caller::{Authority, Client, call, get};
use crate::cluster::{Cluster, SERVICE};
use crate::eventually::eventually;
use crate::replica::Replica;

/// Five requests a second for that long, each trusting what was published at the time of the request before. Returns
/// how many different certificates were seen.
async fn ask_on(replicas: &[&Replica], cluster: &Cluster, time: Duration) -> usize {
    let started = Instant::now();
    let mut seen = HashSet::new();
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    let mut bundle = cluster.bundle();
    let mut webhook_bundle = cluster.webhook_bundle();
    while started.elapsed() < time {
        pace.tick().await;
        for replica in replicas {
            for trusted in [&bundle, &webhook_bundle] {
                let answer = call(replica.address, trusted, &Client::nobody(), get("/livez", &[])).await;
                let answer = answer.unwrap_or_else(|error| panic!("after {:?}: {error}", started.elapsed()));
                assert_eq!(answer.code, StatusCode::OK);
                seen.insert(answer.certificate.to_vec());
            }
        }
        (bundle, webhook_bundle) = (cluster.bundle(), cluster.webhook_bundle());
    }
    seen.len()
}

fn cluster() -> Cluster {
    Cluster::new(SERVICE, &Authority::new("front-proxy").pem)
}

#[tokio::test]
async fn no_request_fails_while_certificates_change() {
    let cluster = cluster();
    let replica = Replica::settled(&cluster, "6s").await;
    // Renewed every 3 s.
    let seen = ask_on(&[&replica], &cluster, Duration::from_secs(14)).await;
    assert!((4..=6).contains(&seen), "{seen} certificates");
    let held = String::from_utf8(cluster.bundle())
        .unwrap()
        .matches("BEGIN CERTIFICATE")
        .count();
    assert!((2..=6).contains(&held), "{held} authorities");
}

#[tokio::test]
async fn without_a_renewal_the_certificate_stays_and_nothing_is_written() {
    let cluster = cluster();
    let replica = Replica::settled(&cluster, "24h").await;
    let writes = cluster.writes();
    assert_eq!(ask_on(&[&replica], &cluster, Duration::from_secs(3)).await, 1);
    assert_eq!((cluster.writes(), writes), (2, 2), "one to each object");
}

#[tokio::test]
async fn replicas_add_to_the_same_bundle_without_losing_each_other() {
    let cluster = cluster();
    let starting = [
        Replica::settled(&cluster, "6s"),
        Replica::settled(&cluster, "6s"),
        Replica::settled(&cluster, "6s"),
    ];
    let replicas = futures::future::join_all(starting).await;
    let replicas: Vec<_> = replicas.iter().collect();
    let seen = ask_on(&replicas, &cluster, Duration::from_secs(7)).await;
    assert!(seen >= 6, "{seen} certificates of 3 replicas");
    assert!(cluster.conflicts() > 0, "they wrote at once");
}

#[tokio::test]
async fn a_bundle_that_somebody_emptied_is_filled_again() {
    let cluster = cluster();
    let replica = Replica::settled(&cluster, "16s").await;
    cluster.reset_bundle();
    let refused = call(
        replica.address,
        &cluster.bundle(),
        &Client::nobody(),
        get("/livez", &[]),
    )
    .await;
    assert!(refused.is_err(), "the reset had an effect");
    eventually("it is trusted again", Duration::from_secs(5), async || {
        call(
            replica.address,
            &cluster.bundle(),
            &Client::nobody(),
            get("/livez", &[]),
        )
        .await
        .ok()
    })
    .await;
}

#[tokio::test]
async fn an_api_that_somebody_else_serves_is_left_alone() {
    let cluster = Cluster::new("other-adapter", &Authority::new("front-proxy").pem);
    let before = cluster.api_service();
    let replica = Replica::settled(&cluster, "6s").await;
    let troubles = replica.standing.borrow().troubles.clone();
    assert_eq!(troubles.len(), 1);
    assert!(
        troubles[0].contains("is served by millrace-system/other-adapter already"),
        "{}",
        troubles[0]
    );
    assert_eq!(cluster.api_service(), before);
    // The webhook is ours all the same.
    let metrics = TextEncoder::new().encode_to_string(&replica.registry.gather()).unwrap();
    for (registration, ours) in [("external_metrics", 0), ("webhook", 1)] {
        let line = format!("millrace_serving_registered{{registration=\"{registration}\"}} {ours}");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(!cluster.webhook_bundle().is_empty());
    let name = &cluster.webhooks()["webhooks"][0]["name"];
    assert_eq!(name, "validating.millrace.io");
}
