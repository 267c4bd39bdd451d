//! How far behind a group is, from what brokers say of its partitions. No broker, no clock.
//!
//! A position is what the group has committed; a group that has committed nothing will begin where the spec says. The end
//! is where a reader of committed records ends. One partition that is not known makes the lag unknown: never a number that
//! leaves something out.

use std::collections::HashMap;

use millrace_connect::kafka::{Extent, Place};
use millrace_plan::Start;

/// Times are asked of this many partitions in a round.
pub(super) const ASKED: usize = 16;

/// What the partitions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// Records behind; None: unknown.
    pub(super) records: Option<i64>,
    /// What was deleted before it was read, as a sentence.
    pub(super) lost: Option<String>,
    /// The first unread record of every partition that is behind.
    pub(super) behind: Vec<Place>,
}

/// Measures all partitions of a pipeline, each of which starts where its topic does.
pub(super) fn measure(extents: &[Extent], start_of: impl Fn(&str) -> Start) -> Measured {
    let mut measured = Measured {
        records: Some(0),
        ..Measured::default()
    };
    let mut lost = 0;
    for of in extents {
        if let Some(committed) = of.committed.filter(|committed| *committed < of.start) {
            lost += 1;
            measured.lost.get_or_insert_with(|| {
                format!(
                    "partition {} of topic {}: records {committed} to {} were deleted before they were read",
                    of.partition,
                    of.topic,
                    of.start - 1
                )
            });
        }
        let lag = lag_of(of, start_of(&of.topic));
        measured.records = measured.records.zip(lag).map(|(sum, lag)| sum.saturating_add(lag));
        if lag.is_some_and(|lag| lag > 0) {
            measured.behind.push(Place {
                topic: of.topic.clone(),
                partition: of.partition,
                offset: of.end - lag.unwrap_or_default(),
            });
        }
    }
    if let Some(sentence) = measured.lost.as_mut().filter(|_| lost > 1) {
        sentence.push_str(&format!(", and {} more partitions lost records", lost - 1));
    }
    measured
}

fn lag_of(of: &Extent, start: Start) -> Option<i64> {
    let position = match (of.committed, start) {
        (Some(committed), _) => committed.max(of.start),
        (None, Start::Earliest) => of.start,
        (None, Start::Latest) if of.start == of.end => of.end,
        // The end at the moment at which a runner will first look.
        (None, Start::Latest) => return None,
    };
    // A log that was cut, or made anew, can end before what was committed.
    Some((of.end - position).max(0))
}

/// When the first unread records were written, as far as that was found out.
#[derive(Debug, Default)]
pub(super) struct Times(HashMap<(String, i32), Time>);

#[derive(Debug)]
struct Time {
    offset: i64,
    /// None: there is no record to be read there.
    written_at: Option<i64>,
    /// Which round found it out.
    round: u64,
}

impl Times {
    /// The places whose time is to be asked for next: those never asked for, then those asked for longest ago.
    pub(super) fn next(&mut self, behind: &[Place]) -> Vec<Place> {
        let is_behind = |topic: &str, number: i32| {
            behind
                .iter()
                .any(|place| place.topic == topic && place.partition == number)
        };
        self.0.retain(|(topic, number), _| is_behind(topic, *number));
        let known = |place: &Place| self.0.get(&(place.topic.clone(), place.partition));
        let mut open: Vec<(u64, &Place)> = behind
            .iter()
            .filter(|place| known(place).is_none_or(|time| time.offset != place.offset))
            .map(|place| (known(place).map_or(0, |time| time.round), place))
            .collect();
        open.sort_by_key(|(round, _)| *round);
        open.truncate(ASKED);
        open.into_iter().map(|(_, place)| place.clone()).collect()
    }

    /// Notes the answers of `round`, which counts from 1.
    pub(super) fn note(&mut self, asked: &[Place], answers: &[Option<i64>], round: u64) {
        for (place, written_at) in asked.iter().zip(answers) {
            let time = Time {
                offset: place.offset,
                written_at: *written_at,
                round,
            };
            self.0.insert((place.topic.clone(), place.partition), time);
        }
    }

    /// When the oldest unread record was written. None: not known of all partitions that are behind, or there is none.
    /// The time of a partition that has moved on since it was asked for is taken as it was: too old by a few rounds.
    pub(super) fn oldest(&self, behind: &[Place]) -> Option<i64> {
        let known = |place: &Place| self.0.get(&(place.topic.clone(), place.partition));
        let times: Option<Vec<&Time>> = behind.iter().map(known).collect();
        times?.into_iter().filter_map(|time| time.written_at).min()
    }
}

