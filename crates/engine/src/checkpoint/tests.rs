use millrace_plan::{AggregateFunction, Group};

use super::*;
use crate::operators::group::GroupOperator;
use crate::operators::{Keyed, Now, window as windows};
use crate::state::testing::{self, Row, Value, aggregate, arguments, first_aggregates, values};

/// Written once, by the first version; never to be written again.
const V1: &[u8] = include_bytes!("../../tests/fixtures/checkpoint_v1.bin");

fn small() -> Checkpoint {
    Checkpoint {
        identity: Identity {
            state_id: "shop/orders".to_owned(),
            cluster_id: "5L6g3nShT-eMCtK--X86sw".to_owned(),
            topic: "orders".to_owned(),
            partition: 7,
            offset: 1 << 33,
        },
        newest_event_time: Some(1_357_016_399_999),
        sections: vec![Section {
            operator: "by-hour".to_owned(),
            kind: "window".to_owned(),
            bytes: vec![1, 2, 3],
        }],
    }
}

fn rows() -> Vec<(Row, i64, i64)> {
    let row = |name, number, whole: Option<i64>| Row {
        name,
        number,
        whole,
        double: whole.map(|whole| whole as f64 / 4.0),
        decimal: whole.map(|whole| i128::from(whole) * 1_000_000_007),
        flag: whole.map(|whole| whole > 0),
    };
    vec![
        (row(Some("a"), 1, Some(10)), 1_005, 1_004),
        (row(None, 1, Some(-3)), 1_010, 1_009),
        (row(Some("a"), 1, Some(5)), 2_500, 2_499),
        (row(Some("é"), 2, None), 2_400, 2_499),
    ]
}

fn group() -> GroupOperator {
    let aggregates = vec![
        aggregate(AggregateFunction::Count, ""),
        aggregate(AggregateFunction::Avg, "decimal"),
    ];
    let output = testing::output(&[0], Vec::new(), &aggregates);
    GroupOperator::new(
        &Group {
            keys: vec![0],
            aggregates,
            ttl: None,
        },
        &testing::input(),
        &output,
    )
}

fn window() -> Box<dyn Keyed> {
    let spec = millrace_plan::Window {
        aggregates: first_aggregates(),
        ..testing::window(1_000, 0, 10_000)
    };
    let output = testing::output(&spec.keys, testing::window_fields(), &spec.aggregates);
    windows::operator(&spec, &testing::input(), &output)
}

/// Two operators that have seen [`rows`].
fn of_operators() -> Checkpoint {
    let (mut group, mut window) = (group(), window());
    let batch = testing::batch(&rows());
    let group_aggregates = [
        aggregate(AggregateFunction::Count, ""),
        aggregate(AggregateFunction::Avg, "decimal"),
    ];
    let mut faults = Vec::new();
    group.step(&batch, &arguments(&batch, &group_aggregates), testing::NOW, &mut faults);
    let now = Now {
        watermark: 2_499,
        ..testing::NOW
    };
    window.step(&batch, &arguments(&batch, &first_aggregates()), now, &mut faults);
    assert_eq!(faults, []);
    let (mut group_bytes, mut window_bytes) = (Vec::new(), Vec::new());
    group.save(&mut group_bytes);
    window.save(&mut window_bytes);
    let section = |operator: &str, kind: &str, bytes| Section {
        operator: operator.into(),
        kind: kind.into(),
        bytes,
    };
    Checkpoint {
        newest_event_time: Some(2_500),
        sections: vec![
            section("totals", "groupBy", group_bytes),
            section("by-second", "window", window_bytes),
        ],
        ..small()
    }
}

#[test]
fn what_is_encoded_is_decoded() {
    for newest_event_time in [None, Some(i64::MIN), Some(0)] {
        for sections in [Vec::new(), small().sections, of_operators().sections] {
            let checkpoint = Checkpoint {
                newest_event_time,
                sections,
                ..small()
            };
            assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint));
        }
    }
}

#[test]
fn truncation_at_every_byte_is_detected() {
    let bytes = small().encode();
    for end in 0..bytes.len() {
        assert_eq!(
            Checkpoint::decode(&bytes[..end]),
            Err(DecodeError::Truncated),
            "cut at {end}"
        );
    }
}

