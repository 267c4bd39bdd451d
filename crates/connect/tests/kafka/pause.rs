//! Partitions that are not fetched for a while.

use millrace_connect::kafka::{KafkaConsumer, KafkaRecords};
use millrace_connect::{Connector, Consumer, Event, Records};

use crate::{Job, assigned, assigned_while, input, running, start, text, until, until_revoked};

const MANY: usize = 20_000;

fn values(records: &KafkaRecords) -> Vec<String> {
    (0..records.len()).map(|at| text(records, at)).collect()
}

/// Reads until `mark` comes on partition 1; returns what partition 0 has brought meanwhile.
fn until_mark(job: &Job, consumer: &mut KafkaConsumer, mark: &str) -> Vec<String> {
    job.feed(1, [mark.to_owned()]);
    let mut seen = Vec::new();
    until(consumer, "the mark", |_, event| {
        let Event::Records(records) = event else { return None };
        match records.partition().number {
            0 => seen.extend(values(&records)),
            _ => return values(&records).iter().any(|value| value == mark).then_some(()),
        }
        None
    });
    seen
}

#[test]
fn a_paused_partition_brings_no_more_and_goes_on_where_it_stopped() {
    let Some(job) = Job::new("pause", 2) else { return };
    job.feed(0, (0..MANY).map(|at| format!("{at:05}")));
    let mut consumer = running(&job.connector);
    let (mut seen, mut pauses) = (Vec::new(), 0);
    while seen.len() < MANY {
        until(&mut consumer, "records", |_, event| {
            let Event::Records(records) = event else { return None };
            seen.extend(values(&records));
            (!records.is_empty()).then_some(())
        });
        consumer.pause(&[input(0)]).unwrap();
        // What was taken already may still come.
        seen.extend(until_mark(&job, &mut consumer, &format!("first {pauses}")));
        if seen.len() < MANY {
            pauses += 1;
            let more = until_mark(&job, &mut consumer, &format!("second {pauses}"));
            assert!(more.is_empty(), "{} records of a paused partition", more.len());
        }
        consumer.unpause(&[input(0)]).unwrap();
        seen.retain(|value| value.len() == 5);
    }
    let expected: Vec<String> = (0..MANY).map(|at| format!("{at:05}")).collect();
    assert_eq!(seen.len(), MANY);
    assert_eq!(seen, expected, "in order, each once");
    assert!(pauses >= 2, "{pauses} pauses while there was more");
}

#[test]
fn a_paused_partition_that_is_started_again_or_comes_back_is_delivered() {
    let Some(job) = Job::new("pause-moves", 2) else { return };
    (0..2).for_each(|partition| job.feed(partition, ["record".to_owned()]));
    let both = [input(0), input(1)];
    let mut first = running(&job.connector);
    let read = |consumer: &mut KafkaConsumer, many: usize| {
        let mut seen = 0;
        until(consumer, "records", |_, event| {
            if let Event::Records(records) = event {
                seen += records.len();
            }
            (seen >= many).then_some(())
        });
    };
    read(&mut first, 2);
    first.pause(&both).unwrap();
    start(&mut first, &both);
    read(&mut first, 2);
    first.pause(&both).unwrap();
    let mut second = job.connector.open_consumer().unwrap();
    let going = until_revoked(&mut first, &mut second);
    first.release(&going).unwrap();
    assert_eq!(assigned_while(&mut second, &mut first), going);
    second.close();
    assert_eq!(assigned(&mut first), going);
    start(&mut first, &going);
    read(&mut first, going.len());
}
