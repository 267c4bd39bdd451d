//! All kinds of windows against models that keep every row and look at every millisecond.

mod aligned;

mod sessions;

use millrace_plan::{Aggregate, AggregateFunction, Emit, Session, Sliding, TimeDomain, Tumbling, Window, WindowKind};
use proptest::prelude::*;

use super::*;
use crate::operators::{Fault, Made, Now};
use crate::state::testing::{self, Row, Value, aggregate, arguments, values};

/// What comes in: a row, its time, the watermark after it, and whether an operator before the window keeps it. Those
/// that it does not keep move time only; so does an idle input whose watermark somebody moves on.
type Event = (Row, i64, i64, bool);

/// A window per `number` with the aggregates of [`summary`].
fn window(kind: WindowKind, emit: Emit, allowed_lateness: i64) -> Window {
    Window {
        kind,
        time: TimeDomain::Event,
        emit,
        allowed_lateness,
        keys: vec![1],
        aggregates: some_aggregates(),
    }
}

fn some_aggregates() -> Vec<Aggregate> {
    vec![
        aggregate(AggregateFunction::Count, ""),
        aggregate(AggregateFunction::Sum, "whole"),
        aggregate(AggregateFunction::Avg, "double"),
        aggregate(AggregateFunction::Min, "instant"),
    ]
}

/// What [`some_aggregates`] make of rows with their times; None if the sum is too large.
fn summary<'a>(rows: impl IntoIterator<Item = (&'a Row, i64)>) -> Option<Vec<Value>> {
    let rows: Vec<_> = rows.into_iter().collect();
    let wholes: Vec<i128> = rows.iter().filter_map(|(row, _)| row.whole).map(i128::from).collect();
    let doubles: Vec<f64> = rows.iter().filter_map(|(row, _)| row.double).collect();
    let sum = i64::try_from(wholes.iter().sum::<i128>()).ok()?;
    let mean = doubles.iter().sum::<f64>() / doubles.len() as f64;
    Some(vec![
        Value::Whole(rows.len() as i64),
        if wholes.is_empty() {
            Value::Null
        } else {
            Value::Whole(sum)
        },
        if doubles.is_empty() {
            Value::Null
        } else {
            Value::Double(mean)
        },
        rows.iter()
            .map(|(_, time)| *time)
            .min()
            .map_or(Value::Null, Value::Timestamp),
    ])
}

/// What steps gave, or a model says they should.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    /// Key, start, end, whether final, aggregates.
    rows: Vec<Vec<Value>>,
    times: Vec<i64>,
    watermarks: Vec<i64>,
    /// By position among all events.
    late: Vec<usize>,
    rejected: Vec<usize>,
}

impl Seen {
    fn take(&mut self, made: Option<Made>) {
        let Some(out) = made.map(testing::results) else { return };
        assert!(out.origins.is_empty() && !out.times.is_empty());
        self.rows
            .extend((0..out.len()).map(|row| values(out.columns.columns(), row)));
        self.times.extend(out.times);
        self.watermarks.extend(out.watermarks);
    }

    fn push(&mut self, key: i64, (start, end): (i64, i64), is_final: bool, aggregates: Vec<Value>, watermark: i64) {
        let mut row = vec![Value::Whole(key)];
        row.extend([start, end].map(Value::Timestamp));
        row.push(Value::Boolean(is_final));
        row.extend(aggregates);
        self.rows.push(row);
        self.times.push(end - 1);
        self.watermarks.push(watermark);
    }

    /// Adds what a step gave over the events at these positions.
    fn step(&mut self, operator: &mut dyn Keyed, spec: &Window, events: &[Event], positions: &[usize], now: Now) {
        let row = |at: &usize| (events[*at].0.clone(), events[*at].1, events[*at].2);
        let batch = testing::batch(&positions.iter().map(row).collect::<Vec<_>>());
        let mut faults = Vec::new();
        self.take(operator.step(&batch, &arguments(&batch, &spec.aggregates), now, &mut faults));
        for (row, fault) in faults {
            match fault {
                Fault::Late => self.late.push(positions[row]),
                Fault::Overflow(_) => self.rejected.push(positions[row]),
                Fault::Unreadable(_) => unreachable!("rows are no partials"),
            }
        }
    }
}

fn fresh(spec: &Window) -> Box<dyn Keyed> {
    let output = testing::output(&spec.keys, testing::window_fields(), &spec.aggregates);
    operator(spec, &testing::input(), &output)
}

fn saved(operator: &dyn Keyed) -> Vec<u8> {
    let mut bytes = Vec::new();
    operator.save(&mut bytes);
    bytes
}

/// The operator after its state went through its bytes.
fn reloaded(operator: &dyn Keyed, spec: &Window) -> Box<dyn Keyed> {
    let bytes = saved(operator);
    let mut next = fresh(spec);
    assert_eq!(next.load(&bytes), Ok(()));
    assert_eq!(saved(&*next), bytes);
    next
}

