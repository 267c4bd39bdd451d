//! The broker and the client that all other tests stand on.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use millrace_e2e::broker::Broker;
use millrace_e2e::client::Message;

#[test]
fn records_come_back_by_key_with_timestamps_and_headers() {
    let broker = Broker::start().unwrap();
    let client = broker.client();
    client.create_topic("in", 4).unwrap();
    let message = |n: i64| Message {
        key: Some(format!("key-{}", n % 7).into_bytes()),
        value: Some(format!("value-{n}").into_bytes()),
        timestamp: 1_357_035_300_000 + n,
        headers: vec![("n".to_owned(), n.to_string().into_bytes())],
        partition: None,
    };
    client.write("in", (0..1000).map(message)).unwrap();

    let stored = client.read_committed("in").unwrap();
    assert_eq!(stored.len(), 1000);
    let mut last = std::collections::HashMap::new();
    for record in &stored {
        let n: i64 = record.header("n").unwrap().parse().unwrap();
        assert_eq!(record.timestamp, 1_357_035_300_000 + n);
        assert_eq!(record.text(), format!("value-{n}"));
        let before = last.insert(record.key.clone(), (record.partition, n));
        assert!(before.is_none_or(|(partition, before)| partition == record.partition && before < n));
    }
    assert_eq!(client.stable_ends("in").unwrap(), client.high_watermarks("in").unwrap());
    assert_eq!(client.committed("nobody", "in").unwrap(), [0; 4]);
    assert!(!client.has_topic("out").unwrap());
}
