//! Safe wrappers over those parts of librdkafka that rust-rdkafka does not offer or makes slow: batches from the
//! consumer's queue, one record at a time into a topic with its partition and timestamp, transactions whose commit is
//! not preceded by a slow flush, and offsets of many partitions, or of any group, in one request.
//!
//! The only file with `unsafe`. What it relies on:
//! - a client is thread safe and is destroyed last: whatever borrows from it ([`Fetched`], [`TopicHandle`], [`Queue`])
//!   holds an `Arc` of it and releases its own part first (fields drop in order of declaration);
//! - callbacks run only inside calls into librdkafka, get the `Context` that the client owns, and call nothing that waits;
//! - clients are made without delivery reports and without events, so that polling them needs no further handling; a
//!   record that could not be delivered is counted by librdkafka and fails the commit.
#![expect(
    unsafe_code,
    reason = "librdkafka is a C library; everything that calls it directly is in this file"
)]

use super::client::{Context, Rebalance};
use crate::{Delivered, RecordView};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, TopicPartitionList};
use rdkafka_sys as sys;
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::Duration;
use sys::rd_kafka_admin_op_t as Operation;
use sys::rd_kafka_resp_err_t as Code;

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Asks questions only; may lack a group.
    Reader,
    /// A member of a group.
    Member,
    /// A producer.
    Producer,
}

/// A client.
pub(super) struct Native {
    client: Client<Context>,
}

/// Why a call failed, in librdkafka's terms.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({code:?})")]
pub(super) struct Failure {
    pub(super) code: RDKafkaErrorCode,
    pub(super) message: String,
    /// The client is useless.
    pub(super) fatal: bool,
    /// The call may be made again.
    pub(super) retriable: bool,
    /// The transaction must be aborted, and can be.
    pub(super) requires_abort: bool,
}

impl Failure {
    /// What the code alone says.
    fn of(code: RDKafkaErrorCode) -> Self {
        Self {
            code,
            message: code.to_string(),
            fatal: false,
            retriable: false,
            requires_abort: false,
        }
    }
}

impl Native {
    pub(super) fn open(config: &ClientConfig, kind: Kind, context: Context) -> Result<Arc<Self>, KafkaError> {
        let native = config.create_native_config()?;
        // SAFETY: `native` is a valid configuration; `Client::new` makes the context the opaque pointer of the callbacks.
        unsafe {
            sys::rd_kafka_conf_set_log_cb(native.ptr(), Some(on_log));
            sys::rd_kafka_conf_set_error_cb(native.ptr(), Some(on_error));
            sys::rd_kafka_conf_set_stats_cb(native.ptr(), Some(on_statistics));
            if kind == Kind::Member {
                sys::rd_kafka_conf_set_rebalance_cb(native.ptr(), Some(on_rebalance));
            }
        }
        let type_ = match kind {
            Kind::Reader | Kind::Member => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            Kind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        let client = Arc::new(Self {
            client: Client::new(config, native, type_, context)?,
        });
        if kind == Kind::Member {
            // SAFETY: the client lives. From now on one queue carries records, rebalances, errors and logs.
            unsafe { sys::rd_kafka_poll_set_consumer(client.ptr()) };
        }
        Ok(client)
    }

    /// rust-rdkafka's view of the same client, for questions about the cluster.
    pub(super) fn client(&self) -> &Client<Context> {
        &self.client
    }

    pub(super) fn context(&self) -> &Context {
        self.client.context()
    }

    fn ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.native_ptr()
    }

    /// Serves callbacks of a client that is not a member; returns after `timeout` or as soon as one was served.
    pub(super) fn serve(&self, timeout: Duration) {
        // SAFETY: the client lives.
        unsafe { sys::rd_kafka_poll(self.ptr(), millis(timeout)) };
    }

    // === Consumers ===

    pub(super) fn subscribe(&self, topics: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: both pointers are valid; the list is copied.
        code(unsafe { sys::rd_kafka_subscribe(self.ptr(), topics.ptr()) })
    }

