//! The 27,004 departures of January 2013, as records.

use std::fs::File;
use std::io::Read;

use anyhow::Result;
use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::client::Message;
use crate::manifest::examples;

/// What tests and the oracle look at in a departure.
#[derive(Clone, Debug, Deserialize)]
pub struct Flight {
    /// Scheduled departure, milliseconds since the epoch.
    pub ts: i64,
    /// Airline.
    pub carrier: String,
    /// Flight number.
    pub flight: i64,
    /// Airport of departure.
    pub origin: String,
    /// Airport of arrival.
    pub dest: String,
    /// Minutes; none if cancelled.
    pub dep_delay: Option<i64>,
    /// Minutes; none if cancelled or diverted.
    pub arr_delay: Option<i64>,
    /// Minutes in the air.
    pub air_time: Option<i64>,
    /// Miles.
    pub distance: i64,
}

/// All lines, in the order of the real departures.
pub fn january() -> Result<Vec<String>> {
    let mut text = String::new();
    GzDecoder::new(File::open(examples().join("data/flights-january.jsonl.gz"))?).read_to_string(&mut text)?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// A line as a record whose key is its carrier.
pub fn message(line: &str) -> Result<Message> {
    let flight: Flight = serde_json::from_str(line)?;
    Ok(Message {
        key: Some(flight.carrier.into_bytes()),
        value: Some(line.as_bytes().to_vec()),
        timestamp: flight.ts,
        ..Message::default()
    })
}

/// One record for each partition, of a carrier that does not exist, so late in event time that every window of January
/// closes. It passes no filter on delays, and its own window stays open.
pub fn closing(partitions: i32) -> Vec<Message> {
    let ts = 1_362_096_000_000_i64; // 2013-03-01T00:00:00Z
    let value = format!(
        r#"{{"ts":{ts},"carrier":"ZZ","flight":1,"tailnum":null,"origin":"EWR","dest":"EWR","dep_delay":0,"arr_delay":0,"air_time":1,"distance":1}}"#
    );
    let message = |partition| Message {
        key: Some(b"ZZ".to_vec()),
        value: Some(value.clone().into_bytes()),
        timestamp: ts,
        partition: Some(partition),
        ..Message::default()
    };
    (0..partitions).map(message).collect()
}