#[test]
fn every_flipped_bit_is_detected() {
    let mut bytes = small().encode();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let error = Checkpoint::decode(&bytes).expect_err("a bit was flipped");
            match at {
                0..8 => assert_eq!(error, DecodeError::BadMagic),
                8..10 => assert!(matches!(error, DecodeError::UnsupportedVersion(_))),
                10..18 => assert!(matches!(error, DecodeError::Truncated | DecodeError::Checksum)),
                _ => assert_eq!(error, DecodeError::Checksum),
            }
            bytes[at] ^= 1 << bit;
        }
    }
}

#[test]
fn bytes_behind_the_end_are_detected() {
    let mut bytes = small().encode();
    bytes.push(0);
    assert_eq!(Checkpoint::decode(&bytes), Err(DecodeError::Checksum));
}

#[test]
fn a_right_checksum_does_not_excuse_wrong_contents() {
    let mut bytes = small().encode();
    let flag = bytes.len() - CHECKSUM - (1 + 3) - (1 + 6) - (1 + 7) - 1 - 8 - 1;
    assert_eq!(bytes[flag], 1, "whether an event time follows");
    bytes[flag] = 9;
    let covered = bytes.len() - CHECKSUM;
    let checksum = crc32c::crc32c(&bytes[..covered]).to_le_bytes();
    bytes[covered..].copy_from_slice(&checksum);
    assert!(matches!(Checkpoint::decode(&bytes), Err(DecodeError::Malformed(_))));
}

#[test]
fn other_files_and_newer_versions_are_named() {
    assert_eq!(Checkpoint::decode(b"{\"json\": true}"), Err(DecodeError::BadMagic));
    let mut bytes = small().encode();
    bytes[8] = 2;
    assert_eq!(Checkpoint::decode(&bytes), Err(DecodeError::UnsupportedVersion(2)));
}

#[test]
fn the_first_version_is_written_as_ever() {
    assert_eq!(of_operators().encode(), V1);
}

#[test]
fn the_first_version_loads_and_goes_on_as_if_nothing_had_happened() {
    let checkpoint = Checkpoint::decode(V1).expect("the first version loads for ever");
    assert_eq!(checkpoint.identity, small().identity);
    assert_eq!(checkpoint.newest_event_time, Some(2_500));
    let (mut group, mut window) = (group(), window());
    assert_eq!(group.load(&checkpoint.sections[0].bytes), Ok(()));
    assert_eq!(window.load(&checkpoint.sections[1].bytes), Ok(()));

    let batch = testing::batch(&[(
        Row {
            name: Some("a"),
            decimal: Some(2),
            ..Row::default()
        },
        2_600,
        2_599,
    )]);
    let group_aggregates = [
        aggregate(AggregateFunction::Count, ""),
        aggregate(AggregateFunction::Avg, "decimal"),
    ];
    let mut faults = Vec::new();
    let made = group.step(&batch, &arguments(&batch, &group_aggregates), testing::NOW, &mut faults);
    assert_eq!(faults, []);
    let out = testing::results(made.expect("every row has a result"));
    // (10 + 5) * 1,000,000,007 + 2 over three values, with four more digits.
    let mean = Value::Decimal((15 * 1_000_000_007 + 2) * 10_000 / 3 + 1);
    assert_eq!(
        values(out.columns.columns(), 0),
        [Value::Text("a".to_owned()), Value::Whole(3), mean]
    );

    assert_eq!((window.size().windows, window.size().groups), (2, 4));
    let out = testing::results(window.finish().expect("two windows are open"));
    let starts: Vec<_> = (0..4)
        .map(|row| values(out.columns.columns(), row)[2].clone())
        .collect();
    assert_eq!(starts, [1_000, 1_000, 2_000, 2_000].map(Value::Timestamp));
    let sums: Vec<_> = (0..4)
        .map(|row| values(out.columns.columns(), row)[7].clone())
        .collect();
    assert_eq!(sums, [Value::Whole(10), Value::Whole(-3), Value::Whole(5), Value::Null]);
}