    /// Fetches up to `max` messages: waits `timeout` for them, and returns early only when it has that many or a
    /// rebalance came in.
    pub(super) fn fetch(self: &Arc<Self>, queue: &Queue, timeout: Duration, max: usize, into: &mut Fetched) {
        debug_assert!(Arc::ptr_eq(self, &into.client) && Arc::ptr_eq(self, &queue.client));
        into.messages.reserve(max);
        // SAFETY: there is room for `max` more pointers behind the `len` initialised ones, `Message` is a transparent
        // pointer, and librdkafka initialises as many as it returns.
        unsafe {
            let free = into.messages.as_mut_ptr().add(into.messages.len());
            let count = sys::rd_kafka_consume_batch_queue(queue.ptr.as_ptr(), millis(timeout), free.cast(), max);
            into.messages
                .set_len(into.messages.len() + usize::try_from(count).unwrap_or(0));
        }
    }

    pub(super) fn incremental_assign(&self, partitions: &TopicPartitionList) -> Result<(), Failure> {
        // SAFETY: both pointers are valid; the list is copied.
        unsafe { outcome(sys::rd_kafka_incremental_assign(self.ptr(), partitions.ptr())) }
    }

    pub(super) fn incremental_unassign(&self, partitions: &TopicPartitionList) -> Result<(), Failure> {
        // SAFETY: both pointers are valid; the list is copied.
        unsafe { outcome(sys::rd_kafka_incremental_unassign(self.ptr(), partitions.ptr())) }
    }

