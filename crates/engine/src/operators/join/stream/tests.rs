//! Joins against models that keep every row for ever and look at all of them, one millisecond of the watermark at a time.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use millrace_plan::{Field, FieldType};
use proptest::prelude::*;

use super::*;
use crate::operators::record_batch;
use crate::state::testing::{self, Value, values};

/// A row: its stream, its key of two parts, its number, its time, and the watermark after it.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    right: bool,
    name: Option<&'static str>,
    code: Option<i64>,
    id: i64,
    time: i64,
    seen: i64,
    /// Whether an operator before the join lets it pass.
    kept: bool,
}

impl Event {
    fn equals(&self, other: &Event) -> bool {
        self.name.is_some() && self.code.is_some() && (self.name, self.code) == (other.name, other.code)
    }
}

/// `is_right`; left `name`, `code`, `l`; right `code`, `r`, `name`.
fn input() -> Fields {
    Fields::new(vec![
        Field::computed("is_right", FieldType::Boolean, false),
        Field::computed("l_name", FieldType::String, true),
        Field::computed("l_code", FieldType::Int64, true),
        Field::computed("l", FieldType::Int64, true),
        Field::computed("r_code", FieldType::Int64, true),
        Field::computed("r", FieldType::String, true),
        Field::computed("r_name", FieldType::String, true),
    ])
}

fn spec(matching: Matching, left: bool, right: bool) -> StreamJoin {
    StreamJoin {
        is_right: 0,
        left: JoinSide {
            key: vec![1, 2],
            fields: vec![3],
            keeps_unmatched: left,
        },
        right: JoinSide {
            key: vec![6, 4],
            fields: vec![5],
            keeps_unmatched: right,
        },
        matching,
    }
}

fn operator(spec: &StreamJoin) -> StreamJoinOperator {
    let mut output = vec![
        Field::computed("name", FieldType::String, true),
        Field::computed("code", FieldType::Int64, true),
    ];
    if matches!(spec.matching, Matching::Window { .. }) {
        output.push(Field::computed("window_start", FieldType::Timestamp, false));
        output.push(Field::computed("window_end", FieldType::Timestamp, false));
    }
    output.push(Field::computed("l", FieldType::Int64, true));
    output.push(Field::computed("r", FieldType::String, true));
    StreamJoinOperator::new(spec, &input(), &Fields::new(output))
}

fn batch(events: &[Event]) -> Batch {
    let of = |right: bool| events.iter().map(move |event| (event.right == right).then_some(event));
    let name = |event: Option<&Event>| event.and_then(|event| event.name);
    let code = |event: Option<&Event>| event.and_then(|event| event.code);
    let text = |event: Option<&Event>| event.map(|event| event.id.to_string());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from_iter(events.iter().map(|event| Some(event.right)))),
        Arc::new(StringArray::from_iter(of(false).map(name))),
        Arc::new(Int64Array::from_iter(of(false).map(code))),
        Arc::new(Int64Array::from_iter(
            of(false).map(|event| event.map(|event| event.id)),
        )),
        Arc::new(Int64Array::from_iter(of(true).map(code))),
        Arc::new(StringArray::from_iter(of(true).map(text))),
        Arc::new(StringArray::from_iter(of(true).map(name))),
    ];
    Batch {
        columns: record_batch(&input(), columns, events.len()),
        origins: (0..events.len() as u32).collect(),
        times: events.iter().map(|event| event.time).collect(),
        watermarks: events.iter().map(|event| event.seen).collect(),
    }
}

/// One result: its row, its time and its watermark.
type Result = (Vec<Value>, i64, i64);

/// What came out, and the numbers of the rows that were late.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    results: Vec<Result>,
    late: Vec<i64>,
}

impl Seen {
    fn take(&mut self, made: Option<Made>) {
        let Some(batch) = made.map(testing::results) else {
            return;
        };
        let row = |row| {
            let values = values(batch.columns.columns(), row);
            (values, batch.times[row], batch.watermarks[row])
        };
        self.results.extend((0..batch.len()).map(row));
    }
}

