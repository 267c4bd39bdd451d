use std::collections::HashMap;

use millrace_plan::{Aggregate, AggregateFunction, TimeDomain};
use proptest::prelude::*;

use super::*;
use crate::state::testing::{self, Row, Value, aggregate, aggregates, arguments, expected, values};

const KEYS: [usize; 2] = [0, 1];

fn operator(keys: &[usize], aggregates: &[Aggregate]) -> GroupOperator {
    kept(keys, aggregates, None)
}

fn kept(keys: &[usize], aggregates: &[Aggregate], ttl: Option<Ttl>) -> GroupOperator {
    let spec = Group {
        keys: keys.to_vec(),
        aggregates: aggregates.to_vec(),
        ttl,
    };
    GroupOperator::new(&spec, &testing::input(), &testing::output(keys, Vec::new(), aggregates))
}

/// Results as (origin, values), and the rejected rows.
fn step(group: &mut GroupOperator, aggregates: &[Aggregate], rows: &[(Row, i64, i64)]) -> (Batch, Vec<usize>) {
    let batch = testing::batch(rows);
    let mut faults = Vec::new();
    let made = group.step(&batch, &arguments(&batch, aggregates), testing::NOW, &mut faults);
    let rejected = faults.into_iter().map(|(row, _)| row).collect();
    (testing::results(made.expect("every row has a result")), rejected)
}

fn saved(group: &GroupOperator) -> Vec<u8> {
    let mut bytes = Vec::new();
    group.save(&mut bytes);
    bytes
}

#[test]
fn every_row_has_a_result_right_after_it() {
    let sum = [
        aggregate(AggregateFunction::Sum, "whole"),
        aggregate(AggregateFunction::Count, ""),
    ];
    let mut group = operator(&[0], &sum);
    let row = |name, whole| {
        (
            Row {
                name: Some(name),
                whole,
                ..Row::default()
            },
            5,
            4,
        )
    };
    let (out, rejected) = step(
        &mut group,
        &sum,
        &[row("a", Some(1)), row("b", None), row("a", Some(2)), row("a", None)],
    );
    let rows: Vec<_> = (0..4).map(|row| values(out.columns.columns(), row)).collect();
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(rows[0], [text("a"), Value::Whole(1), Value::Whole(1)]);
    assert_eq!(rows[1], [text("b"), Value::Null, Value::Whole(1)]);
    assert_eq!(rows[2], [text("a"), Value::Whole(3), Value::Whole(2)]);
    assert_eq!(rows[3], [text("a"), Value::Whole(3), Value::Whole(3)]);
    assert_eq!(
        (out.origins, out.times, out.watermarks),
        (vec![0, 1, 2, 3], vec![5; 4], vec![4; 4])
    );
    assert_eq!((rejected.len(), group.size().groups), (0, 2));
}

#[test]
fn a_row_that_overflows_one_aggregate_changes_none() {
    let both = [
        aggregate(AggregateFunction::Count, ""),
        aggregate(AggregateFunction::Sum, "whole"),
    ];
    let mut group = operator(&[0], &both);
    let row = |name, whole| {
        (
            Row {
                name: Some(name),
                whole: Some(whole),
                ..Row::default()
            },
            0,
            0,
        )
    };
    let (out, rejected) = step(&mut group, &both, &[row("a", i64::MAX), row("a", 1), row("a", -1)]);
    assert_eq!((rejected, out.origins), (vec![1], vec![0, 2]));
    assert_eq!(
        values(out.columns.columns(), 1)[1..],
        [Value::Whole(2), Value::Whole(i64::MAX - 1)]
    );
}

#[test]
fn a_group_whose_first_row_overflows_does_not_exist() {
    let mean = [aggregate(AggregateFunction::Avg, "decimal")];
    let mut group = operator(&[0], &mean);
    let before = saved(&group);
    let row = Row {
        name: Some("a"),
        decimal: Some(10i128.pow(37)),
        ..Row::default()
    };
    let (out, rejected) = step(&mut group, &mean, &[(row, 0, 0)]);
    assert_eq!((out.len(), rejected, group.size().groups), (0, vec![0], 0));
    assert_eq!(saved(&group), before);
}