    pub(super) fn unassign_all(&self) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: the client lives; a null list means none.
        code(unsafe { sys::rd_kafka_assign(self.ptr(), ptr::null()) })
    }

    /// Fetches no more of the partitions. What was fetched and not taken from the queue is forgotten, and fetched again later.
    pub(super) fn pause(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: both pointers are valid.
        code(unsafe { sys::rd_kafka_pause_partitions(self.ptr(), partitions.ptr()) })
    }

    /// Fetches paused partitions again. Not for others: of those it would forget what was fetched, for good.
    pub(super) fn resume(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: both pointers are valid.
        code(unsafe { sys::rd_kafka_resume_partitions(self.ptr(), partitions.ptr()) })
    }

    /// Moves partitions to the offsets in the list. What was fetched before is outdated when this returns. The results
    /// are in the list's elements.
    pub(super) fn seek(&self, partitions: &TopicPartitionList, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: both pointers are valid.
        unsafe {
            outcome(sys::rd_kafka_seek_partitions(
                self.ptr(),
                partitions.ptr(),
                millis(timeout),
            ))
        }
    }

    /// For each partition of the list the offset behind the last message taken from the queue, control markers included;
    /// negative if none was taken since the partition was assigned or moved.
    pub(super) fn positions(&self, partitions: &TopicPartitionList, into: &mut Vec<i64>) {
        into.clear();
        // SAFETY: both pointers are valid; the elements are written before the call returns.
        unsafe {
            if code(sys::rd_kafka_position(self.ptr(), partitions.ptr())).is_ok() {
                into.extend(elements(partitions.ptr()).iter().map(|element| element.offset));
            }
        }
    }

    /// Offsets and metadata that the group has committed.
    pub(super) fn committed(
        &self,
        partitions: &TopicPartitionList,
        timeout: Duration,
    ) -> Result<Vec<OffsetRaw>, RDKafkaErrorCode> {
        // SAFETY: both pointers are valid; the elements are written before the call returns.
        code(unsafe { sys::rd_kafka_committed(self.ptr(), partitions.ptr(), millis(timeout)) })?;
        // SAFETY: the list outlives this function.
        Ok(unsafe { elements(partitions.ptr()) }
            .iter()
            .map(OffsetRaw::of)
            .collect())
    }

    /// Proof of membership as of now.
    pub(super) fn group_metadata(&self) -> Option<GroupMetadata> {
        // SAFETY: the client lives; the result is ours to destroy.
        NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(self.ptr()) }).map(GroupMetadata)
    }

    /// Leaves the group; blocks until the coordinator has answered or is given up.
    pub(super) fn close_consumer(&self) {
        // SAFETY: the client lives. Rebalances of the way out are served inside.
        let result = code(unsafe { sys::rd_kafka_consumer_close(self.ptr()) });
        if let Err(error) = result {
            tracing::warn!(%error, "failed to leave the consumer group in an orderly way");
        }
    }

    // === Questions to the cluster that need no group ===

    /// Asks for an offset of each partition, as a reader of committed records sees it. Which one, each element says:
    /// [`OLDEST`] or [`END`].
    pub(super) fn ask_offsets(
        self: &Arc<Self>,
        partitions: &TopicPartitionList,
        timeout: Duration,
    ) -> Result<Question, Failure> {
        let queue = Queue::new(self)?;
        let options = AdminOptions::new(self, Operation::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout)?;
        // SAFETY: all pointers are valid; list and options are copied.
        unsafe {
            let committed = sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
            outcome(sys::rd_kafka_AdminOptions_set_isolation_level(options.ptr(), committed))?;
            sys::rd_kafka_ListOffsets(self.ptr(), partitions.ptr(), options.ptr(), queue.ptr.as_ptr());
        }
        Ok(Question(queue))
    }

    /// Asks for what `group` has committed for each partition. Transactions that are still open count for nothing.
    pub(super) fn ask_committed(
        self: &Arc<Self>,
        group: &str,
        partitions: &TopicPartitionList,
        timeout: Duration,
    ) -> Result<Question, Failure> {
        let queue = Queue::new(self)?;
        let options = AdminOptions::new(self, Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout)?;
        let group = CString::new(group).map_err(|_| Failure::of(RDKafkaErrorCode::InvalidGroupId))?;
        // SAFETY: all pointers are valid; group, list and options are copied, and what is made here is destroyed here.
        unsafe {
            let mut wanted = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), partitions.ptr());
            let (queue, options) = (queue.ptr.as_ptr(), options.ptr());
            sys::rd_kafka_ListConsumerGroupOffsets(self.ptr(), &raw mut wanted, 1, options, queue);
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
        }
        Ok(Question(queue))
    }

    // === Producers ===

    /// Hands a record over; its bytes are copied.
    pub(super) fn produce(&self, topic: &TopicHandle, partition: i32, record: &Delivered<'_>) -> Result<(), Failure> {
        use sys::rd_kafka_vtype_t as Field;
        let bytes = |bytes: Option<&[u8]>| sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: bytes.map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut().cast()),
            size: bytes.map_or(0, <[u8]>::len),
        };
        let field = |vtype, u| sys::rd_kafka_vu_t { vtype, u };
        type Value = sys::rd_kafka_vu_s__bindgen_ty_1;
        let headers = native_headers(record);
        // 0 would mean "now" to librdkafka.
        let timestamp = if record.timestamp == 0 { 1 } else { record.timestamp };
        let fields = [
            field(
                Field::RD_KAFKA_VTYPE_RKT,
                Value {
                    rkt: topic.ptr.as_ptr(),
                },
            ),
            field(Field::RD_KAFKA_VTYPE_PARTITION, Value { i32_: partition }),
            field(
                Field::RD_KAFKA_VTYPE_MSGFLAGS,
                Value {
                    i: sys::RD_KAFKA_MSG_F_COPY,
                },
            ),
            field(Field::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: timestamp }),
            field(Field::RD_KAFKA_VTYPE_KEY, Value { mem: bytes(record.key) }),
            field(
                Field::RD_KAFKA_VTYPE_VALUE,
                Value {
                    mem: bytes(record.value),
                },
            ),
            field(Field::RD_KAFKA_VTYPE_HEADERS, Value { headers }),
        ];
        let count = fields.len() - usize::from(headers.is_null());
        // SAFETY: the fields match their types, and key and value are copied before the call returns. On success the
        // client owns the headers, otherwise they are still ours.
        unsafe {
            let result = outcome(sys::rd_kafka_produceva(self.ptr(), fields.as_ptr(), count));
            if result.is_err() && !headers.is_null() {
                sys::rd_kafka_headers_destroy(headers);
            }
            result
        }
    }

    /// How many records are sent and not yet acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        // SAFETY: the client lives.
        usize::try_from(unsafe { sys::rd_kafka_outq_len(self.ptr()) }).unwrap_or(0)
    }

    pub(super) fn init_transactions(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: the client lives; so in the calls below.
        unsafe { outcome(sys::rd_kafka_init_transactions(self.ptr(), millis(timeout))) }
    }

    pub(super) fn begin_transaction(&self) -> Result<(), Failure> {
        unsafe { outcome(sys::rd_kafka_begin_transaction(self.ptr())) }
    }

    pub(super) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        membership: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), Failure> {
        // SAFETY: all pointers are valid; list and metadata are copied.
        unsafe {
            let membership = membership.0.as_ptr();
            outcome(sys::rd_kafka_send_offsets_to_transaction(
                self.ptr(),
                offsets.ptr(),
                membership,
                millis(timeout),
            ))
        }
    }

    /// Waits for the acknowledgement of all records, then commits.
    pub(super) fn commit_transaction(&self, timeout: Duration) -> Result<(), Failure> {
        unsafe { outcome(sys::rd_kafka_commit_transaction(self.ptr(), millis(timeout))) }
    }

    pub(super) fn abort_transaction(&self, timeout: Duration) -> Result<(), Failure> {
        unsafe { outcome(sys::rd_kafka_abort_transaction(self.ptr(), millis(timeout))) }
    }
}

