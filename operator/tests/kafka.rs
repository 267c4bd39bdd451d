//! Observations of a real broker, whose address is in `MILLRACE_TEST_BOOTSTRAP`. Without it these tests do nothing and say so.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says when it did nothing"
)]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_connect::kafka::{KafkaConnector, Settings};
use millrace_connect::{Connector, Consumer, Delivered, Event, Partition, Position, Producer};
use millrace_operator::key::ObjectKey;
use millrace_operator::observe::{Observation, Observations, SourceState, Subject};
use millrace_plan::{Plan, Topic, TopicName, load, validate};
use millrace_service::Shutdown;

const LIMIT: Duration = Duration::from_secs(60);

fn bootstrap() -> Option<String> {
    let found = std::env::var("MILLRACE_TEST_BOOTSTRAP").ok();
    if found.is_none() {
        println!("skipped: MILLRACE_TEST_BOOTSTRAP names no broker");
    }
    found
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn plan(name: &str, bootstrap: &str, operators: &str) -> Arc<Plan> {
    let text = format!(
        "apiVersion: millrace.io/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}, uid: {name}}}
spec:
  source: {{kafka: {{bootstrapServers: ['{bootstrap}'], topics: [{name}-in]}}}}
  schema: {{fields: [{{name: n, type: int64}}]}}
  operators: [{operators}]
  sinks: [{{name: out, kafka: {{topic: {name}-out}}}}]
  deadLetter: {{kafka: {{topic: {name}-dead}}}}"
    );
    Arc::new(validate(&load(&text).unwrap()[0], &[]).unwrap())
}

fn watch(observations: &Observations, plan: &Arc<Plan>) -> ObjectKey {
    let key = ObjectKey {
        kind: "StreamPipeline",
        namespace: "default".to_owned(),
        name: plan.name.clone(),
    };
    observations.watch(Subject {
        key: key.clone(),
        uid: plan.name.clone(),
        plan: Arc::clone(plan),
        runners: Vec::new(),
    });
    key
}

async fn until(observations: &Observations, key: &ObjectKey, what: &str, is_so: impl Fn(&Observation) -> bool) {
    let wait = async {
        while !observations.get(key).is_some_and(|of| is_so(&of)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let so = tokio::time::timeout(LIMIT, wait).await;
    assert!(so.is_ok(), "not {what}: {:?}", observations.get(key));
}

fn records(of: &Observation) -> Option<i64> {
    of.lag.map(|lag| lag.records)
}

/// Creates a topic with two partitions.
fn create(plan: &Plan, name: &TopicName) {
    let source = &plan.source;
    // Of a job without sources: what exists decides what is made.
    let connector = KafkaConnector::new(
        source.connection.clone(),
        Settings::default(),
        Vec::new(),
        source.group.clone(),
    );
    let topic = Topic {
        name: name.clone(),
        create: true,
        partitions: Some(2),
        replication_factor: None,
        retention: None,
    };
    connector.prepare_topics(&[&topic]).unwrap();
}

/// Writes 20 records, a minute old, to each input.
fn feed(connector: &KafkaConnector, plan: &Plan) {
    let mut producer = connector
        .open_producer(&format!("{}-feeder", plan.name), &plan.source_topics())
        .unwrap();
    let inputs = plan.source_topics().len() as u16;
    for (input, number) in (0..inputs).flat_map(|input| (0..20).map(move |number| (input, number))) {
        let record = Delivered {
            value: Some(b"{}"),
            timestamp: now() - 60_000,
            ..Delivered::default()
        };
        producer.send(input, number % 2, record).unwrap();
    }
    let mut consumer = connector.open_consumer().unwrap();
    producer.commit(&[], &consumer.membership().unwrap()).unwrap();
}

/// Commits the ends, as a runner that has read everything does.
fn read_everything(connector: &KafkaConnector, plan: &Plan) {
    let mut consumer = connector.open_consumer().unwrap();
    let mut producer = connector.open_producer(&plan.name, &plan.source.topics).unwrap();
    let deadline = std::time::Instant::now() + LIMIT;
    let mut assigned = Vec::<Partition>::new();
    while assigned.len() < 2 {
        assert!(std::time::Instant::now() < deadline, "no partitions were assigned");
        if let Event::Assigned(partitions) = consumer.poll(Duration::from_millis(50)).unwrap() {
            assigned.extend(partitions);
        }
    }
    let position = |partition: &Partition| Position {
        partition: *partition,
        // Ten records and the marker that ends their transaction.
        offset: 11,
        metadata: "mr1;-".to_owned(),
    };
    let positions: Vec<Position> = assigned.iter().map(position).collect();
    producer.commit(&positions, &consumer.membership().unwrap()).unwrap();
}

/// What the test does to the broker, which blocks, beside what it observes.
async fn aside(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test]
async fn lag_rises_and_falls_to_zero_without_any_runner_to_ask() {
    let Some(bootstrap) = bootstrap() else { return };
    let name = format!("observe-{}-{}", std::process::id(), now());
    let operators = format!(
        "{{name: few, filter: {{where: n > 1}}}}, {{name: names, join: {{match: [{{field: n}}], table: {{name: names, \
         topic: {{name: {name}-names}}, schema: {{fields: [{{name: n, type: int64}}]}}, key: [n]}}}}}}"
    );
    let plan = plan(&name, &bootstrap, &operators);
    let source = &plan.source;
    let connection = source.connection.clone();
    let connector = Arc::new(KafkaConnector::new(
        connection,
        Settings::default(),
        source.topics.clone(),
        source.group.clone(),
    ));
    let (observations, mut worth_a_look) = Observations::new();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(observations.clone().run(Duration::from_millis(500), shutdown.clone()));
    let key = watch(&observations, &plan);

    for (name, topic) in [
        ("-in", &source.topics[0]),
        ("-names", plan.table_topics().next().unwrap().1),
    ] {
        let missing =
            |of: &Observation| matches!(&of.source, Some(SourceState::TopicMissing(why)) if why.contains(name));
        until(&observations, &key, "missing", missing).await;
        assert_eq!(observations.get(&key).and_then(|of| records(&of)), None);
        let (of, topic) = (Arc::clone(&plan), topic.clone());
        aside(move || create(&of, &topic)).await;
    }
    until(&observations, &key, "empty", |of| records(of) == Some(0)).await;
    let seen = observations.get(&key).unwrap();
    assert_eq!(
        (seen.source.clone(), seen.partitions),
        (Some(SourceState::Reachable), Some(2))
    );

    let (at, of) = (Arc::clone(&connector), Arc::clone(&plan));
    aside(move || feed(&at, &of)).await;
    // Markers count as what is behind: only a reader finds out that they are no records.
    until(&observations, &key, "22 behind", |of| records(of) == Some(22)).await;
    let old = |of: &Observation| {
        of.lag
            .and_then(|lag| lag.seconds)
            .is_some_and(|age| (60..120).contains(&age))
    };
    until(&observations, &key, "a minute behind", old).await;

    let (at, of) = (Arc::clone(&connector), Arc::clone(&plan));
    aside(move || read_everything(&at, &of)).await;
    until(&observations, &key, "caught up", |of| {
        of.lag.is_some_and(|lag| (lag.records, lag.seconds) == (0, Some(0)))
    })
    .await;

    shutdown.request();
    running.await.unwrap();
    let mut looks = 0;
    while worth_a_look.try_recv().is_ok() {
        looks += 1;
    }
    assert!(
        (4..=9).contains(&looks),
        "missing, there, behind, caught up, and numbers in between: {looks}"
    );
}

#[tokio::test]
async fn a_joined_stream_counts_as_the_source_does() {
    let Some(bootstrap) = bootstrap() else { return };
    let name = format!("observe-joined-{}-{}", std::process::id(), now());
    let join = format!(
        "{{name: pairs, join: {{stream: {{name: other, source: {{kafka: {{topics: [{name}-other]}}}}, \
         schema: {{fields: [{{name: n, type: int64}}]}}}}, match: [{{field: n}}], ttl: 1h}}}}"
    );
    let plan = plan(&name, &bootstrap, &join);
    let source = &plan.source;
    let topics = plan.source_topics();
    let connector = KafkaConnector::new(
        source.connection.clone(),
        Settings::default(),
        topics,
        source.group.clone(),
    );
    let (observations, _worth_a_look) = Observations::new();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(observations.clone().run(Duration::from_millis(500), shutdown.clone()));
    let key = watch(&observations, &plan);
    let of = Arc::clone(&plan);
    aside(move || {
        of.source_topics().iter().for_each(|name| create(&of, name));
        feed(&connector, &of);
    })
    .await;
    // Twice ten records and a marker, of two partitions.
    until(&observations, &key, "44 behind", |of| records(of) == Some(44)).await;
    assert_eq!(observations.get(&key).and_then(|of| of.partitions), Some(4));
    shutdown.request();
    running.await.unwrap();
}