#[test]
fn state_of_another_shape_is_refused_and_says_what_differs() {
    let (count, sum) = (
        aggregate(AggregateFunction::Count, ""),
        aggregate(AggregateFunction::Sum, "whole"),
    );
    let bytes = saved(&operator(&[0], &[count.clone(), sum.clone()]));
    let error = |keys: &[usize], aggregates: &[Aggregate]| operator(keys, aggregates).load(&bytes).unwrap_err();
    assert_eq!(
        error(&[1], &[count.clone(), sum.clone()]),
        "it was saved for `key 1: name string`, the plan has `key 1: number int64`"
    );
    assert_eq!(
        error(&[0], &[count.clone(), aggregate(AggregateFunction::Max, "whole")]),
        "it was saved for `aggregate 2: sum(whole int64) int64`, the plan has `aggregate 2: max(whole int64) int64`"
    );
    assert_eq!(
        error(&[0], std::slice::from_ref(&count)),
        "it was saved for `aggregate 2: sum(whole int64) int64`, the plan has nothing more"
    );
    let renamed = Aggregate {
        name: "another".to_owned(),
        ..sum
    };
    assert_eq!(operator(&[0], &[count, renamed]).load(&bytes), Ok(()));
}

#[test]
fn what_was_added_row_by_row_or_loaded_counts_when_the_next_batch_is_judged() {
    let row = |whole, double, decimal| {
        (
            Row {
                name: Some("a"),
                whole,
                double,
                decimal,
                ..Row::default()
            },
            0,
            0,
        )
    };
    for (aggregate, first, then) in [
        (
            aggregate(AggregateFunction::Sum, "whole"),
            row(Some(i64::MAX - 10), None, None),
            row(Some(11), None, None),
        ),
        (
            aggregate(AggregateFunction::Sum, "decimal"),
            row(None, None, Some(10i128.pow(38) - 10)),
            row(None, None, Some(10)),
        ),
        (
            aggregate(AggregateFunction::Avg, "decimal"),
            row(None, None, Some(10i128.pow(34) - 1)),
            row(None, None, Some(10i128.pow(34) + 1)),
        ),
        (
            aggregate(AggregateFunction::Sum, "double"),
            row(None, Some(1e308), None),
            row(None, Some(1e308), None),
        ),
        (
            aggregate(AggregateFunction::Avg, "double"),
            row(None, Some(1e308), None),
            row(None, Some(1e308), None),
        ),
        (
            aggregate(AggregateFunction::Stddev, "double"),
            row(None, Some(1e200), None),
            row(None, Some(1.0), None),
        ),
    ] {
        let aggregates = [aggregate];
        let mut group = operator(&[0], &aggregates);
        // So many rows of that size could overflow, so they are looked at one by one; none does.
        let (out, rejected) = step(
            &mut group,
            &aggregates,
            &[first, row(None, None, None), row(None, None, None)],
        );
        assert_eq!((out.len(), rejected.len()), (3, 0), "{}", aggregates[0].name);
        let bytes = saved(&group);
        assert_eq!(
            step(&mut group, &aggregates, std::slice::from_ref(&then)).1,
            [0],
            "{}",
            aggregates[0].name
        );
        assert_eq!(saved(&group), bytes);
        let mut loaded = operator(&[0], &aggregates);
        assert_eq!(loaded.load(&bytes), Ok(()));
        assert_eq!(
            step(&mut loaded, &aggregates, &[then]).1,
            [0],
            "{}, loaded",
            aggregates[0].name
        );
    }
}

#[test]
fn a_mean_whose_sum_leaves_128_bits_overflows() {
    let aggregates = [aggregate(AggregateFunction::Avg, "decimal")];
    let row = |decimal| {
        (
            Row {
                name: Some("a"),
                decimal,
                ..Row::default()
            },
            0,
            0,
        )
    };
    let value = row(Some(10i128.pow(34) - 1));
    // 17,014 such values fit, one more does not. Beside a NULL they are too many to be added without looking.
    for beside in [None, Some(row(None))] {
        let mut group = operator(&[0], &aggregates);
        let rows: Vec<_> = std::iter::repeat_n(value.clone(), 17_014).chain(beside).collect();
        assert_eq!(step(&mut group, &aggregates, &rows).1, [0usize; 0]);
        assert_eq!(step(&mut group, &aggregates, std::slice::from_ref(&value)).1, [0]);
    }
}

