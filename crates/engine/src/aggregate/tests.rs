mod estimates;

mod values;

use AggregateFunction::{Avg, Max, Min, Stddev, Sum};
use arrow::array::ArrayRef;
use proptest::prelude::*;

use super::*;
use crate::state::codec::Reader;
use crate::state::testing::{self, Row, Value, aggregate, aggregates, arguments, deviation, expected};

fn argument<'a>(columns: &'a [Option<ArrayRef>], times: &'a [i64]) -> Argument<'a> {
    let view = |column: &'a Option<ArrayRef>| column.as_ref().map_or(View::ROWS, View::of);
    let values = view(&columns[0]);
    Argument {
        values,
        by: columns.get(1).map_or(values, view),
        times,
    }
}

/// An aggregate over a field, with these rows in these groups.
fn filled(aggregate: &Aggregate, rows: &[Row], groups: &[u32]) -> Accumulator {
    let mut accumulator = Accumulator::new(aggregate);
    accumulator.grow(groups.iter().max().map_or(0, |last| *last as usize + 1));
    let batch = testing::batch(&rows.iter().map(|row| (row.clone(), 0, 0)).collect::<Vec<_>>());
    let columns = arguments(&batch, std::slice::from_ref(aggregate));
    accumulator.fold(argument(&columns, &batch.times), Rows { rows: None, groups });
    accumulator
}

/// The same with all rows in one group.
fn one_group(aggregate: &Aggregate, rows: &[Row]) -> Accumulator {
    filled(aggregate, rows, &vec![0; rows.len()])
}

fn result(aggregate: &Aggregate, accumulator: &Accumulator, group: usize) -> Value {
    let mut out = ColumnBuilder::new(&aggregate.result, 1);
    accumulator.append(group..group + 1, &mut out);
    testing::values(&[out.finish()], 0).remove(0)
}

/// Whether a group that holds `rows` takes one more.
fn takes(aggregate: &Aggregate, rows: &[Row], next: Row) -> bool {
    let batch = testing::batch(&[(next, 0, 0)]);
    let columns = arguments(&batch, std::slice::from_ref(aggregate));
    let group = (!rows.is_empty()).then_some(0);
    one_group(aggregate, rows).fits(argument(&columns, &batch.times), 0, group)
}

fn whole(whole: i64) -> Row {
    Row {
        whole: Some(whole),
        ..Row::default()
    }
}

fn double(double: f64) -> Row {
    Row {
        double: Some(double),
        ..Row::default()
    }
}

fn decimal(decimal: i128) -> Row {
    Row {
        decimal: Some(decimal),
        ..Row::default()
    }
}

#[test]
fn sums_overflow_exactly_at_the_limits_of_their_type() {
    let sum = aggregate(Sum, "whole");
    assert!(takes(&sum, &[whole(i64::MAX - 1)], whole(1)));
    assert!(!takes(&sum, &[whole(i64::MAX)], whole(1)));
    assert!(takes(&sum, &[whole(i64::MIN + 1)], whole(-1)));
    assert!(!takes(&sum, &[whole(i64::MIN)], whole(-1)));
    assert!(takes(&sum, &[whole(i64::MIN)], whole(i64::MAX)));

    let (sum, most) = (aggregate(Sum, "decimal"), 10i128.pow(38) - 1);
    assert!(takes(&sum, &[decimal(most - 1)], decimal(1)));
    assert!(!takes(&sum, &[decimal(most)], decimal(1)));
    assert!(!takes(&sum, &[decimal(-most)], decimal(-1)));
    assert!(!takes(&sum, &[decimal(most)], decimal(most)));

    let sum = aggregate(Sum, "double");
    assert!(takes(&sum, &[double(f64::MAX)], double(1.0)));
    assert!(!takes(&sum, &[double(f64::MAX)], double(f64::MAX)));
    assert!(!takes(&sum, &[], double(f64::INFINITY)));
}

