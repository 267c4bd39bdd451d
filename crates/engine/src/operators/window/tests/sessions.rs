//! Sessions.

use std::collections::BTreeMap;

use super::*;

/// One session with its rows.
#[derive(Clone, Debug)]
struct Open {
    /// Sessions that were made later have larger ones.
    number: usize,
    key: i64,
    rows: Vec<(Row, i64)>,
    /// The watermark when it changed last.
    changed: i64,
    /// The end that was last emitted under its start.
    told: Option<i64>,
}

struct Model {
    gap: i64,
    longest: Option<i64>,
    emit: Emit,
    lateness: i64,
    open: Vec<Open>,
    made: usize,
    watermark: i64,
    seen: Seen,
}

impl Open {
    fn start(&self) -> i64 {
        self.rows.iter().map(|(_, time)| *time).min().unwrap()
    }

    fn newest(&self) -> i64 {
        self.rows.iter().map(|(_, time)| *time).max().unwrap()
    }
}

impl Model {
    fn new(spec: &Window) -> Self {
        let WindowKind::Session(Session { gap, max_length }) = spec.kind else {
            panic!("{:?}", spec.kind)
        };
        Self {
            gap,
            longest: max_length,
            emit: spec.emit,
            lateness: spec.allowed_lateness,
            open: Vec::new(),
            made: 0,
            watermark: -1000,
            seen: Seen::default(),
        }
    }

    /// Positions of the sessions that a row belongs to: all within the gap, as far as the length allows.
    fn joined(&self, key: i64, time: i64) -> Vec<usize> {
        let near = |at: &usize| {
            let session = &self.open[*at];
            session.key == key && time >= session.start() - self.gap && time <= session.newest() + self.gap
        };
        let mut near: Vec<usize> = (0..self.open.len()).filter(near).collect();
        let around = |at: &usize| (self.open[*at].start()..=self.open[*at].newest()).contains(&time);
        near.sort_by_key(|at| (!around(at), self.open[*at].start()));
        let (mut from, mut to) = (time, time);
        near.retain(|at| {
            let (start, newest) = (from.min(self.open[*at].start()), to.max(self.open[*at].newest()));
            let fits = self.longest.is_none_or(|longest| newest + self.gap - start <= longest);
            if fits {
                (from, to) = (start, newest);
            }
            fits
        });
        near.sort_by_key(|at| self.open[*at].start());
        near
    }

    fn event(&mut self, at: usize, (row, time, watermark, keep): &Event) {
        self.pass(*watermark);
        if !keep {
            return;
        }
        let joined = self.joined(row.number, *time);
        if joined.is_empty() && time + self.gap + self.lateness <= self.watermark {
            return self.seen.late.push(at);
        }
        let mut rows: Vec<(Row, i64)> = joined.iter().flat_map(|at| self.open[*at].rows.clone()).collect();
        rows.push((row.clone(), *time));
        if summary(rows.iter().map(|(row, time)| (row, *time))).is_none() {
            return self.seen.rejected.push(at);
        }
        let mut session = Open {
            number: self.made,
            key: row.number,
            rows,
            changed: self.watermark,
            told: None,
        };
        match joined.as_slice() {
            [only] => session.number = self.open[*only].number,
            _ => self.made += 1,
        }
        for at in &joined {
            let old = self.open[*at].clone();
            match old.told {
                Some(end) if old.start() != session.start() => {
                    let nothing = summary([]).unwrap();
                    let watermark = self.watermark - self.lateness - 1;
                    self.seen.push(old.key, (old.start(), end), false, nothing, watermark);
                }
                told => session.told = session.told.or(told),
            }
        }
        let numbers: Vec<usize> = joined.iter().map(|at| self.open[*at].number).collect();
        self.open.retain(|open| !numbers.contains(&open.number));
        let number = session.number;
        let is_over = session.newest() + self.gap <= self.watermark;
        self.open.push(session);
        self.open.sort_by_key(|open| open.number);
        if self.emit == Emit::OnUpdate || is_over {
            self.emit(number, false, self.watermark);
        }
    }

    fn emit(&mut self, number: usize, is_final: bool, watermark: i64) {
        let (gap, lateness) = (self.gap, self.lateness);
        let session = self.open.iter_mut().find(|open| open.number == number).unwrap();
        let end = session.newest() + gap;
        session.told = Some(end);
        let aggregates = summary(session.rows.iter().map(|(row, time)| (row, *time))).unwrap();
        self.seen.push(
            session.key,
            (session.start(), end),
            is_final,
            aggregates,
            watermark - lateness - 1,
        );
        if is_final {
            self.open.retain(|open| open.number != number);
        }
    }