#[test]
fn keys_that_never_come_again_do_not_fill_memory() {
    let count = [aggregate(AggregateFunction::Count, "")];
    let ttl = Ttl {
        after: 100,
        time: TimeDomain::Event,
    };
    let (mut kept, mut forever) = (kept(&[1], &count, Some(ttl)), operator(&[1], &count));
    let mut largest = 0;
    for start in (0..50_000).step_by(50) {
        let row = |number| {
            let row = Row {
                number,
                ..Row::default()
            };
            (row, number, number - 1)
        };
        let batch = testing::batch(&(start..start + 50).map(row).collect::<Vec<_>>());
        let now = Now {
            watermark: start + 48,
            ..testing::NOW
        };
        for group in [&mut kept, &mut forever] {
            group.step(&batch, &arguments(&batch, &count), now, &mut Vec::new());
        }
        largest = largest.max(kept.size().groups);
    }
    assert!(largest < 1_000, "{largest} groups are not swept fast enough");
    assert_eq!(forever.size().groups, 50_000);
    let (kept_bytes, forever_bytes) = (kept.size().bytes, forever.size().bytes);
    assert!(kept_bytes * 20 < forever_bytes, "{kept_bytes} of {forever_bytes} bytes");
    assert_eq!(kept.take_expired() as usize + kept.size().groups, 50_000);
}

#[test]
fn a_group_is_swept_without_any_further_row() {
    let count = [aggregate(AggregateFunction::Count, "")];
    let ttl = Ttl {
        after: 100,
        time: TimeDomain::Processing,
    };
    let mut group = kept(&[1], &count, Some(ttl));
    let batch = testing::batch(&[(Row::default(), 0, 0)]);
    let at = |clock| Now { clock, ..testing::NOW };
    group.step(&batch, &arguments(&batch, &count), at(1_000), &mut Vec::new());
    let nothing = testing::batch(&[]);
    for (clock, groups, expired) in [(1_099, 1, 0), (1_100, 0, 1), (1_101, 0, 0)] {
        group.step(&nothing, &arguments(&nothing, &count), at(clock), &mut Vec::new());
        assert_eq!(
            (group.size().groups, group.take_expired()),
            (groups, expired),
            "at {clock}"
        );
    }
}

#[test]
fn state_kept_for_ever_is_not_taken_for_state_with_deadlines() {
    let count = [aggregate(AggregateFunction::Count, "")];
    let ttl = |after| {
        Some(Ttl {
            after,
            time: TimeDomain::Event,
        })
    };
    assert_eq!(
        kept(&[0], &count, ttl(5))
            .load(&saved(&operator(&[0], &count)))
            .unwrap_err(),
        "it was saved for nothing more, the plan has `kept by event time`"
    );
    let bytes = saved(&kept(&[0], &count, ttl(5)));
    assert_eq!(kept(&[0], &count, ttl(6)).load(&bytes), Ok(()));
}

/// Rows of which some make an aggregate overflow.
pub(crate) fn rows() -> impl Strategy<Value = Row> {
    let whole = prop_oneof![8 => -1000i64..1000, 1 => Just(i64::MAX / 2), 1 => Just(i64::MIN / 2)];
    let double = prop_oneof![8 => -1e3..1e3f64, 1 => Just(1e99), 1 => Just(1e308), 1 => Just(-1e200)];
    let decimal = prop_oneof![
        8 => -1000i128..1000,
        1 => Just(9 * 10i128.pow(33)),
        1 => Just(-4 * 10i128.pow(37)),
        1 => Just(3 * 10i128.pow(31)),
    ];
    let name = proptest::sample::select(vec![None, Some(""), Some("a"), Some("é")]);
    let values = (
        proptest::option::of(whole),
        proptest::option::of(double),
        proptest::option::of(decimal),
    );
    (name, 0i64..2, values, proptest::option::of(any::<bool>())).prop_map(
        |(name, number, (whole, double, decimal), flag)| Row {
            name,
            number,
            whole,
            double,
            decimal,
            flag,
        },
    )
}

