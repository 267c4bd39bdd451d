//! Whole topics read without a group.

use millrace_connect::kafka::{KafkaFollower, KafkaRecords, Settings};
use millrace_connect::{Connector, Follower, Producer, Records};
use std::time::{Duration, Instant};

use crate::{Job, LIMIT};

fn values(records: &KafkaRecords) -> Vec<String> {
    let value = |at| String::from_utf8(records.get(at).value.unwrap().to_vec()).unwrap();
    (0..records.len()).map(value).collect()
}

/// What comes until there is `enough`.
fn read(follower: &mut KafkaFollower, enough: impl Fn(&KafkaFollower, &[String]) -> bool) -> Vec<String> {
    let (mut seen, deadline) = (Vec::new(), Instant::now() + LIMIT);
    while !enough(follower, &seen) {
        assert!(Instant::now() < deadline, "too little: {seen:?}");
        if let Some(records) = follower.poll(Duration::from_millis(100)).unwrap() {
            seen.extend(values(&records));
        }
    }
    seen
}

fn send(producer: &mut impl Producer, value: &str) {
    producer.send(0, 0, crate::value(value)).unwrap();
}

#[test]
fn a_topic_is_read_to_its_end_over_markers_and_aborted_records_and_then_on() {
    let Some(job) = Job::with("follow", 2, Settings::default()) else {
        return;
    };
    job.feed(0, (0..5000).map(|at| format!("a{at}")));
    job.feed(1, ["b".to_owned()]);
    let mut producer = job.feeder("feeder");
    send(&mut producer, "never");
    producer.abort().unwrap();
    let mut follower = job.connector.open_follower(&job.connector_sources()).unwrap();
    assert!(!follower.is_at_the_end());
    let mut seen = read(&mut follower, |follower, _| follower.is_at_the_end());
    seen.sort();
    let mut expected: Vec<String> = (0..5000).map(|at| format!("a{at}")).chain(["b".to_owned()]).collect();
    expected.sort();
    assert_eq!(seen, expected);
    // What is open is not seen before it is committed.
    let mut producer = job.feeder("feeder");
    send(&mut producer, "open");
    job.feed(1, ["later".to_owned()]);
    assert_eq!(read(&mut follower, |_, seen| !seen.is_empty()), ["later"]);
    drop(producer);
}

#[test]
fn a_topic_without_records_is_at_its_end_at_once_and_one_that_is_missing_is_named() {
    let Some(job) = Job::with("follow-empty", 2, Settings::default()) else {
        return;
    };
    let mut follower = job.connector.open_follower(&job.connector_sources()).unwrap();
    assert!(follower.is_at_the_end());
    assert!(follower.poll(Duration::ZERO).unwrap().is_none());
    let missing = [millrace_plan::TopicName::parse("follow-nowhere").unwrap()];
    let error = job.connector.open_follower(&missing).err().unwrap();
    assert_eq!(error.message, "table topic follow-nowhere does not exist");
}
