use super::*;
use crate::{CommitError, Connector, Consumer, Event, Partition, Position, Producer, Records, SendError, Start};
use millrace_plan::{GroupId, TopicName};
use std::time::Duration;

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn cluster(partitions: u16) -> (Broker, MemoryConnector) {
    let broker = Broker::new();
    broker.create_topic("in", partitions);
    broker.create_topic("out", 2);
    let connector = MemoryConnector::new(broker.clone(), vec![topic("in")], GroupId::parse("job").unwrap());
    (broker, connector)
}

fn input(number: i32) -> Partition {
    Partition { topic: 0, number }
}

fn value(text: &str) -> Delivered<'_> {
    Delivered {
        value: Some(text.as_bytes()),
        ..Delivered::default()
    }
}

fn at(number: i32, offset: i64) -> Position {
    Position {
        partition: input(number),
        offset,
        metadata: format!("mr1;{offset}"),
    }
}

fn poll(consumer: &mut MemoryConsumer) -> Event<MemoryRecords> {
    consumer.poll(Duration::ZERO).unwrap()
}

fn expect_assigned(consumer: &mut MemoryConsumer) -> Vec<i32> {
    match poll(consumer) {
        Event::Assigned(partitions) => partitions.iter().map(|partition| partition.number).collect(),
        _ => panic!("expected an assignment"),
    }
}

fn expect_revoked(consumer: &mut MemoryConsumer, expect_lost: bool) -> Vec<Partition> {
    match poll(consumer) {
        Event::Revoked { partitions, lost } if lost == expect_lost => partitions,
        _ => panic!("expected a revocation"),
    }
}

fn expect_idle(consumer: &mut MemoryConsumer) {
    assert!(matches!(poll(consumer), Event::Idle));
}

fn read(consumer: &mut MemoryConsumer) -> (Vec<String>, i64) {
    let Event::Records(records) = poll(consumer) else {
        panic!("expected records")
    };
    let text = |at| String::from_utf8(records.get(at).value.unwrap().to_vec()).unwrap();
    ((0..records.len()).map(text).collect(), records.next_offset())
}

fn values(broker: &Broker, topic: &str) -> Vec<String> {
    let text = |record: &StoredRecord| String::from_utf8(record.value.clone().unwrap()).unwrap();
    broker
        .read_committed(topic)
        .unwrap()
        .iter()
        .map(|(_, record)| text(record))
        .collect()
}

/// A member that owns everything from its committed offsets on.
fn running(connector: &MemoryConnector) -> MemoryConsumer {
    let mut consumer = connector.open_consumer().unwrap();
    let all: Vec<_> = expect_assigned(&mut consumer)
        .into_iter()
        .map(|number| (input(number), 0))
        .collect();
    consumer.resume_at(&all).unwrap();
    consumer
}

#[test]
fn results_and_positions_become_visible_together() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    producer.send(0, 1, value("a")).unwrap();
    assert!(producer.has_open_transaction() && values(&broker, "out").is_empty());
    producer.commit(&[at(0, 5)], &consumer.membership().unwrap()).unwrap();
    assert_eq!(values(&broker, "out"), ["a"]);
    assert_eq!(
        consumer.committed(&[input(0)]).unwrap()[0].as_ref().unwrap().metadata,
        "mr1;5"
    );
}

#[test]
fn aborted_records_are_never_seen_and_markers_move_the_position() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("in")]).unwrap();
    producer.send(0, 0, value("aborted")).unwrap();
    producer.abort().unwrap();
    let (seen, next) = read(&mut consumer);
    assert!(seen.is_empty());
    assert_eq!(next, 2, "one aborted record and its marker");
    assert_eq!(consumer.lag(input(0), next), Some(0));
    producer.send(0, 0, value("committed")).unwrap();
    expect_idle(&mut consumer);
    producer.commit(&[], &consumer.membership().unwrap()).unwrap();
    assert_eq!(read(&mut consumer), (vec!["committed".to_owned()], 4));
    assert_eq!(broker.last_stable_offset("in", 0).unwrap(), 4);
}

#[test]
fn open_transaction_holds_back_later_records_of_others() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("in")]).unwrap();
    producer.send(0, 0, value("first")).unwrap();
    broker.append("in", Some(0), value("second")).unwrap();
    expect_idle(&mut consumer);
    producer.commit(&[], &consumer.membership().unwrap()).unwrap();
    assert_eq!(read(&mut consumer).0, ["first", "second"]);
}