/// In a question for offsets: the oldest record held.
pub(super) const OLDEST: i64 = sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64;
/// In a question for offsets: behind the last committed record.
pub(super) const END: i64 = sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64;

/// A question that is on its way. Dropped, it is forgotten.
pub(super) struct Question(Queue);

impl Question {
    /// Waits for the answer. The question's own time-out ends it; `limit` is for the case that it does not.
    pub(super) fn answer(self, limit: Duration) -> Result<Vec<OffsetRaw>, Failure> {
        // SAFETY: the queue lives; the event is ours until destroyed at the end, and what is read of it is copied before.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.0.ptr.as_ptr(), millis(limit));
            if event.is_null() {
                return Err(Failure::of(RDKafkaErrorCode::OperationTimedOut));
            }
            let answer = answer_in(event);
            sys::rd_kafka_event_destroy(event);
            answer
        }
    }
}

/// Reads an answer.
///
/// # Safety
/// `event` is valid.
unsafe fn answer_in(event: *mut sys::rd_kafka_event_t) -> Result<Vec<OffsetRaw>, Failure> {
    // SAFETY: results belong to the event and live as long; arrays have the length that is told.
    unsafe {
        if let Err(code) = code(sys::rd_kafka_event_error(event)) {
            let message = text_of(sys::rd_kafka_event_error_string(event)).into_owned();
            return Err(Failure {
                message,
                ..Failure::of(code)
            });
        }
        let mut count = 0;
        let offsets = sys::rd_kafka_event_ListOffsets_result(event);
        if !offsets.is_null() {
            let infos = sys::rd_kafka_ListOffsets_result_infos(offsets, &raw mut count);
            let infos = if count == 0 {
                &[]
            } else {
                slice::from_raw_parts(infos, count)
            };
            let element = |info: &*const _| sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info).as_ref();
            return Ok(infos.iter().filter_map(element).map(OffsetRaw::of).collect());
        }
        let committed = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        if committed.is_null() {
            return Err(Failure::of(RDKafkaErrorCode::Inconsistent));
        }
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(committed, &raw mut count);
        let groups = if count == 0 {
            &[]
        } else {
            slice::from_raw_parts(groups, count)
        };
        let mut found = Vec::new();
        for group in groups {
            let error = sys::rd_kafka_group_result_error(*group);
            if !error.is_null() {
                return Err(Failure {
                    message: text_of(sys::rd_kafka_error_string(error)).into_owned(),
                    ..Failure::of(sys::rd_kafka_error_code(error).into())
                });
            }
            let partitions = elements(sys::rd_kafka_group_result_partitions(*group));
            found.extend(partitions.iter().map(OffsetRaw::of));
        }
        Ok(found)
    }
}

/// How a question is asked.
struct AdminOptions(NonNull<sys::rd_kafka_AdminOptions_t>);

impl AdminOptions {
    fn new(client: &Native, operation: Operation, timeout: Duration) -> Result<Self, Failure> {
        // SAFETY: the client lives; the result is ours. A text for the error is not wanted.
        unsafe {
            let options = NonNull::new(sys::rd_kafka_AdminOptions_new(client.ptr(), operation));
            let options = Self(options.ok_or_else(|| Failure::of(RDKafkaErrorCode::Inconsistent))?);
            let set = sys::rd_kafka_AdminOptions_set_request_timeout;
            let set = code(set(options.ptr(), millis(timeout).max(1), ptr::null_mut(), 0));
            set.map_err(Failure::of)?;
            Ok(options)
        }
    }

    fn ptr(&self) -> *mut sys::rd_kafka_AdminOptions_t {
        self.0.as_ptr()
    }
}

impl Drop for AdminOptions {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.ptr()) };
    }
}

/// A queue of a client: the one that carries everything for a member, or one of our own.
pub(super) struct Queue {
    ptr: NonNull<sys::rd_kafka_queue_t>,
    client: Arc<Native>,
}

