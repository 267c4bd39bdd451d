//! How far behind: from librdkafka's statistics, without asking a broker.

use serde::Deserialize;
use std::collections::HashMap;

/// The part of librdkafka's statistics that is used.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Statistics {
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Debug, Default, Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: HashMap<String, PartitionStatistics>,
}

#[derive(Debug, Default, Deserialize)]
struct PartitionStatistics {
    /// Last stable offset; negative if unknown.
    #[serde(default = "unknown")]
    ls_offset: i64,
    /// Bytes fetched and not yet taken.
    #[serde(default)]
    fetchq_size: u64,
}

fn unknown() -> i64 {
    -1
}

impl Statistics {
    /// The last stable offset, if any fetch has told it.
    pub(super) fn last_stable_offset(&self, topic: &str, partition: i32) -> Option<i64> {
        let partition = self.topics.get(topic)?.partitions.get(&partition.to_string())?;
        (partition.ls_offset >= 0).then_some(partition.ls_offset)
    }

    /// Bytes fetched ahead, all partitions together.
    pub(super) fn fetched_bytes(&self) -> u64 {
        let partitions = self.topics.values().flat_map(|topic| topic.partitions.values());
        partitions.map(|partition| partition.fetchq_size).sum()
    }
}

/// Records between `position` and the last stable offset, which may be as old as the statistics: a second.
pub(super) fn behind(position: i64, last_stable: Option<i64>) -> Option<i64> {
    Some((last_stable? - position).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_tell_the_last_stable_offset_and_the_bytes_fetched() {
        let json = r#"{"name":"x","topics":{"in":{"topic":"in","partitions":{
            "0":{"ls_offset":12,"hi_offset":20,"fetchq_size":300},
            "1":{"ls_offset":-1001,"fetchq_size":4},
            "-1":{"ls_offset":-1001,"fetchq_size":0}}}}}"#;
        let statistics: Statistics = serde_json::from_str(json).unwrap();
        assert_eq!(statistics.last_stable_offset("in", 0), Some(12));
        assert_eq!(statistics.last_stable_offset("in", 1), None);
        assert_eq!(statistics.last_stable_offset("other", 0), None);
        assert_eq!(statistics.fetched_bytes(), 304);
    }

    #[test]
    fn lag_is_zero_ahead_of_old_statistics_and_unknown_without_any() {
        assert_eq!(behind(10, Some(8)), Some(0));
        assert_eq!(behind(10, Some(15)), Some(5));
        assert_eq!(behind(10, None), None);
    }
}
