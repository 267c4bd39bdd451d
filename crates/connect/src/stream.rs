//! What the runner asks of a broker: read assigned partitions, and write results and positions in one transaction.
//!
//! Rules that every implementation keeps:
//! 1. No record of a partition is delivered between `Event::Assigned` naming it and `resume_at` for it, nor after
//!    `Event::Revoked` naming it.
//! 2. A partition stays ours until `release`: its positions may still be committed before that call, not after.
//! 3. `Producer::commit` makes records and positions visible together or not at all. `CommitError::Indefinite` means that
//!    nobody knows which; only a new producer (`Consumer`/`Producer` pairs are made by the same connector) can tell,
//!    because opening it ends the old transaction one way or the other.
//! 4. `committed` waits for open transactions to end before it answers (read committed).

use millrace_plan::TopicName;
use std::time::Duration;

/// One partition of one source topic, by position of the topic among all that the plan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// Position in `plan.topics()`.
    pub topic: u16,
    /// Partition number.
    pub number: i32,
}

/// What `poll` found.
pub enum Event<R> {
    /// Nothing within the time given.
    Idle,
    /// New partitions: answer with `resume_at`. (Those that were ours before are not named again.) May be empty: the
    /// group went through a rebalance that gave us nothing new, but membership has to be taken again.
    Assigned(Vec<Partition>),
    /// Partitions that go: commit what is done, then answer with `release`. `lost`: they are another member's already,
    /// nothing may be committed.
    Revoked {
        /// Which.
        partitions: Vec<Partition>,
        /// Whether it is too late to commit.
        lost: bool,
    },
    /// Records of one partition, in order.
    Records(R),
}

/// Records of one partition, in offset order, borrowed from the connector's buffers.
pub trait Records {
    /// Whose records these are.
    fn partition(&self) -> Partition;
    /// How many; may be zero when only the position moved.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// One record. `at` is below `len`.
    fn get(&self, at: usize) -> RecordView<'_>;
    /// Calls `each` with name and value of every header of a record.
    fn headers(&self, at: usize, each: &mut dyn FnMut(&str, Option<&[u8]>));
    /// Offset of the next record to read after these: behind control markers where the end of the log was seen.
    fn next_offset(&self) -> i64;
    /// Bytes of keys and values.
    fn bytes(&self) -> usize;
}

/// One record as it lies in the connector's buffer.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Position in the partition.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Record key.
    pub key: Option<&'a [u8]>,
    /// Record value.
    pub value: Option<&'a [u8]>,
}

/// Where to start a partition that has no committed position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record held.
    Earliest,
    /// The end.
    Latest,
}

/// What the group last committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Next offset to read.
    pub offset: i64,
    /// The string committed beside it.
    pub metadata: String,
}

/// A position to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Whose.
    pub partition: Partition,
    /// Next offset to read.
    pub offset: i64,
    /// At most 256 ASCII bytes.
    pub metadata: String,
}

/// Reads the partitions that the group assigns to this member.
pub trait Consumer {
    /// Records of one partition.
    type Records: Records;
    /// What proves membership when positions are committed; taken together with each assignment.
    type Membership;

    /// Waits at most `timeout` for something to happen.
    fn poll(&mut self, timeout: Duration) -> Result<Event<Self::Records>, Error>;
    /// What the group has committed for each of `partitions`, in that order.
    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Committed>>, Error>;
    /// The offset that `start` means right now.
    fn resolve(&mut self, partition: Partition, start: Start) -> Result<i64, Error>;
    /// Starts, or starts again, to deliver each partition from an offset. Nothing that was fetched before this call is
    /// delivered after it. Partitions that were revoked and not yet released are left alone.
    fn resume_at(&mut self, offsets: &[(Partition, i64)]) -> Result<(), Error>;
    /// Delivers no more of these partitions, which are ours, but for what was fetched already. They stay ours. A partition
    /// that is started with `resume_at` is delivered, whatever was said before.
    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Error>;
    /// Delivers these partitions again from where they stopped.
    fn unpause(&mut self, partitions: &[Partition]) -> Result<(), Error>;
    /// Gives up partitions that were revoked.
    fn release(&mut self, partitions: &[Partition]) -> Result<(), Error>;
    /// Proof of membership as of the latest assignment or revocation.
    fn membership(&mut self) -> Result<Self::Membership, Error>;
    /// Identity of the cluster, part of every checkpoint.
    fn cluster_id(&mut self) -> Result<String, Error>;
    /// Records behind the last position read, per assigned partition, as far as known without asking the broker.
    fn lag(&mut self, partition: Partition, position: i64) -> Option<i64>;
    /// Bytes fetched and not yet delivered.
    fn buffered_bytes(&mut self) -> u64;
    /// Leaves the group in an orderly way, within a few seconds.
    fn close(&mut self);
}