fn step(join: &mut StreamJoinOperator, events: &[Event], watermark: i64, seen: &mut Seen) {
    let kept: Vec<Event> = events.iter().filter(|event| event.kept).cloned().collect();
    let mut faults = Vec::new();
    let now = Now {
        watermark,
        ..testing::NOW
    };
    seen.take(join.step(&batch(&kept), &[], now, &mut faults));
    seen.late.extend(faults.into_iter().map(|(row, fault)| {
        assert_eq!(fault, Fault::Late);
        kept[row].id
    }));
}

fn saved(join: &StreamJoinOperator) -> Vec<u8> {
    let mut bytes = Vec::new();
    join.save(&mut bytes);
    bytes
}

/// Results over events cut into steps of these lengths; where told, the state goes through bytes in between. Everything
/// that comes later must be ahead of what the steps behind see of the watermark.
fn run(spec: &StreamJoin, events: &[Event], cuts: &[(usize, bool)]) -> Seen {
    let mut join = operator(spec);
    let mut all = Seen::default();
    let mut start = 0;
    for (length, reload) in cuts.iter().chain(std::iter::once(&(events.len(), false))) {
        let chunk = &events[start..events.len().min(start + length)];
        let Some(last) = chunk.last() else { break };
        step(&mut join, chunk, last.seen, &mut all);
        start += chunk.len();
        if *reload {
            let bytes = saved(&join);
            join = operator(spec);
            assert_eq!(join.load(&bytes), Ok(()));
            assert_eq!(saved(&join), bytes);
        }
    }
    all.take(join.finish());
    assert_eq!(join.size().windows, 0);
    if !matches!(spec.matching, Matching::Remembered { ttl: None }) {
        assert_eq!(
            (join.size().groups, join.size().bytes),
            (0, 0),
            "everything is forgotten"
        );
    }
    all
}

/// A result of these rows; at least one is there.
fn result(window: Option<(i64, i64)>, left: Option<&Event>, right: Option<&Event>) -> Vec<Value> {
    let some = left.or(right).expect("a result has a row");
    let mut row = vec![
        some.name.map_or(Value::Null, |name| Value::Text(name.to_owned())),
        some.code.map_or(Value::Null, Value::Whole),
    ];
    row.extend(
        window
            .into_iter()
            .flat_map(|(start, end)| [start, end].map(Value::Timestamp)),
    );
    row.push(left.map_or(Value::Null, |left| Value::Whole(left.id)));
    row.push(right.map_or(Value::Null, |right| Value::Text(right.id.to_string())));
    row
}

/// Keeps every row that was not late, and looks at all of them.
struct Model {
    spec: StreamJoin,
    rows: Vec<Event>,
    matched: Vec<bool>,
    watermark: i64,
    hold: i64,
    seen: Seen,
}

/// Before any event of the tests.
const LONG_AGO: i64 = -100;
/// After all windows and intervals of the tests.
const FAR: i64 = 250;

impl Model {
    fn of(spec: &StreamJoin, events: &[Event]) -> Seen {
        let (left, right) = (spec.left.keeps_unmatched, spec.right.keeps_unmatched);
        let hold = match spec.matching {
            Matching::Interval { before, after } => {
                i64::max(if left { after } else { 0 }, if right { before } else { 0 })
            }
            Matching::Remembered { ttl: Some(ttl) } if left || right => ttl,
            _ => 0,
        };
        let mut model = Self {
            spec: spec.clone(),
            rows: Vec::new(),
            matched: Vec::new(),
            watermark: LONG_AGO,
            hold,
            seen: Seen::default(),
        };
        for event in events {
            model.pass(event.seen);
            if event.kept {
                model.arrive(event);
            }
        }
        model.pass(FAR);
        model.seen
    }

    /// From which watermark on a row has nothing to wait for.
    fn end(&self, event: &Event) -> i64 {
        match self.spec.matching {
            Matching::Interval { after, .. } if !event.right => event.time + after,
            Matching::Interval { before, .. } => event.time + before,
            Matching::Window { .. } => self
                .windows(event)
                .into_iter()
                .map(|(_, end)| end - 1)
                .max()
                .unwrap_or(FAR),
            Matching::Remembered { ttl } => ttl.map_or(i64::MAX, |ttl| event.time + ttl),
        }
    }

