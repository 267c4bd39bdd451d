//! Sliding windows, and tumbling ones that emit early or on update.

use std::collections::BTreeSet;

use super::*;

/// All rows by when they came, and the windows that are not closed.
struct Model {
    size: i64,
    slide: i64,
    offset: i64,
    emit: Emit,
    lateness: i64,
    /// Rows that were taken: position among the events, row, time, watermark when it came.
    rows: Vec<(usize, Row, i64, i64)>,
    /// Starts of the windows with rows that are not closed.
    starts: BTreeSet<i64>,
    watermark: i64,
    seen: Seen,
}

impl Model {
    fn new(spec: &Window) -> Self {
        let (size, slide, offset) = match spec.kind {
            WindowKind::Tumbling(Tumbling { size, offset }) => (size, size, offset),
            WindowKind::Sliding(Sliding { size, slide, offset }) => (size, slide, offset),
            other => panic!("{other:?}"),
        };
        Self {
            size,
            slide,
            offset,
            emit: spec.emit,
            lateness: spec.allowed_lateness,
            rows: Vec::new(),
            starts: BTreeSet::new(),
            watermark: -1000,
            seen: Seen::default(),
        }
    }

    /// Starts of the windows that hold a time, oldest first.
    fn windows(&self, time: i64) -> Vec<i64> {
        let starts = time - self.size + 1..=time;
        starts
            .filter(|start| (start - self.offset).rem_euclid(self.slide) == 0)
            .collect()
    }

    /// Windows of a time that are not closed.
    fn open(&self, time: i64) -> Vec<i64> {
        let is_open = |start: &i64| start + self.size - 1 + self.lateness > self.watermark;
        self.windows(time).into_iter().filter(is_open).collect()
    }

    fn rows_of(&self, start: i64, key: i64) -> impl Iterator<Item = (&Row, i64)> {
        let within = move |time: i64| (start..start + self.size).contains(&time);
        let rows = self
            .rows
            .iter()
            .filter(move |(_, row, time, _)| row.number == key && within(*time));
        rows.map(|(_, row, time, _)| (row, *time))
    }

    fn event(&mut self, at: usize, (row, time, watermark, keep): &Event) {
        self.pass(*watermark);
        if !keep {
            return;
        }
        let open = self.open(*time);
        if open.is_empty() {
            return self.seen.late.push(at);
        }
        self.rows.push((at, row.clone(), *time, *watermark));
        if open
            .iter()
            .any(|start| summary(self.rows_of(*start, row.number)).is_none())
        {
            self.rows.pop();
            return self.seen.rejected.push(at);
        }
        self.starts.extend(&open);
        for start in open {
            if self.emit == Emit::OnUpdate || start + self.size - 1 <= self.watermark {
                self.emit(start, row.number, false, self.watermark);
            }
        }
    }

    fn emit(&mut self, start: i64, key: i64, is_final: bool, watermark: i64) {
        let aggregates = summary(self.rows_of(start, key)).unwrap();
        let watermark = watermark - self.lateness;
        self.seen
            .push(key, (start, start + self.size), is_final, aggregates, watermark);
    }

    /// Keys of a window with the pane in which they stand, panes in order and then keys by first arrival, and when they
    /// changed there last. A pane is a set of windows: those that hold its times.
    fn places(&self, start: i64) -> Vec<(i64, i64)> {
        let mut places: Vec<(Vec<i64>, i64, i64)> = Vec::new();
        for (_, row, time, watermark) in &self.rows {
            if !(start..start + self.size).contains(time) {
                continue;
            }
            let pane = self.windows(*time);
            match places
                .iter_mut()
                .find(|(other, key, _)| (other, *key) == (&pane, row.number))
            {
                Some(place) => place.2 = *watermark,
                None => places.push((pane, row.number, *watermark)),
            }
        }
        places.sort_by_key(|(pane, ..)| (*pane.last().unwrap(), pane[0]));
        places.into_iter().map(|(_, key, changed)| (key, changed)).collect()
    }

    fn emit_since(&mut self, start: i64, since: i64, is_final: bool, watermark: i64) {
        let mut done = Vec::new();
        for (key, changed) in self.places(start) {
            if changed >= since && !done.contains(&key) {
                done.push(key);
                self.emit(start, key, is_final, watermark);
            }
        }
    }