    fn pass(&mut self, watermark: i64) {
        while self.watermark < watermark {
            self.watermark += 1;
            let now = self.watermark;
            for session in self.open.clone() {
                let (start, end) = (session.start(), session.newest() + self.gap);
                let number = session.number;
                if let Emit::Early { every } = self.emit
                    && now < end
                    && now >= start
                    && (now + 1 - start) % every == 0
                    && (now + 1 - start == every || session.changed >= now - every)
                {
                    self.emit(number, false, now - 1);
                }
                if now == end && self.lateness > 0 && self.emit != Emit::OnUpdate {
                    self.emit(number, false, now - 1);
                }
                if now == end + self.lateness {
                    self.emit(number, true, now - 1);
                }
            }
        }
    }

    fn finish(&mut self) {
        let mut open: Vec<(i64, usize)> = self
            .open
            .iter()
            .map(|open| (open.newest() + self.gap, open.number))
            .collect();
        open.sort_unstable();
        for (end, number) in open {
            self.watermark = self.watermark.max(end - 1);
            self.emit(number, true, self.watermark);
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

fn sessions(gap: i64, max_length: Option<i64>) -> WindowKind {
    WindowKind::Session(Session { gap, max_length })
}

fn kinds() -> impl Strategy<Value = WindowKind> {
    (1i64..20, proptest::option::weighted(0.4, 0i64..40))
        .prop_map(|(gap, more)| sessions(gap, more.map(|more| gap + more)))
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
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// The definition: rows of a key, sorted, make a new session wherever the next one is more than the gap away.
    #[test]
    fn rows_in_time_make_the_sessions_that_they_make_when_sorted(
        mut events in events(), cuts in cuts(), gap in 1i64..20,
    ) {
        // The oldest that may still come: all are in time.
        let mut oldest = i64::MAX;
        for event in events.iter_mut().rev() {
            if event.3 {
                oldest = oldest.min(event.1);
                event.0.whole = None;
            }
            event.2 = event.2.min(oldest - 1);
        }
        let spec = window(sessions(gap, None), Emit::OnClose, 0);
        let mut found = short(&run(&spec, &events, &cuts));
        let mut by_key: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (row, time, ..) in events.iter().filter(|event| event.3) {
            by_key.entry(row.number).or_default().push(*time);
        }
        let mut expected = Vec::new();
        for (key, mut times) in by_key {
            times.sort_unstable();
            for session in times.chunk_by(|one, next| next - one <= gap) {
                expected.push((key, session[0], session[session.len() - 1] + gap, true, session.len() as i64));
            }
        }
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }

    /// Who keeps the last result of each group and start has the final sessions in the end, and of all others nothing.
    #[test]
    fn results_that_replace_those_before_them_leave_the_final_ones(
        events in events(), cuts in cuts(), kind in kinds(), emit in emits(), lateness in latenesses(),
    ) {
        let found = short(&run(&window(kind, emit, lateness), &events, &cuts));
        let mut table = BTreeMap::new();
        for (key, start, end, is_final, count) in &found {
            table.insert((*key, *start), (*end, *is_final, *count));
        }
        for ((key, start), (end, is_final, count)) in table {
            prop_assert!(is_final != (count == 0), "{:?}", (key, start, end, is_final, count));
            let finals = found.iter().filter(|row| row.3 && (row.0, row.1) == (key, start)).count();
            prop_assert!(finals <= 1 || kind != sessions(1, None), "{:?}", (key, start));
        }
    }

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
        let blank = |rows: &mut Vec<Vec<Value>>| rows.iter_mut().for_each(|row| row.truncate(7));
        blank(&mut found.rows);
        blank(&mut model.seen.rows);
        prop_assert_eq!(found, model.seen);
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
        prop_assert!(fresh(&spec).load(&bytes[..end % bytes.len()]).is_err());
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut other = fresh(&spec);
        if other.load(&bytes).is_ok() {
            Seen::default().step(&mut *other, &spec, &events, second, now(1000));
            other.finish();
        }
    }
}

fn on_close(gap: i64) -> Window {
    window(sessions(gap, None), Emit::OnClose, 0)
}

#[test]
fn rows_exactly_the_gap_apart_are_one_session_and_one_more_apart_are_two() {
    // In order and without any disorder allowed: the second row's own watermark is 1 ms before the session's end.
    let seen = run(
        &on_close(10),
        &[row(1, 0, -1), row(1, 10, 9), row(1, 21, 20)],
        &[(1, true); 3],
    );
    assert_eq!(short(&seen), [(1, 0, 20, true, 2), (1, 21, 31, true, 1)]);
    // A row of another group in between changes nothing, though it brought the watermark there.
    let seen = run(
        &on_close(10),
        &[row(1, 0, -1), row(2, 10, 9), row(1, 10, 9)],
        &[(1, true); 3],
    );
    assert_eq!(short(&seen), [(1, 0, 20, true, 2), (2, 10, 20, true, 1)]);
}

#[test]
fn one_batch_may_hold_two_sessions_of_one_key() {
    let seen = run(
        &on_close(10),
        &[row(1, 0, -1), row(1, 5, 4), row(1, 30, 29), row(1, 31, 30)],
        &[],
    );
    assert_eq!(short(&seen), [(1, 0, 15, true, 2), (1, 30, 41, true, 2)]);
    assert_eq!((seen.times, seen.watermarks), (vec![14, 40], vec![13, 39]));
}

#[test]
fn a_row_between_sessions_makes_them_one() {
    let seen = run(
        &on_close(10),
        &[row(1, 0, -99), row(1, 20, -99), row(1, 10, -99)],
        &[(1, true); 3],
    );
    assert_eq!(short(&seen), [(1, 0, 30, true, 3)], "both are exactly the gap away");
    let rows = [0, 40, 80, 22, 61, 50, 70, 12, 31];
    let events: Vec<Event> = rows.iter().map(|time| row(1, *time, -99)).collect();
    let seen = run(&on_close(13), &events, &[]);
    assert_eq!(short(&seen), [(1, 0, 93, true, 9)]);
}

#[test]
fn a_row_is_late_when_the_session_it_would_make_is_closed() {
    let spec = window(sessions(10, None), Emit::OnClose, 5);
    // At 55 a session of 40 alone is over since 50 and is closed right now; one of 41 is open.
    let events = [
        row(1, 60, 54),
        row(1, 40, 54),
        row(1, 40, 55),
        row(1, 30, 55),
        row(2, 40, 55),
        row(2, 41, 55),
    ];
    let seen = run(&spec, &events, &[]);
    assert_eq!(seen.late, [2, 3, 4]);
    assert_eq!(
        short(&seen),
        [
            (1, 40, 50, false, 1),
            (1, 40, 50, true, 1),
            (2, 41, 51, false, 1),
            (2, 41, 51, true, 1),
            (1, 60, 70, true, 1),
        ]
    );
}

#[test]
fn an_old_row_of_an_open_session_is_never_late() {
    let spec = window(sessions(10, None), Emit::OnClose, 0);
    let seen = run(
        &spec,
        &[row(1, 50, -99), row(1, 60, 58), row(1, 41, 59), row(1, 30, 59)],
        &[],
    );
    assert_eq!((short(&seen), seen.late), (vec![(1, 41, 70, true, 3)], vec![3]));
}

#[test]
fn a_session_that_was_emitted_and_starts_earlier_now_is_taken_back_under_its_old_start() {
    let spec = window(sessions(10, None), Emit::OnUpdate, 0);
    let seen = run(
        &spec,
        &[
            row(1, 50, -99),
            row(1, 52, -99),
            row(1, 44, -99),
            row(1, 70, -99),
            row(1, 61, -99),
        ],
        &[],
    );
    assert_eq!(
        short(&seen),
        [
            (1, 50, 60, false, 1),
            (1, 50, 62, false, 2),
            (1, 50, 62, false, 0),
            (1, 44, 62, false, 3),
            (1, 70, 80, false, 1),
            // Both stand in one session now, which keeps the start of the older one.
            (1, 70, 80, false, 0),
            (1, 44, 80, false, 5),
            (1, 44, 80, true, 5),
        ]
    );
    assert_eq!(seen.rows[2][5..], [Value::Null, Value::Null, Value::Null]);
}

#[test]
fn a_session_as_long_as_it_may_be_is_followed_by_another() {
    let spec = window(sessions(10, Some(20)), Emit::OnClose, 0);
    let events: Vec<Event> = (0..30).step_by(5).map(|time| row(1, time, -99)).collect();
    let seen = run(&spec, &events, &[]);
    assert_eq!(short(&seen), [(1, 0, 20, true, 3), (1, 15, 35, true, 3)]);
    // A row that lies within a session is its own, though the one before could still take it.
    let seen = run(
        &spec,
        &[row(1, 0, -99), row(1, 15, -99), row(1, 20, -99), row(1, 18, -99)],
        &[],
    );
    assert_eq!(short(&seen), [(1, 0, 10, true, 1), (1, 15, 30, true, 3)]);
}

#[test]
fn places_of_closed_sessions_are_given_up() {
    let spec = on_close(1);
    let mut operator = fresh(&spec);
    let mut most = 0;
    for at in 0..40 {
        let events: Vec<Event> = (0..1000)
            .map(|row| super::row(row % 97, at * 5000 + row * 5, at * 5000 + row * 5 - 1))
            .collect();
        let all: Vec<usize> = (0..events.len()).collect();
        let now = Now {
            watermark: events[999].2,
            clock: 0,
        };
        Seen::default().step(&mut *operator, &spec, &events, &all, now);
        if at == 10 {
            most = operator.size().bytes;
        }
        assert!(operator.size().groups < 3);
    }
    assert!(
        operator.size().bytes <= 2 * most,
        "{} bytes after {most}",
        operator.size().bytes
    );
}