    /// All windows that hold an event, found by trying every start.
    fn windows(&self, event: &Event) -> Vec<(i64, i64)> {
        let Matching::Window { size, slide, offset } = self.spec.matching else {
            return Vec::new();
        };
        let starts = (event.time - size + 1..=event.time).filter(|start| (start - offset).rem_euclid(slide) == 0);
        starts.map(|start| (start, start + size)).collect()
    }

    fn is_kept(&self, event: &Event) -> bool {
        match event.right {
            true => self.spec.right.keeps_unmatched,
            false => self.spec.left.keeps_unmatched,
        }
    }

    fn emit(&mut self, window: Option<(i64, i64)>, one: &Event, other: Option<&Event>, time: i64, watermark: i64) {
        let (left, right) = match (one.right, other) {
            (false, other) => (Some(one), other),
            (true, other) => (other, Some(one)),
        };
        let row = result(window, left, right);
        self.seen.results.push((row, time, watermark - self.hold));
    }

    fn arrive(&mut self, event: &Event) {
        let late = match self.spec.matching {
            Matching::Interval { .. } => event.time <= self.watermark,
            _ => self.end(event) <= self.watermark,
        };
        if late {
            self.seen.late.push(event.id);
            return;
        }
        let mut found = Vec::new();
        for (at, other) in self.rows.iter().enumerate() {
            let (left, right) = if event.right { (other, event) } else { (event, other) };
            let fits = match self.spec.matching {
                Matching::Interval { before, after } => (-before..=after).contains(&(right.time - left.time)),
                Matching::Window { .. } => false,
                Matching::Remembered { .. } => self.end(other) > self.watermark,
            };
            if other.right != event.right && other.equals(event) && fits {
                found.push((other.time, at));
            }
        }
        found.sort();
        for (time, at) in &found {
            self.matched[*at] = true;
            let other = self.rows[*at].clone();
            self.emit(None, event, Some(&other), event.time.max(*time), event.seen);
        }
        let nothing_equals = event.name.is_none() || event.code.is_none();
        let at_once = nothing_equals && !matches!(self.spec.matching, Matching::Window { .. });
        if at_once && self.is_kept(event) {
            self.emit(None, event, None, event.time, event.seen);
        }
        self.rows.push(event.clone());
        self.matched.push(at_once || !found.is_empty());
    }

    fn pass(&mut self, watermark: i64) {
        while self.watermark < watermark {
            self.watermark += 1;
            match self.spec.matching {
                Matching::Window { size, slide, offset } => {
                    let end = self.watermark + 1;
                    if (end - size - offset).rem_euclid(slide) == 0 {
                        self.close(end - size, end);
                    }
                }
                _ => self.expire(),
            }
        }
    }

    fn expire(&mut self) {
        for at in 0..self.rows.len() {
            let row = self.rows[at].clone();
            if self.end(&row) == self.watermark && !self.matched[at] && self.is_kept(&row) {
                self.emit(None, &row, None, row.time, self.watermark - 1);
            }
        }
    }

    fn close(&mut self, start: i64, end: i64) {
        let within = self.rows.iter().filter(|row| (start..end).contains(&row.time));
        let within: Vec<Event> = within.cloned().collect();
        let mut done: Vec<i64> = Vec::new();
        for first in &within {
            if done.contains(&first.id) {
                continue;
            }
            // The sort is stable: rows of the same time stay in the order of arrival.
            let mut of_key: Vec<&Event> = within
                .iter()
                .filter(|row| row.equals(first) || row.id == first.id)
                .collect();
            of_key.sort_by_key(|row| row.time);
            done.extend(of_key.iter().map(|row| row.id));
            let (rights, lefts): (Vec<&Event>, Vec<&Event>) = of_key.into_iter().partition(|row| row.right);
            for left in &lefts {
                for right in &rights {
                    self.emit(Some((start, end)), left, Some(right), end - 1, end - 2);
                }
            }
            if lefts.is_empty() || rights.is_empty() {
                for row in lefts.into_iter().chain(rights) {
                    if self.is_kept(row) {
                        self.emit(Some((start, end)), row, None, end - 1, end - 2);
                    }
                }
            }
        }
    }
}

