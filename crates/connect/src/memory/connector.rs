//! Both ends of one job's data path on a [`Broker`].

use super::{Broker, MemoryConsumer, MemoryFollower, MemoryMembership, MemoryProducer};
use crate::{Connector, Error, Partition};
use millrace_plan::{GroupId, TopicName};

/// Opens consumers and producers of one job.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    broker: Broker,
    topics: Vec<TopicName>,
    group: GroupId,
}

impl MemoryConnector {
    /// For a job that reads `topics` as `group`.
    pub fn new(broker: Broker, topics: Vec<TopicName>, group: GroupId) -> Self {
        Self { broker, topics, group }
    }
}

impl Connector for MemoryConnector {
    type Membership = MemoryMembership;
    type Consumer = MemoryConsumer;
    type Producer = MemoryProducer;
    type Follower = MemoryFollower;

    fn partitions(&self) -> Result<Vec<u32>, Error> {
        let count = |topic: &TopicName| {
            let count = self.broker.partitions(topic.as_str());
            count
                .map(|count| count as u32)
                .ok_or_else(|| Error::external(format!("topic {topic} does not exist")))
        };
        self.topics.iter().map(count).collect()
    }

    fn delete_before(&self, offsets: &[(Partition, i64)]) {
        for (Partition { topic, number }, offset) in offsets {
            // A topic that is gone has no records.
            let _ = self
                .broker
                .truncate_before(self.topics[usize::from(*topic)].as_str(), *number, *offset);
        }
    }

    fn open_follower(&self, topics: &[TopicName]) -> Result<MemoryFollower, Error> {
        MemoryFollower::open(self.broker.clone(), topics)
    }

    fn open_consumer(&self) -> Result<MemoryConsumer, Error> {
        let topics = self.topics.iter().map(ToString::to_string).collect();
        MemoryConsumer::join(self.broker.clone(), topics, self.group.to_string())
    }

    fn open_producer(&self, transactional_id: &str, topics: &[TopicName]) -> Result<MemoryProducer, Error> {
        let topics = topics.iter().map(ToString::to_string).collect();
        MemoryProducer::open(self.broker.clone(), transactional_id.to_owned(), topics)
    }
}
