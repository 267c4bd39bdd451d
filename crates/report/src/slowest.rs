//! Which partition holds event time back, decided from what runners say: the same for one runner (its metric) and for all
//! of them (the object's status).

use crate::{PartitionName, PartitionReport};

/// How far event time has come for the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slowest {
    /// The oldest watermark from which results are made: milliseconds since the epoch. None before the first.
    pub watermark: Option<i64>,
    /// The partition that keeps it from going on, of the source as far as is known. None: nobody is waited for.
    pub held_back_by: Option<PartitionName>,
}

/// Looks at all partitions of the last of so many stages. None: none of them is known, or none has begun.
///
/// In one stage every partition has its own watermark, and the one with the oldest is named. In the last of several stages
/// it is merged from those before: the one that the slowest waits for is named, or, where that one is of an internal topic
/// itself, the one that it waits for.
pub fn slowest<'a>(partitions: impl Iterator<Item = &'a PartitionReport> + Clone, stages: usize) -> Option<Slowest> {
    let last = partitions.clone().filter(|of| usize::from(of.stage) + 1 == stages);
    if stages == 1 {
        let begun = last.filter(|of| of.watermark.is_some());
        return begun.min_by_key(|of| of.watermark).map(|of| Slowest {
            watermark: of.watermark,
            held_back_by: Some(name(of)),
        });
    }
    // No watermark comes before any: None is the least.
    let waiting = last.min_by_key(|of| of.watermark)?;
    let mut held_back_by = waiting.held_back_by.clone();
    for _ in 1..stages {
        let reports = |of: &&PartitionReport| held_back_by.as_ref().is_some_and(|by| name(of) == *by);
        if let Some(before) = partitions.clone().find(reports).and_then(|of| of.held_back_by.clone()) {
            held_back_by = Some(before);
        }
    }
    Some(Slowest {
        watermark: waiting.watermark,
        held_back_by,
    })
}

fn name(of: &PartitionReport) -> PartitionName {
    PartitionName {
        topic: of.topic.clone(),
        partition: of.partition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(topic: &str, partition: i32) -> PartitionName {
        PartitionName {
            topic: topic.to_owned(),
            partition,
        }
    }

    /// Of stage 0 in topic `in`, of stage 1 in `one`, of stage 2 in `two`.
    fn of(stage: u16, partition: i32, watermark: Option<i64>, held_back_by: Option<PartitionName>) -> PartitionReport {
        PartitionReport {
            topic: ["in", "one", "two"][usize::from(stage)].to_owned(),
            partition,
            stage,
            watermark,
            held_back_by,
            ..PartitionReport::default()
        }
    }

    #[test]
    fn the_partition_that_holds_event_time_back_is_named() {
        type Row = (
            &'static str,
            usize,
            Vec<PartitionReport>,
            Option<(Option<i64>, Option<PartitionName>)>,
        );
        let own = |number, watermark| of(0, number, watermark, None);
        let rows: [Row; 10] = [
            ("nothing is known", 1, vec![], None),
            ("nothing has begun", 1, vec![own(0, None)], None),
            (
                "the oldest of one stage",
                1,
                vec![own(0, Some(9)), own(1, Some(7)), own(2, None)],
                Some((Some(7), Some(by("in", 1)))),
            ),
            (
                "the first of two that are as old",
                1,
                vec![own(3, Some(7)), own(4, Some(7))],
                Some((Some(7), Some(by("in", 3)))),
            ),
            ("a runner without the last stage", 2, vec![own(0, Some(9))], None),
            (
                "the last stage says whom it waits for, whatever is older",
                2,
                vec![own(0, Some(1)), of(1, 0, Some(5), Some(by("in", 3)))],
                Some((Some(5), Some(by("in", 3)))),
            ),
            (
                "the slowest of the last stage",
                2,
                vec![
                    of(1, 0, Some(5), Some(by("in", 3))),
                    of(1, 1, Some(4), Some(by("in", 2))),
                ],
                Some((Some(4), Some(by("in", 2)))),
            ),
            (
                "one that was told nothing yet is the slowest",
                2,
                vec![of(1, 0, Some(5), Some(by("in", 3))), of(1, 1, None, Some(by("in", 0)))],
                Some((None, Some(by("in", 0)))),
            ),
            (
                "all before are idle",
                2,
                vec![of(1, 0, Some(5), None)],
                Some((Some(5), None)),
            ),
            (
                "through three stages to the source",
                3,
                vec![
                    of(1, 4, Some(5), Some(by("in", 3))),
                    of(2, 0, Some(2), Some(by("one", 4))),
                ],
                Some((Some(2), Some(by("in", 3)))),
            ),
        ];
        for (name, stages, partitions, expected) in rows {
            let expected = expected.map(|(watermark, held_back_by)| Slowest {
                watermark,
                held_back_by,
            });
            assert_eq!(slowest(partitions.iter(), stages), expected, "{name}");
        }
        let unknown_between = [of(2, 0, Some(2), Some(by("one", 4)))];
        let named = slowest(unknown_between.iter(), 3).and_then(|slowest| slowest.held_back_by);
        assert_eq!(named, Some(by("one", 4)), "as far as is known");
    }
}
