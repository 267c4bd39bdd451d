//! The Kafka connector against a real broker, whose address is in `MILLRACE_TEST_BOOTSTRAP`. Without it these tests do
//! nothing and say so.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

#[path = "kafka/follow.rs"]
mod follow;
#[path = "kafka/inspect.rs"]
mod inspect;
#[path = "kafka/pause.rs"]
mod pause;

use millrace_connect::kafka::{KafkaConnector, KafkaConsumer, KafkaProducer, KafkaRecords, Settings};
use millrace_connect::{
    CommitError, Connector, Consumer, Delivered, Event, Fault, Partition, Position, Producer, Records, SendError, Start,
};
use millrace_plan::{Connection, GroupId, Security, Topic, TopicName};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(50);

/// A job of its own on the broker under test: one input topic, one output topic.
struct Job {
    name: String,
    bootstrap: String,
    connector: KafkaConnector,
    output: TopicName,
}

type Seen = Vec<(String, i64)>;

impl Job {
    /// None, with a message, if there is no broker to test against.
    fn new(test: &str, partitions: u16) -> Option<Self> {
        Self::with(test, partitions, Settings::default())
    }

    fn with(test: &str, partitions: u16, settings: Settings) -> Option<Self> {
        let Ok(bootstrap) = std::env::var("MILLRACE_TEST_BOOTSTRAP") else {
            println!("skipped: MILLRACE_TEST_BOOTSTRAP names no broker");
            return None;
        };
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let name = format!("{test}-{}-{nanos}", std::process::id());
        let input = TopicName::parse(&format!("{name}-in")).unwrap();
        let output = TopicName::parse(&format!("{name}-out")).unwrap();
        create(&bootstrap, input.as_str(), partitions);
        let connector = connector(&bootstrap, settings, vec![input], &name);
        connector.prepare_topics(&[&topic(&output, Some(2))]).unwrap();
        Some(Self {
            name,
            bootstrap,
            connector,
            output,
        })
    }

    fn producer(&self) -> KafkaProducer {
        self.connector
            .open_producer(&format!("{}-p", self.name), std::slice::from_ref(&self.output))
            .unwrap()
    }

    /// A transactional producer into the input.
    fn feeder(&self, id: &str) -> KafkaProducer {
        self.connector
            .open_producer(&format!("{}-{id}", self.name), &self.connector_sources())
            .unwrap()
    }

    fn connector_sources(&self) -> Vec<TopicName> {
        vec![TopicName::parse(&format!("{}-in", self.name)).unwrap()]
    }

    /// Writes `count` records to a partition of the input, outside of any transaction.
    fn feed(&self, partition: i32, values: impl IntoIterator<Item = String>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("linger.ms", "0")
            .create()
            .unwrap();
        let topic = format!("{}-in", self.name);
        for value in values {
            let record = BaseRecord::<(), str>::to(&topic).partition(partition).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    }

    /// A reader of committed output: everything up to `count` records, or what there is at the end.
    fn output(&self) -> Seen {
        let name =
            format!("{}-check-{:?}", self.name, Instant::now()).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let connector = connector(&self.bootstrap, Settings::default(), vec![self.output.clone()], &name);
        let mut reader = running(&connector);
        let mut seen = read_to_the_end(&mut reader, 2);
        seen.sort();
        seen
    }
}

fn topic(name: &TopicName, partitions: Option<u16>) -> Topic {
    Topic {
        name: name.clone(),
        create: true,
        partitions,
        replication_factor: None,
        retention: None,
    }
}

fn connector(bootstrap: &str, settings: Settings, sources: Vec<TopicName>, group: &str) -> KafkaConnector {
    let connection = Connection {
        bootstrap_servers: vec![bootstrap.to_owned()],
        security: Security::default(),
    };
    KafkaConnector::new(connection, settings, sources, GroupId::parse(group).unwrap())
}

fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .unwrap()
}