#[test]
fn newer_producer_fences_the_older_and_aborts_its_transaction() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let membership = consumer.membership().unwrap();
    let mut old = connector.open_producer("p", &[topic("out")]).unwrap();
    old.send(0, 0, value("old")).unwrap();
    let mut new = connector.open_producer("p", &[topic("out")]).unwrap();
    assert!(matches!(old.send(0, 0, value("old")), Err(SendError::Failed(_))));
    assert!(matches!(
        old.commit(&[at(0, 9)], &membership),
        Err(CommitError::Fenced(_))
    ));
    new.commit(&[at(0, 1)], &membership).unwrap();
    assert!(values(&broker, "out").is_empty());
    assert_eq!(broker.committed("job", "in", 0).unwrap().offset, 1);
}

#[test]
fn indefinite_commit_that_did_not_happen_is_undone_by_the_next_producer() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    producer.send(0, 0, value("a")).unwrap();
    broker.fail_next_commit(CommitOutcome::BeforeIndefinite);
    let result = producer.commit(&[at(0, 3)], &consumer.membership().unwrap());
    assert!(matches!(result, Err(CommitError::Indefinite(_))));
    assert!(consumer.committed(&[input(0)]).is_err(), "offsets are unstable");
    assert!(producer.send(0, 0, value("b")).is_err(), "the producer is spent");
    let _successor = connector.open_producer("p", &[topic("out")]).unwrap();
    assert_eq!(consumer.committed(&[input(0)]).unwrap(), [None]);
    assert!(values(&broker, "out").is_empty());
}

#[test]
fn indefinite_commit_that_did_happen_stays() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    producer.send(0, 0, value("a")).unwrap();
    broker.fail_next_commit(CommitOutcome::AfterIndefinite);
    let result = producer.commit(&[at(0, 3)], &consumer.membership().unwrap());
    assert!(matches!(result, Err(CommitError::Indefinite(_))));
    let _successor = connector.open_producer("p", &[topic("out")]).unwrap();
    assert_eq!(consumer.committed(&[input(0)]).unwrap()[0].as_ref().unwrap().offset, 3);
    assert_eq!(values(&broker, "out"), ["a"]);
}

#[test]
fn crashed_producer_holds_its_transaction_until_it_expires() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("in")]).unwrap();
    producer.send(0, 0, value("lost")).unwrap();
    drop(producer);
    broker.append("in", Some(0), value("waiting")).unwrap();
    expect_idle(&mut consumer);
    broker.expire_transactions();
    assert_eq!(read(&mut consumer).0, ["waiting"]);
}

#[test]
fn partitions_move_only_after_their_release_and_are_never_held_twice() {
    let (_broker, connector) = cluster(4);
    let mut first = running(&connector);
    let mut second = connector.open_consumer().unwrap();
    assert!(expect_assigned(&mut second).is_empty());
    let going = expect_revoked(&mut first, false);
    assert_eq!(going.len(), 2);
    expect_idle(&mut second);
    first.release(&going).unwrap();
    assert!(
        expect_assigned(&mut first).is_empty(),
        "what it kept is not named again"
    );
    let taken = expect_assigned(&mut second);
    assert_eq!(
        taken,
        going.iter().map(|partition| partition.number).collect::<Vec<_>>()
    );
    second.close();
    let mut back = expect_assigned(&mut first);
    back.sort_unstable();
    assert_eq!(back, taken);
}

#[test]
fn revoked_partition_can_be_committed_until_it_is_released() {
    let (broker, connector) = cluster(2);
    let mut first = running(&connector);
    let stale = first.membership().unwrap();
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    let mut second = connector.open_consumer().unwrap();
    assert!(matches!(
        producer.commit(&[at(1, 1)], &stale),
        Err(CommitError::Aborted(_))
    ));
    let going = expect_revoked(&mut first, false);
    let fresh = first.membership().unwrap();
    producer.commit(&[at(going[0].number, 7)], &fresh).unwrap();
    broker
        .append("in", Some(going[0].number), value("not for the old owner"))
        .unwrap();
    first.resume_at(&[(going[0], 0)]).unwrap();
    expect_idle(&mut first);
    first.release(&going).unwrap();
    assert!(matches!(
        producer.commit(&[at(going[0].number, 8)], &fresh),
        Err(CommitError::Aborted(_))
    ));
    let mut taken = expect_assigned(&mut second);
    assert_eq!(taken.pop(), Some(going[0].number));
    assert_eq!(broker.committed("job", "in", going[0].number).unwrap().offset, 7);
}

#[test]
fn third_member_waits_until_the_release_of_the_first() {
    let (_broker, connector) = cluster(6);
    let mut first = running(&connector);
    let mut second = connector.open_consumer().unwrap();
    let going = expect_revoked(&mut first, false);
    let fresh = first.membership().unwrap();
    let mut third = connector.open_consumer().unwrap();
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    producer.commit(&[at(going[0].number, 7)], &fresh).unwrap();
    expect_idle(&mut third);
    first.release(&going).unwrap();
    let moved: Vec<_> = expect_revoked(&mut first, false);
    first.release(&moved).unwrap();
    let mut owned = expect_assigned(&mut second);
    owned.extend(expect_assigned(&mut third));
    owned.sort_unstable();
    owned.dedup();
    assert_eq!(owned.len(), 4, "two each, none twice");
}