/// Events, mostly forwards in time with steps back, with the watermark after each.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let name = prop_oneof![8 => Just(Some("a")), 4 => Just(Some("b")), 1 => Just(None)];
    let code = prop_oneof![9 => Just(Some(1)), 2 => Just(Some(2)), 1 => Just(None)];
    let event = (any::<bool>(), name, code, -12i64..12, proptest::bool::weighted(0.9));
    (proptest::collection::vec(event, 0..40), 0i64..15, 0i64..4).prop_map(|(events, delay, pace)| {
        let mut newest = i64::MIN;
        let timed = events
            .into_iter()
            .enumerate()
            .map(|(at, (right, name, code, jitter, kept))| {
                let time = pace * at as i64 - 20 + jitter;
                newest = newest.max(time);
                let seen = newest - delay - 1;
                Event {
                    right,
                    name,
                    code,
                    id: at as i64,
                    time,
                    seen,
                    kept,
                }
            });
        timed.collect()
    })
}

fn cuts() -> impl Strategy<Value = Vec<(usize, bool)>> {
    proptest::collection::vec((1usize..15, any::<bool>()), 0..30)
}

fn interval() -> impl Strategy<Value = Matching> {
    (0i64..12, 0i64..12).prop_map(|(before, after)| Matching::Interval { before, after })
}

fn window() -> impl Strategy<Value = Matching> {
    (1i64..20, 0.0f64..1.0, 0i64..20).prop_map(|(size, part, offset)| {
        let slide = 1 + ((size - 1) as f64 * part) as i64;
        Matching::Window {
            size,
            slide,
            offset: offset % slide,
        }
    })
}

fn remembered() -> impl Strategy<Value = Matching> {
    prop_oneof![4 => (0i64..20).prop_map(Some), 1 => Just(None)].prop_map(|ttl| Matching::Remembered { ttl })
}

fn same_as_model(
    spec: &StreamJoin,
    events: &[Event],
    cuts: &[(usize, bool)],
) -> std::result::Result<Seen, TestCaseError> {
    let model = Model::of(spec, events);
    prop_assert_eq!(&run(spec, events, &[]), &model, "all at once");
    prop_assert_eq!(
        &run(spec, events, &vec![(1, false); events.len()]),
        &model,
        "one by one"
    );
    prop_assert_eq!(&run(spec, events, cuts), &model, "cut");
    let ahead = |pair: &[Result]| pair[0].2 <= pair[1].2;
    // At the end of the model every watermark is counted on to its last moment.
    prop_assert!(model.results.windows(2).all(ahead), "watermarks go back");
    Ok(model)
}

/// What a join means for rows that are all there, in any order.
fn pairs<'a>(
    rows: &'a [Event],
    matches: impl Fn(&Event, &Event) -> bool,
) -> Vec<(Option<&'a Event>, Option<&'a Event>)> {
    let (rights, lefts): (Vec<&Event>, Vec<&Event>) = rows.iter().partition(|row| row.right);
    let mut found = Vec::new();
    for left in &lefts {
        let of_left = rights.iter().filter(|right| left.equals(right) && matches(left, right));
        found.extend(of_left.map(|right| (Some(*left), Some(*right))));
    }
    let alone = |row: &&&'a Event| {
        let is = |(left, right): &(Option<&Event>, Option<&Event>)| *left == Some(**row) || *right == Some(**row);
        !found.iter().any(is)
    };
    let left_alone: Vec<_> = lefts.iter().filter(alone).map(|row| (Some(*row), None)).collect();
    let right_alone: Vec<_> = rights.iter().filter(alone).map(|row| (None, Some(*row))).collect();
    [found, left_alone, right_alone].concat()
}

