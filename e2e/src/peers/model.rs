//! The same jobs record by record, with nothing but lists: slow, and short enough to be read.

use crate::peers::{Job, Pair, Question, Record, Side, Totals, Windows};

/// A window that is still open, with its records.
struct Open {
    key: String,
    start: i64,
    end: i64,
    values: Vec<Option<i64>>,
}

/// When a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnds {
    /// Millrace: at the watermark `end`, for a record at `end` still belongs to it.
    AtItsEnd,
    /// Flink: 1 ms before, as other windows.
    Before,
    /// Kafka Streams: it takes no records from 1 ms before on, but a record alone is late only at the watermark `end`.
    BeforeButLateAtItsEnd,
}

/// Final results of windows, in no particular order, and keys and times of late records, sorted: windows of `start` to `end`
/// close for good when the watermark, the newest time less the grace less 1 ms, has reached `end - 1 + lateness`. A record
/// whose windows are all closed is late.
pub fn windows(job: &Job, sessions: SessionEnds) -> (Vec<Totals>, Vec<(String, i64)>) {
    let Question::Windows { windows, lateness } = job.question else {
        return (Vec::new(), Vec::new());
    };
    let (mut open, mut late, mut watermark): (Vec<Open>, Vec<(String, i64)>, i64) = (Vec::new(), Vec::new(), i64::MIN);
    for record in &job.records {
        let is_session = matches!(windows, Windows::Session(_));
        let takes_until = i64::from(!is_session || sessions != SessionEnds::AtItsEnd);
        let late_from = i64::from(!is_session || sessions == SessionEnds::Before);
        let is_over = |end: i64| end - takes_until + lateness <= watermark;
        let mut taken = false;
        for (start, end) in holding(windows, record, &open, is_over) {
            if end - late_from + lateness <= watermark {
                continue;
            }
            taken = true;
            let mut window = Open {
                key: record.key.clone(),
                start,
                end,
                values: vec![record.value],
            };
            // Of a session all that the record connects; of other windows the same one.
            open.retain_mut(|other| {
                let is_same =
                    other.key == window.key && !is_over(other.end) && start <= other.start && other.end <= end;
                if is_same {
                    window.values.append(&mut other.values);
                }
                !is_same
            });
            open.push(window);
        }
        if !taken {
            late.push((record.key.clone(), record.time));
        }
        watermark = watermark.max(record.time - job.grace - 1);
    }
    late.sort();
    (open.into_iter().map(totals).collect(), late)
}

/// Windows that a record is in: start and end.
fn holding(windows: Windows, record: &Record, open: &[Open], is_over: impl Fn(i64) -> bool) -> Vec<(i64, i64)> {
    let time = record.time;
    match windows {
        Windows::Tumbling(size) => vec![(time - time.rem_euclid(size), time - time.rem_euclid(size) + size)],
        Windows::Sliding(size, slide) => {
            let newest = time - time.rem_euclid(slide);
            let starts = (0..)
                .map(|back| newest - back * slide)
                .take_while(|start| start + size > time);
            starts.map(|start| (start, start + size)).collect()
        }
        Windows::Session(gap) => {
            let (mut start, mut end) = (time, time + gap);
            for other in open
                .iter()
                .filter(|other| other.key == record.key && !is_over(other.end))
            {
                if time <= other.end && other.start <= time + gap {
                    (start, end) = (start.min(other.start), end.max(other.end));
                }
            }
            vec![(start, end)]
        }
        Windows::RecordAligned(_) => Vec::new(),
    }
}

fn totals(window: Open) -> Totals {
    let known = || window.values.iter().copied().flatten();
    Totals {
        count: window.values.len() as i64,
        sum: known().sum(),
        min: known().min(),
        max: known().max(),
        key: window.key,
        start: window.start,
        end: window.end,
    }
}

/// Pairs of a join, in no particular order, if no record is late.
pub fn join(job: &Job) -> Vec<Pair> {
    let records = || job.records.iter().enumerate();
    let fits = |(at_left, left): (usize, &Record), (at_right, right): (usize, &Record)| {
        left.key == right.key
            && match job.question {
                Question::Join { before, after, .. } => (left.time - before..=left.time + after).contains(&right.time),
                Question::WindowJoin { size, .. } => left.time.div_euclid(size) == right.time.div_euclid(size),
                // The newest row before the record: no other row of the key lies between.
                Question::Table { .. } => {
                    let between = job.records.get(at_right + 1..at_left).unwrap_or_default();
                    at_right < at_left && !between.iter().any(|other| other.right && other.key == left.key)
                }
                Question::Windows { .. } => false,
            }
    };
    let side = match job.question {
        Question::Join { side, .. } | Question::WindowJoin { side, .. } | Question::Table { side } => side,
        Question::Windows { .. } => Side::Inner,
    };
    let mut pairs = Vec::new();
    for left in records().filter(|(_, record)| !record.right) {
        let matches: Vec<_> = records().filter(|right| right.1.right && fits(left, *right)).collect();
        let pair = |right: Option<i64>| Pair {
            key: left.1.key.clone(),
            left: left.1.value,
            right,
        };
        pairs.extend(matches.iter().map(|(_, right)| pair(right.value)));
        if matches.is_empty() && side != Side::Inner {
            pairs.push(pair(None));
        }
    }
    for right in records().filter(|(_, record)| record.right && side == Side::Outer) {
        if !records().any(|left| !left.1.right && fits(left, right)) {
            pairs.push(Pair {
                key: right.1.key.clone(),
                left: None,
                right: right.1.value,
            });
        }
    }
    pairs
}