    fn pass(&mut self, watermark: i64) {
        while self.watermark < watermark {
            self.watermark += 1;
            let now = self.watermark;
            for start in self.starts.clone() {
                let last = start + self.size - 1;
                if let Emit::Early { every } = self.emit
                    && now < last
                    && now >= start
                    && (now + 1 - start) % every == 0
                {
                    let before = if now + 1 - start == every {
                        i64::MIN
                    } else {
                        now - every
                    };
                    self.emit_since(start, before, false, now - 1);
                }
                if now == last && self.lateness > 0 && self.emit != Emit::OnUpdate {
                    self.emit_since(start, i64::MIN, false, now - 1);
                }
                if now == last + self.lateness {
                    self.emit_since(start, i64::MIN, true, now - 1);
                    self.starts.remove(&start);
                }
            }
        }
    }

    fn finish(&mut self) {
        for start in std::mem::take(&mut self.starts) {
            self.watermark = self.watermark.max(start + self.size - 2);
            self.emit_since(start, i64::MIN, true, self.watermark);
        }
    }

    fn of(spec: &Window, events: &[Event]) -> Seen {
        let mut model = Self::new(spec);
        for (at, event) in events.iter().enumerate() {
            model.event(at, event);
        }
        model.finish();
        model.seen
    }
}

fn kinds() -> impl Strategy<Value = WindowKind> {
    let tumbling = (2i64..25, 0i64..25).prop_map(|(size, offset)| {
        WindowKind::Tumbling(Tumbling {
            size,
            offset: offset % size,
        })
    });
    let sliding = (1i64..40, 1i64..40, 0i64..25).prop_map(|(one, other, offset)| {
        let (size, slide) = (one.max(other), one.min(other));
        WindowKind::Sliding(Sliding {
            size,
            slide,
            offset: offset % slide,
        })
    });
    prop_oneof![1 => tumbling, 3 => sliding]
}

