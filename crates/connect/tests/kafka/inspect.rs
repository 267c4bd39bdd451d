//! What the inspector says of a real broker.

use super::*;
use millrace_connect::kafka::{Extent, InspectError, Inspector, Place};
use rdkafka::TopicPartitionList;

fn inspector(bootstrap: &str) -> Inspector {
    let connection = Connection {
        bootstrap_servers: vec![bootstrap.to_owned()],
        security: Security::default(),
    };
    let settings = Settings {
        request_timeout: Duration::from_secs(5),
        ..Settings::default()
    };
    Inspector::open(&connection, &settings).unwrap()
}

fn group(job: &Job) -> GroupId {
    GroupId::parse(&job.name).unwrap()
}

fn extents(job: &Job) -> Vec<(i32, i64, i64, Option<i64>)> {
    let found = inspector(&job.bootstrap)
        .extents(&job.connector_sources(), &group(job))
        .unwrap();
    let each = |of: &Extent| {
        assert_eq!(of.topic, format!("{}-in", job.name));
        (of.partition, of.start, of.end, of.committed)
    };
    found.iter().map(each).collect()
}

/// Markers that end a transaction are written after its commit was acknowledged.
fn soon(job: &Job, expected: &[(i32, i64, i64, Option<i64>)]) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let found = extents(job);
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} is still not {expected:?}");
    }
}

