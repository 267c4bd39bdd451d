//! Aggregates that keep values: which ones, in which order, and where they stop.

use AggregateFunction::{CollectList, Count, CountDistinct, First, Last, Top};

use super::*;
use crate::state::testing::field_of;

fn distinct(function: AggregateFunction, field: &str) -> Aggregate {
    Aggregate {
        distinct: true,
        ..aggregate(function, field)
    }
}

fn wholes(values: &[i64]) -> Value {
    Value::List(values.iter().copied().map(Value::Whole).collect())
}

/// One group with rows at these times.
fn at(aggregate: &Aggregate, rows: &[(i64, i64)]) -> Accumulator {
    let rows: Vec<_> = rows.iter().map(|(value, time)| (whole(*value), *time, 0)).collect();
    let batch = testing::batch(&rows);
    let columns = arguments(&batch, std::slice::from_ref(aggregate));
    let mut accumulator = Accumulator::new(aggregate);
    accumulator.grow(1);
    let groups = vec![0; rows.len()];
    accumulator.fold(
        argument(&columns, &batch.times),
        Rows {
            rows: None,
            groups: &groups,
        },
    );
    accumulator
}

#[test]
fn first_and_last_go_by_event_time_and_only_then_by_arrival() {
    let (first, last) = (aggregate(First, "whole"), aggregate(Last, "whole"));
    type Case<'a> = (&'a [(i64, i64)], i64, i64);
    let cases: [Case<'_>; 4] = [
        (&[(1, 10)], 1, 1),
        (&[(1, 10), (2, 5), (3, 20), (4, 15)], 2, 3),
        (&[(1, 10), (2, 10), (3, 10)], 1, 3),
        (&[(1, i64::MIN), (2, i64::MAX)], 1, 2),
    ];
    for (rows, earliest, latest) in cases {
        assert_eq!(result(&first, &at(&first, rows), 0), Value::Whole(earliest), "{rows:?}");
        assert_eq!(result(&last, &at(&last, rows), 0), Value::Whole(latest), "{rows:?}");
        for cut in 0..=rows.len() {
            for (aggregate, expected) in [(&first, earliest), (&last, latest)] {
                let mut merged = at(aggregate, &rows[..cut]);
                assert_eq!(merged.merge(&at(aggregate, &rows[cut..]), 0, &[0]), None);
                assert_eq!(
                    result(aggregate, &merged, 0),
                    Value::Whole(expected),
                    "{rows:?} cut at {cut}"
                );
            }
        }
    }
}

#[test]
fn a_list_takes_its_limit_and_not_one_more() {
    let list = aggregate(CollectList { limit: 3 }, "whole");
    assert!(takes(&list, &[1, 2].map(whole), whole(3)));
    assert!(!takes(&list, &[1, 2, 3].map(whole), whole(4)));
    assert!(
        takes(&list, &[1, 2, 3].map(whole), Row::default()),
        "NULL is not collected"
    );
    let list = distinct(CollectList { limit: 3 }, "whole");
    assert!(takes(&list, &[1, 2, 3].map(whole), whole(2)), "it is there already");
    assert!(!takes(&list, &[1, 2, 3].map(whole), whole(4)));
}

#[test]
fn a_list_knows_whether_a_batch_has_room() {
    let list = aggregate(CollectList { limit: 5 }, "whole");
    let mut filled = filled(&list, &[1, 2, 3, 4].map(whole), &[0, 0, 1, 2]);
    assert!(filled.has_room(Peak::Unknown, 3, 1));
    // It must count on all three in one group.
    assert!(!filled.has_room(Peak::Unknown, 4, 1), "the first group has two");
    assert!(filled.has_room(Peak::Unknown, 3, 1), "none of them came");
}

#[test]
fn lists_that_are_too_long_together_do_not_merge() {
    for list in [
        aggregate(CollectList { limit: 3 }, "whole"),
        distinct(CollectList { limit: 3 }, "whole"),
    ] {
        let mut left = one_group(&list, &[1, 2].map(whole));
        assert_eq!(left.merge(&one_group(&list, &[3, 4].map(whole)), 0, &[0]), Some(0));
        assert_eq!(result(&list, &left, 0), wholes(&[1, 2]));
        assert_eq!(left.merge(&one_group(&list, &[3].map(whole)), 0, &[0]), None);
        assert_eq!(result(&list, &left, 0), wholes(&[1, 2, 3]));
    }
}