fn sorted(mut rows: Vec<(Vec<Value>, i64)>) -> Vec<String> {
    rows.sort_by_key(|row| format!("{row:?}"));
    rows.iter().map(|row| format!("{row:?}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2500))]

    #[test]
    fn interval_joins_are_those_of_the_model_and_never_late(
        events in events(), cuts in cuts(), matching in interval(), left: bool, right: bool,
    ) {
        let spec = spec(matching, left, right);
        let seen = same_as_model(&spec, &events, &cuts)?;
        for (row, time, watermark) in &seen.results {
            prop_assert!(time > watermark, "{row:?} at {time} is behind {watermark}");
        }
        // The order of arrival decides who is late and nothing else.
        let Matching::Interval { before, after } = matching else { unreachable!() };
        let in_time: Vec<Event> = events.iter().filter(|event| event.kept && !seen.late.contains(&event.id)).cloned().collect();
        let all = pairs(&in_time, |left, right| (-before..=after).contains(&(right.time - left.time)));
        let wanted = all.into_iter().filter(|(l, r)| (l.is_some() || right) && (r.is_some() || left));
        let wanted = wanted.map(|(l, r)| (result(None, l, r), l.into_iter().chain(r).map(|row| row.time).max().unwrap()));
        let found = seen.results.into_iter().map(|(row, time, _)| (row, time));
        prop_assert_eq!(sorted(found.collect()), sorted(wanted.collect()));
    }

    #[test]
    fn window_joins_are_those_of_the_model_and_never_late(
        events in events(), cuts in cuts(), matching in window(), left: bool, right: bool,
    ) {
        let spec = spec(matching, left, right);
        let seen = same_as_model(&spec, &events, &cuts)?;
        for (row, time, watermark) in &seen.results {
            prop_assert!(time > watermark, "{row:?} at {time} is behind {watermark}");
        }
    }

    #[test]
    fn joins_of_remembered_rows_are_those_of_the_model(
        events in events(), cuts in cuts(), matching in remembered(), left: bool, right: bool,
    ) {
        let kept = matches!(matching, Matching::Remembered { ttl: Some(_) });
        let spec = spec(matching, left && kept, right && kept);
        let seen = same_as_model(&spec, &events, &cuts)?;
        // Only what the row that made it was behind already may be behind.
        let behind = |id: &Value| events.iter().any(|event| {
            event.time <= event.seen && [Value::Whole(event.id), Value::Text(event.id.to_string())].contains(id)
        });
        for (row, time, watermark) in &seen.results {
            prop_assert!(time > watermark || row[2..].iter().any(behind), "{row:?} at {time} is behind {watermark}");
        }
    }

    #[test]
    fn what_comes_later_is_ahead_of_the_watermark_that_the_steps_behind_see(
        events in events(), cuts in cuts(), matching in prop_oneof![interval(), window()], left: bool, right: bool,
    ) {
        let spec = spec(matching, left, right);
        let mut join = operator(&spec);
        let mut start = 0;
        let mut before = i64::MIN;
        for (length, _) in cuts.iter().chain(std::iter::once(&(events.len(), false))) {
            let chunk = &events[start..events.len().min(start + length)];
            let Some(last) = chunk.last() else { break };
            let mut seen = Seen::default();
            step(&mut join, chunk, last.seen, &mut seen);
            for (row, time, watermark) in &seen.results {
                prop_assert!(*time > before && *watermark >= before, "{row:?} at {time} is behind {before}");
            }
            before = last.seen.saturating_sub(join.holds_back());
            start += chunk.len();
        }
        let mut seen = Seen::default();
        seen.take(join.finish());
        prop_assert!(seen.results.iter().all(|(_, time, _)| *time > before));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_state_is_an_error_or_another_state_but_never_a_panic(
        events in events(), matching in prop_oneof![interval(), window(), remembered()], at: usize, byte: u8, end: usize,
    ) {
        let spec = spec(matching, false, false);
        let mut join = operator(&spec);
        let (first, second) = events.split_at(events.len() / 2);
        step(&mut join, first, -100, &mut Seen::default());
        let mut bytes = saved(&join);
        prop_assert!(operator(&spec).load(&bytes[..end % bytes.len()]).is_err());
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut other = operator(&spec);
        if other.load(&bytes).is_ok() {
            step(&mut other, second, 1000, &mut Seen::default());
            other.finish();
        }
    }
}

/// An event of key `a`, 1, in a stream without out-of-orderness.
fn event(right: bool, id: i64, time: i64) -> Event {
    Event {
        right,
        name: Some("a"),
        code: Some(1),
        id,
        time,
        seen: time - 1,
        kept: true,
    }
}

fn ids(seen: &Seen) -> Vec<String> {
    let id = |value: &Value| match value {
        Value::Whole(id) => id.to_string(),
        Value::Text(id) => id.clone(),
        _ => "-".to_owned(),
    };
    let row = |(row, time, _): &Result| match row.as_slice() {
        [.., left, right] => format!("{}+{}@{time}", id(left), id(right)),
        _ => panic!("a result has two sides"),
    };
    seen.results.iter().map(row).collect()
}

#[test]
fn both_ends_of_an_interval_are_in_it() {
    let spec = spec(Matching::Interval { before: 5, after: 2 }, true, true);
    let rows = [
        event(true, 1, 4),
        event(true, 2, 5),
        event(false, 3, 10),
        event(true, 4, 12),
        event(true, 5, 13),
    ];
    let seen = run(&spec, &rows, &[]);
    assert_eq!(ids(&seen), ["-+1@4", "3+2@10", "3+4@12", "-+5@13"]);
}

#[test]
fn a_row_is_in_all_its_windows_and_each_closes_by_itself() {
    let sliding = Matching::Window {
        size: 10,
        slide: 5,
        offset: 0,
    };
    let rows = [
        event(false, 1, 3),
        event(true, 2, 7),
        event(true, 3, 11),
        event(false, 4, 40),
    ];
    let seen = run(&spec(sliding, true, false), &rows, &[]);
    assert_eq!(ids(&seen), ["1+-@4", "1+2@9", "4+-@44", "4+-@49"]);
}

#[test]
fn a_remembered_row_matches_until_its_time_is_over_and_then_comes_out_alone() {
    let spec = spec(Matching::Remembered { ttl: Some(10) }, true, true);
    let rows = [
        event(false, 1, 0),
        event(true, 2, 10),
        event(true, 3, 11),
        event(false, 4, 12),
    ];
    let seen = run(&spec, &rows, &[]);
    // At 11 the watermark is 10: the first row is forgotten, but it has matched.
    assert_eq!(ids(&seen), ["1+2@10", "4+2@12", "4+3@12"]);
}

#[test]
fn state_of_another_join_is_refused() {
    let of = |matching| operator(&spec(matching, false, true));
    let bytes = saved(&of(Matching::Interval { before: 1, after: 2 }));
    let refused = of(Matching::Interval { before: 1, after: 3 }).load(&bytes).unwrap_err();
    assert_eq!(
        refused,
        "it was saved for `join: 1 ms before to 2 ms after`, the plan has `join: 1 ms before to 3 ms after`"
    );
}

#[test]
fn times_at_the_ends_of_the_scale_do_not_wrap() {
    let ends = [i64::MIN + 2, i64::MAX - 2];
    for matching in [
        Matching::Interval {
            before: i64::MAX,
            after: i64::MAX,
        },
        Matching::Window {
            size: 1000,
            slide: 7,
            offset: 3,
        },
        Matching::Remembered { ttl: Some(i64::MAX) },
    ] {
        let mut join = operator(&spec(matching, true, true));
        let rows: Vec<Event> = ends.iter().map(|time| event(*time > 0, 1, *time)).collect();
        let mut seen = Seen::default();
        step(&mut join, &rows, i64::MIN + 1, &mut seen);
        seen.take(join.finish());
        assert!(!seen.results.is_empty(), "{matching:?}");
    }
}
