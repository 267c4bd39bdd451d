//! Which topics exist, and creating those that we write.

use super::KafkaConnector;
use super::client::Context;
use super::config;
use super::connector::missing_topic;
use super::native::Native;
use super::watchdog::pause;
use crate::Error;
use futures::executor::block_on;
use millrace_plan::{Topic, TopicName};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const RETRY: Duration = Duration::from_millis(50);

impl KafkaConnector {
    /// How many partitions each source topic has; an error names those that do not exist.
    pub fn source_partitions(&self) -> Result<Vec<u32>, Error> {
        let sources: Vec<&TopicName> = self.sources.iter().collect();
        let found = self.existing(&sources)?;
        let missing: Vec<&str> = self
            .sources
            .iter()
            .map(TopicName::as_str)
            .filter(|name| !found.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            // It may be created any moment: who waits finds it then.
            return Err(Error::external(format!(
                "source topic {} does not exist",
                missing.join(", ")
            )));
        }
        Ok(self.sources.iter().map(|name| found[name.as_str()] as u32).collect())
    }

    /// Creates the topics that do not exist and may be created. What exists stays as it is; two runners may do this at
    /// the same time.
    pub fn prepare_topics(&self, topics: &[&Topic]) -> Result<(), Error> {
        let names: Vec<&TopicName> = topics.iter().map(|topic| &topic.name).collect();
        let found = self.existing(&names)?;
        let mut missing: BTreeMap<&str, &Topic> = BTreeMap::new();
        for topic in topics.iter().filter(|topic| !found.contains_key(topic.name.as_str())) {
            if !topic.create {
                return Err(missing_topic(topic.name.as_str()));
            }
            missing.entry(topic.name.as_str()).or_insert(topic);
        }
        if !missing.is_empty() {
            let default = self.source_partitions()?.first().copied().unwrap_or(1);
            self.create(missing.into_values(), default)?;
        }
        self.wait_for(&names)?;
        self.learn_limits(&names);
        Ok(())
    }

    /// Those of `topics` that exist, with their partitions.
    pub(super) fn existing(&self, topics: &[&TopicName]) -> Result<BTreeMap<String, i32>, Error> {
        let reader = self.reader()?;
        let deadline = Instant::now() + self.settings.request_timeout;
        let mut found = BTreeMap::new();
        for topic in topics {
            if let Some(partitions) = self.partitions_of(&reader, topic.as_str(), deadline)? {
                found.insert(topic.to_string(), partitions);
            }
        }
        reader.serve(Duration::ZERO);
        Ok(found)
    }

    fn partitions_of(&self, reader: &Native, topic: &str, deadline: Instant) -> Result<Option<i32>, Error> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(RETRY);
            let Ok(metadata) = reader.client().fetch_metadata(Some(topic), left) else {
                return Err(self.unreachable(reader));
            };
            let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
                return Ok(None);
            };
            match found.error().map(Code::from) {
                None if !found.partitions().is_empty() => return Ok(Some(found.partitions().len() as i32)),
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
                Some(code @ Code::TopicAuthorizationFailed) => {
                    return Err(Error::user(format!("not allowed to see topic {topic}: {code}")));
                }
                _ if Instant::now() < deadline => pause(RETRY),
                code => return Err(Error::external(format!("topic {topic} is not available: {code:?}"))),
            }
        }
    }

    fn create<'a>(&self, topics: impl Iterator<Item = &'a Topic>, default_partitions: u32) -> Result<(), Error> {
        let admin = self.admin()?;
        let options = AdminOptions::new().request_timeout(Some(self.settings.request_timeout));
        for topic in topics {
            let retention = topic.retention.map(|time| time.as_millis().to_string());
            let partitions = topic.partitions.map_or(default_partitions, u32::from) as i32;
            // -1: the broker's default.
            let replicas = topic.replication_factor.map_or(-1, i32::from);
            let mut new = NewTopic::new(topic.name.as_str(), partitions, TopicReplication::Fixed(replicas))
                // Results carry the time of their events, which may lie in the future.
                .set("message.timestamp.after.max.ms", FOR_EVER);
            if let Some(retention) = &retention {
                new = new.set("retention.ms", retention);
            }
            let failed = |reason: String| Error::user(format!("failed to create topic {}: {reason}", topic.name));
            let results = block_on(admin.create_topics([&new], &options)).map_err(|error| failed(error.to_string()))?;
            for result in results {
                match result {
                    Ok(_) => tracing::info!(topic = %topic.name, partitions, "created a topic"),
                    Err((_, Code::TopicAlreadyExists)) => {}
                    Err((_, code)) => return Err(failed(code.to_string())),
                }
            }
        }
        Ok(())
    }

    /// Waits until new topics are known to the brokers.
    fn wait_for(&self, topics: &[&TopicName]) -> Result<(), Error> {
        let deadline = Instant::now() + self.settings.request_timeout;
        loop {
            let found = self.existing(topics)?;
            let Some(missing) = topics.iter().find(|topic| !found.contains_key(topic.as_str())) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Error::external(format!(
                    "topic {missing} was created but does not appear"
                )));
            }
            pause(RETRY);
        }
    }

    /// Deletes records in a thread of its own, so that nobody waits for it.
    pub(super) fn delete_records(&self, offsets: TopicPartitionList) {
        let admin = match self.admin() {
            Ok(admin) => admin,
            Err(error) => return tracing::warn!(%error, "records that were read stay"),
        };
        let options = AdminOptions::new().request_timeout(Some(self.settings.request_timeout));
        let delete = move || match block_on(admin.delete_records(&offsets, &options)) {
            Ok(_) => tracing::debug!("deleted records that were read"),
            Err(error) => tracing::warn!(%error, "records that were read stay"),
        };
        if let Err(error) = std::thread::Builder::new()
            .name("delete-records".to_owned())
            .spawn(delete)
        {
            tracing::warn!(%error, "records that were read stay");
        }
    }

    /// Finds out how large messages may be, where we may know.
    fn learn_limits(&self, topics: &[&TopicName]) {
        let Ok(admin) = self.admin() else { return };
        let resources: Vec<_> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(topic.as_str()))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(self.settings.request_timeout));
        let described = match block_on(admin.describe_configs(&resources, &options)) {
            Ok(described) => described,
            Err(error) => return tracing::debug!(%error, "sizes of messages are not known"),
        };
        for config in described.into_iter().flatten() {
            let limit = config
                .get("max.message.bytes")
                .and_then(|entry| entry.value.as_deref()?.parse().ok());
            if let (OwnedResourceSpecifier::Topic(name), Some(limit)) = (&config.specifier, limit) {
                self.limits().insert(name.clone(), limit);
            }
        }
    }

    fn admin(&self) -> Result<AdminClient<Context>, Error> {
        let config = config::common(&self.connection, &self.settings)?;
        AdminClient::from_config_and_context(&config, Context::new("admin"))
            .map_err(|error| Error::user(format!("failed to make an admin client: {error}")))
    }
}

/// The largest number that Kafka takes.
const FOR_EVER: &str = "9223372036854775807";
