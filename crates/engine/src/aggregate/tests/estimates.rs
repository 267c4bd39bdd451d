//! Estimates are as near as their documentation says, and do not depend on order or parts.

use AggregateFunction::{ApproxCountDistinct, CountDistinct};

use super::*;
use crate::state::testing::percentile;

fn count(aggregate: &Aggregate, rows: &[Row]) -> i64 {
    let mut accumulator = one_group(aggregate, rows);
    accumulator.grow(1);
    match result(aggregate, &accumulator, 0) {
        Value::Whole(count) => count,
        other => panic!("{other:?} is no count"),
    }
}

fn saved(accumulator: &Accumulator) -> Vec<u8> {
    let mut bytes = Vec::new();
    accumulator.save(&mut bytes);
    bytes
}

/// Numbers without an order that one can see, always the same.
fn scattered(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|number| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1)
}

/// The smallest value that the part does not exceed, by counting.
fn exact(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = (part * values.len() as f64 - 1e-9).ceil().max(1.0);
    sorted[position as usize - 1]
}

fn estimate(function: AggregateFunction, values: &[f64]) -> f64 {
    let rows: Vec<_> = values.iter().copied().map(double).collect();
    let aggregate = aggregate(function, "double");
    match result(&aggregate, &one_group(&aggregate, &rows), 0) {
        Value::Double(value) => value,
        other => panic!("{other:?} is no percentile"),
    }
}

#[test]
fn few_different_values_are_counted_exactly() {
    let about = aggregate(ApproxCountDistinct, "whole");
    for different in [0, 1, 2, 1023, 1024] {
        // Each value three times.
        let rows: Vec<_> = (0..different * 3)
            .map(|number| whole(number % different.max(1)))
            .collect();
        assert_eq!(count(&about, &rows), different);
    }
}

#[test]
fn many_different_values_are_counted_within_three_standard_errors() {
    let about = aggregate(ApproxCountDistinct, "whole");
    for different in [1025, 2_000, 5_000, 20_000, 60_000, 300_000] {
        let inputs: [Vec<Row>; 3] = [
            (0..different).map(whole).collect(),
            scattered(different as u64).map(|number| whole(number as i64)).collect(),
            // The first value as often as all others together.
            (0..different * 2)
                .map(|number| whole((number - different).max(0)))
                .collect(),
        ];
        for rows in inputs {
            let off = (count(&about, &rows) - different) as f64 / different as f64;
            assert!(off.abs() < 3.0 * 0.0081, "{different} values are counted {off} wrong");
        }
    }
}

#[test]
fn both_zeros_are_one_value() {
    for function in [CountDistinct, ApproxCountDistinct] {
        let counts = aggregate(function, "double");
        assert_eq!(count(&counts, &[0.0, -0.0, 0.0, 1.0].map(double)), 2);
    }
}

#[test]
fn percentiles_of_skewed_constant_tiny_and_huge_values_are_within_their_bound() {
    let uniform: Vec<f64> = scattered(3_000).map(|number| number as f64 / 2f64.powi(63)).collect();
    let inputs: [(&str, Vec<f64>); 8] = [
        ("uniform", uniform.clone()),
        ("skewed", uniform.iter().map(|part| -part.ln() * 10.0).collect()),
        ("heavy-tailed", uniform.iter().map(|part| part.powi(-3)).collect()),
        ("around zero", uniform.iter().map(|part| part - 0.5).collect()),
        ("constant", vec![0.1; 1000]),
        ("tiny", uniform.iter().map(|part| part * 1e-300).collect()),
        ("huge", uniform.iter().map(|part| part * -1e308).collect()),
        ("a single one", vec![123.456]),
    ];
    for (name, values) in inputs {
        for part in [0.0, 0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999_999, 1.0] {
            let (found, exact) = (estimate(percentile(part), &values), exact(&values, part));
            assert!(
                (found - exact).abs() <= exact.abs() / 256.0,
                "{name} {part}: {found} is not {exact}"
            );
        }
    }
}

