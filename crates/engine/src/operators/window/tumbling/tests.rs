use std::collections::HashMap;

use millrace_plan::{AggregateFunction, WindowKind};
use proptest::prelude::*;

use super::*;
use crate::operators::group;
use crate::state::testing::{self, Row, Value, aggregate, aggregates, arguments, expected, values};

fn operator(spec: &Window) -> TumblingWindows {
    let output = testing::output(&spec.keys, testing::window_fields(), &spec.aggregates);
    TumblingWindows::new(tumbling(spec), spec, &testing::input(), &output)
}

fn tumbling(spec: &Window) -> Tumbling {
    match spec.kind {
        WindowKind::Tumbling(tumbling) => tumbling,
        other => panic!("{other:?}"),
    }
}

/// A window of 10 ms that counts per `number`.
fn counting(allowed_lateness: i64) -> Window {
    Window {
        keys: vec![1],
        aggregates: vec![aggregate(AggregateFunction::Count, "")],
        ..testing::window(10, 0, allowed_lateness)
    }
}

/// What one step, or the end, gave.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    rows: Vec<Vec<Value>>,
    times: Vec<i64>,
    watermarks: Vec<i64>,
    late: Vec<usize>,
    rejected: Vec<usize>,
}

impl Seen {
    fn take(&mut self, out: Option<Made>) {
        let Some(out) = out.map(testing::results) else { return };
        assert!(out.origins.is_empty() && !out.times.is_empty());
        self.rows
            .extend((0..out.len()).map(|row| values(out.columns.columns(), row)));
        self.times.extend(out.times);
        self.watermarks.extend(out.watermarks);
    }
}

fn step(window: &mut TumblingWindows, spec: &Window, rows: &[(Row, i64, i64)], watermark: i64) -> Seen {
    let batch = testing::batch(rows);
    let arguments = arguments(&batch, &spec.aggregates);
    let mut seen = Seen::default();
    let mut faults = Vec::new();
    let now = Now {
        watermark,
        ..testing::NOW
    };
    seen.take(window.step(&batch, &arguments, now, &mut faults));
    for (row, fault) in faults {
        match fault {
            Fault::Late => seen.late.push(row),
            Fault::Overflow(_) => seen.rejected.push(row),
            Fault::Unreadable(_) => unreachable!("rows are no partials"),
        }
    }
    seen
}

fn row(number: i64, time: i64, watermark: i64) -> (Row, i64, i64) {
    (
        Row {
            number,
            ..Row::default()
        },
        time,
        watermark,
    )
}

/// A result of [`counting`].
fn result(number: i64, start: i64, is_final: bool, count: i64) -> Vec<Value> {
    let (start, end) = (Value::Timestamp(start), Value::Timestamp(start + 10));
    vec![
        Value::Whole(number),
        start,
        end,
        Value::Boolean(is_final),
        Value::Whole(count),
    ]
}

fn saved(window: &TumblingWindows) -> Vec<u8> {
    let mut bytes = Vec::new();
    window.save(&mut bytes);
    bytes
}

#[test]
fn windows_start_at_multiples_of_their_size_from_their_offset_on() {
    for (size, offset, time, start) in [
        (10, 0, 0, 0),
        (10, 0, 9, 0),
        (10, 0, -1, -10),
        (10, 0, -10, -10),
        (10, 0, -11, -20),
        (10, 3, 2, -7),
        (10, 3, 3, 3),
        (10, 3, -7, -7),
        (10, 3, -8, -17),
        (1, 0, -5, -5),
        (3_600_000, 1_800_000, 1_357_034_400_000, 1_357_032_600_000),
    ] {
        let span = Span::of(Tumbling { size, offset }, time);
        assert_eq!(
            span,
            Span {
                start,
                last: start + size - 1
            },
            "{size} {offset} {time}"
        );
    }
}

#[test]
fn windows_at_the_ends_of_time_are_cut_and_stay_apart() {
    let day = Tumbling {
        size: 86_400_000,
        offset: 3_600_000,
    };
    for time in [
        i64::MIN,
        i64::MIN + 1,
        i64::MIN + 86_400_000,
        i64::MAX,
        i64::MAX - 86_400_000,
    ] {
        let span = Span::of(day, time);
        assert!(span.holds(time));
        assert_eq!(Span::of(day, span.start), span);
        assert_eq!(Span::of(day, span.last), span);
        assert!(span.last == i64::MAX || Span::of(day, span.last + 1).start == span.last + 1);
    }
    let all = Tumbling {
        size: i64::MAX,
        offset: i64::MAX - 1,
    };
    assert!(
        [i64::MIN, -1, 0, i64::MAX]
            .iter()
            .all(|time| Span::of(all, *time).holds(*time))
    );
}

