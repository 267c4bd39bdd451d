use super::*;
use crate::observe::Lag;

fn object(name: &str) -> ObjectKey {
    ObjectKey {
        kind: "StreamPipeline",
        namespace: "shop".to_owned(),
        name: name.to_owned(),
    }
}

fn seen(records: i64, seconds: Option<i64>, at: Instant) -> Option<Arc<Observation>> {
    Some(Arc::new(Observation {
        source: Some(SourceState::Reachable),
        lag: Some(Lag { records, seconds }),
        lag_at: Some(at),
        ..Observation::default()
    }))
}

fn ask(metric: Metric, found: Vec<(Option<Arc<Observation>>, ObjectKey)>, now: Instant) -> Result<Vec<Value>, Failure> {
    of(
        metric,
        "shop",
        found,
        now,
        Timestamp::from_second(1_700_000_100).unwrap(),
    )
}

#[test]
fn numbers_come_with_the_time_of_their_measurement_in_order_of_name() {
    let at = Instant::now();
    let found = vec![(seen(7, Some(3), at), object("b")), (seen(0, None, at), object("a"))];
    let values = ask(Metric::LagRecords, found, at + Duration::from_secs(40)).unwrap();
    let short: Vec<_> = values
        .iter()
        .map(|value| (value.labels[NAME].as_str(), value.amount))
        .collect();
    assert_eq!(short, [("a", 0), ("b", 7)]);
    // 1 700 000 100 - 40 s.
    assert_eq!(values[0].timestamp(), "2023-11-14T22:14:20Z");
}

#[test]
fn what_is_not_known_is_an_error_that_says_why() {
    let now = Instant::now();
    let unreachable = Observation {
        source: Some(SourceState::Unreachable("connection refused".to_owned())),
        ..Observation::default()
    };
    let at = now - Duration::from_secs(61);
    let cases = [
        (Metric::LagRecords, None, "not observed yet"),
        (Metric::LagRecords, Some(Arc::default()), "not asked yet"),
        (Metric::LagRecords, Some(Arc::new(unreachable)), "connection refused"),
        (Metric::LagRecords, seen(0, Some(0), at), "61 s ago"),
        (Metric::LagSeconds, seen(5, None, now), "oldest unread record"),
        (Metric::LagRecords, seen(-1, None, now), "-1"),
    ];
    for (metric, observation, expected) in cases {
        let good = (seen(1, Some(1), now), object("good"));
        let failure = ask(metric, vec![good, (observation, object("orders"))], now).unwrap_err();
        assert_eq!(failure.code(), 503);
        assert!(
            failure.message().contains("StreamPipeline shop/orders"),
            "{}",
            failure.message()
        );
        assert!(failure.message().contains(expected), "{}", failure.message());
    }
}

#[test]
fn a_number_of_sixty_seconds_still_counts() {
    let at = Instant::now();
    let values = ask(
        Metric::LagSeconds,
        vec![(seen(9, Some(4), at), object("a"))],
        at + Duration::from_secs(60),
    );
    assert_eq!(values.unwrap()[0].amount, 4);
}

#[test]
fn nothing_chosen_is_an_error_and_not_an_empty_list() {
    let failure = ask(Metric::LagRecords, Vec::new(), Instant::now()).unwrap_err();
    assert_eq!(failure.code(), 404);
    assert!(failure.message().contains("namespace shop"), "{}", failure.message());
}
