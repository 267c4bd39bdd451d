//! A join with a topic as table on a real broker: updates and deletions before the first runner, runners that are killed,
//! and changes while one works. Judged by a reader of committed records against names written down by hand.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millrace_e2e::broker::shared;
use millrace_e2e::client::{Message, Stored};
use millrace_e2e::compare::{outcomes, same_multiset, same_order_per_key};
use millrace_e2e::eventually::eventually;
use millrace_e2e::flights::{self, Flight};
use millrace_e2e::manifest::Manifest;
use millrace_e2e::oracle::Outcome;
use millrace_e2e::programs::Runner;
use millrace_e2e::scenario::{PARTITIONS, Scenario};

const CARRIERS: [&str; 16] = [
    "9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV",
];
const PATIENCE: Duration = Duration::from_secs(60);

type Names = BTreeMap<String, String>;

fn change(carrier: &str, name: Option<&str>) -> Message {
    let value = name.map(|name| format!(r#"{{"carrier":"{carrier}","airline":{{"name":"{name}"}}}}"#));
    Message {
        key: Some(carrier.as_bytes().to_vec()),
        value: value.map(String::into_bytes),
        timestamp: 1,
        ..Message::default()
    }
}

/// Every carrier has a name, then another one; of some the row is deleted, of one it is there again. What fits no row
/// changes nothing.
fn first_changes() -> (Vec<Message>, Names) {
    let mut changes: Vec<Message> = CARRIERS.iter().map(|carrier| change(carrier, Some("before"))).collect();
    let mut names = Names::new();
    for carrier in CARRIERS {
        let name = format!("{carrier} {carrier}");
        changes.push(change(carrier, Some(&name)));
        names.insert(carrier.to_owned(), name);
    }
    for carrier in ["UA", "B6", "MQ"] {
        changes.push(change(carrier, None));
        names.remove(carrier);
    }
    changes.push(change("B6", Some("again")));
    names.insert("B6".to_owned(), "again".to_owned());
    changes.push(Message {
        value: Some(br#"{"carrier":"DL"}"#.to_vec()),
        ..change("DL", None)
    });
    (changes, names)
}

fn expected(input: &[Stored], names: &Names) -> Vec<Outcome> {
    let outcome = |record: &Stored| {
        let flight: Flight = serde_json::from_str(record.text()).unwrap();
        let name = names
            .get(&flight.carrier)
            .map_or("null".to_owned(), |name| format!("\"{name}\""));
        let Flight {
            ts,
            carrier,
            flight,
            dest,
            ..
        } = flight;
        Outcome {
            value: format!(r#"{{"ts":{ts},"carrier":"{carrier}","flight":{flight},"dest":"{dest}","airline":{name}}}"#),
            key: carrier,
        }
    };
    input.iter().map(outcome).collect()
}

fn scenario(name: &str) -> Scenario {
    let broker = shared();
    let manifest = Manifest::example("16-table-topic/pipeline.yaml").unwrap();
    Scenario::new(manifest, broker.client(), broker.bootstrap(), "flights-named", name).unwrap()
}

fn changes_taken(runner: &mut Runner) -> f64 {
    runner.metric("stream_table_changes_total").unwrap().unwrap_or_default()
}

#[test]
fn every_record_finds_the_row_of_its_time_once_though_runners_are_killed() {
    let client = shared().client();
    client.create_topic("flights-named", PARTITIONS).unwrap();
    client.create_topic("airlines", 3).unwrap();
    let (changes, mut names) = first_changes();
    client.write("airlines", changes).unwrap();

    let disturbed = scenario("named");
    disturbed.run_with_faults().unwrap().check().unwrap();
    let input = disturbed.input().unwrap();
    let first = expected(&input, &names);
    let found = outcomes(&disturbed.output().unwrap());
    same_multiset(&found, &first).unwrap();
    same_order_per_key(&found, &first).unwrap();
    assert_eq!(disturbed.aside("dead").unwrap(), []);
    let control = scenario("named-control");
    control.run_undisturbed().unwrap();
    same_multiset(outcomes(&control.output().unwrap()), first.clone()).unwrap();

    // A change while nobody runs, and one that a runner sees while it works.
    client.write("airlines", [change("UA", Some("back"))]).unwrap();
    let mut runner = disturbed.runners().start("runner-0").unwrap();
    runner.wait_until_ready(PATIENCE).unwrap();
    assert_eq!(runner.metric("stream_table_rows").unwrap(), Some(15.0));
    assert_eq!(runner.metric("stream_table_errors_total").unwrap(), Some(1.0));
    let before = changes_taken(&mut runner);
    client
        .write("airlines", [change("AA", None), change("MQ", Some("new"))])
        .unwrap();
    eventually("the runner takes both changes", PATIENCE, || {
        Ok((changes_taken(&mut runner) == before + 2.0).then_some(()))
    })
    .unwrap();
    names.insert("UA".to_owned(), "back".to_owned());
    names.insert("MQ".to_owned(), "new".to_owned());
    names.remove("AA");
    let lines = flights::january().unwrap();
    let again = lines[..2000].iter().map(|line| flights::message(line).unwrap());
    client.write("flights-named", again).unwrap();
    disturbed.wait_until_caught_up().unwrap();
    let known: BTreeSet<(i32, i64)> = input.iter().map(|record| (record.partition, record.offset)).collect();
    let mut later = disturbed.input().unwrap();
    later.retain(|record| !known.contains(&(record.partition, record.offset)));
    assert_eq!(later.len(), 2000);
    let all = first.into_iter().chain(expected(&later, &names));
    same_multiset(outcomes(&disturbed.output().unwrap()), all).unwrap();
    assert!(runner.process.terminate(Duration::from_secs(30)).unwrap().success());
}

#[test]
fn a_runner_waits_for_a_table_that_is_missing_and_says_so() {
    let broker = shared();
    broker.client().create_topic("flights-unnamed", PARTITIONS).unwrap();
    let manifest = Manifest::example("16-table-topic/pipeline.yaml").unwrap();
    let mut text: serde_json::Value = serde_json::from_str(&manifest.to_string()).unwrap();
    text["spec"]["operators"][0]["join"]["table"]["topic"]["name"] = "nowhere".into();
    let manifest = manifest.with("spec.operators", text["spec"]["operators"].take());
    let scenario = Scenario::new(
        manifest,
        broker.client(),
        broker.bootstrap(),
        "flights-unnamed",
        "unnamed",
    )
    .unwrap();
    let mut runner = scenario.runners().start("runner-0").unwrap();
    eventually("the runner says what is missing", PATIENCE, || {
        Ok(runner
            .process
            .log()
            .contains("table topic nowhere does not exist")
            .then_some(()))
    })
    .unwrap();
    assert_eq!(runner.get("/readyz").unwrap().0, 503);
    broker.client().create_topic("nowhere", 1).unwrap();
    runner.wait_until_ready(PATIENCE).unwrap();
    assert!(runner.process.terminate(Duration::from_secs(30)).unwrap().success());
}