#[test]
fn deviations_overflow_where_a_square_would() {
    let stddev = aggregate(Stddev, "double");
    assert!(takes(&stddev, &[double(0.0)], double(1e150)));
    assert!(!takes(&stddev, &[double(0.0)], double(1e200)));
    assert!(!takes(&stddev, &[], double(f64::NAN)));
}

#[test]
fn means_of_decimals_round_half_away_from_zero() {
    let mean = aggregate(Avg, "decimal");
    let cases: [(&[i128], i128); 7] = [
        (&[1, 2], 1_5000),
        (&[1, 0, 0], 3333),
        (&[2, 0, 0], 6667),
        (&[-2, 0, 0], -6667),
        // 1 / 32 = 0.03125, and with the 4 digits that are kept 0.0313.
        (&[1; 1], 1_0000),
        (&[5, 0, 0, 0, 0, 0, 0, 0], 6250),
        (&[-7, -8], -7_5000),
    ];
    for (unscaled, expected) in cases {
        let rows: Vec<_> = unscaled.iter().map(|value| decimal(*value)).collect();
        assert_eq!(
            result(&mean, &one_group(&mean, &rows), 0),
            Value::Decimal(expected),
            "{unscaled:?}"
        );
    }
    for (sign, rounded) in [(1, 313), (-1, -313)] {
        let rows: Vec<_> = std::iter::once(decimal(sign)).chain(vec![decimal(0); 31]).collect();
        assert_eq!(result(&mean, &one_group(&mean, &rows), 0), Value::Decimal(rounded));
    }
}

#[test]
fn a_mean_of_too_many_digits_overflows_with_its_first_row() {
    let (mean, most) = (aggregate(Avg, "decimal"), 10i128.pow(34) - 1);
    assert!(takes(&mean, &[], decimal(most)));
    assert!(!takes(&mean, &[], decimal(most + 1)));
    assert!(takes(&mean, &[decimal(0)], decimal(most + 1)));
}

#[test]
fn means_of_whole_numbers_do_not_lose_large_sums() {
    let mean = aggregate(Avg, "whole");
    let rows = [i64::MAX, i64::MAX, i64::MIN, i64::MIN, 6, 0].map(whole);
    assert_eq!(
        result(&mean, &one_group(&mean, &rows), 0),
        Value::Double((6.0 - 2.0) / 6.0)
    );
}

#[test]
fn minus_zero_is_below_zero_in_any_order() {
    for rows in [[0.0, -0.0], [-0.0, 0.0]] {
        for (function, negative) in [(Min, true), (Max, false)] {
            let extreme = aggregate(function, "double");
            let Value::Double(found) = result(&extreme, &one_group(&extreme, &rows.map(double)), 0) else {
                panic!("not a double")
            };
            assert_eq!(found.is_sign_negative(), negative);
        }
    }
}

#[test]
fn a_merge_that_overflows_is_refused_and_leaves_no_trace() {
    for (sum, row) in [
        (aggregate(Sum, "whole"), whole(i64::MAX)),
        (aggregate(Sum, "double"), double(f64::MAX)),
        (aggregate(Sum, "decimal"), decimal(10i128.pow(38) - 1)),
        (aggregate(Avg, "double"), double(f64::MAX)),
        (aggregate(Stddev, "double"), double(f64::MAX)),
    ] {
        let opposite = Row {
            whole: row.whole.map(|_| i64::MAX),
            double: row
                .double
                .map(|value| if sum.function == Stddev { -value } else { value }),
            decimal: row.decimal,
            ..Row::default()
        };
        let (mut left, right) = (one_group(&sum, &[row]), one_group(&sum, &[opposite]));
        let before = result(&sum, &left, 0);
        assert_eq!(left.merge(&right, 0, &[0]), Some(0), "{}", sum.name);
        assert_eq!(result(&sum, &left, 0), before);
    }
}