fn create(bootstrap: &str, name: &str, partitions: u16) {
    let new = NewTopic::new(name, i32::from(partitions), TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let created = futures::executor::block_on(admin(bootstrap).create_topics([&new], &options)).unwrap();
    created.into_iter().for_each(|result| drop(result.unwrap()));
}

fn input(number: i32) -> Partition {
    Partition { topic: 0, number }
}

fn at(number: i32, offset: i64, metadata: &str) -> Position {
    Position {
        partition: input(number),
        offset,
        metadata: metadata.to_owned(),
    }
}

fn value(text: &str) -> Delivered<'_> {
    // Of today: a broker drops what is older than the topic's retention.
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    Delivered {
        value: Some(text.as_bytes()),
        timestamp,
        ..Delivered::default()
    }
}

/// Waits until the broker has everything that was sent.
fn acknowledged(producer: &mut KafkaProducer) {
    let deadline = Instant::now() + LIMIT;
    while producer.buffered_bytes() > 0 {
        assert!(Instant::now() < deadline);
        producer.poll().unwrap();
        std::thread::yield_now();
    }
}

/// Polls until `done` makes something of an event.
fn until<T>(
    consumer: &mut KafkaConsumer,
    what: &str,
    mut done: impl FnMut(&mut KafkaConsumer, Event<KafkaRecords>) -> Option<T>,
) -> T {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let event = consumer.poll(STEP).unwrap();
        if let Some(result) = done(consumer, event) {
            return result;
        }
    }
    panic!("{what} did not happen within {LIMIT:?}");
}

fn assigned(consumer: &mut KafkaConsumer) -> Vec<Partition> {
    until(consumer, "an assignment", |_, event| match event {
        Event::Assigned(partitions) if !partitions.is_empty() => Some(partitions),
        _ => None,
    })
}

fn start(consumer: &mut KafkaConsumer, partitions: &[Partition]) {
    let offsets: Vec<_> = partitions
        .iter()
        .map(|p| (*p, consumer.resolve(*p, Start::Earliest).unwrap()))
        .collect();
    consumer.resume_at(&offsets).unwrap();
}

/// A member that reads everything from its beginning.
fn running(connector: &KafkaConnector) -> KafkaConsumer {
    let mut consumer = connector.open_consumer().unwrap();
    let partitions = assigned(&mut consumer);
    start(&mut consumer, &partitions);
    consumer
}

fn text(records: &KafkaRecords, index: usize) -> String {
    String::from_utf8(records.get(index).value.unwrap().to_vec()).unwrap()
}

/// Reads `partitions` partitions to their ends.
fn read_to_the_end(consumer: &mut KafkaConsumer, partitions: i32) -> Seen {
    let mut seen = Vec::new();
    let left = |consumer: &mut KafkaConsumer, number: i32| {
        let end = consumer.resolve(input(number), Start::Latest).unwrap();
        let start = consumer.resolve(input(number), Start::Earliest).unwrap();
        (start < end).then_some((input(number), end))
    };
    let mut ends: BTreeMap<_, _> = (0..partitions).filter_map(|number| left(consumer, number)).collect();
    while !ends.is_empty() {
        until(consumer, "the end", |_, event| {
            let Event::Records(records) = event else { return None };
            (0..records.len()).for_each(|index| seen.push((text(&records, index), records.get(index).offset)));
            if ends
                .get(&records.partition())
                .is_some_and(|end| records.next_offset() >= *end)
            {
                ends.remove(&records.partition());
            }
            Some(())
        });
    }
    seen
}

fn next_records(consumer: &mut KafkaConsumer) -> KafkaRecords {
    until(consumer, "records", |_, event| match event {
        Event::Records(records) if !records.is_empty() => Some(records),
        _ => None,
    })
}