#[test]
fn the_highest_come_first_and_equals_as_they_arrived() {
    let top = Aggregate {
        by: Some(field_of("double")),
        ..aggregate(Top { limit: 3 }, "whole")
    };
    let row = |whole: i64, by: f64| Row {
        whole: Some(whole),
        double: Some(by),
        ..Row::default()
    };
    let rows = [
        row(1, 5.0),
        row(2, 7.0),
        row(3, 5.0),
        row(4, 1.0),
        row(5, 5.0),
        row(6, 9.0),
    ];
    for (count, expected) in [
        (0, &[][..]),
        (2, &[2, 1]),
        (4, &[2, 1, 3]),
        (5, &[2, 1, 3]),
        (6, &[6, 2, 1]),
    ] {
        let mut accumulator = one_group(&top, &rows[..count]);
        accumulator.grow(1);
        assert_eq!(result(&top, &accumulator, 0), wholes(expected));
    }
    let without = [
        row(1, 5.0),
        Row {
            double: None,
            ..row(2, 0.0)
        },
    ];
    assert_eq!(
        result(&top, &one_group(&top, &without), 0),
        wholes(&[1]),
        "NULL has no place in an order"
    );
}

#[test]
fn equal_values_count_once_in_each_group() {
    let rows = [1, 1, 2, 1, 2, 3].map(whole);
    let groups = [0, 0, 0, 1, 1, 0];
    for (aggregate, expected) in [
        (aggregate(CountDistinct, "whole"), [3, 2]),
        (distinct(Count, "whole"), [3, 2]),
        (distinct(Sum, "whole"), [6, 3]),
    ] {
        let accumulator = filled(&aggregate, &rows, &groups);
        for group in [0, 1] {
            assert_eq!(
                result(&aggregate, &accumulator, group),
                Value::Whole(expected[group]),
                "{}",
                aggregate.name
            );
        }
    }
    let mean = distinct(Avg, "whole");
    assert_eq!(result(&mean, &filled(&mean, &rows, &groups), 1), Value::Double(1.5));
    assert!(
        takes(&distinct(Sum, "whole"), &[whole(i64::MAX)], whole(i64::MAX)),
        "it is there already"
    );
    assert!(!takes(&distinct(Sum, "whole"), &[whole(i64::MAX)], whole(1)));
}

/// What a part has and another has not may be larger than all of it together.
#[test]
fn distinct_sums_have_room_only_where_every_choice_of_values_has() {
    let sum = distinct(Sum, "whole");
    let large = i64::MAX / 2;
    let cancelled = one_group(&sum, &[whole(large), whole(-large)]);
    assert_eq!(result(&sum, &cancelled, 0), Value::Whole(0));
    let mut merged = Accumulator::new(&sum);
    merged.grow(1);
    assert_eq!(merged.merge(&cancelled, 0, &[0]), None);
    assert!(!merged.has_room(Peak::Whole(1), 1, 1));
    let mut small = one_group(&sum, &[whole(7), whole(-7)]);
    assert!(small.has_room(Peak::Whole(1000), 4096, 1));
}

#[test]
fn a_merge_into_a_new_group_is_a_copy() {
    let sum = distinct(Sum, "double");
    // In another order the sum of all would be another.
    let mut merged = one_group(&sum, &[1e16, 1.0].map(double));
    assert_eq!(
        merged.merge(&one_group(&sum, &[-1e16, 1.0, 3.0].map(double)), 0, &[0]),
        None
    );
    let mut copy = Accumulator::new(&sum);
    copy.grow(1);
    assert_eq!(copy.merge(&merged, 0, &[0]), None);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    merged.save(&mut one);
    copy.save(&mut other);
    assert_eq!(one, other);
}

#[test]
fn distinct_sums_that_overflow_together_do_not_merge() {
    let sum = distinct(Sum, "whole");
    let mut left = one_group(&sum, &[i64::MAX - 1, 5 - i64::MAX].map(whole));
    let before = result(&sum, &left, 0);
    // The first is known, the others are not.
    let right = one_group(
        &sum,
        &[i64::MAX - 1, i64::MIN / 2, i64::MIN / 2 - 3].map(whole).map(|row| row),
    );
    assert_eq!(left.merge(&right, 0, &[0]), Some(0));
    assert_eq!(result(&sum, &left, 0), before);
    assert_eq!(
        left.merge(&one_group(&sum, &[5 - i64::MAX, 1].map(whole)), 0, &[0]),
        None
    );
    assert_eq!(result(&sum, &left, 0), Value::Whole(5));
}