// SAFETY: queues may be used from any thread; `Native::fetch` by one at a time, which `&mut KafkaConsumer` sees to.
unsafe impl Send for Queue {}

impl Queue {
    /// An empty one.
    pub(super) fn new(client: &Arc<Native>) -> Result<Self, Failure> {
        // SAFETY: the client lives, and `client` keeps it alive.
        let ptr = NonNull::new(unsafe { sys::rd_kafka_queue_new(client.ptr()) });
        Ok(Self {
            ptr: ptr.ok_or_else(|| Failure::of(RDKafkaErrorCode::Inconsistent))?,
            client: Arc::clone(client),
        })
    }

    /// The one that carries everything for a member.
    pub(super) fn of(client: &Arc<Native>) -> Option<Self> {
        // SAFETY: the client lives, and `client` keeps it alive.
        let ptr = NonNull::new(unsafe { sys::rd_kafka_queue_get_consumer(client.ptr()) })?;
        Some(Self {
            ptr,
            client: Arc::clone(client),
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours, and the client still lives.
        unsafe { sys::rd_kafka_queue_destroy(self.ptr.as_ptr()) };
    }
}

/// Messages in librdkafka's own buffers.
pub(super) struct Fetched {
    messages: Vec<Message>,
    client: Arc<Native>,
}

impl Fetched {
    pub(super) fn empty(client: &Arc<Native>) -> Self {
        Self {
            messages: Vec::new(),
            client: Arc::clone(client),
        }
    }

    pub(super) fn as_slice(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Cuts the first `count` messages off.
    pub(super) fn take_first(&mut self, count: usize) -> Self {
        let rest = if count == self.messages.len() {
            Vec::new()
        } else {
            self.messages.split_off(count)
        };
        Self {
            messages: std::mem::replace(&mut self.messages, rest),
            client: Arc::clone(&self.client),
        }
    }

    /// Puts the messages of `other`, of the same client, behind these.
    pub(super) fn append(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.client, &other.client));
        self.messages.append(&mut other.messages);
    }
}

/// One message: a record, or an event that concerns a partition.
#[repr(transparent)]
pub(super) struct Message(NonNull<sys::rd_kafka_message_t>);

// SAFETY: messages may be read and destroyed on any thread.
unsafe impl Send for Message {}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours; `Fetched` keeps the client alive for longer.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) };
    }
}

impl Message {
    fn raw(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: valid until destroyed by `drop`.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        code(self.raw().err).err()
    }

    pub(super) fn offset(&self) -> i64 {
        self.raw().offset
    }

    pub(super) fn partition(&self) -> i32 {
        self.raw().partition
    }

    /// Whether both are of one partition of one topic.
    pub(super) fn same_partition(&self, other: &Self) -> bool {
        self.raw().rkt == other.raw().rkt && self.raw().partition == other.raw().partition
    }

    pub(super) fn topic(&self) -> Cow<'_, str> {
        if self.raw().rkt.is_null() {
            return Cow::Borrowed("");
        }
        // SAFETY: the topic lives as long as the message.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.raw().rkt)) }.to_string_lossy()
    }

    /// The text of an error message.
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.record().value.unwrap_or_default())
    }

    pub(super) fn record(&self) -> RecordView<'_> {
        let raw = self.raw();
        // SAFETY: the slices live as long as the message.
        unsafe {
            let timestamp = sys::rd_kafka_message_timestamp(raw, ptr::null_mut());
            RecordView {
                offset: raw.offset,
                timestamp,
                key: bytes(raw.key, raw.key_len),
                value: bytes(raw.payload, raw.len),
            }
        }
    }

    pub(super) fn headers(&self, each: &mut dyn FnMut(&str, Option<&[u8]>)) {
        let mut headers = ptr::null_mut();
        // SAFETY: headers, names and values live as long as the message.
        unsafe {
            if code(sys::rd_kafka_message_headers(self.0.as_ptr(), &raw mut headers)).is_err() {
                return;
            }
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let mut at = 0;
            while code(sys::rd_kafka_header_get_all(
                headers,
                at,
                &raw mut name,
                &raw mut value,
                &raw mut size,
            ))
            .is_ok()
            {
                each(&CStr::from_ptr(name).to_string_lossy(), bytes(value, size));
                at += 1;
            }
        }
    }
}