fn place(job: &Job, partition: i32, offset: i64) -> Place {
    let topic = format!("{}-in", job.name);
    Place {
        topic,
        partition,
        offset,
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn at_time(timestamp: i64) -> Delivered<'static> {
    Delivered {
        value: Some(b"x"),
        timestamp,
        ..Delivered::default()
    }
}

/// Deletes what lies before `offset`, as retention would.
fn delete_before(job: &Job, partition: i32, offset: i64) {
    let mut list = TopicPartitionList::new();
    let (topic, before) = (format!("{}-in", job.name), rdkafka::Offset::Offset(offset));
    list.add_partition_offset(&topic, partition, before).unwrap();
    futures::executor::block_on(admin(&job.bootstrap).delete_records(&list, &AdminOptions::new())).unwrap();
}

#[test]
fn extent_holds_aborted_records_and_markers_and_what_the_group_has_committed() {
    let Some(job) = Job::new("extent", 2) else { return };
    assert_eq!(extents(&job), [(0, 0, 0, None), (1, 0, 0, None)]);
    let mut consumer = running(&job.connector);
    let mut feeder = job.feeder("feeder");
    feeder.send(0, 0, value("aborted")).unwrap();
    acknowledged(&mut feeder);
    feeder.abort().unwrap();
    feeder.send(0, 0, value("committed")).unwrap();
    feeder.commit(&[], &consumer.membership().unwrap()).unwrap();
    soon(&job, &[(0, 0, 4, None), (1, 0, 0, None)]);
    // What a runner does at the end: it commits the position behind the markers.
    let end = until(&mut consumer, "the end", |_, event| match event {
        Event::Records(records) => (records.next_offset() == 4).then_some(4),
        _ => None,
    });
    let membership = consumer.membership().unwrap();
    job.producer().commit(&[at(0, end, "mr1;-")], &membership).unwrap();
    soon(&job, &[(0, 0, 4, Some(4)), (1, 0, 0, None)]);
}

#[test]
fn open_transaction_is_not_in_the_extent_and_a_pending_commit_counts_for_nothing() {
    let Some(job) = Job::new("extent-open", 1) else { return };
    job.feed(0, ["x".to_owned()]);
    let mut consumer = running(&job.connector);
    let membership = consumer.membership().unwrap();
    job.producer().commit(&[at(0, 1, "")], &membership).unwrap();
    let mut feeder = job.feeder("feeder");
    feeder.send(0, 0, value("open")).unwrap();
    acknowledged(&mut feeder);
    job.feed(0, ["behind it".to_owned()]);
    soon(&job, &[(0, 0, 1, Some(1))]);
    feeder.commit(&[at(0, 2, "")], &membership).unwrap();
    // The control: the same records, once the transaction has ended.
    soon(&job, &[(0, 0, 4, Some(2))]);
}

#[test]
fn deleted_records_move_the_start_above_what_is_committed() {
    let Some(job) = Job::new("extent-deleted", 1) else {
        return;
    };
    job.feed(0, (0..10).map(|number| number.to_string()));
    let mut consumer = running(&job.connector);
    let membership = consumer.membership().unwrap();
    job.producer().commit(&[at(0, 2, "")], &membership).unwrap();
    soon(&job, &[(0, 0, 10, Some(2))]);
    delete_before(&job, 0, 5);
    assert_eq!(extents(&job), [(0, 5, 10, Some(2))]);
    let times = inspector(&job.bootstrap).written_at(&[place(&job, 0, 2)]);
    assert_eq!(times, [None], "what is gone has no time");
}

#[test]
fn first_record_of_every_partition_tells_its_time_and_aborted_ones_do_not_count() {
    let Some(job) = Job::new("extent-times", 20) else {
        return;
    };
    let start = now() - 100_000;
    let mut consumer = job.connector.open_consumer().unwrap();
    let membership = consumer.membership().unwrap();
    let mut feeder = job.feeder("feeder");
    feeder.send(0, 0, at_time(start - 50_000)).unwrap();
    acknowledged(&mut feeder);
    feeder.abort().unwrap();
    for partition in 0..19 {
        for record in 0..500 {
            let time = start + i64::from(partition) * 1000 + record;
            feeder.send(0, partition, at_time(time)).unwrap();
        }
    }
    feeder.commit(&[], &membership).unwrap();
    let full = |partition| (partition, 0, if partition == 0 { 503 } else { 501 }, None);
    soon(&job, &(0..19).map(full).chain([(19, 0, 0, None)]).collect::<Vec<_>>());
    // Partition 19 is empty; partition 0 begins with an aborted record and its marker.
    let inspector = inspector(&job.bootstrap);
    let places: Vec<Place> = (0..20).map(|partition| place(&job, partition, 0)).collect();
    let first: Vec<Option<i64>> = (0..20)
        .map(|partition| (partition < 19).then_some(start + partition * 1000))
        .collect();
    assert_eq!(inspector.written_at(&places), first);
    let later = [place(&job, 3, 321), place(&job, 0, 2), place(&job, 4, 500)];
    let expected = [Some(start + 3321), Some(start), None];
    assert_eq!(inspector.written_at(&later), expected, "the same client, other places");
}

#[test]
fn one_client_answers_for_many_groups_and_topics() {
    let (Some(one), Some(other)) = (Job::new("extent-one", 3), Job::new("extent-other", 1)) else {
        return;
    };
    one.feed(2, (0..7).map(|number| number.to_string()));
    let mut consumer = running(&other.connector);
    let membership = consumer.membership().unwrap();
    other.producer().commit(&[at(0, 0, "")], &membership).unwrap();
    let inspector = inspector(&one.bootstrap);
    let topics = [one.connector_sources(), other.connector_sources()].concat();
    let all = |group| {
        let found = inspector.extents(&topics, &group).unwrap();
        let each = |of: &Extent| (of.partition, of.end - of.start, of.committed);
        found.iter().map(each).collect::<Vec<_>>()
    };
    assert_eq!(
        all(group(&one)),
        [(0, 0, None), (1, 0, None), (2, 7, None), (0, 0, None)]
    );
    let deadline = Instant::now() + LIMIT;
    while all(group(&other)) != [(0, 0, None), (1, 0, None), (2, 7, None), (0, 0, Some(0))] {
        assert!(Instant::now() < deadline, "{:?}", all(group(&other)));
    }
}

#[test]
fn missing_topic_is_named_and_not_created_by_asking() {
    let Some(job) = Job::new("extent-missing", 1) else {
        return;
    };
    let missing = TopicName::parse(&format!("{}-none", job.name)).unwrap();
    let topics = [job.connector_sources(), vec![missing.clone()]].concat();
    let inspector = inspector(&job.bootstrap);
    for _ in 0..2 {
        let error = inspector.extents(&topics, &group(&job)).unwrap_err();
        assert!(
            matches!(&error, InspectError::TopicMissing(why) if why.contains(missing.as_str())),
            "{error}"
        );
    }
    create(&job.bootstrap, missing.as_str(), 1);
    let deadline = Instant::now() + LIMIT;
    while inspector.extents(&topics, &group(&job)).is_err() {
        assert!(Instant::now() < deadline, "the topic that was made is seen");
    }
}

#[test]
fn unreachable_broker_is_told_within_the_time_given_and_its_return_is_seen() {
    let Some(job) = Job::new("extent-away", 1) else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    for nowhere in ["127.0.0.1:1", "nowhere.invalid:9092", &silent] {
        let started = Instant::now();
        let error = inspector(nowhere)
            .extents(&job.connector_sources(), &group(&job))
            .unwrap_err();
        assert!(
            matches!(&error, InspectError::Unreachable(why) if why.contains(nowhere)),
            "{error}"
        );
        assert!(started.elapsed() < Duration::from_secs(8), "{nowhere}");
    }
    assert_eq!(extents(&job), [(0, 0, 0, None)]);
}