/// Results over events cut into steps of these lengths; `true`: the state goes through its bytes after the step.
fn run(spec: &Window, events: &[Event], cuts: &[(usize, bool)]) -> Seen {
    let mut operator = fresh(spec);
    let mut seen = Seen::default();
    let mut start = 0;
    for (length, reload) in cuts.iter().chain(std::iter::once(&(events.len(), false))) {
        let end = events.len().min(start + length);
        let Some((.., watermark, _)) = events[start..end].last() else {
            break;
        };
        let kept: Vec<usize> = (start..end).filter(|at| events[*at].3).collect();
        let now = Now {
            watermark: *watermark,
            clock: 0,
        };
        seen.step(&mut *operator, spec, events, &kept, now);
        start = end;
        if *reload {
            operator = reloaded(&*operator, spec);
        }
    }
    seen.take(operator.finish());
    seen
}

/// The same by the clock, which stands at each event's watermark plus 1 when it comes.
fn run_by_clock(spec: &Window, events: &[Event], reloads: &[(usize, bool)]) -> Seen {
    let mut operator = fresh(spec);
    let mut seen = Seen::default();
    for (at, (.., watermark, keep)) in events.iter().enumerate() {
        let now = Now {
            watermark: i64::MIN,
            clock: watermark + 1,
        };
        let kept: &[usize] = if *keep { &[at] } else { &[] };
        seen.step(&mut *operator, spec, events, kept, now);
        if reloads.get(at).is_some_and(|(_, reload)| *reload) {
            operator = reloaded(&*operator, spec);
        }
    }
    seen.take(operator.finish());
    seen
}

/// Rows mostly forwards in time with steps back, some far too late, and times at which the input is idle.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let whole = prop_oneof![
        2 => Just(None),
        6 => (0i64..50).prop_map(Some),
        1 => Just(Some(i64::MAX / 3)),
    ];
    let row = (0i64..3, whole, proptest::option::of(-5i32..5)).prop_map(|(number, whole, double)| Row {
        number,
        whole,
        double: double.map(f64::from),
        ..Row::default()
    });
    let jitter = prop_oneof![5 => -12i64..12, 1 => -60i64..-12];
    let idle = prop_oneof![12 => Just(0), 1 => 1i64..70];
    let event = (row, jitter, idle, proptest::bool::weighted(0.85));
    (proptest::collection::vec(event, 0..40), 0i64..25, 1i64..5).prop_map(|(events, delay, pace)| {
        let (mut newest, mut watermark) = (i64::MIN, -1000);
        let timed = events.into_iter().enumerate().map(|(at, (row, jitter, idle, keep))| {
            let time = pace * at as i64 - 50 + jitter;
            newest = newest.max(time);
            watermark = i64::max(watermark, newest - delay - 1) + idle;
            (row, time, watermark, keep && idle == 0)
        });
        timed.collect()
    })
}

fn cuts() -> impl Strategy<Value = Vec<(usize, bool)>> {
    proptest::collection::vec((1usize..12, proptest::bool::weighted(0.4)), 0..40)
}

fn emits() -> impl Strategy<Value = Emit> {
    prop_oneof![
        2 => Just(Emit::OnClose),
        1 => Just(Emit::OnUpdate),
        2 => (1i64..12).prop_map(|every| Emit::Early { every }),
    ]
}

fn latenesses() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1i64..40]
}

/// Every way of running gives the same, to the last bit, and it is what the model says.
fn check(spec: &Window, events: &[Event], cuts: &[(usize, bool)], model: &Seen) -> Result<(), TestCaseError> {
    let whole = run(spec, events, &[]);
    prop_assert_eq!(&whole, model, "all at once");
    let one_by_one = vec![(1, false); events.len()];
    for (how, cuts) in [("one by one", &one_by_one[..]), ("cut", cuts)] {
        let found = run(spec, events, cuts);
        prop_assert_eq!(&found, model, "{}", how);
        prop_assert_eq!(format!("{found:?}"), format!("{whole:?}"), "{}, to the last bit", how);
    }
    Ok(())
}

fn row(number: i64, time: i64, watermark: i64) -> Event {
    let row = Row {
        number,
        ..Row::default()
    };
    (row, time, watermark, true)
}

/// Key, start, end, whether final and count of results.
fn short(seen: &Seen) -> Vec<(i64, i64, i64, bool, i64)> {
    let short = |row: &Vec<Value>| match row.as_slice() {
        [
            Value::Whole(key),
            Value::Timestamp(start),
            Value::Timestamp(end),
            Value::Boolean(is_final),
            Value::Whole(count),
            ..,
        ] => (*key, *start, *end, *is_final, *count),
        other => panic!("{other:?}"),
    };
    seen.rows.iter().map(short).collect()
}