#[test]
fn records_at_the_ends_of_time_are_counted_once() {
    let spec = counting(i64::MAX);
    let mut window = operator(&spec);
    let rows = [row(1, i64::MIN + 1, i64::MIN), row(2, i64::MAX, i64::MAX - 1)];
    let mut seen = step(&mut window, &spec, &rows, i64::MAX - 1);
    seen.take(window.finish());
    let finals: Vec<_> = seen.rows.iter().filter(|row| row[3] == Value::Boolean(true)).collect();
    assert_eq!((finals.len(), seen.late.len()), (2, 0));
    assert_eq!(finals[1][2], Value::Timestamp(i64::MAX));
}

#[test]
fn without_lateness_a_window_emits_once_at_its_last_instant() {
    let spec = counting(0);
    let mut window = operator(&spec);
    let seen = step(&mut window, &spec, &[row(1, 3, 2), row(2, 9, 8), row(1, 8, 8)], 8);
    assert_eq!(seen, Seen::default());
    let seen = step(&mut window, &spec, &[], 9);
    assert_eq!(seen.rows, [result(1, 0, true, 2), result(2, 0, true, 1)]);
    assert_eq!((seen.times, seen.watermarks), (vec![9, 9], vec![8, 8]));
    assert_eq!((window.size().windows, window.size().groups), (0, 0));
}

#[test]
fn late_record_after_lateness_is_late_by_its_own_watermark() {
    let spec = counting(0);
    let mut window = operator(&spec);
    // Row 1 comes while its window is open, row 3 just after, all in one batch.
    let seen = step(
        &mut window,
        &spec,
        &[row(1, 5, 4), row(1, 0, 8), row(1, 30, 9), row(1, 9, 9)],
        29,
    );
    assert_eq!(seen.late, [3]);
    assert_eq!(seen.rows, [result(1, 0, true, 2)]);
}

#[test]
fn with_lateness_a_window_fires_again_for_every_record_and_then_closes() {
    let spec = counting(10);
    let mut window = operator(&spec);
    let rows = [
        row(1, 5, 4),
        row(2, 6, 5),
        row(3, 12, 11),
        row(2, 7, 11),
        row(2, 8, 11),
        row(3, 20, 19),
        row(1, 9, 19),
    ];
    let seen = step(&mut window, &spec, &rows, 19);
    let expected = [
        result(1, 0, false, 1),
        result(2, 0, false, 1),
        result(2, 0, false, 2),
        result(2, 0, false, 3),
        // At 19 the first window closes before the second fires.
        result(1, 0, true, 1),
        result(2, 0, true, 3),
        result(3, 10, false, 1),
    ];
    assert_eq!(seen.rows, expected);
    // Held back by the lateness, so that windows behind this one wait for the final results.
    assert_eq!(seen.watermarks, [-2, -2, 1, 1, 8, 8, 8]);
    assert_eq!(seen.late, [6]);
    assert_eq!(window.finish().map(|made| testing::results(made).len()), Some(2));
}

#[test]
fn a_window_that_opens_after_its_time_emits_at_once() {
    let spec = counting(10);
    let mut window = operator(&spec);
    let seen = step(&mut window, &spec, &[row(1, 15, 14), row(1, 5, 14)], 14);
    assert_eq!(seen.rows, [result(1, 0, false, 1)]);
}

#[test]
fn the_end_closes_every_window_once_and_for_all() {
    let spec = counting(10);
    let mut window = operator(&spec);
    step(&mut window, &spec, &[row(1, 15, 8), row(1, 5, 8)], 9);
    let mut seen = Seen::default();
    seen.take(window.finish());
    assert_eq!(seen.rows, [result(1, 0, true, 1), result(1, 10, true, 1)]);
    assert!(window.finish().is_none());
    assert_eq!(step(&mut window, &spec, &[row(1, 99, 98)], 98).late, [0]);
}