#[test]
fn percentiles_of_a_constant_and_of_small_whole_numbers_are_exact() {
    assert_eq!(estimate(percentile(0.5), &[0.1; 7]), 0.1);
    let rows: Vec<_> = (-255..=255).rev().map(whole).collect();
    for (part, expected) in [
        (0.0, -255.0),
        (0.25, -128.0),
        (0.5, 0.0),
        (0.75, 128.0),
        (0.9, 204.0),
        (1.0, 255.0),
    ] {
        let aggregate = aggregate(percentile(part), "whole");
        assert_eq!(
            result(&aggregate, &one_group(&aggregate, &rows), 0),
            Value::Double(expected),
            "{part}"
        );
    }
}

#[test]
fn merged_registers_are_those_of_all_values() {
    let about = aggregate(ApproxCountDistinct, "whole");
    let rows: Vec<_> = scattered(5_000).map(|number| whole(number as i64)).collect();
    let all = one_group(&about, &rows);
    // Few with many, many with few, many with many, few with few that become many.
    for cut in [10, 900, 2_500, 4_990] {
        for rows in [&rows[..], &rows[..1_800]] {
            let (left, right) = rows.split_at(cut.min(rows.len()));
            let mut merged = one_group(&about, left);
            merged.grow(1);
            let mut right = one_group(&about, right);
            right.grow(1);
            assert_eq!(merged.merge(&right, 0, &[0]), None);
            let whole = if rows.len() == 5_000 {
                saved(&all)
            } else {
                saved(&one_group(&about, rows))
            };
            assert!(saved(&merged) == whole, "cut at {cut} of {}", rows.len());
        }
    }
}

#[test]
fn registers_survive_saving_and_count_on() {
    let about = aggregate(ApproxCountDistinct, "name");
    let names: Vec<String> = (0..3_000).map(|number| format!("name {number}")).collect();
    let rows: Vec<_> = names
        .iter()
        .map(|name| Row {
            name: Some(name.clone().leak()),
            ..Row::default()
        })
        .collect();
    let mut loaded = Accumulator::new(&about);
    let bytes = saved(&one_group(&about, &rows[..2_000]));
    assert_eq!(loaded.load(&mut Reader::new(&bytes), 1), Ok(()));
    assert_eq!(saved(&loaded), bytes);
    assert_eq!(loaded.merge(&one_group(&about, &rows[2_000..]), 0, &[0]), None);
    assert!(saved(&loaded) == saved(&one_group(&about, &rows)));
    assert!(loaded.bytes() < 20_000, "{} bytes", loaded.bytes());
}

proptest! {
    #[test]
    fn percentiles_depend_on_the_values_alone(
        values in proptest::collection::vec(
            prop_oneof![any::<f64>().prop_filter("finite", |value| value.is_finite()), -10.0..10.0f64, Just(0.0)], 1..80),
        cut in 0usize..80,
        part in 0u32..=1000,
    ) {
        let aggregate = aggregate(percentile(f64::from(part) / 1000.0), "double");
        let rows: Vec<_> = values.iter().copied().map(double).collect();
        let reversed: Vec<_> = rows.iter().rev().cloned().collect();
        let (left, right) = rows.split_at(cut.min(rows.len()));
        let mut merged = one_group(&aggregate, right);
        merged.grow(1);
        let mut left = one_group(&aggregate, left);
        left.grow(1);
        prop_assert_eq!(merged.merge(&left, 0, &[0]), None);
        let all = one_group(&aggregate, &rows);
        // The zeros count as one, so which of them stands at an end may differ.
        let same = |value: Value| match value { Value::Double(value) => value + 0.0, other => panic!("{other:?}") };
        prop_assert_eq!(same(result(&aggregate, &merged, 0)), same(result(&aggregate, &all, 0)));
        prop_assert_eq!(
            same(result(&aggregate, &one_group(&aggregate, &reversed), 0)),
            same(result(&aggregate, &all, 0))
        );
        let (found, exact) = (same(result(&aggregate, &all, 0)), exact(&values, f64::from(part) / 1000.0));
        prop_assert!((found - exact).abs() <= exact.abs() / 256.0 + f64::MIN_POSITIVE, "{} is not {}", found, exact);
    }
}