/// A topic to write to.
pub(super) struct TopicHandle {
    ptr: NonNull<sys::rd_kafka_topic_t>,
    client: Arc<Native>,
}

// SAFETY: topics may be used from any thread.
unsafe impl Send for TopicHandle {}
// SAFETY: as above.
unsafe impl Sync for TopicHandle {}

impl TopicHandle {
    pub(super) fn open(client: &Arc<Native>, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        // SAFETY: the client lives, and `client` keeps it alive; a null configuration means the default one.
        let ptr = unsafe { sys::rd_kafka_topic_new(client.ptr(), name.as_ptr(), ptr::null_mut()) };
        Some(Self {
            ptr: NonNull::new(ptr)?,
            client: Arc::clone(client),
        })
    }

    /// Reads a partition from `offset` until the result is dropped. Only for a client that is no member.
    pub(super) fn read(self: Arc<Self>, partition: i32, offset: i64) -> Option<Reading> {
        // A queue for each partition: ending one reading empties its queue.
        let queue = Queue::new(&self.client).ok()?;
        // SAFETY: topic and queue are of a client that lives.
        let started =
            unsafe { sys::rd_kafka_consume_start_queue(self.ptr.as_ptr(), partition, offset, queue.ptr.as_ptr()) };
        (started == 0).then_some(Reading {
            topic: self,
            partition,
            queue,
        })
    }
}

/// One partition that is read without a group.
pub(super) struct Reading {
    topic: Arc<TopicHandle>,
    partition: i32,
    queue: Queue,
}

impl Reading {
    /// Up to `max` messages that are there.
    pub(super) fn take(&self, max: usize) -> Fetched {
        let client = &self.queue.client;
        let mut fetched = Fetched::empty(client);
        client.fetch(&self.queue, Duration::ZERO, max, &mut fetched);
        fetched
    }

    /// Waits for the next message.
    pub(super) fn next(&self, timeout: Duration) -> Fetched {
        let client = &self.queue.client;
        let mut fetched = Fetched::empty(client);
        client.fetch(&self.queue, timeout, 1, &mut fetched);
        fetched
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // SAFETY: the topic lives, and reading was started.
        unsafe { sys::rd_kafka_consume_stop(self.topic.ptr.as_ptr(), self.partition) };
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: ours, and the client still lives.
        unsafe { sys::rd_kafka_topic_destroy(self.ptr.as_ptr()) };
    }
}

/// Proof of membership: group, member, generation.
pub(super) struct GroupMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: never changed after it was made.
unsafe impl Send for GroupMetadata {}
// SAFETY: as above.
unsafe impl Sync for GroupMetadata {}

impl GroupMetadata {
    pub(super) fn generation(&self) -> i32 {
        // SAFETY: valid until `drop`.
        unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(self.0.as_ptr()) }
    }

    pub(super) fn has_member(&self) -> bool {
        // SAFETY: valid until `drop`; the text lives as long.
        unsafe {
            let member = sys::rd_kafka_consumer_group_metadata_member_id(self.0.as_ptr());
            !member.is_null() && *member != 0
        }
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}

/// What was answered about one partition: what a group has committed for it, or where it begins or ends. The metadata
/// may be anything: other programs write there too.
#[derive(Debug)]
pub(super) struct OffsetRaw {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// None: nothing is committed.
    pub(super) offset: Option<i64>,
    pub(super) metadata: Vec<u8>,
    pub(super) error: Option<RDKafkaErrorCode>,
}

impl OffsetRaw {
    fn of(element: &sys::rd_kafka_topic_partition_t) -> Self {
        // SAFETY: the list that `element` belongs to lives, and with it what its elements point to.
        let (topic, metadata) = unsafe {
            (
                CStr::from_ptr(element.topic).to_string_lossy(),
                bytes(element.metadata, element.metadata_size),
            )
        };
        Self {
            topic: topic.into_owned(),
            partition: element.partition,
            offset: (element.offset >= 0).then_some(element.offset),
            metadata: metadata.unwrap_or_default().to_vec(),
            error: code(element.err).err(),
        }
    }
}

// === Callbacks ===

unsafe extern "C" fn on_log(
    client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    // SAFETY: librdkafka passes a client of ours and valid texts.
    unsafe {
        let context = sys::rd_kafka_opaque(client).cast::<Context>().as_ref();
        if let Some(context) = context {
            context.on_log(level, &text_of(facility), &text_of(text));
        }
    }
}