#[test]
fn a_record_that_overflows_leaves_neither_group_nor_window() {
    let spec = Window {
        aggregates: vec![aggregate(AggregateFunction::Avg, "decimal")],
        ..counting(10)
    };
    let mut window = operator(&spec);
    step(&mut window, &spec, &[], 4);
    let before = saved(&window);
    let large = Row {
        decimal: Some(10i128.pow(37)),
        ..Row::default()
    };
    let seen = step(&mut window, &spec, &[(large.clone(), 5, 4), (large, 1, 4)], 4);
    assert_eq!((seen.rejected, seen.rows.len()), (vec![0, 1], 0));
    assert_eq!(saved(&window), before);
}

#[test]
fn a_lateness_that_was_raised_does_not_open_closed_windows_again() {
    let (short, long) = (counting(0), counting(1_000));
    let mut window = operator(&short);
    step(&mut window, &short, &[row(1, 5, 4), row(1, 25, 24)], 24);
    let bytes = saved(&window);
    let mut window = operator(&long);
    window.load(&bytes).expect("the lateness may change");
    let seen = step(&mut window, &long, &[row(1, 19, 24), row(1, 21, 24)], 24);
    assert_eq!((seen.late, seen.rows.len()), (vec![0], 0));
}

#[test]
fn state_of_other_windows_is_refused() {
    let bytes = saved(&operator(&counting(0)));
    let other = Window {
        kind: WindowKind::Tumbling(Tumbling { size: 20, offset: 0 }),
        ..counting(0)
    };
    assert_eq!(
        operator(&other).load(&bytes).unwrap_err(),
        "it was saved for `window: tumbling, 10 ms, offset 0 ms`, the plan has `window: tumbling, 20 ms, offset 0 ms`"
    );
}

/// Keeps all rows of every window and computes results from them all, one record and one millisecond at a time.
struct Model {
    spec: Window,
    /// By end.
    windows: HashMap<i64, Vec<(Row, i64)>>,
    watermark: i64,
    seen: Seen,
}

impl Model {
    fn record(&mut self, at: usize, row: &Row, time: i64, watermark: i64) {
        let (tumbling, allowed_lateness) = (tumbling(&self.spec), self.spec.allowed_lateness);
        let end = (time - tumbling.offset).div_euclid(tumbling.size) * tumbling.size + tumbling.offset + tumbling.size;
        if end - 1 + allowed_lateness <= watermark {
            self.seen.late.push(at);
            return;
        }
        let rows = self.windows.entry(end).or_default();
        rows.push((row.clone(), time));
        if expected(&group_of(rows, row)).is_none() {
            rows.pop();
            self.seen.rejected.push(at);
        } else if end - 1 <= self.watermark {
            self.emit(end, Some(row), false, self.watermark);
        }
    }

    fn pass(&mut self, watermark: i64) {
        let lateness = self.spec.allowed_lateness;
        while self.watermark < watermark {
            self.watermark += 1;
            let now = self.watermark;
            if lateness > 0 {
                self.emit(now + 1 - lateness, None, true, now - 1);
                self.emit(now + 1, None, false, now - 1);
            } else {
                self.emit(now + 1, None, true, now - 1);
            }
        }
    }

    /// Emits the window with this end if there is one: the group of one row, or all groups by first arrival.
    fn emit(&mut self, end: i64, only: Option<&Row>, is_final: bool, watermark: i64) {
        let Some(rows) = self.windows.get(&end) else { return };
        let mut done = Vec::new();
        for (row, _) in rows {
            let key = (row.name, row.number);
            if done.contains(&key) || only.is_some_and(|only| (only.name, only.number) != key) {
                continue;
            }
            done.push(key);
            let mut out = vec![
                row.name.map_or(Value::Null, |name| Value::Text(name.to_owned())),
                Value::Whole(row.number),
            ];
            out.extend([end - tumbling(&self.spec).size, end].map(Value::Timestamp));
            out.push(Value::Boolean(is_final));
            out.extend(expected(&group_of(rows, row)).expect("rows that overflow are not kept"));
            self.seen.rows.push(out);
            self.seen.times.push(end - 1);
            self.seen.watermarks.push(watermark - self.spec.allowed_lateness);
        }
        if is_final {
            self.windows.remove(&end);
        }
    }

    fn finish(&mut self) {
        let mut ends: Vec<_> = self.windows.keys().copied().collect();
        ends.sort_unstable();
        for end in ends {
            self.watermark = self.watermark.max(end - 2);
            self.emit(end, None, true, self.watermark);
        }
    }
}