/// Seconds since `written_at`, never negative: clocks differ.
pub(super) fn age(written_at: i64, now: i64) -> i64 {
    now.saturating_sub(written_at).max(0) / 1000
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extent(partition: i32, start: i64, end: i64, committed: Option<i64>) -> Extent {
        Extent {
            topic: "in".to_owned(),
            partition,
            start,
            end,
            committed,
        }
    }

    fn place(partition: i32, offset: i64) -> Place {
        Place {
            topic: "in".to_owned(),
            partition,
            offset,
        }
    }

    #[test]
    fn lag_of_one_partition() {
        use Start::{Earliest, Latest};
        let rows = [
            ("nothing there, nothing committed", (0, 0, None), Earliest, Some(0)),
            ("never committed, from the start", (3, 10, None), Earliest, Some(7)),
            ("never committed, from the end", (3, 10, None), Latest, None),
            (
                "never committed, from the end of an empty log",
                (10, 10, None),
                Latest,
                Some(0),
            ),
            ("caught up", (0, 10, Some(10)), Earliest, Some(0)),
            ("behind", (0, 10, Some(4)), Latest, Some(6)),
            ("committed at the start", (0, 10, Some(0)), Latest, Some(10)),
            ("records deleted unread", (6, 10, Some(4)), Earliest, Some(4)),
            ("everything deleted unread", (10, 10, Some(4)), Earliest, Some(0)),
            ("a log that was made anew", (0, 3, Some(90)), Earliest, Some(0)),
        ];
        for (name, (start, end, committed), from, expected) in rows {
            let measured = measure(&[extent(0, start, end, committed)], |_| from);
            assert_eq!(measured.records, expected, "{name}");
            assert_eq!(
                measured.lost.is_some(),
                committed.is_some_and(|committed| committed < start),
                "{name}"
            );
        }
    }

    #[test]
    fn one_unknown_partition_makes_the_lag_unknown_and_lost_records_are_named() {
        let measured = measure(&[extent(0, 0, 5, Some(1)), extent(1, 0, 5, None)], |_| Start::Latest);
        assert_eq!((measured.records, measured.behind), (None, vec![place(0, 1)]));
        let lost = measure(
            &[
                extent(0, 0, 5, Some(1)),
                extent(1, 9, 12, Some(4)),
                extent(2, 2, 2, Some(0)),
            ],
            |_| Start::Earliest,
        );
        assert_eq!(
            lost.lost.as_deref(),
            Some(
                "partition 1 of topic in: records 4 to 8 were deleted before they were read, and 1 more partitions lost records"
            )
        );
        assert_eq!((lost.records, lost.behind), (Some(7), vec![place(0, 1), place(1, 9)]));
    }

    proptest! {
        #[test]
        fn lag_is_what_a_reader_from_the_position_would_count(
            partitions in proptest::collection::vec((0_i64..20, 0_i64..20, proptest::option::of(0_i64..50)), 1..6),
            latest in any::<bool>(),
        ) {
            let extents: Vec<Extent> = (0..).zip(&partitions)
                .map(|(number, (start, length, committed))| extent(number, *start, start + length, *committed))
                .collect();
            let from = if latest { Start::Latest } else { Start::Earliest };
            // One by one: which offsets exist, and which of them are still to be read.
            let count = |of: &Extent| {
                let unread = |offset: &i64| of.committed.is_none_or(|committed| *offset >= committed);
                let held = of.start..of.end;
                let known = of.committed.is_some() || from == Start::Earliest || of.start == of.end;
                known.then(|| held.filter(unread).count() as i64)
            };
            let expected: Option<Vec<i64>> = extents.iter().map(count).collect();
            let measured = measure(&extents, |_| from);
            prop_assert_eq!(measured.records, expected.map(|lags| lags.iter().sum()));
            for place in &measured.behind {
                let of = &extents[place.partition as usize];
                prop_assert!(of.start <= place.offset && place.offset < of.end);
            }
        }
    }

    #[test]
    fn times_are_asked_once_a_place_and_in_turn() {
        let mut times = Times::default();
        let behind: Vec<Place> = (0..40).map(|partition| place(partition, 7)).collect();
        let mut asked = Vec::new();
        for round in 1..=3 {
            assert_eq!(times.oldest(&behind), None, "not all are known before round {round}");
            let next = times.next(&behind);
            let answers: Vec<Option<i64>> = next
                .iter()
                .map(|place| Some(1000 + i64::from(place.partition)))
                .collect();
            times.note(&next, &answers, round);
            asked.extend(next);
        }
        asked.sort();
        assert_eq!(asked, behind);
        assert_eq!(times.next(&behind), []);
        assert_eq!(times.oldest(&behind), Some(1000));
        // Partition 0 caught up, partition 1 moved on: only that one is asked again.
        let mut behind = behind[1..].to_vec();
        behind[0].offset = 8;
        assert_eq!(times.oldest(&behind), Some(1001));
        assert_eq!(times.next(&behind), [place(1, 8)]);
        times.note(&[place(1, 8)], &[None], 4);
        assert_eq!(times.oldest(&behind), Some(1002));
        assert_eq!(times.oldest(&[place(1, 8)]), None, "there is no record to be read");
    }

    #[test]
    fn clocks_that_differ_make_no_negative_age() {
        assert_eq!((age(5_000, 8_999), age(9_000, 8_999)), (3, 0));
    }
}
