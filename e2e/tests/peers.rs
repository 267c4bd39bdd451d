//! Windows and joins give what Flink gives, what Kafka Streams gives, and what a model gives that goes through the records
//! one by one; where a peer means something else, that difference is what is asserted.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use std::collections::BTreeMap;

use millrace_e2e::compare::same_multiset;
use millrace_e2e::flights::{Flight, january};
use millrace_e2e::peers::{
    self, Job, Ours, Pair, Peer, Question, Record, SessionEnds, Side, Totals, Windows, knows, late_in_flink, ours,
    records,
};

fn windowed(windows: Windows, lateness: i64, grace: i64, records: Vec<Record>) -> Job {
    Job {
        question: Question::Windows { windows, lateness },
        grace,
        updates: false,
        records,
    }
}

/// January's flights in the order in which they really left, an hour a window; four hours out of order, and some are later.
fn flights(windows: Windows) -> Job {
    const HOUR: i64 = 3_600_000;
    let record = |line: String| {
        let flight: Flight = serde_json::from_str(&line).unwrap();
        Record {
            right: false,
            key: flight.carrier,
            time: flight.ts,
            value: flight.dep_delay,
        }
    };
    windowed(
        windows,
        0,
        4 * HOUR,
        january().unwrap().into_iter().map(record).collect(),
    )
}

/// Final results of Millrace.
fn finals(ours: &Ours) -> Vec<Totals> {
    let finals = ours.totals.iter().filter(|(_, is_final)| *is_final);
    finals.map(|(totals, _)| totals.clone()).collect()
}