#[test]
fn record_survives_the_way_through_the_broker() {
    let Some(job) = Job::new("round-trip", 1) else { return };
    let mut consumer = running(&job.connector);
    let mut feeder = job.feeder("feeder");
    let headers = [
        ("reason", Some(b"bad".as_slice())),
        ("empty", Some(b"".as_slice())),
        ("null", None),
    ];
    let full = Delivered {
        key: Some(b"key"),
        value: Some(b"value"),
        timestamp: 1_356_998_400_123,
        headers: &headers,
    };
    feeder.send(0, 0, full).unwrap();
    feeder
        .send(
            0,
            0,
            Delivered {
                key: None,
                value: None,
                timestamp: 5,
                headers: &[],
            },
        )
        .unwrap();
    feeder
        .send(
            0,
            0,
            Delivered {
                key: Some(b""),
                value: Some(b""),
                timestamp: 6,
                headers: &[],
            },
        )
        .unwrap();
    assert!(feeder.has_open_transaction());
    feeder.commit(&[], &consumer.membership().unwrap()).unwrap();
    assert!(!feeder.has_open_transaction());
    let records = next_records(&mut consumer);
    assert_eq!(records.len(), 3);
    let first = records.get(0);
    assert_eq!(
        (first.key, first.value),
        (Some(b"key".as_slice()), Some(b"value".as_slice()))
    );
    assert_eq!((first.timestamp, first.offset), (1_356_998_400_123, 0));
    let mut found = Vec::new();
    records.headers(0, &mut |name, value| {
        found.push((name.to_owned(), value.map(<[u8]>::to_vec)))
    });
    let expected = [
        ("reason", Some(b"bad".to_vec())),
        ("empty", Some(Vec::new())),
        ("null", None),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!((records.get(1).key, records.get(1).value), (None, None));
    assert_eq!(
        (records.get(2).key, records.get(2).value),
        (Some(b"".as_slice()), Some(b"".as_slice()))
    );
    assert_eq!(records.bytes(), 8);
    consumer.close();
}

#[test]
fn results_and_positions_are_committed_together_with_their_metadata() {
    let Some(job) = Job::new("commit", 2) else { return };
    job.feed(0, ["a".to_owned()]);
    let mut consumer = running(&job.connector);
    assert_eq!(consumer.committed(&[input(1), input(0)]).unwrap(), [None, None]);
    let mut producer = job.producer();
    for _ in 0..2 {
        producer.send(0, 0, value("result")).unwrap();
        producer
            .commit(
                &[at(0, 1, "mr1;one"), at(1, 0, "mr1;-")],
                &consumer.membership().unwrap(),
            )
            .unwrap();
    }
    let committed = consumer.committed(&[input(1), input(0)]).unwrap();
    let found: Vec<_> = committed
        .into_iter()
        .map(|of| of.map(|of| (of.offset, of.metadata)).unwrap())
        .collect();
    assert_eq!(found, [(0, "mr1;-".to_owned()), (1, "mr1;one".to_owned())]);
    assert_eq!(job.output().len(), 2);
    producer
        .commit(&[at(0, 1, "mr1;idle")], &consumer.membership().unwrap())
        .unwrap();
    assert_eq!(
        consumer.committed(&[input(0)]).unwrap()[0].as_ref().unwrap().metadata,
        "mr1;idle"
    );
}

#[test]
fn aborted_records_are_invisible_and_the_end_lies_behind_their_markers() {
    let Some(job) = Job::new("abort", 1) else { return };
    let mut consumer = running(&job.connector);
    let mut feeder = job.feeder("feeder");
    feeder.send(0, 0, value("aborted")).unwrap();
    acknowledged(&mut feeder);
    feeder.abort().unwrap();
    feeder.send(0, 0, value("committed")).unwrap();
    feeder.commit(&[], &consumer.membership().unwrap()).unwrap();
    let end = until(&mut consumer, "the end", |_, event| match event {
        Event::Records(records) => (records.next_offset() == 4).then(|| records.len()),
        _ => None,
    });
    assert!(end <= 1, "the aborted record is not among them");
    until(&mut consumer, "lag 0", |consumer, _| {
        (consumer.lag(input(0), 4) == Some(0)).then_some(())
    });
    assert_eq!(consumer.resolve(input(0), Start::Latest).unwrap(), 4);
    assert_eq!(read_again(&mut consumer), ["committed"]);
}

/// Everything in partition 0, once more from its beginning.
fn read_again(consumer: &mut KafkaConsumer) -> Vec<String> {
    consumer.resume_at(&[(input(0), 0)]).unwrap();
    read_to_the_end(consumer, 1)
        .into_iter()
        .map(|(value, _)| value)
        .collect()
}

#[test]
fn nothing_that_was_fetched_before_is_delivered_after_a_new_start() {
    let Some(job) = Job::new("seek", 1) else { return };
    job.feed(0, (0..20_000).map(|number| number.to_string()));
    let mut consumer = running(&job.connector);
    for start in [0_i64, 15_000, 3, 19_999, 0] {
        let _ = next_records(&mut consumer);
        consumer.resume_at(&[(input(0), start)]).unwrap();
        let mut expected = start;
        while expected < (start + 5000).min(20_000) {
            let records = next_records(&mut consumer);
            for index in 0..records.len() {
                assert_eq!(records.get(index).offset, expected, "after a start at {start}");
                expected += 1;
            }
            assert_eq!(records.next_offset(), expected);
        }
        consumer.resume_at(&[(input(0), 0)]).unwrap();
    }
}

#[test]
fn partitions_move_without_a_record_being_delivered_twice() {
    let Some(job) = Job::new("rebalance", 4) else { return };
    (0..4).for_each(|partition| job.feed(partition, (0..100).map(|number| format!("{partition}-{number}"))));
    let mut first = running(&job.connector);
    let mut positions: BTreeMap<Partition, i64> = BTreeMap::new();
    let mut seen: Vec<String> = Vec::new();
    let mut producer = job.producer();
    let mut second = job.connector.open_consumer().unwrap();
    let mut of_second: BTreeSet<Partition> = BTreeSet::new();
    let mut released: BTreeSet<Partition> = BTreeSet::new();
    let deadline = Instant::now() + LIMIT;
    while of_second.len() < 2 || seen.len() < 400 {
        assert!(
            Instant::now() < deadline,
            "second has {of_second:?}, {} records seen",
            seen.len()
        );
        match first.poll(STEP).unwrap() {
            Event::Records(records) => {
                assert!(!released.contains(&records.partition()));
                seen.extend((0..records.len()).map(|index| text(&records, index)));
                positions.insert(records.partition(), records.next_offset());
            }
            Event::Revoked { partitions, lost } => {
                assert!(!lost);
                let last: Vec<_> = partitions
                    .iter()
                    .map(|p| Position {
                        partition: *p,
                        offset: *positions.get(p).unwrap_or(&0),
                        metadata: String::new(),
                    })
                    .collect();
                producer.commit(&last, &first.membership().unwrap()).unwrap();
                // Asking for them again is not an answer to the revocation.
                first
                    .resume_at(&partitions.iter().map(|p| (*p, 0)).collect::<Vec<_>>())
                    .unwrap();
                first.release(&partitions).unwrap();
                released.extend(&partitions);
            }
            Event::Assigned(partitions) => assert!(partitions.is_empty(), "what it has is not named again"),
            Event::Idle => {}
        }
        match second.poll(STEP).unwrap() {
            Event::Assigned(partitions) => {
                assert!(partitions.iter().all(|partition| released.contains(partition)));
                let committed = second.committed(&partitions).unwrap();
                let start = |(p, committed): (&Partition, &Option<millrace_connect::Committed>)| {
                    (*p, committed.as_ref().unwrap().offset)
                };
                let offsets: Vec<_> = partitions.iter().zip(&committed).map(start).collect();
                second.resume_at(&offsets).unwrap();
                of_second.extend(&partitions);
            }
            Event::Records(records) => {
                assert!(of_second.contains(&records.partition()));
                seen.extend((0..records.len()).map(|index| text(&records, index)));
            }
            _ => {}
        }
    }
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (400, 400));
    second.close();
    let back = assigned(&mut first);
    assert_eq!(back.into_iter().collect::<BTreeSet<_>>(), of_second);
}