/// Values with which nothing overflows.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        proptest::option::of(proptest::sample::select(vec!["", "a", "b", "bb"])),
        proptest::option::of(-1_000_000i64..1_000_000),
        proptest::option::of(-1e6..1e6f64),
        proptest::option::of(-10i128.pow(20)..10i128.pow(20)),
        proptest::option::of(any::<bool>()),
    );
    let row = row.prop_map(|(name, whole, double, decimal, flag)| Row {
        name,
        number: 0,
        whole,
        double,
        decimal,
        flag,
    });
    proptest::collection::vec(row, 0..40)
}

proptest! {
    #[test]
    fn results_are_those_of_all_rows_at_once_and_survive_saving(rows in rows()) {
        let timed: Vec<_> = rows.iter().map(|row| (row.clone(), 0)).collect();
        let expected = expected(&timed).expect("nothing overflows");
        for (aggregate, expected) in aggregates().iter().zip(expected) {
            let mut accumulator = one_group(aggregate, &rows);
            accumulator.grow(1);
            prop_assert_eq!(result(aggregate, &accumulator, 0), expected.clone(), "{}", &aggregate.name);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            accumulator.save(&mut first);
            let mut loaded = Accumulator::new(aggregate);
            let mut reader = Reader::new(&first);
            prop_assert_eq!(loaded.load(&mut reader, 1).and_then(|()| reader.end()), Ok(()));
            loaded.save(&mut second);
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(result(aggregate, &loaded, 0), expected);
            prop_assert!(Accumulator::new(aggregate).load(&mut Reader::new(&first[..first.len() - 1]), 1).is_err());
        }
    }

    #[test]
    fn merged_parts_give_the_whole(rows in rows(), cut in 0usize..40) {
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let timed: Vec<_> = rows.iter().map(|row| (row.clone(), 0)).collect();
        let expected = expected(&timed).expect("nothing overflows");
        for (aggregate, expected) in aggregates().into_iter().zip(expected) {
            // Group 0 here, group 1 there, beside a group that stays empty.
            let mut merged = filled(&aggregate, left, &vec![0; left.len()]);
            merged.grow(2);
            let mut other = filled(&aggregate, right, &vec![1; right.len()]);
            other.grow(2);
            prop_assert_eq!(merged.merge(&other, 0, &[1, 0]), None);
            prop_assert_eq!(result(&aggregate, &merged, 0), expected, "{}", &aggregate.name);
        }
    }

    #[test]
    fn deviation_keeps_its_digits_far_from_zero(small in proptest::collection::vec(-1000i64..1000, 2..50)) {
        let rows: Vec<_> = small.iter().map(|value| whole(value + 1_000_000_000)).collect();
        let stddev = aggregate(Stddev, "whole");
        let near: Vec<_> = small.iter().map(|value| *value as f64).collect();
        let expected = deviation(&near).expect("small numbers");
        let Value::Double(found) = result(&stddev, &one_group(&stddev, &rows), 0) else { panic!("two values or more") };
        let Value::Near(expected, _) = expected else { panic!("two values or more") };
        prop_assert!((found - expected).abs() <= 1e-6 * expected.max(1.0), "{} is not {}", found, expected);
    }

    #[test]
    fn garbage_is_an_error_or_a_state_that_can_be_used(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for aggregate in aggregates() {
            let mut accumulator = Accumulator::new(&aggregate);
            if accumulator.load(&mut Reader::new(&bytes), 3).is_ok() {
                let batch = testing::batch(&[(Row { whole: Some(1), ..Row::default() }, 0, 0)]);
                let columns = arguments(&batch, std::slice::from_ref(&aggregate));
                let argument = argument(&columns, &batch.times);
                accumulator.has_room(Peak::of(argument.values), 1, 1);
                if accumulator.fits(argument, 0, Some(0)) {
                    accumulator.fold(argument, Rows { rows: None, groups: &[0] });
                }
                result(&aggregate, &accumulator, 0);
            }
        }
    }
}