/// Reads whole topics without a group, for as long as it lives. Only committed records; a partition that is added to a topic
/// later is not read.
pub trait Follower {
    /// Records of one partition; the topic is the position in what [`Connector::open_follower`] was given.
    type Records: Records;

    /// The next records, waiting at most `timeout` for them.
    fn poll(&mut self, timeout: Duration) -> Result<Option<Self::Records>, Error>;
    /// Whether all that stood in the topics when they were opened was handed out.
    fn is_at_the_end(&self) -> bool;
}

/// One header to write.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// Writes records and positions in transactions.
pub trait Producer {
    /// What proves membership; see [`Consumer::Membership`].
    type Membership;

    /// Adds a record to the open transaction, beginning one if there is none. `topic` is the position given when the
    /// producer was made; `fallback` says which partition takes records without a key (modulo the topic's partitions).
    ///
    /// After [`SendError::TooLarge`] the producer and its transaction are as before the call.
    fn send(&mut self, topic: u16, fallback: i32, record: Delivered<'_>) -> Result<(), SendError>;
    /// Commits the open transaction (or begins one for the positions alone) together with `positions`.
    fn commit(&mut self, positions: &[Position], membership: &Self::Membership) -> Result<(), CommitError>;
    /// Gives up the open transaction, if there is one. After an error the producer is useless and must be replaced.
    fn abort(&mut self) -> Result<(), Error>;
    /// Whether records were sent since the last commit or abort.
    fn has_open_transaction(&self) -> bool;
    /// Drives deliveries; returns at once. Call it between batches.
    fn poll(&mut self) -> Result<(), Error>;
    /// Bytes sent and not yet acknowledged.
    fn buffered_bytes(&mut self) -> u64;
}

/// Makes the ends of one job's data path: both for the same cluster and the same consumer group.
pub trait Connector {
    /// What proves membership; see [`Consumer::Membership`].
    type Membership;
    /// Reads.
    type Consumer: Consumer<Membership = Self::Membership>;
    /// Writes.
    type Producer: Producer<Membership = Self::Membership>;
    /// Reads tables.
    type Follower: Follower;

    /// How many partitions each topic that is read has, in order.
    fn partitions(&self) -> Result<Vec<u32>, Error>;
    /// Deletes the records before these offsets, which nobody needs any more. Not at once, and not necessarily: what cannot
    /// be deleted stays.
    fn delete_before(&self, offsets: &[(Partition, i64)]);
    /// Reads these topics from their oldest record on.
    fn open_follower(&self, topics: &[TopicName]) -> Result<Self::Follower, Error>;
    /// Joins the group.
    fn open_consumer(&self) -> Result<Self::Consumer, Error>;
    /// Takes over `transactional_id`: an older producer of that name is fenced, and its transaction is ended one way or
    /// the other before this returns. `topics` are those that `send` names by position.
    fn open_producer(&self, transactional_id: &str, topics: &[TopicName]) -> Result<Self::Producer, Error>;
}

/// A record to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivered<'a> {
    /// Record key; decides the partition as Kafka's Java client does (murmur2).
    pub key: Option<&'a [u8]>,
    /// Record value.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Headers in order.
    pub headers: &'a [Header<'a>],
}

impl Delivered<'_> {
    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + length(*value))
            .sum();
        length(self.key) + length(self.value) + headers
    }
}

/// Who has to act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The spec or the environment is wrong: stop and say so.
    User,
    /// The broker or the network is away for now: try again.
    External,
    /// This member was replaced by another one: stop without a trace.
    Fenced,
}

/// Something outside failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Who has to act.
    pub fault: Fault,
    /// What failed, on which topic, partition and offset, and what to do.
    pub message: String,
}

impl Error {
    /// An error that the spec or the environment must cure.
    pub fn user(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::User,
            message: message.into(),
        }
    }

    /// An error that time may cure.
    pub fn external(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::External,
            message: message.into(),
        }
    }

    /// An error that says another member or producer took our place.
    pub fn fenced(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Fenced,
            message: message.into(),
        }
    }
}

/// Why a record was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The record alone is the problem; others may follow.
    #[error("a record of {bytes} bytes is too large for topic {topic}, which takes at most {limit}")]
    TooLarge {
        /// Where it was to go.
        topic: String,
        /// Key, value and headers.
        bytes: usize,
        /// What the client takes. (The broker may take less: then the commit fails.)
        limit: usize,
    },
    /// The producer is useless and must be replaced.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Failed(error) => error,
            too_large @ SendError::TooLarge { .. } => Self::user(too_large.to_string()),
        }
    }
}

/// How a commit ended when not well.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was committed and the transaction is aborted or can be: reload state and go on.
    #[error("not committed: {0}")]
    Aborted(String),
    /// Nobody knows: make a new producer and read the committed positions.
    #[error("commit outcome unknown: {0}")]
    Indefinite(String),
    /// Another producer took our place.
    #[error("fenced by a newer producer: {0}")]
    Fenced(String),
}