#[test]
fn newer_producer_fences_the_older() {
    let Some(job) = Job::new("fence", 1) else { return };
    let mut consumer = running(&job.connector);
    let mut old = job.producer();
    old.send(0, 0, value("old")).unwrap();
    acknowledged(&mut old);
    let mut new = job.producer();
    let membership = consumer.membership().unwrap();
    assert!(matches!(
        old.commit(&[at(0, 7, "old")], &membership),
        Err(CommitError::Fenced(_))
    ));
    assert!(matches!(old.send(0, 0, value("old")), Err(SendError::Failed(error)) if error.fault == Fault::Fenced));
    new.send(0, 0, value("new")).unwrap();
    new.commit(&[at(0, 1, "new")], &membership).unwrap();
    assert_eq!(
        job.output().into_iter().map(|(value, _)| value).collect::<Vec<_>>(),
        ["new"]
    );
    assert_eq!(
        consumer.committed(&[input(0)]).unwrap()[0].as_ref().unwrap().metadata,
        "new"
    );
}

#[test]
fn stale_membership_is_refused_and_the_producer_goes_on() {
    let Some(job) = Job::new("stale", 2) else { return };
    let mut first = running(&job.connector);
    let stale = first.membership().unwrap();
    let mut producer = job.producer();
    producer.commit(&[at(0, 1, "before")], &stale).unwrap();
    let mut second = job.connector.open_consumer().unwrap();
    let going = loop {
        let _ = second.poll(Duration::from_millis(10)).unwrap();
        if let Event::Revoked { partitions, .. } = first.poll(STEP).unwrap() {
            break partitions;
        }
    };
    producer.send(0, 0, value("stale")).unwrap();
    assert!(matches!(
        producer.commit(&[at(0, 5, "stale")], &stale),
        Err(CommitError::Aborted(_))
    ));
    let fresh = first.membership().unwrap();
    producer.send(0, 0, value("fresh")).unwrap();
    producer.commit(&[at(going[0].number, 6, "fresh")], &fresh).unwrap();
    assert_eq!(
        job.output().into_iter().map(|(value, _)| value).collect::<Vec<_>>(),
        ["fresh"]
    );
}

