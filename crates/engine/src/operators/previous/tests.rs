use std::collections::HashMap;

use millrace_plan::{Field, TimeDomain, Ttl};
use proptest::prelude::*;

use super::*;
use crate::operators::group;
use crate::state::testing::{self, NOW, Row, Step, Value, values};

/// Every type of value there is.
const FIELDS: [&str; 7] = ["name", "number", "whole", "double", "decimal", "flag", "instant"];

fn operator(keys: &[usize], fields: &[&str], ttl: Option<Ttl>) -> PreviousOperator {
    let input = testing::input();
    let position = |name: &&str| input.position(name).expect("it is a field");
    let fields: Vec<usize> = fields.iter().map(position).collect();
    let added = fields.iter().map(|at| {
        let field = &input[*at];
        Field::computed(format!("previous_{}", field.name), field.field_type.clone(), true)
    });
    let output = Fields::new(input.iter().cloned().chain(added).collect());
    let spec = Previous {
        keys: keys.to_vec(),
        fields,
        ttl,
    };
    PreviousOperator::new(&spec, &input, &output)
}

/// The fields of every row, and those of the row before.
fn step(operator: &mut PreviousOperator, rows: &[(Row, i64, i64)], now: Now) -> Vec<(Vec<Value>, Vec<Value>)> {
    let mut faults = Vec::new();
    let Some(Made::Picked(picked)) = operator.step(&testing::batch(rows), &[], now, &mut faults) else {
        panic!("rows of the input")
    };
    assert_eq!((picked.rows.len(), faults), (rows.len(), Vec::new()));
    let row = |row| {
        let mut all = values(picked.batch.columns.columns(), row);
        let added = all.split_off(testing::input().len());
        (all, added)
    };
    (0..rows.len()).map(row).collect()
}

fn saved(operator: &PreviousOperator) -> Vec<u8> {
    let mut bytes = Vec::new();
    operator.save(&mut bytes);
    bytes
}

#[test]
fn the_row_before_is_that_of_the_same_key_by_arrival() {
    let mut operator = operator(&[0], &["whole"], None);
    let row = |name, whole, time| {
        let row = Row {
            name: Some(name),
            whole,
            ..Row::default()
        };
        (row, time, 0)
    };
    let seen = step(
        &mut operator,
        &[
            row("a", Some(1), 9),
            row("b", Some(2), 5),
            row("a", None, 3),
            row("a", Some(4), 7),
        ],
        NOW,
    );
    let seen: Vec<_> = seen.into_iter().map(|(_, mut added)| added.remove(0)).collect();
    assert_eq!(seen, [Value::Null, Value::Null, Value::Whole(1), Value::Null]);
    let seen = step(&mut operator, &[row("a", Some(5), 1)], NOW);
    assert_eq!(seen[0].1, [Value::Whole(4)]);
}

#[test]
fn a_row_that_was_forgotten_is_null() {
    let ttl = Some(Ttl {
        after: 10,
        time: TimeDomain::Event,
    });
    let mut operator = operator(&[1], &["number"], ttl);
    let row = |time, watermark| (Row::default(), time, watermark);
    let seen = step(&mut operator, &[row(100, 99), row(110, 109), row(121, 120)], NOW);
    let seen: Vec<_> = seen.into_iter().map(|(_, mut added)| added.remove(0)).collect();
    assert_eq!(seen, [Value::Null, Value::Whole(0), Value::Null]);
}

#[test]
fn state_of_other_values_is_refused() {
    let bytes = saved(&operator(&[0], &["whole"], None));
    assert_eq!(
        operator(&[0], &["double"], None).load(&bytes).unwrap_err(),
        "it was saved for `value 1: whole int64`, the plan has `value 1: double float64`"
    );
}

proptest! {
    #[test]
    fn every_row_is_given_the_row_before_however_rows_are_cut(
        steps in testing::steps(group::tests::rows()),
        ttl in proptest::option::of((1i64..40, any::<bool>())),
    ) {
        let ttl = ttl.map(|(after, processing)| Ttl {
            after,
            time: if processing { TimeDomain::Processing } else { TimeDomain::Event },
        });
        let mut operator = operator(&[0, 1], &FIELDS, ttl);
        let mut before: HashMap<_, (Vec<Value>, i64)> = HashMap::new();
        for Step { rows, now, reload } in steps {
            let found = step(&mut operator, &rows, now);
            for ((row, event, watermark), (fields, added)) in rows.iter().zip(found) {
                let (passed, instant) = match ttl.map(|ttl| ttl.time) {
                    Some(TimeDomain::Processing) => (now.clock, now.clock),
                    _ => (*watermark, *event),
                };
                let held = before.get(&(row.name, row.number));
                let held = held.filter(|(_, forgotten)| ttl.is_none() || *forgotten > passed);
                let expected = held.map_or(vec![Value::Null; FIELDS.len()], |(values, _)| values.clone());
                prop_assert_eq!(added, expected);
                let forgotten = held.map_or(i64::MIN, |(_, forgotten)| *forgotten);
                let forgotten = forgotten.max(instant + ttl.map_or(0, |ttl| ttl.after));
                before.insert((row.name, row.number), (fields, forgotten));
            }
            if reload {
                let bytes = saved(&operator);
                operator = self::operator(&[0, 1], &FIELDS, ttl);
                prop_assert_eq!(operator.load(&bytes), Ok(()));
                prop_assert_eq!(saved(&operator), bytes);
            }
        }
    }

    #[test]
    fn damaged_state_is_an_error_or_another_state_but_never_a_panic(
        rows in proptest::collection::vec(group::tests::rows(), 1..10), at: usize, byte: u8, end: usize,
    ) {
        let rows: Vec<_> = rows.into_iter().map(|row| (row, 0, 0)).collect();
        let mut operator = operator(&[0, 1], &FIELDS, None);
        step(&mut operator, &rows, NOW);
        let mut bytes = saved(&operator);
        prop_assert!(self::operator(&[0, 1], &FIELDS, None).load(&bytes[..end % bytes.len()]).is_err());
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut other = self::operator(&[0, 1], &FIELDS, None);
        if other.load(&bytes).is_ok() {
            step(&mut other, &rows, NOW);
        }
    }
}
