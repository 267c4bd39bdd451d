//! A list of values in Kubernetes' protobuf, which the controller manager asks for first.
//!
//! ```text
//! "k8s\0" Unknown { typeMeta: 1 { apiVersion: 1, kind: 2 }, raw: 2 }
//! raw = ExternalMetricValueList { metadata: 1 {}, items: 2 } item = { metricName: 1, metricLabels: 2 { key: 1, value:
//! 2 }, timestamp: 3 { seconds: 1 }, window: 4, value: 5 { string: 1 } }
//! ```

use super::values::{Value, WINDOW_SECONDS};
use crate::serving::discovery::{GROUP, VERSION};

const MAGIC: &[u8] = b"k8s\0";

/// Writes the list.
pub(super) fn list(values: &[Value]) -> Vec<u8> {
    let type_meta = Message::default()
        .text(1, &format!("{GROUP}/{VERSION}"))
        .text(2, "ExternalMetricValueList");
    let metadata = Message::default();
    let list = values
        .iter()
        .fold(Message::default().message(1, &metadata), |list, value| {
            list.message(2, &item(value))
        });
    let unknown = Message::default().message(1, &type_meta).message(2, &list);
    [MAGIC, &unknown.0].concat()
}

fn item(value: &Value) -> Message {
    let label = |(key, value): (&&str, &String)| Message::default().text(1, key).text(2, value);
    let item = Message::default().text(1, value.metric);
    let item = value
        .labels
        .iter()
        .map(label)
        .fold(item, |item, label| item.message(2, &label));
    item.message(3, &Message::default().number(1, value.at.as_second()))
        .number(4, WINDOW_SECONDS)
        .message(5, &Message::default().text(1, &value.amount.to_string()))
}

#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn number(self, field: u64, number: i64) -> Self {
        // A negative number is written as its two's complement.
        self.varint(field << 3).varint(number.cast_unsigned())
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(bytes.len() as u64);
        message.0.extend_from_slice(bytes);
        message
    }

    fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let value = Value {
            metric: "m",
            labels: BTreeMap::from([("k", "v".to_owned())]),
            at: Timestamp::from_second(300).unwrap(),
            amount: 7,
        };
        let item = b"\x0a\x01m\x12\x06\x0a\x01k\x12\x01v\x1a\x03\x08\xac\x02\x20\x00\x2a\x03\x0a\x017";
        let mut expected = b"k8s\0\x0a\x3a\x0a\x1fexternal.metrics.k8s.io/v1beta1".to_vec();
        expected.extend(b"\x12\x17ExternalMetricValueList");
        expected.extend([0x12, 4 + item.len() as u8]);
        expected.extend([0x0a, 0x00, 0x12, item.len() as u8]);
        expected.extend(item);
        assert_eq!(list(&[value]), expected);
    }
}