/// The last result of each key and window.
fn last(results: Vec<Totals>) -> Vec<Totals> {
    let keyed = results
        .into_iter()
        .map(|result| ((result.key.clone(), result.start, result.end), result));
    keyed.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// What the model gives for a peer is what it gives, and which records it finds late.
fn model_is_right(job: &Job, sessions: SessionEnds, who: &str, found: Vec<Totals>, late: Option<&[(String, i64)]>) {
    let (expected, expected_late) = peers::windows(job, sessions);
    same_multiset(found, expected).unwrap_or_else(|error| panic!("{who}: {error} in {:?}", job.question));
    if let Some(late) = late {
        assert_eq!(late, expected_late, "{who}: {:?}", job.question);
    }
}

/// Millrace, Flink, Kafka Streams and the model give the same windows and find the same records late.
fn agree(jobs: &[Job]) {
    let flink = Peer::Flink.answer(jobs).unwrap();
    let streams = Peer::KafkaStreams.answer(jobs).unwrap();
    let (mut windows, mut late) = (0, 0);
    for (job, (flink, streams)) in jobs.iter().zip(flink.iter().zip(&streams)) {
        let ours = ours(job).unwrap();
        let finals = finals(&ours);
        (windows, late) = (windows + finals.len(), late + ours.late.len());
        model_is_right(job, SessionEnds::AtItsEnd, "Millrace", finals, Some(&ours.late));
        let totals = last(Totals::all(flink).unwrap());
        model_is_right(job, SessionEnds::Before, "Flink", totals, Some(&late_in_flink(flink)));
        let mut totals = Totals::all(streams).unwrap();
        if let Question::Windows {
            windows: Windows::Session(gap),
            ..
        } = job.question
        {
            totals.iter_mut().for_each(|totals| totals.end += gap);
        }
        model_is_right(job, SessionEnds::BeforeButLateAtItsEnd, "Kafka Streams", totals, None);
    }
    assert!(
        windows > 100 && late > 10,
        "{windows} windows and {late} late records are no test"
    );
}

#[test]
fn tumbling_windows_agree_with_flink_kafka_streams_and_a_model() {
    let mut jobs: Vec<Job> = (0..6)
        .map(|seed| {
            let (size, grace) = ([10, 100, 1000][seed as usize % 3], [0, 15, 60][seed as usize / 2]);
            windowed(Windows::Tumbling(size), 0, grace, records(seed, 300, 60))
        })
        .collect();
    jobs.push(flights(Windows::Tumbling(3_600_000)));
    agree(&jobs);
}

#[test]
fn lateness_writes_again_what_flink_fires_again() {
    let job = windowed(Windows::Tumbling(50), 60, 5, records(11, 600, 80));
    let flink = Peer::Flink.answer(std::slice::from_ref(&job)).unwrap();
    let ours = ours(&job).unwrap();
    let by_window = |results: Vec<Totals>| {
        let mut by_window: BTreeMap<(String, i64), Vec<Totals>> = BTreeMap::new();
        for totals in results {
            by_window
                .entry((totals.key.clone(), totals.start))
                .or_default()
                .push(totals);
        }
        by_window
    };
    let fired: Vec<Totals> = ours
        .totals
        .iter()
        .filter(|(_, is_final)| !is_final)
        .map(|(totals, _)| totals.clone())
        .collect();
    let (fired, theirs) = (by_window(fired), by_window(Totals::all(&flink[0]).unwrap()));
    let again = theirs.values().filter(|firings| firings.len() > 1).count();
    assert!(again > 10, "{again} windows fired again");
    // At the end of a file Millrace writes the last result of a window that had not fired yet as final only.
    for (window, firings) in &theirs {
        match fired.get(window) {
            Some(ours) => assert_eq!(ours, firings, "{window:?}"),
            None => assert_eq!(firings.len(), 1, "{window:?}"),
        }
    }
    // What Flink does not say and Millrace does: which result is the last.
    same_multiset(finals(&ours), last(Totals::all(&flink[0]).unwrap())).unwrap();
    assert_eq!(ours.late, late_in_flink(&flink[0]));
}

#[test]
fn grace_of_kafka_streams_delays_the_result_that_lateness_corrects() {
    let record = |time, value| Record {
        right: false,
        key: "k".to_owned(),
        time,
        value: Some(value),
    };
    // The window from 0 to 10 is over at 12, gets another record, and its time is up at 35.
    let records = vec![record(1, 1), record(12, 5), record(3, 2), record(35, 7)];
    let late = windowed(Windows::Tumbling(10), 20, 0, records.clone());
    let first: Vec<(i64, bool)> = ours(&late)
        .unwrap()
        .totals
        .iter()
        .filter(|(totals, _)| totals.start == 0)
        .map(|(totals, is_final)| (totals.sum, *is_final))
        .collect();
    assert_eq!(first, [(1, false), (3, false), (3, true)], "corrected");

    let delayed = windowed(Windows::Tumbling(10), 0, 20, records);
    let streams = Peer::KafkaStreams.answer(std::slice::from_ref(&delayed)).unwrap();
    let theirs: Vec<i64> = Totals::all(&streams[0])
        .unwrap()
        .iter()
        .filter(|totals| totals.start == 0)
        .map(|totals| totals.sum)
        .collect();
    assert_eq!(theirs, [3], "delayed");
    same_multiset(finals(&ours(&delayed).unwrap()), Totals::all(&streams[0]).unwrap()).unwrap();
}

#[test]
fn kafka_streams_writes_an_update_for_every_record_unless_told_otherwise() {
    let job = windowed(Windows::Tumbling(100), 0, 100, records(5, 200, 60));
    let updates = Job {
        updates: true,
        ..job.clone()
    };
    let streams = Peer::KafkaStreams.answer(&[updates]).unwrap();
    let theirs = Totals::all(&streams[0]).unwrap();
    assert_eq!(theirs.len(), job.records.len());
    let ours = finals(&ours(&job).unwrap());
    assert!(ours.len() * 2 < theirs.len(), "{} results", ours.len());
    same_multiset(ours, last(theirs)).unwrap();
}

#[test]
fn sliding_windows_agree_with_flink_kafka_streams_and_a_model() {
    let jobs: Vec<Job> = [(100, 20, 0, 1), (100, 30, 60, 2), (50, 50, 10, 3), (1000, 7, 30, 4)]
        .into_iter()
        .map(|(size, slide, grace, seed)| windowed(Windows::Sliding(size, slide), 0, grace, records(seed, 300, 60)))
        .collect();
    // Where size is no multiple of the slide, Kafka Streams begins at the same multiples of the slide.
    agree(&jobs);
}

#[test]
fn record_aligned_windows_of_kafka_streams_are_something_else() {
    let job = windowed(Windows::RecordAligned(10), 0, 100, records(6, 50, 0));
    let hop = windowed(Windows::Sliding(10, 5), 0, 100, records(6, 50, 0));
    let answers = Peer::KafkaStreams.answer(&[job, hop.clone()]).unwrap();
    let [aligned, hopping] = [0, 1].map(|at| Totals::all(&answers[at]).unwrap());
    assert!(
        aligned.iter().any(|totals| totals.start % 5 != 0),
        "they begin at records"
    );
    assert!(hopping.iter().all(|totals| totals.start % 5 == 0));
    same_multiset(hopping, peers::windows(&hop, SessionEnds::AtItsEnd).0).unwrap();
}

#[test]
fn sessions_agree_but_for_the_millisecond_in_which_the_peers_close_them() {
    let jobs: Vec<Job> = [(30, 0, 1), (30, 60, 2), (7, 20, 3), (40, 10, 4)]
        .into_iter()
        .map(|(gap, grace, seed)| windowed(Windows::Session(gap), 0, grace, records(seed, 300, 60)))
        .collect();
    agree(&jobs);
}

#[test]
fn a_session_ends_a_gap_after_its_last_record_and_in_kafka_streams_with_it() {
    let job = windowed(Windows::Session(30), 0, 60, records(2, 100, 60));
    let streams = Totals::all(&Peer::KafkaStreams.answer(std::slice::from_ref(&job)).unwrap()[0]).unwrap();
    let moved = streams.into_iter().map(|totals| Totals {
        end: totals.end + 30,
        ..totals
    });
    same_multiset(moved, peers::windows(&job, SessionEnds::AtItsEnd).0).unwrap();
    same_multiset(
        finals(&ours(&job).unwrap()),
        peers::windows(&job, SessionEnds::AtItsEnd).0,
    )
    .unwrap();
}

/// Records of both sides in turn.
fn sided(seed: u64, disorder: i64) -> Vec<Record> {
    let sided = |(at, record): (usize, Record)| Record {
        right: at % 2 == 1,
        ..record
    };
    records(seed, 120, disorder)
        .into_iter()
        .enumerate()
        .map(sided)
        .collect()
}

/// The same question for all kinds of rows without a match.
fn all_sides(question: impl Fn(Side) -> Question, grace: i64, records: &[Record]) -> Vec<Job> {
    let job = |side| Job {
        question: question(side),
        grace,
        updates: false,
        records: records.to_vec(),
    };
    [Side::Inner, Side::Left, Side::Outer].map(job).to_vec()
}

fn interval(side: Side) -> Question {
    Question::Join {
        before: 40,
        after: 10,
        side,
    }
}

#[test]
fn joins_of_two_streams_agree_with_flink_and_a_model() {
    let mut jobs = all_sides(interval, 60, &sided(21, 60));
    jobs.extend(all_sides(
        |side| Question::WindowJoin { size: 100, side },
        60,
        &sided(22, 60),
    ));
    let flink = Peer::Flink.answer(&jobs).unwrap();
    for (job, results) in jobs.iter().zip(&flink) {
        let expected = peers::join(job);
        assert!(expected.len() > 15, "{}", expected.len());
        let results = Pair::all(results).unwrap().into_iter().map(without_nulls);
        same_multiset(results, expected.clone()).unwrap_or_else(|error| panic!("{error} in {:?}", job.question));
        if knows(job.question).unwrap() {
            same_multiset(ours(job).unwrap().pairs, expected).unwrap();
        }
    }
}

#[test]
fn joins_of_two_streams_agree_with_kafka_streams_if_records_are_in_order() {
    let jobs = all_sides(interval, 0, &sided(23, 0));
    let streams = Peer::KafkaStreams.answer(&jobs).unwrap();
    for (job, results) in jobs.iter().zip(&streams) {
        same_multiset(Pair::all(results).unwrap(), peers::join(job)).unwrap();
    }
}

/// It puts a record without a match aside only if it is newer than stream time less the interval; else it reports it as one
/// without a match at once, whatever the grace, and its matches when they come.
#[test]
fn kafka_streams_reports_records_out_of_order_as_unmatched_too_early() {
    let jobs = all_sides(interval, 60, &sided(21, 60));
    let streams = Peer::KafkaStreams.answer(&jobs).unwrap();
    let mut too_early = 0;
    for (job, results) in jobs.iter().zip(&streams) {
        let expected = peers::join(job);
        let mut extra = Pair::all(results).unwrap();
        for pair in &expected {
            let at = extra.iter().position(|other| other == pair);
            extra.swap_remove(at.unwrap_or_else(|| panic!("{pair:?} is missing in {:?}", job.question)));
        }
        let is_matched = |pair: &&Pair| {
            let same = |other: &&Pair| other.key == pair.key && (other.left == pair.left || other.right == pair.right);
            (pair.left.is_none() || pair.right.is_none()) && expected.iter().any(|other| same(&other))
        };
        assert_eq!(extra.iter().filter(is_matched).count(), extra.len(), "{extra:?}");
        too_early += extra.len();
    }
    assert!(too_early > 0, "Kafka Streams waits for the grace now");
}

/// Flink's program writes the smallest number for a value that is NULL.
fn without_nulls(pair: Pair) -> Pair {
    let known = |value: Option<i64>| value.filter(|value| *value != i64::MIN);
    Pair {
        left: known(pair.left),
        right: known(pair.right),
        ..pair
    }
}

#[test]
fn joins_with_a_table_that_stands_first_agree() {
    let table = (0..3).map(|at| Record {
        right: true,
        key: format!("k{at}"),
        time: 0,
        value: Some(at * 100),
    });
    let stream = records(31, 100, 60);
    let job = |side| Job {
        question: Question::Table { side },
        grace: 0,
        updates: false,
        records: table.clone().chain(stream.iter().cloned()).collect(),
    };
    let jobs = [job(Side::Inner), job(Side::Left)];
    let streams = Peer::KafkaStreams.answer(&jobs).unwrap();
    for (job, results) in jobs.iter().zip(&streams) {
        same_multiset(Pair::all(results).unwrap(), peers::join(job)).unwrap();
        same_multiset(ours(job).unwrap().pairs, peers::join(job)).unwrap();
    }
}
