use std::collections::HashMap;

use millrace_plan::TimeDomain;
use proptest::prelude::*;

use super::*;
use crate::operators::group;
use crate::state::testing::{self, NOW, Row, Step};

fn spec(keep: Keep, within: i64, time: TimeDomain) -> Deduplicate {
    Deduplicate {
        keys: vec![0, 1],
        keep,
        within,
        time,
    }
}

fn operator(spec: &Deduplicate) -> DeduplicateOperator {
    DeduplicateOperator::new(spec, &testing::input())
}

/// Positions of the rows that pass.
fn step(operator: &mut DeduplicateOperator, rows: &[(Row, i64, i64)], now: Now) -> Vec<u32> {
    let mut faults = Vec::new();
    let made = operator.step(&testing::batch(rows), &[], now, &mut faults);
    let Some(Made::Picked(Picked { batch, rows })) = made else {
        panic!("rows of the input")
    };
    assert_eq!((&batch.origins, faults), (&rows.values().to_vec(), Vec::new()));
    batch.origins
}

fn saved(operator: &DeduplicateOperator) -> Vec<u8> {
    let mut bytes = Vec::new();
    operator.save(&mut bytes);
    bytes
}

fn row(number: i64, time: i64, watermark: i64) -> (Row, i64, i64) {
    let row = Row {
        number,
        ..Row::default()
    };
    (row, time, watermark)
}

#[test]
fn first_passes_one_row_and_drops_others_until_its_time_is_over() {
    let mut operator = operator(&spec(Keep::First, 10, TimeDomain::Event));
    let rows = [
        row(1, 100, 50),
        row(1, 100, 50),
        row(2, 101, 50),
        row(1, 109, 50),
        row(1, 40, 50),
        row(1, 110, 50),
        row(1, 110, 50),
        // Not before the deadline of the row at 110, and the watermark is there: forgotten.
        row(1, 105, 120),
    ];
    assert_eq!(step(&mut operator, &rows, NOW), [0, 2, 5, 7]);
}

#[test]
fn last_passes_what_is_not_older_than_what_has_passed() {
    let mut operator = operator(&spec(Keep::Last, 10, TimeDomain::Event));
    let rows = [
        row(1, 100, 50),
        row(1, 99, 50),
        row(1, 100, 50),
        row(1, 103, 50),
        row(2, 1, 50),
        row(1, 102, 112),
        row(1, 102, 113),
    ];
    assert_eq!(step(&mut operator, &rows, NOW), [0, 2, 3, 4, 6]);
}

#[test]
fn by_the_clock_rows_without_any_event_time_order_are_dropped_for_the_time() {
    let mut operator = operator(&spec(Keep::First, 10, TimeDomain::Processing));
    let at = |clock| Now { clock, ..NOW };
    assert_eq!(step(&mut operator, &[row(1, 5, 4), row(1, 500, 499)], at(1_000)), [0]);
    assert_eq!(step(&mut operator, &[row(1, 5, 4)], at(1_009)), [0u32; 0]);
    assert_eq!(step(&mut operator, &[row(1, 5, 4), row(1, 6, 4)], at(1_010)), [0]);
}

#[test]
fn a_deadline_is_the_same_after_a_restart() {
    let spec = spec(Keep::First, 10, TimeDomain::Processing);
    let mut before = operator(&spec);
    step(&mut before, &[row(1, 5, 4)], Now { clock: 1_000, ..NOW });
    let mut after = operator(&spec);
    after.load(&saved(&before)).expect("it was saved by this operator");
    assert_eq!(
        step(&mut after, &[row(1, 5, 4)], Now { clock: 1_009, ..NOW }),
        [0u32; 0]
    );
    assert_eq!(step(&mut after, &[row(1, 5, 4)], Now { clock: 1_010, ..NOW }), [0]);
}

#[test]
fn state_of_first_is_not_taken_for_state_of_last() {
    let bytes = saved(&operator(&spec(Keep::First, 10, TimeDomain::Event)));
    assert_eq!(
        operator(&spec(Keep::Last, 10, TimeDomain::Event))
            .load(&bytes)
            .unwrap_err(),
        "it was saved for `first kept by event time`, the plan has `last kept by event time`"
    );
    assert_eq!(operator(&spec(Keep::First, 20, TimeDomain::Event)).load(&bytes), Ok(()));
}

proptest! {
    #[test]
    fn rows_pass_as_they_would_one_by_one(
        steps in testing::steps(group::tests::rows()), within in 1i64..40, last: bool, processing: bool,
    ) {
        let time = if processing { TimeDomain::Processing } else { TimeDomain::Event };
        let spec = spec(if last { Keep::Last } else { Keep::First }, within, time);
        let mut operator = operator(&spec);
        // Of each key the newest row that passed, and when it is forgotten.
        let mut passed: HashMap<_, (i64, i64)> = HashMap::new();
        for Step { rows, now, reload } in steps {
            let mut expected = Vec::new();
            for (at, (row, event, watermark)) in rows.iter().enumerate() {
                let (clock, instant) = if processing { (now.clock, now.clock) } else { (*watermark, *event) };
                let key = (row.name, row.number);
                let held = passed.get(&key).copied().filter(|(_, forgotten)| *forgotten > clock);
                let drops = held.is_some_and(|(newest, forgotten)| {
                    if last { *event < newest } else { instant < forgotten }
                });
                if !drops {
                    expected.push(at as u32);
                    let forgotten = held.map_or(i64::MIN, |(_, forgotten)| forgotten);
                    passed.insert(key, (*event, forgotten.max(instant + within)));
                }
            }
            prop_assert_eq!(step(&mut operator, &rows, now), expected);
            if reload {
                let bytes = saved(&operator);
                operator = self::operator(&spec);
                prop_assert_eq!(operator.load(&bytes), Ok(()));
                prop_assert_eq!(saved(&operator), bytes);
            }
        }
    }
}