#[test]
fn positions_of_a_consumer_that_is_no_member_are_never_committed() {
    let Some(job) = Job::new("stranger", 1) else { return };
    let mut stranger = job.connector.open_consumer().unwrap();
    let membership = stranger.membership().unwrap();
    let mut producer = job.producer();
    producer.send(0, 0, value("x")).unwrap();
    assert!(matches!(
        producer.commit(&[at(0, 5, "x")], &membership),
        Err(CommitError::Aborted(_))
    ));
    assert!(job.output().is_empty());
    assert_eq!(running_committed(&mut stranger), None);
}

fn running_committed(consumer: &mut KafkaConsumer) -> Option<i64> {
    consumer.committed(&[input(0)]).unwrap()[0]
        .as_ref()
        .map(|committed| committed.offset)
}

#[test]
fn transaction_that_was_left_open_is_ended_by_the_next_producer_and_offsets_wait_for_it() {
    let Some(job) = Job::new("takeover", 1) else { return };
    let mut consumer = running(&job.connector);
    let mut crashed = job.producer();
    crashed.send(0, 0, value("lost")).unwrap();
    acknowledged(&mut crashed);
    drop(crashed);
    let mut next = job.producer();
    next.send(0, 0, value("kept")).unwrap();
    next.commit(&[at(0, 1, "")], &consumer.membership().unwrap()).unwrap();
    assert_eq!(
        job.output().into_iter().map(|(value, _)| value).collect::<Vec<_>>(),
        ["kept"]
    );
}

#[test]
fn offset_that_is_gone_is_an_error_that_names_it() {
    let Some(job) = Job::new("gone", 1) else { return };
    job.feed(0, ["x".to_owned()]);
    let mut consumer = job.connector.open_consumer().unwrap();
    let partitions = assigned(&mut consumer);
    consumer.resume_at(&[(partitions[0], 1000)]).unwrap();
    let deadline = Instant::now() + LIMIT;
    let error = loop {
        assert!(Instant::now() < deadline);
        if let Err(error) = consumer.poll(STEP) {
            break error;
        }
    };
    assert_eq!(error.fault, Fault::User);
    assert!(
        error.message.contains(&format!("{}-in/0", job.name)) && error.message.contains("1000"),
        "{error}"
    );
}