unsafe extern "C" fn on_error(_: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, context: *mut c_void) {
    // SAFETY: librdkafka passes one of its codes, a valid text and the context that was given to the client.
    unsafe {
        let code = Code::try_from(code).unwrap_or(Code::RD_KAFKA_RESP_ERR_UNKNOWN);
        if let Some(context) = context.cast::<Context>().as_ref() {
            context.on_error(code.into(), &text_of(reason));
        }
    }
}

unsafe extern "C" fn on_statistics(
    _: *mut sys::rd_kafka_t,
    json: *mut c_char,
    length: usize,
    context: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka passes a text of that length and the context that was given to the client.
    unsafe {
        if let Some(context) = context.cast::<Context>().as_ref() {
            context.on_statistics(bytes(json.cast(), length).unwrap_or_default());
        }
    }
    0
}

/// Only records what the group decided; the answer is the application's, later.
unsafe extern "C" fn on_rebalance(
    client: *mut sys::rd_kafka_t,
    decision: Code,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    context: *mut c_void,
) {
    // SAFETY: librdkafka passes a client of ours, a valid list and the context that was given to the client.
    unsafe {
        let Some(context) = context.cast::<Context>().as_ref() else {
            return;
        };
        if context.is_closing() {
            sys::rd_kafka_assign(client, ptr::null());
            return;
        }
        let named = |element: &sys::rd_kafka_topic_partition_t| {
            (
                CStr::from_ptr(element.topic).to_string_lossy().into_owned(),
                element.partition,
            )
        };
        let partitions = elements(partitions).iter().map(named).collect();
        context.push_rebalance(match decision {
            Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions),
            Code::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Rebalance::Revoke {
                partitions,
                lost: sys::rd_kafka_assignment_lost(client) != 0,
            },
            failed => Rebalance::Failed(failed.into()),
        });
        // Ends the wait of `fetch`, so that the decision is answered now.
        let queue = sys::rd_kafka_queue_get_consumer(client);
        if !queue.is_null() {
            sys::rd_kafka_queue_yield(queue);
            sys::rd_kafka_queue_destroy(queue);
        }
    }
}

// === Conversions ===

/// Makes native headers, or null if there are none.
fn native_headers(record: &Delivered<'_>) -> *mut sys::rd_kafka_headers_t {
    if record.headers.is_empty() {
        return ptr::null_mut();
    }
    // SAFETY: names and values are copied.
    unsafe {
        let headers = sys::rd_kafka_headers_new(record.headers.len());
        for (name, value) in record.headers {
            let value_ptr = value.map_or(ptr::null(), |value| value.as_ptr().cast());
            let value_len = value.map_or(0, <[u8]>::len) as isize;
            sys::rd_kafka_header_add(headers, name.as_ptr().cast(), name.len() as isize, value_ptr, value_len);
        }
        headers
    }
}

/// Takes an error object over.
///
/// # Safety
/// `error` is null, or valid and the caller's own.
unsafe fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: ours, valid until destroyed at the end.
    unsafe {
        let failure = Failure {
            code: sys::rd_kafka_error_code(error).into(),
            message: text_of(sys::rd_kafka_error_string(error)).into_owned(),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

fn code(code: Code) -> Result<(), RDKafkaErrorCode> {
    if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
        Ok(())
    } else {
        Err(code.into())
    }
}

/// The elements of a list.
///
/// # Safety
/// `list` is null, or valid for as long as the result.
unsafe fn elements<'a>(list: *const sys::rd_kafka_topic_partition_list_t) -> &'a [sys::rd_kafka_topic_partition_t] {
    // SAFETY: a list is null or valid, and its elements lie in a row.
    unsafe {
        match list.as_ref() {
            Some(list) if list.cnt > 0 => slice::from_raw_parts(list.elems, list.cnt as usize),
            _ => &[],
        }
    }
}

/// # Safety
/// `text` is null or a C string that outlives the result.
unsafe fn text_of<'a>(text: *const c_char) -> Cow<'a, str> {
    if text.is_null() {
        return Cow::Borrowed("");
    }
    // SAFETY: as demanded of the caller.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

/// # Safety
/// `data` is null or points to `length` bytes that outlive the result.
unsafe fn bytes<'a>(data: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as demanded of the caller.
    (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data.cast(), length) })
}

fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}