fn sliding(size: i64, slide: i64, offset: i64) -> WindowKind {
    WindowKind::Sliding(Sliding { size, slide, offset })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn results_are_those_of_the_model_however_events_are_cut(
        events in events(), cuts in cuts(), kind in kinds(), emit in emits(), lateness in latenesses(),
    ) {
        let spec = window(kind, emit, lateness);
        check(&spec, &events, &cuts, &Model::of(&spec, &events))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn by_the_clock_rows_happen_when_they_come(
        events in events(), reloads in cuts(), kind in kinds(), emit in emits(),
    ) {
        let spec = Window { time: TimeDomain::Processing, ..window(kind, emit, 0) };
        let mut model = Model::new(&spec);
        for (at, (row, _, watermark, keep)) in events.iter().enumerate() {
            model.event(at, &(row.clone(), watermark + 1, *watermark, *keep));
        }
        model.finish();
        let mut found = run_by_clock(&spec, &events, &reloads);
        // The rows' own times, which only an aggregate sees.
        let blank = |rows: &mut Vec<Vec<Value>>| rows.iter_mut().for_each(|row| row.truncate(7));
        blank(&mut found.rows);
        blank(&mut model.seen.rows);
        prop_assert_eq!(found, model.seen);
    }

    #[test]
    fn when_results_come_out_may_change_without_losing_any(
        events in events(), cut: usize, kind in kinds(), before in emits(), after in emits(),
    ) {
        let cut = cut % (events.len() + 1);
        let finals = |mut seen: Seen| {
            seen.rows.retain(|row| row[3] == Value::Boolean(true));
            seen.rows
        };
        let now = |at: usize| Now { watermark: events.get(at).map_or(i64::MIN, |event| event.2), clock: 0 };
        let (first, second) = (window(kind, before, 0), window(kind, after, 0));
        let mut operator = fresh(&first);
        let mut seen = Seen::default();
        let kept = |range: std::ops::Range<usize>| range.filter(|at| events[*at].3).collect::<Vec<_>>();
        seen.step(&mut *operator, &first, &events, &kept(0..cut), now(cut.wrapping_sub(1)));
        let bytes = saved(&*operator);
        let mut operator = fresh(&second);
        prop_assert_eq!(operator.load(&bytes), Ok(()));
        seen.step(&mut *operator, &second, &events, &kept(cut..events.len()), now(events.len().wrapping_sub(1)));
        seen.take(operator.finish());
        prop_assert_eq!(finals(seen), finals(run(&first, &events, &[])));
    }

    #[test]
    fn damaged_state_is_an_error_or_another_state_but_never_a_panic(
        events in events(), kind in kinds(), emit in emits(), at: usize, byte: u8, end: usize,
    ) {
        let spec = window(kind, emit, 10);
        let kept: Vec<usize> = (0..events.len()).filter(|at| events[*at].3).collect();
        let (first, second) = kept.split_at(kept.len() / 2);
        let mut operator = fresh(&spec);
        let now = |watermark| Now { watermark, clock: 0 };
        Seen::default().step(&mut *operator, &spec, &events, first, now(-1000));
        let mut bytes = saved(&*operator);
        // Without its last part, what was early is a state that was saved before anything was to be.
        let truncated = fresh(&spec).load(&bytes[..end % bytes.len()]);
        let is_early = matches!(emit, Emit::Early { .. });
        prop_assert!(truncated.is_err() || is_early);
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut other = fresh(&spec);
        if other.load(&bytes).is_ok() {
            Seen::default().step(&mut *other, &spec, &events, second, now(1000));
            other.finish();
        }
    }
}

#[test]
fn a_row_is_in_every_window_that_holds_its_time() {
    let spec = window(sliding(10, 5, 0), Emit::OnClose, 0);
    let seen = run(&spec, &[row(1, 7, 6), row(1, 12, 11), row(2, 13, 12)], &[]);
    assert_eq!(
        short(&seen),
        [
            (1, 0, 10, true, 1),
            (1, 5, 15, true, 2),
            (2, 5, 15, true, 1),
            (1, 10, 20, true, 1),
            (2, 10, 20, true, 1)
        ]
    );
    assert_eq!(seen.times, [9, 14, 14, 19, 19]);
    assert_eq!(seen.watermarks[0], 8);
}

#[test]
fn a_row_behind_some_of_its_windows_counts_in_the_others_and_is_late_behind_all() {
    let spec = window(sliding(10, 5, 0), Emit::OnClose, 0);
    let events = [row(1, 6, 5), row(1, 11, 10), row(1, 7, 10), row(1, 4, 10)];
    let seen = run(&spec, &events, &[]);
    assert_eq!(
        short(&seen),
        [(1, 0, 10, true, 1), (1, 5, 15, true, 3), (1, 10, 20, true, 1)]
    );
    assert_eq!(seen.late, [3]);
}

#[test]
fn panes_are_cut_where_windows_begin_and_end() {
    // Windows [0, 10), [4, 14), [8, 18) …: panes of 2 ms.
    let spec = window(sliding(10, 4, 0), Emit::OnClose, 0);
    let mut operator = fresh(&spec);
    let events: Vec<Event> = (0..10).map(|time| row(1, time, -1)).collect();
    let all: Vec<usize> = (0..10).collect();
    let now = Now {
        watermark: -1,
        clock: 0,
    };
    Seen::default().step(&mut *operator, &spec, &events, &all, now);
    assert_eq!(operator.size().groups, 5);
    // Windows [0, 10), [7, 17): panes of 3 and 4 ms, not of the 1 ms that is their common measure.
    let mut operator = fresh(&window(sliding(10, 7, 0), Emit::OnClose, 0));
    Seen::default().step(&mut *operator, &spec, &events, &all, now);
    assert_eq!(operator.size().groups, 3);
}

#[test]
fn a_pane_goes_with_its_last_window() {
    let spec = window(sliding(10, 5, 0), Emit::OnClose, 0);
    let mut operator = fresh(&spec);
    let events = [row(1, 7, 6)];
    let mut at = |watermark, rows: &[usize]| {
        let now = Now { watermark, clock: 0 };
        Seen::default().step(&mut *operator, &spec, &events, rows, now);
        (operator.size().groups, operator.size().windows)
    };
    assert_eq!(at(6, &[0]), (1, 2));
    assert_eq!(at(9, &[]), (1, 1));
    assert_eq!(at(13, &[]), (1, 1));
    assert_eq!(at(14, &[]), (0, 0));
}

#[test]
fn early_results_come_at_each_step_of_the_windows_own_time_where_something_changed() {
    let spec = window(
        WindowKind::Tumbling(Tumbling { size: 100, offset: 3 }),
        Emit::Early { every: 10 },
        0,
    );
    let events = [
        row(1, 5, 4),
        row(2, 8, 7),
        row(1, 14, 13),
        row(1, 40, 39),
        row(1, 41, 40),
        row(9, 110, 109),
    ];
    let seen = run(&spec, &events, &[]);
    let of_first: Vec<_> = short(&seen).into_iter().filter(|row| row.1 == 3).collect();
    assert_eq!(
        of_first,
        [
            (1, 3, 103, false, 1),
            (2, 3, 103, false, 1),
            (1, 3, 103, false, 2),
            (1, 3, 103, false, 4),
            (1, 3, 103, true, 4),
            (2, 3, 103, true, 1)
        ]
    );
    // At 12, 22, 42 and 102, each told just before.
    assert_eq!(seen.watermarks[..6], [11, 11, 21, 41, 101, 101]);
}

#[test]
fn a_row_that_overflows_any_of_its_open_windows_is_refused_and_what_is_merged_is_right() {
    let large = |time, watermark, part| {
        let mut event = row(1, time, watermark);
        event.0.whole = Some(i64::MAX / 4 * part);
        event
    };
    let spec = window(sliding(10, 5, 0), Emit::OnClose, 0);
    // Together they fit into each window, but the third does not fit into [5, 15) beside the second and fourth.
    let events = [
        large(1, 0, 3),
        large(7, 6, 1),
        large(12, 11, 2),
        large(13, 12, 1),
        large(8, 12, 1),
        large(17, 16, 1),
    ];
    for cuts in [&[][..], &[(1, true); 6]] {
        let seen = run(&spec, &events, cuts);
        assert_eq!(seen.rejected, [4], "{cuts:?}");
        let sums: Vec<_> = seen.rows.iter().map(|row| row[5].clone()).collect();
        let quarter = |parts: i64| Value::Whole(i64::MAX / 4 * parts);
        assert_eq!(
            sums,
            [quarter(3), quarter(4), quarter(4), quarter(4), quarter(1)].to_vec(),
            "{cuts:?}"
        );
    }
}

#[test]
fn what_a_pane_cancels_out_is_counted_where_another_pane_has_it_too() {
    let part = i64::MAX / 100;
    let mut spec = window(sliding(20, 5, 0), Emit::OnClose, 0);
    spec.aggregates[1].distinct = true;
    // In each of the first three panes the two nearly cancel out; in the window -44 counts once.
    let rows = [
        (1, 45),
        (2, -44),
        (6, -44),
        (7, 46),
        (11, -44),
        (12, 47),
        (16, 7),
        (17, 3),
    ];
    let event = |(time, parts): (i64, i64)| {
        let mut event = row(1, time, time - 1);
        event.0.whole = Some(parts * part);
        event
    };
    for cuts in [&[][..], &[(6, true)], &[(1, true); 8]] {
        let seen = run(&spec, &rows.map(event), cuts);
        assert_eq!(seen.rejected, [6], "{cuts:?}");
        let whole = seen.rows.iter().find(|row| row[1] == Value::Timestamp(0));
        assert_eq!(
            whole.map(|row| row[5].clone()),
            Some(Value::Whole(97 * part)),
            "{cuts:?}"
        );
    }
}

#[test]
fn windows_at_the_ends_of_time_close_once() {
    for spec in [
        window(sliding(10, 3, 1), Emit::OnClose, 5),
        window(sliding(10, 5, 0), Emit::OnUpdate, i64::MAX),
        window(sliding(i64::MAX / 2, i64::MAX / 3, 7), Emit::Early { every: 3 }, 0),
    ] {
        let events = [row(1, i64::MIN + 1, i64::MIN), row(2, i64::MAX, i64::MAX - 1)];
        let seen = run(&spec, &events, &[]);
        assert!(seen.late.is_empty());
        let finals = short(&seen)
            .into_iter()
            .filter(|row| row.3)
            .map(|row| row.0)
            .collect::<Vec<_>>();
        assert!(finals.contains(&1) && finals.contains(&2), "{finals:?}");
    }
}

#[test]
fn many_overlapping_windows_merge_few_blocks() {
    let spec = window(sliding(3_600, 1, 0), Emit::OnClose, 0);
    let events: Vec<Event> = (0..20_000).map(|time| row(time % 50, time, time - 1)).collect();
    let seen = run(&spec, &events, &[(4_000, false); 5]);
    let last = short(&seen).into_iter().rfind(|row| row.1 == 10_000 && row.0 == 7);
    assert_eq!(last, Some((7, 10_000, 13_600, true, 72)));
}
