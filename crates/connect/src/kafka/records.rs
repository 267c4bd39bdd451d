//! What a consumer hands out: records in librdkafka's buffers, and proof of membership.

use super::native::{Fetched, GroupMetadata, Message};
use crate::{Partition, RecordView, Records};
use std::sync::Arc;

/// Proof of membership: group, member and generation, as of one assignment.
#[derive(Clone)]
pub struct KafkaMembership {
    /// None: not a member. Positions committed then would be fenced by nothing, so they are not.
    pub(super) metadata: Option<Arc<GroupMetadata>>,
    pub(super) topics: Arc<[String]>,
}

/// Records of one partition, in librdkafka's buffers until dropped.
pub struct KafkaRecords {
    pub(super) partition: Partition,
    pub(super) fetched: Fetched,
    pub(super) next_offset: i64,
}

impl Records for KafkaRecords {
    fn partition(&self) -> Partition {
        self.partition
    }

    fn len(&self) -> usize {
        self.fetched.as_slice().len()
    }

    fn get(&self, at: usize) -> RecordView<'_> {
        self.fetched.as_slice()[at].record()
    }

    fn headers(&self, at: usize, each: &mut dyn FnMut(&str, Option<&[u8]>)) {
        self.fetched.as_slice()[at].headers(each);
    }

    fn next_offset(&self) -> i64 {
        self.next_offset
    }

    fn bytes(&self) -> usize {
        let bytes = |message: &Message| {
            let record = message.record();
            record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)
        };
        self.fetched.as_slice().iter().map(bytes).sum()
    }
}
