//! Two topics of a real broker joined by runners that are killed: each departure comes out with every landing that belongs to
//! it, once, and alone if there is none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};

use millrace_e2e::broker::shared;
use millrace_e2e::client::Message;
use millrace_e2e::compare::same_multiset;
use millrace_e2e::flights::{self, Flight};
use millrace_e2e::manifest::Manifest;
use millrace_e2e::scenario::{PARTITIONS, Scenario};
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;

/// Carrier, flight number, departure and landing; what has no partner has none.
type Pair = (String, i64, Option<i64>, Option<i64>);

/// The landings of January, but for every seventh, and some of flights that did not depart.
fn landings() -> Vec<(String, i64, i64)> {
    let flights = flights::january().unwrap();
    let landed = |(at, line): (usize, &String)| {
        let flight: Flight = serde_json::from_str(line).unwrap();
        let minutes = flight.dep_delay? + flight.air_time?;
        let number = if at % 11 == 0 { -flight.flight } else { flight.flight };
        (at % 7 != 0).then(|| (flight.carrier, number, flight.ts + minutes * 60_000))
    };
    let mut landings: Vec<_> = flights.iter().enumerate().filter_map(landed).collect();
    landings.sort_by_key(|(_, _, landed)| *landed);
    landings
}

fn message((carrier, number, landed): &(String, i64, i64), partition: Option<i32>) -> Message {
    let value = json!({"carrier": carrier, "number": number, "landed": landed});
    Message {
        // Another key than the departures have.
        key: Some(number.to_string().into_bytes()),
        value: Some(value.to_string().into_bytes()),
        timestamp: *landed,
        partition,
        ..Message::default()
    }
}

/// All pairs and all that have no partner, of departures and landings as they are known here.
fn expected(landings: &[(String, i64, i64)]) -> Vec<Pair> {
    let mut by_flight: BTreeMap<(&str, i64), Vec<i64>> = BTreeMap::new();
    for (carrier, number, landed) in landings {
        by_flight.entry((carrier, *number)).or_default().push(*landed);
    }
    let mut matched = BTreeSet::new();
    let mut pairs = Vec::new();
    for line in flights::january().unwrap() {
        let flight: Flight = serde_json::from_str(&line).unwrap();
        let times = by_flight.get(&(flight.carrier.as_str(), flight.flight));
        let in_bounds = |landed: &&i64| (flight.ts..=flight.ts + 18 * HOUR).contains(*landed);
        let found: Vec<i64> = times.into_iter().flatten().filter(in_bounds).copied().collect();
        for landed in &found {
            matched.insert((flight.carrier.clone(), flight.flight, *landed));
            pairs.push((flight.carrier.clone(), flight.flight, Some(flight.ts), Some(*landed)));
        }
        if found.is_empty() {
            pairs.push((flight.carrier, flight.flight, Some(flight.ts), None));
        }
    }
    let alone = landings.iter().filter(|landing| !matched.contains(*landing));
    pairs.extend(alone.map(|(carrier, number, landed)| (carrier.clone(), *number, None, Some(*landed))));
    pairs
}

/// The scenario `name`, whose landings are there already, with the records that close them.
fn scenario(name: &str, landings: &[(String, i64, i64)]) -> Scenario {
    let (source, other) = (format!("flights-{name}"), format!("landings-{name}"));
    let client = shared().client();
    client.create_topic(&source, PARTITIONS).unwrap();
    client.create_topic(&other, 2).unwrap();
    let end = ("YY".to_owned(), 0, 1_362_096_000_000);
    client
        .write(&other, landings.iter().map(|landing| message(landing, None)))
        .unwrap();
    client
        .write(&other, (0..2).map(|partition| message(&end, Some(partition))))
        .unwrap();
    let schema = json!({"fields": [
        {"name": "carrier", "type": "string"},
        {"name": "number", "type": "int64"},
        {"name": "landed", "type": "timestamp"},
    ]});
    let stream = json!({
        "name": "landings",
        "source": {"kafka": {"topics": [other]}},
        "schema": schema,
        "eventTime": {"field": "landed"},
    });
    let join = json!({
        "stream": stream,
        "match": [{"field": "carrier"}, {"field": "flight", "equals": "number"}],
        "type": "outer",
        "within": {"before": "0s", "after": "18h"},
    });
    let manifest = Manifest::example("13-join-streams/pipeline.yaml").unwrap();
    let manifest = manifest.with("spec.operators", json!([{"name": "landed", "join": join}]));
    Scenario::new(manifest, client, shared().bootstrap(), &source, name).unwrap()
}

/// All results but those of the records that close the topics.
fn written(scenario: &Scenario) -> Vec<Pair> {
    let pair = |value: Value| {
        let carrier = value["carrier"].as_str().unwrap().to_owned();
        let whole = |name: &str| value[name].as_i64();
        (carrier, whole("flight").unwrap(), whole("ts"), whole("landed"))
    };
    let results = scenario.output().unwrap();
    let values = results
        .iter()
        .map(|stored| serde_json::from_str(stored.text()).unwrap());
    values
        .map(pair)
        .filter(|(carrier, ..)| carrier != "ZZ" && carrier != "YY")
        .collect()
}

#[test]
fn killed_runners_lose_no_pair_and_write_none_twice() {
    let landings = landings();
    let scenario = scenario("joined", &landings);
    scenario.run_with_faults().unwrap().check().unwrap();
    scenario.catch_up_on("millrace-joined-landed").unwrap();
    let expected = expected(&landings);
    let alone = expected
        .iter()
        .filter(|pair| pair.2.is_none() || pair.3.is_none())
        .count();
    assert!(alone > 3_000, "{alone}");
    same_multiset(written(&scenario), expected).unwrap();
    scenario.check_no_transaction_hangs().unwrap();
}

#[test]
fn undisturbed_runners_give_the_same() {
    let landings = landings();
    let scenario = scenario("joined-calm", &landings);
    let lines = flights::january().unwrap();
    let departures = lines.iter().map(|line| flights::message(line).unwrap());
    shared().client().write(&scenario.source, departures).unwrap();
    shared()
        .client()
        .write(&scenario.source, flights::closing(PARTITIONS))
        .unwrap();
    scenario.run_undisturbed().unwrap();
    scenario.catch_up_on("landings-joined-calm").unwrap();
    scenario.catch_up_on("millrace-joined-calm-landed").unwrap();
    same_multiset(written(&scenario), expected(&landings)).unwrap();
}
