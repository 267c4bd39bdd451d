//! The whole observation, with runners that are HTTP servers of the test. No broker: `tests/kafka.rs` has one.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

use super::scrape::scrape;
use super::testing::{CREDENTIALS, plan, subject};
use super::*;

const LIMIT: Duration = Duration::from_secs(20);
async fn serve<F, A>(answer: F) -> SocketAddr
where
    F: Fn() -> A + Clone + Send + Sync + 'static,
    A: Future<Output = String> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route(millrace_report::PATH, get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn runner(pod: &str, address: SocketAddr) -> RunnerAddress {
    RunnerAddress {
        pod: pod.to_owned(),
        address: address.to_string(),
    }
}

fn start() -> (Observations, UnboundedReceiver<ObjectKey>, Shutdown) {
    let (observations, worth_a_look) = Observations::new();
    let shutdown = Shutdown::new();
    tokio::spawn(observations.clone().run(Duration::from_millis(500), shutdown.clone()));
    (observations, worth_a_look, shutdown)
}

/// Waits for the observation of `key` that `made` makes something of.
async fn until<T>(observations: &Observations, key: &ObjectKey, made: impl Fn(&Observation) -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = observations.get(key).and_then(|of| made(&of)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(LIMIT, wait).await;
    found.unwrap_or_else(|_| panic!("within {LIMIT:?} only {:?} was seen", observations.get(key)))
}

#[tokio::test]
async fn what_runners_count_becomes_rates_and_news() {
    let begun = std::time::Instant::now();
    let address = serve(move || async move {
        let read = begun.elapsed().as_millis();
        format!(
            r#"{{"runner":"x","startedAt":1,"read":{read},"written":0,"late":3,"dead":0,"failedCommits":0,"committedAt":77000,
               "partitions":[{{"topic":"in","partition":0,"position":9,"read":9,"lagRecords":4,"watermark":50,"new":true}}]}}"#
        )
    })
    .await;
    let (observations, mut worth_a_look, shutdown) = start();
    let subject = subject("p", plan("p", "b:9092", "in", CREDENTIALS), &[runner("a", address)]);
    let key = subject.key.clone();
    observations.watch(subject);
    assert_eq!(
        tokio::time::timeout(LIMIT, worth_a_look.recv()).await.unwrap(),
        Some(key.clone())
    );
    let rate = until(&observations, &key, |of| of.throughput).await;
    assert!(
        (900.0..1100.0).contains(&rate.read),
        "{rate:?} and not one a millisecond"
    );
    let seen = observations.get(&key).unwrap();
    assert_eq!(
        (seen.watermark, seen.committed_at, seen.late),
        (Some(50), Some(77_000), 0)
    );
    assert_eq!(seen.lag.map(|lag| lag.records), Some(4));
    assert_eq!(observations.totals(&key, None).late, 3);
    observations.forget(&key);
    assert!(observations.all().is_empty());
    shutdown.request();
}

#[tokio::test]
async fn a_broker_that_is_silent_is_told_and_keeps_nobody_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (observations, _worth_a_look, shutdown) = start();
    let slow = subject("slow", plan("slow", &address, "in", ""), &[]);
    let slow_too = subject("slow-too", plan("slow-too", &address, "other", ""), &[]);
    let quick = subject("quick", plan("quick", "b:9092", "in", CREDENTIALS), &[]);
    let keys = [slow.key.clone(), slow_too.key.clone(), quick.key.clone()];
    let begun = Instant::now();
    for subject in [slow, slow_too, quick] {
        observations.watch(subject);
    }
    until(&observations, &keys[2], |of| of.source.clone()).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for key in &keys[..2] {
        let source = until(&observations, key, |of| of.source.clone()).await;
        assert!(
            matches!(&source, SourceState::Unreachable(why) if why.contains(&address)),
            "{source:?}"
        );
        assert_eq!(observations.get(key).unwrap().lag, None);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "one time-out for both: {:?}",
        begun.elapsed()
    );
    shutdown.request();
}

#[tokio::test]
async fn runners_that_answer_too_late_too_much_or_nonsense_are_not_heard() {
    let huge = serve(|| async { format!(r#"{{"runner":"{}"}}"#, "x".repeat(2 << 20)) }).await;
    let nonsense = serve(|| async { "<html>".to_owned() }).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = serve(|| async { serde_json::to_string(&Report::default()).unwrap() }).await;
    for address in [huge, nonsense, silent.local_addr().unwrap()] {
        let begun = Instant::now();
        assert!(scrape(&address.to_string()).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
    assert!(scrape("127.0.0.1:1").await.is_err());
    assert_eq!(scrape(&good.to_string()).await.unwrap(), Report::default());
}

#[tokio::test]
async fn an_object_of_the_same_name_is_another_one() {
    let (observations, _worth_a_look) = Observations::new();
    let key = testing::watch(&observations, "p");
    testing::broker_says(&observations, &key, Some((3, None)));
    assert!(observations.get(&key).is_some());
    let mut other = subject("p", plan("p", "broker:9092", "in", ""), &[]);
    other.uid = "another".to_owned();
    observations.watch(other);
    assert!(observations.get(&key).is_none());
    testing::broker_says(&observations, &key, Some((3, None)));
    assert!(observations.get(&key).is_none(), "an answer about the one that is gone");
}
