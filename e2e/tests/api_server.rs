//! An API server that refuses everything, answers late, or lets watches die without a word, under the controller as a
//! process of the host. It stays alive, comes back by itself soon, and writes no more than without a fault.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_e2e::api_proxy::{ApiProxy, Dropped, Traffic, Weather};
use millrace_e2e::eventually::eventually;
use millrace_e2e::installation::world;
use millrace_e2e::manifest::Manifest;
use millrace_e2e::operator::{Kubelet, LOST, admin, probe};
use millrace_e2e::process::Process;
use millrace_e2e::realm::{PATIENCE, Realm};
use serde_json::{Value, json};

/// Longest time from the end of a fault until everything is as it should be.
const AFTER: Duration = Duration::from_secs(30);
/// Both kinds of pipelines, seven kinds of children, and pods.
const WATCHES: usize = 10;

/// How often a request is tried before a look gives up.
const TRIES: usize = 4;

type Children = BTreeMap<String, Value>;

/// A namespace with a pipeline in it, and what a change of the pipeline does without any fault.
struct Case {
    realm: Realm,
    operator: Process,
    old: Side,
    new: Side,
}

/// One of the two specs between which the pipeline is changed.
struct Side {
    manifest: Manifest,
    children: Children,
    /// Writes of children that lead here from the other side.
    writes: Vec<String>,
}

impl Case {
    /// Starts an operator with these arguments, and changes the pipeline to and fro.
    fn new(namespace: &str, arguments: &[&str]) -> Self {
        let realm = Realm::new(world(), namespace).unwrap();
        let operator = realm.operators().with(arguments).start_leading("a").unwrap();
        let old = realm.suspended().unwrap();
        let new = old.clone().with("spec.eventTime.maxOutOfOrderness", json!("5h"));
        realm.apply(&old).unwrap();
        realm.settled().unwrap();
        let new = Side::control(&realm, new);
        let old = Side::control(&realm, old);
        assert_ne!(old.children, new.children);
        assert!(new.writes.len() >= 3, "{:?}", new.writes);
        eventually("all watches are open", PATIENCE, || {
            Ok((realm.proxy.open_watches() == WATCHES).then_some(()))
        })
        .unwrap();
        realm.proxy.restore();
        Self {
            realm,
            operator,
            old,
            new,
        }
    }

    /// Ends the fault: the change must be carried out soon, and with as many writes as without a fault.
    fn recovers(&self) {
        self.realm.proxy.set_weather(Weather::Clear);
        carried_out(&self.realm, &self.new.children, AFTER);
        self.realm.settled().unwrap();
        assert_eq!(written(&self.realm.proxy), self.new.writes);
    }

    fn end(mut self, kubelet: Kubelet) {
        let answers = kubelet.end().unwrap();
        assert!(answers.len() > 10, "{answers:?}");
        assert!(answers.iter().all(|answer| answer == "200"), "/healthz: {answers:?}");
        self.realm.delete().unwrap();
        self.operator.terminate(Duration::from_secs(10)).unwrap();
    }
}

impl Side {
    fn control(realm: &Realm, manifest: Manifest) -> Self {
        realm.proxy.restore();
        realm.apply(&manifest).unwrap();
        realm.settled().unwrap();
        Self {
            manifest,
            children: realm.children().unwrap(),
            writes: written(&realm.proxy),
        }
    }
}

/// Writes of children that succeeded, in no order.
fn written(proxy: &ApiProxy) -> Vec<String> {
    let mut written: Vec<String> = proxy
        .writes()
        .iter()
        .filter(|write| write.status.is_some_and(|status| status < 300) && !write.path.ends_with("/status"))
        .map(|write| format!("{} {}", write.method, write.path))
        .collect();
    written.sort();
    written
}