#[test]
fn missing_topics_are_named_and_never_created_by_asking() {
    let Some(job) = Job::new("missing", 1) else { return };
    let missing = TopicName::parse(&format!("{}-none", job.name)).unwrap();
    let other = connector(&job.bootstrap, Settings::default(), vec![missing.clone()], &job.name);
    for _ in 0..2 {
        let error = other.open_consumer().err().unwrap();
        // A source topic may be created any moment.
        assert_eq!(error.fault, Fault::External);
        assert!(error.message.contains(missing.as_str()), "{error}");
    }
    let must_exist = Topic {
        create: false,
        ..topic(&missing, None)
    };
    assert!(job.connector.prepare_topics(&[&must_exist]).is_err());
    assert!(job.connector.open_producer("x", &[missing]).is_err());
}

#[test]
fn topics_are_created_like_the_source_by_two_runners_at_once() {
    let Some(job) = Job::new("create", 3) else { return };
    let new = TopicName::parse(&format!("{}-new", job.name)).unwrap();
    let retained = Topic {
        retention: Some(Duration::from_secs(3600)),
        ..topic(&new, None)
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| job.connector.prepare_topics(&[&retained, &retained]).unwrap());
        }
    });
    let reader = connector(&job.bootstrap, Settings::default(), vec![new], &job.name);
    assert_eq!(reader.source_partitions().unwrap(), [3]);
    assert!(!reader.cluster_id().unwrap().is_empty());
}