proptest! {
    #[test]
    fn a_group_begins_anew_when_its_time_is_over_however_rows_are_cut(
        steps in testing::steps(rows()),
        after in 1i64..40,
        processing: bool,
    ) {
        let aggregates = aggregates();
        let ttl = Ttl { after, time: if processing { TimeDomain::Processing } else { TimeDomain::Event } };
        let mut group = kept(&KEYS, &aggregates, Some(ttl));
        let mut groups: HashMap<_, (Vec<(Row, i64)>, i64)> = HashMap::new();
        let (mut begun, mut expired) = (0, 0);
        for testing::Step { rows, now, reload } in steps {
            let batch = testing::batch(&rows);
            let mut faults = Vec::new();
            let made = group.step(&batch, &arguments(&batch, &aggregates), now, &mut faults);
            let out = testing::results(made.expect("every row has a result"));
            expired += group.take_expired();
            let (mut emitted, mut rejected) = (0, Vec::new());
            for (at, (row, time, watermark)) in rows.iter().enumerate() {
                let (passed, time_of_row) = if processing { (now.clock, now.clock) } else { (*watermark, *time) };
                let held = groups.get(&(row.name, row.number)).filter(|(_, deadline)| *deadline > passed);
                let fresh = held.is_none();
                let (mut so_far, deadline) = held.cloned().unwrap_or((Vec::new(), i64::MIN));
                so_far.push((row.clone(), *time));
                let Some(results) = expected(&so_far) else {
                    rejected.push(at);
                    continue;
                };
                begun += u64::from(fresh);
                groups.insert((row.name, row.number), (so_far, deadline.max(time_of_row + after)));
                prop_assert_eq!(out.origins[emitted] as usize, at);
                prop_assert_eq!(&values(out.columns.columns(), emitted)[2..], &results);
                emitted += 1;
            }
            let faults: Vec<_> = faults.into_iter().map(|(row, _)| row).collect();
            prop_assert_eq!((out.len(), faults), (emitted, rejected));
            if reload {
                let before = group.size().groups;
                let bytes = saved(&group);
                group = kept(&KEYS, &aggregates, Some(ttl));
                prop_assert_eq!(group.load(&bytes), Ok(()));
                prop_assert_eq!(saved(&group), bytes);
                let alive = groups.values().filter(|(_, deadline)| *deadline > now.of(ttl.time)).count();
                prop_assert_eq!(group.size().groups, alive, "what is saved is what is not forgotten");
                expired += (before - alive) as u64;
            }
        }
        prop_assert_eq!(begun, expired + group.size().groups as u64, "every group is there or was counted");
    }

    #[test]
    fn results_are_those_of_all_rows_so_far_however_they_are_cut(
        rows in proptest::collection::vec((rows(), 0i64..100), 0..60),
        cuts in proptest::collection::vec((1usize..20, any::<bool>()), 60),
    ) {
        let aggregates = aggregates();
        let mut group = operator(&KEYS, &aggregates);
        let mut groups: HashMap<_, Vec<(Row, i64)>> = HashMap::new();
        let mut rest = rows.as_slice();
        for (length, reload) in cuts {
            let (chunk, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            let rows: Vec<_> = chunk.iter().map(|(row, time)| (row.clone(), *time, 0)).collect();
            let (out, rejected) = step(&mut group, &aggregates, &rows);
            let mut expected_rejections = Vec::new();
            let mut emitted = 0;
            for (at, (row, time)) in chunk.iter().enumerate() {
                let so_far = groups.entry((row.name, row.number)).or_default();
                so_far.push((row.clone(), *time));
                let Some(results) = expected(so_far) else {
                    so_far.pop();
                    expected_rejections.push(at);
                    continue;
                };
                prop_assert_eq!(out.origins[emitted] as usize, at);
                let found = values(out.columns.columns(), emitted);
                prop_assert_eq!(&found[2..], &results);
                emitted += 1;
            }
            prop_assert_eq!((out.len(), rejected), (emitted, expected_rejections));
            prop_assert_eq!(group.size().groups, groups.values().filter(|rows| !rows.is_empty()).count());
            if reload {
                let bytes = saved(&group);
                group = operator(&KEYS, &aggregates);
                prop_assert_eq!(group.load(&bytes), Ok(()));
                prop_assert_eq!(saved(&group), bytes);
            }
        }
    }

    #[test]
    fn damaged_state_is_an_error_or_another_state_but_never_a_panic(
        rows in proptest::collection::vec(rows(), 1..10), at: usize, byte: u8, end: usize,
    ) {
        let aggregates = aggregates();
        let mut group = operator(&KEYS, &aggregates);
        step(&mut group, &aggregates, &rows.iter().map(|row| (row.clone(), 0, 0)).collect::<Vec<_>>());
        let mut bytes = saved(&group);
        prop_assert!(operator(&KEYS, &aggregates).load(&bytes[..end % bytes.len()]).is_err());
        let at = at % bytes.len();
        bytes[at] = byte;
        let mut other = operator(&KEYS, &aggregates);
        if other.load(&bytes).is_ok() {
            step(&mut other, &aggregates, &rows.iter().map(|row| (row.clone(), 0, 0)).collect::<Vec<_>>());
        }
    }
}