fn carried_out(realm: &Realm, children: &Children, within: Duration) {
    eventually("the change is carried out", within, || {
        Ok((realm.is_current()? && realm.children()? == *children).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {:?}", realm.proxy.writes()));
}

/// How often each of the requests was made that begin with `method`.
fn counts<'a>(traffic: &'a Traffic, method: &'a str) -> impl Iterator<Item = usize> + 'a {
    let asked = traffic.requests.iter();
    asked
        .filter(move |(title, _)| title.starts_with(method))
        .map(|(_, count)| *count)
}

/// How often it was asked whether old runners are left: the first thing that a change takes.
fn looks(traffic: &Traffic) -> usize {
    let asked = traffic.requests.iter();
    asked
        .filter(|(title, _)| title.starts_with("GET") && title.ends_with("/replicasets"))
        .map(|(_, count)| *count)
        .sum()
}

/// Nothing was asked for more often than once a second, but for the first tries, which follow each other quickly.
fn is_patient(traffic: &Traffic, during: Duration) {
    let most = during.as_secs() as usize + 4;
    assert!(
        traffic.requests.values().all(|count| *count <= most),
        "in {during:?}: {:#?}",
        traffic.requests
    );
}

#[test]
fn storm_of_refusals_is_waited_out_and_then_the_change_is_carried_out_once() {
    let mut case = Case::new("c04-storm", &[]);
    let kubelet = Kubelet::start(&mut case.operator).unwrap();
    let proxy = &case.realm.proxy;
    let began = Instant::now();
    // In the middle of the change: one write is done, the next is refused.
    proxy.storm_at(2);
    case.realm.apply(&case.new.manifest).unwrap();
    eventually("one look has failed, and the next fails", PATIENCE, || {
        let traffic = proxy.traffic();
        let refused = counts(&traffic, "PATCH").any(|count| count >= TRIES);
        Ok((refused && looks(&traffic) > 0).then_some(()))
    })
    .unwrap();
    assert_eq!(proxy.drop_watches(Dropped::Cut), WATCHES);
    eventually(
        "each watch is refused again and again, and the Lease is lost",
        PATIENCE,
        || {
            let refused = counts(&proxy.traffic(), "WATCH").filter(|count| *count >= 4).count();
            Ok((refused == WATCHES && case.operator.log().contains(LOST)).then_some(()))
        },
    )
    .unwrap();
    let traffic = proxy.traffic();
    is_patient(&traffic, began.elapsed());
    assert_eq!(traffic.refused, traffic.requests.values().sum::<usize>());
    assert_eq!(written(proxy).len(), 1, "{:?}", proxy.writes());
    assert!(!case.realm.is_current().unwrap());
    assert_ne!(case.realm.children().unwrap(), case.new.children);
    case.recovers();
    case.end(kubelet);
}

#[test]
fn late_answers_are_borne_and_then_the_change_is_carried_out_once() {
    let mut case = Case::new("c04-slow", &[]);
    let kubelet = Kubelet::start(&mut case.operator).unwrap();
    let proxy = &case.realm.proxy;
    let began = Instant::now();
    proxy.set_weather(Weather::Slow(Duration::from_secs(5)));
    case.realm.apply(&case.new.manifest).unwrap();
    // Reading and renewing the Lease takes longer than who leads may be silent.
    eventually("the change was begun, and the Lease is lost", PATIENCE, || {
        let began = looks(&proxy.traffic()) > 0;
        Ok((began && case.operator.log().contains(LOST)).then_some(()))
    })
    .unwrap();
    eventually("more is answered late", PATIENCE, || {
        Ok((proxy.traffic().delayed >= 5).then_some(()))
    })
    .unwrap();
    let traffic = proxy.traffic();
    is_patient(&traffic, began.elapsed());
    assert_eq!(traffic.delayed, traffic.requests.values().sum::<usize>());
    case.recovers();
    case.end(kubelet);
}

#[test]
fn operator_that_starts_in_a_storm_asks_less_and_less_often_and_begins_when_it_is_over() {
    let realm = Realm::new(world(), "c04-start").unwrap();
    realm.proxy.set_weather(Weather::Storm);
    let mut operator = realm.operators().start("a").unwrap();
    let (address, began) = (admin(&mut operator).unwrap(), Instant::now());
    let kubelet = Kubelet::start(&mut operator).unwrap();
    realm.apply(&realm.suspended().unwrap()).unwrap();
    eventually("each list is refused for the fifth time", PATIENCE, || {
        let lists = realm.proxy.traffic();
        let refused = lists
            .requests
            .iter()
            .filter(|(title, count)| title.starts_with("GET") && **count >= 5);
        Ok((refused.count() >= WATCHES).then_some(()))
    })
    .unwrap();
    // 1, 2, 4 and 8 s in between, each shortened by a quarter at most.
    assert!(began.elapsed() > Duration::from_secs(11), "after {:?}", began.elapsed());
    assert_eq!(probe(&address, "/readyz").unwrap(), 503);
    realm.proxy.set_weather(Weather::Clear);
    let cleared = Instant::now();
    realm.settled().unwrap();
    assert!(cleared.elapsed() < AFTER, "{:?}", cleared.elapsed());
    assert_eq!(probe(&address, "/readyz").unwrap(), 200);
    let answers = kubelet.end().unwrap();
    assert!(answers.iter().all(|answer| answer == "200"), "/healthz: {answers:?}");
    realm.delete().unwrap();
    operator.terminate(Duration::from_secs(10)).unwrap();
}

#[test]
fn dead_watches_are_replaced_twenty_times_out_of_twenty() {
    const LIFETIME: Duration = Duration::from_secs(2);
    let mut case = Case::new("c04-watches", &["--watch-lifetime", "2s"]);
    let kubelet = Kubelet::start(&mut case.operator).unwrap();
    let realm = &case.realm;
    let proxy = &realm.proxy;
    let began = Instant::now();
    proxy.set_weather(Weather::Clear);
    for round in 0..10 {
        for (how, side) in [(Dropped::Silenced, &case.new), (Dropped::Cut, &case.old)] {
            proxy.restore();
            eventually("all watches are open and dropped", PATIENCE, || {
                Ok((proxy.open_watches() == WATCHES && proxy.drop_watches(how) == WATCHES).then_some(()))
            })
            .unwrap();
            let dropped = Instant::now();
            realm.apply(&side.manifest).unwrap();
            carried_out(realm, &side.children, AFTER);
            // Whoever heard of it earlier had a watch that was not dropped.
            let late = dropped.elapsed() > Duration::from_secs(4);
            assert!(late || how == Dropped::Cut, "after {:?}", dropped.elapsed());
            assert_eq!(written(proxy), side.writes, "round {round}, {how:?}");
        }
    }
    // Each watch is asked for anew when its time is over, and when it was dropped.
    let most = began.elapsed().as_secs() / LIFETIME.as_secs() + 2 * 20;
    let traffic = proxy.traffic();
    assert!(
        counts(&traffic, "WATCH").all(|count| count as u64 <= most),
        "{traffic:#?}"
    );
    case.end(kubelet);
}