#[test]
fn unreachable_cluster_is_an_error_within_the_time_given() {
    if std::env::var("MILLRACE_TEST_BOOTSTRAP").is_err() {
        println!("skipped: MILLRACE_TEST_BOOTSTRAP names no broker");
        return;
    }
    let settings = Settings {
        request_timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    let source = TopicName::parse("in").unwrap();
    let nowhere = connector("127.0.0.1:1", settings, vec![source], "job");
    let started = Instant::now();
    let error = nowhere.open_consumer().err().unwrap();
    assert_eq!(error.fault, Fault::External);
    assert!(
        error.message.contains("127.0.0.1:1") && started.elapsed() < Duration::from_secs(10),
        "{error}"
    );
}

#[test]
fn oversized_record_is_refused_alone_and_the_topics_own_limit_is_known() {
    let Some(job) = Job::new("large", 1) else { return };
    let small = format!("{}-small", job.name);
    let new = NewTopic::new(&small, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "20000");
    futures::executor::block_on(admin(&job.bootstrap).create_topics([&new], &AdminOptions::new())).unwrap();
    let small = TopicName::parse(&small).unwrap();
    job.connector.prepare_topics(&[&topic(&small, None)]).unwrap();
    let mut consumer = running(&job.connector);
    let topics = [job.output.clone(), small];
    let mut producer = job
        .connector
        .open_producer(&format!("{}-p", job.name), &topics)
        .unwrap();
    let large = "x".repeat(2_000_000);
    assert!(matches!(
        producer.send(0, 0, value(&large)),
        Err(SendError::TooLarge { bytes: 2_000_000, .. })
    ));
    assert!(matches!(
        producer.send(1, 0, value(&large[..30_000])),
        Err(SendError::TooLarge { bytes: 30_000, .. })
    ));
    for _ in 0..200 {
        producer.send(1, 0, value(&large[..15_000])).unwrap();
    }
    producer.send(0, 0, value(&large[..900_000])).unwrap();
    producer.commit(&[], &consumer.membership().unwrap()).unwrap();
    assert_eq!(job.output().len(), 1);
}

#[test]
fn undelivered_record_fails_the_commit() {
    let Some(job) = Job::new("undelivered", 1) else { return };
    let strict = format!("{}-strict", job.name);
    // The client does not know of this limit, since nobody prepared the topic: the broker refuses the record.
    let new = NewTopic::new(&strict, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "1000");
    futures::executor::block_on(admin(&job.bootstrap).create_topics([&new], &AdminOptions::new())).unwrap();
    let mut consumer = running(&job.connector);
    let topics = [TopicName::parse(&strict).unwrap(), job.output.clone()];
    let mut producer = job
        .connector
        .open_producer(&format!("{}-p", job.name), &topics)
        .unwrap();
    producer.send(1, 0, value("beside it")).unwrap();
    producer.send(0, 0, value(&"x".repeat(5000))).unwrap();
    let result = producer.commit(&[at(0, 1, "")], &consumer.membership().unwrap());
    assert!(
        matches!(result, Err(CommitError::Aborted(_) | CommitError::Indefinite(_))),
        "{result:?}"
    );
    assert_eq!(running_committed(&mut consumer), None);
    assert!(job.output().is_empty());
}

#[test]
fn full_queue_slows_the_sender_down_and_loses_nothing() {
    let settings = Settings {
        send_buffer_bytes: 2 << 20,
        ..Settings::default()
    };
    let Some(job) = Job::with("full", 1, settings) else {
        return;
    };
    let mut consumer = running(&job.connector);
    let mut producer = job.producer();
    let filler = "x".repeat(1000);
    for number in 0..20_000 {
        producer.send(0, number, value(&filler)).unwrap();
        assert!(producer.buffered_bytes() < 4 << 20);
    }
    producer.commit(&[], &consumer.membership().unwrap()).unwrap();
    assert_eq!(job.output().len(), 20_000);
}

#[test]
fn member_that_stands_still_loses_everything_is_refused_and_joins_again() {
    let still = Duration::from_secs(6);
    let settings = Settings {
        session_timeout: still,
        max_poll_interval: still,
        ..Settings::default()
    };
    let Some(job) = Job::with("still", 2, settings) else {
        return;
    };
    let mut first = running(&job.connector);
    let membership = first.membership().unwrap();
    let mut producer = job.producer();
    let mut second = job.connector.open_consumer().unwrap();
    let mut taken = BTreeSet::new();
    until(&mut second, "taking everything over", |_, event| {
        if let Event::Assigned(partitions) = event {
            taken.extend(partitions);
        }
        (taken.len() == 2).then_some(())
    });
    producer.send(0, 0, value("zombie")).unwrap();
    assert!(matches!(
        producer.commit(&[at(0, 1, "zombie")], &membership),
        Err(CommitError::Aborted(_))
    ));
    // A revocation that was on its way may come first; whatever comes, no position is taken any more.
    let mut left = taken.clone();
    until(&mut first, "being told", |first, event| {
        match event {
            Event::Revoked { partitions, lost } => {
                assert!(lost);
                let nobody = first.membership().unwrap();
                let result = producer.commit(&[at(0, 1, "zombie")], &nobody);
                assert!(matches!(result, Err(CommitError::Aborted(_))), "{result:?}");
                left.retain(|partition| !partitions.contains(partition));
                first.release(&partitions).unwrap();
            }
            Event::Assigned(partitions) => assert!(partitions.is_empty()),
            _ => {}
        }
        left.is_empty().then_some(())
    });
    start(&mut second, &taken.iter().copied().collect::<Vec<_>>());
    let going = until_revoked(&mut second, &mut first);
    second.release(&going).unwrap();
    assert_eq!(assigned_while(&mut first, &mut second), going);
    assert!(job.output().is_empty());
}

fn until_revoked(consumer: &mut KafkaConsumer, other: &mut KafkaConsumer) -> Vec<Partition> {
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline);
        let _ = other.poll(Duration::from_millis(10)).unwrap();
        if let Event::Revoked { partitions, .. } = consumer.poll(STEP).unwrap() {
            return partitions;
        }
    }
}

fn assigned_while(consumer: &mut KafkaConsumer, other: &mut KafkaConsumer) -> Vec<Partition> {
    let deadline = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < deadline);
        let _ = other.poll(Duration::from_millis(10)).unwrap();
        match consumer.poll(STEP).unwrap() {
            Event::Assigned(partitions) if !partitions.is_empty() => return partitions,
            _ => {}
        }
    }
}