#[test]
fn crashed_member_keeps_its_partitions_until_its_session_expires() {
    let (broker, connector) = cluster(2);
    let first = running(&connector);
    let mut second = connector.open_consumer().unwrap();
    drop(first);
    assert!(expect_assigned(&mut second).is_empty());
    expect_idle(&mut second);
    broker.expire_crashed_members();
    assert_eq!(expect_assigned(&mut second), [0, 1]);
}

#[test]
fn zombie_is_refused_told_that_it_lost_everything_and_joins_again() {
    let (broker, connector) = cluster(2);
    let mut zombie = running(&connector);
    let membership = zombie.membership().unwrap();
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    broker.expire_member("job", zombie.member());
    assert!(matches!(
        producer.commit(&[at(0, 1)], &membership),
        Err(CommitError::Aborted(_))
    ));
    let gone = expect_revoked(&mut zombie, true);
    assert_eq!(gone.len(), 2);
    broker.append("in", Some(0), value("not for a zombie")).unwrap();
    zombie.resume_at(&[(input(0), 0)]).unwrap();
    expect_idle(&mut zombie);
    zombie.release(&gone).unwrap();
    assert_eq!(expect_assigned(&mut zombie), [0, 1]);
}

#[test]
fn live_member_may_commit_what_it_does_not_own() {
    let (broker, connector) = cluster(2);
    let mut first = running(&connector);
    let mut second = connector.open_consumer().unwrap();
    let going = expect_revoked(&mut first, false);
    first.release(&going).unwrap();
    assert!(expect_assigned(&mut first).is_empty());
    let _ = expect_assigned(&mut second);
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    producer
        .commit(&[at(going[0].number, 99)], &first.membership().unwrap())
        .unwrap();
    assert_eq!(broker.committed("job", "in", going[0].number).unwrap().offset, 99);
}

#[test]
fn nothing_is_delivered_between_assignment_and_resume_and_again_after_a_seek() {
    let (broker, connector) = cluster(1);
    for text in ["a", "b", "c"] {
        broker.append("in", Some(0), value(text)).unwrap();
    }
    let mut consumer = connector.open_consumer().unwrap();
    assert_eq!(expect_assigned(&mut consumer), [0]);
    expect_idle(&mut consumer);
    assert_eq!(consumer.resolve(input(0), Start::Latest).unwrap(), 3);
    consumer.resume_at(&[(input(0), 1)]).unwrap();
    assert_eq!(read(&mut consumer), (vec!["b".to_owned(), "c".to_owned()], 3));
    consumer.resume_at(&[(input(0), 2)]).unwrap();
    assert_eq!(read(&mut consumer).0, ["c"]);
}

#[test]
fn truncated_input_is_gone_and_reading_it_is_an_error_that_names_it() {
    let (broker, connector) = cluster(1);
    for _ in 0..5 {
        broker.append("in", Some(0), value("x")).unwrap();
    }
    broker.truncate_before("in", 0, 3).unwrap();
    let mut consumer = running(&connector);
    let error = consumer.poll(Duration::ZERO).err().unwrap();
    assert!(
        error.message.contains("in/0") && error.message.contains("offset 0"),
        "{error}"
    );
    consumer.resume_at(&[(input(0), 3)]).unwrap();
    assert_eq!(read(&mut consumer).0.len(), 2);
}

#[test]
fn records_too_large_are_refused_and_the_transaction_lives_on() {
    let (broker, connector) = cluster(1);
    broker.set_max_record_bytes(10);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    producer.send(0, 0, value("small")).unwrap();
    let result = producer.send(0, 0, value("much too large"));
    assert!(matches!(
        result,
        Err(SendError::TooLarge {
            bytes: 14,
            limit: 10,
            ..
        })
    ));
    producer.commit(&[], &consumer.membership().unwrap()).unwrap();
    assert_eq!(values(&broker, "out"), ["small"]);
}

#[test]
fn keyed_records_go_where_the_java_client_puts_them() {
    let (broker, connector) = cluster(1);
    let mut consumer = running(&connector);
    let mut producer = connector.open_producer("p", &[topic("out")]).unwrap();
    for key in ["21", "foobar"] {
        let record = Delivered {
            key: Some(key.as_bytes()),
            value: Some(key.as_bytes()),
            ..Delivered::default()
        };
        producer.send(0, 1, record).unwrap();
    }
    producer.commit(&[], &consumer.membership().unwrap()).unwrap();
    let found: Vec<_> = broker
        .read_committed("out")
        .unwrap()
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(found, [0, 0]);
}