fn group_of(rows: &[(Row, i64)], of: &Row) -> Vec<(Row, i64)> {
    rows.iter()
        .filter(|(row, _)| (row.name, row.number) == (of.name, of.number))
        .cloned()
        .collect()
}

/// Results of the operator over records cut into steps of these lengths; rows that are not kept move time only.
fn run(spec: &Window, records: &[(Row, i64, i64, bool)], cuts: &[(usize, bool)]) -> Seen {
    let mut window = operator(spec);
    let mut all = Seen::default();
    let mut start = 0;
    for (length, reload) in cuts.iter().chain(std::iter::once(&(records.len(), false))) {
        let chunk = &records[start..records.len().min(start + length)];
        let kept = |(at, (.., keep)): (usize, &(Row, i64, i64, bool))| keep.then_some(start + at);
        let origins: Vec<_> = chunk.iter().enumerate().filter_map(kept).collect();
        let row = |at: &usize| (records[*at].0.clone(), records[*at].1, records[*at].2);
        let rows: Vec<_> = origins.iter().map(row).collect();
        let Some((.., watermark, _)) = chunk.last() else { break };
        let seen = step(&mut window, spec, &rows, *watermark);
        all.rows.extend(seen.rows);
        all.times.extend(seen.times);
        all.watermarks.extend(seen.watermarks);
        all.late.extend(seen.late.iter().map(|row| origins[*row]));
        all.rejected.extend(seen.rejected.iter().map(|row| origins[*row]));
        start += chunk.len();
        if *reload {
            let bytes = saved(&window);
            window = operator(spec);
            assert_eq!(window.load(&bytes), Ok(()));
            assert_eq!(saved(&window), bytes);
        }
    }
    all.take(window.finish());
    all
}

/// Records, mostly forwards in time with steps back, with the watermark after each, and whether an operator before the
/// window keeps them.
fn records() -> impl Strategy<Value = Vec<(Row, i64, i64, bool)>> {
    let record = (group::tests::rows(), -30i64..30, proptest::bool::weighted(0.8));
    (proptest::collection::vec(record, 0..80), 0i64..25).prop_map(|(records, delay)| {
        let mut newest = i64::MIN;
        let timed = records.into_iter().enumerate().map(|(at, (row, jitter, keep))| {
            let time = 2 * at as i64 - 50 + jitter;
            newest = newest.max(time);
            (row, time, newest - delay - 1, keep)
        });
        timed.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn results_are_those_of_the_model_however_records_are_cut(
        records in records(),
        cuts in proptest::collection::vec((1usize..30, any::<bool>()), 0..60),
        size in 1i64..25,
        offset in 0i64..25,
        lateness in prop_oneof![Just(0), 1i64..40],
    ) {
        let spec = testing::window(size, offset % size, lateness);
        let mut model = Model { spec: spec.clone(), windows: HashMap::new(), watermark: -1000, seen: Seen::default() };
        for (at, (row, time, watermark, keep)) in records.iter().enumerate() {
            if *keep {
                model.record(at, row, *time, *watermark);
            }
            model.pass(*watermark);
        }
        model.finish();
        let one_by_one = vec![(1, false); records.len()];
        prop_assert_eq!(&run(&spec, &records, &[]), &model.seen, "all at once");
        prop_assert_eq!(&run(&spec, &records, &one_by_one), &model.seen, "one by one");
        prop_assert_eq!(&run(&spec, &records, &cuts), &model.seen, "cut");
    }

    #[test]
    fn damaged_state_is_an_error_or_another_state_but_never_a_panic(
        records in records(), at: usize, byte: u8, end: usize,
    ) {
        let spec = Window { aggregates: aggregates(), ..testing::window(10, 0, 10) };
        let rows: Vec<_> = records.into_iter().map(|(row, time, watermark, _)| (row, time, watermark)).collect();
        let mut window = operator(&spec);
        let (first, second) = rows.split_at(rows.len() / 2);
        step(&mut window, &spec, first, -100);
        let mut bytes = saved(&window);
        prop_assert!(operator(&spec).load(&bytes[..end % bytes.len()]).is_err());
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut other = operator(&spec);
        if other.load(&bytes).is_ok() {
            step(&mut other, &spec, second, 1000);
            other.finish();
        }
    }
}
