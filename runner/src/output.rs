//! Effects of a step become records of the open transaction: results to the sinks, bad records to the dead letters.

use std::ops::Range;

use millrace_connect::{Delivered, Error, Header, Producer, Records, SendError};
use millrace_engine::{Bytes, Effects, Emit, Reason, Rejected, Target};
use millrace_plan::{Plan, Topic, TopicName};

use crate::metrics::Metrics;

/// Room for the header that says that a dead letter was cut.
const CUT_HEADER: usize = 64;

/// The topics of a pipeline by the number under which the producer knows them.
#[derive(Clone, Debug)]
pub struct Routes {
    topics: Vec<Topic>,
    sinks: u16,
    dead_letters: u16,
    late_records: Option<u16>,
    /// For each stage the topic of the next; None for the one that writes the results.
    internal: Vec<Option<u16>>,
}

impl Routes {
    /// All topics that the plan writes.
    pub fn of(plan: &Plan) -> Self {
        let mut topics: Vec<Topic> = plan.sinks.iter().map(|sink| sink.topic.clone()).collect();
        let sinks = topics.len() as u16;
        let dead_letters = sinks;
        topics.push(plan.dead_letter.clone());
        let late_records = plan.late_records.clone().map(|topic| {
            topics.push(topic);
            dead_letters + 1
        });
        let first = topics.len();
        let internal = |stage| plan.cut_behind(stage).map(|cut| (first + cut) as u16);
        let internal = (0..plan.all_stages()).map(internal).collect();
        topics.extend(plan.repartitions.iter().map(|cut| cut.topic.clone()));
        Self {
            topics,
            sinks,
            dead_letters,
            late_records,
            internal,
        }
    }

    /// Where the results of a stage go: the sinks, or the next stage's topic.
    pub fn of_stage(&self, stage: usize) -> Range<u16> {
        match self.internal(stage) {
            Some(internal) => internal..internal + 1,
            None => 0..self.sinks,
        }
    }

    /// The topic between this stage and the next, if there is a next one.
    pub fn internal(&self, stage: usize) -> Option<u16> {
        self.internal[stage]
    }

    /// The topics, in the order of their numbers.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Their names, in the same order.
    pub fn names(&self) -> Vec<TopicName> {
        self.topics.iter().map(|topic| topic.name.clone()).collect()
    }
}

/// Where a step's input stands, for the bytes that effects borrow from it and for the headers of dead letters.
pub struct Origin<'a, R> {
    /// The records of the step; None for the end of the input.
    pub records: Option<&'a R>,
    /// Name of the source topic.
    pub topic: &'a str,
    /// Number of the partition.
    pub partition: i32,
    /// The stage whose step it is.
    pub stage: usize,
}

/// Sends what steps ask for.
pub struct Output<'a, P> {
    /// Writes.
    pub producer: &'a mut P,
    /// To these topics.
    pub routes: &'a Routes,
    /// Names of operators.
    pub plan: &'a Plan,
    /// Counts.
    pub metrics: &'a Metrics,
}

impl<P: Producer> Output<'_, P> {
    /// Sends everything that a step asked for.
    pub fn send<R: Records>(&mut self, effects: &Effects, origin: &Origin<'_, R>) -> Result<(), Error> {
        let mut written = 0;
        for emit in &effects.emits {
            match self.result(effects, emit, origin) {
                Ok(()) => written += 1,
                Err(SendError::TooLarge { bytes, limit, .. }) if emit.headers_of.is_some() => {
                    let message = format!("the result has {bytes} bytes, more than the {limit} that a record may have");
                    self.rejected(effects, &too_large(emit, message), origin)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.routes.internal(origin.stage).is_none() {
            self.metrics.written.inc_by(written);
        }
        effects
            .rejected
            .iter()
            .try_for_each(|rejected| self.rejected(effects, rejected, origin))
    }

    fn result<R: Records>(&mut self, effects: &Effects, emit: &Emit, origin: &Origin<'_, R>) -> Result<(), SendError> {
        let input = |at: u32| origin.records.map(|records| records.get(at as usize));
        let key = effects.resolve(emit.key, |at| input(at)?.key);
        let value = effects.resolve(emit.value, |at| input(at)?.value);
        let headers = emit
            .headers_of
            .map(|at| OwnedHeaders::of(origin.records, at))
            .unwrap_or_default();
        let headers = headers.borrow();
        for sink in self.routes.of_stage(origin.stage) {
            let record = Delivered {
                key,
                value,
                timestamp: emit.timestamp,
                headers: &headers,
            };
            self.producer.send(sink, origin.partition, record)?;
        }
        Ok(())
    }

    fn rejected<R: Records>(
        &mut self,
        effects: &Effects,
        rejected: &Rejected,
        origin: &Origin<'_, R>,
    ) -> Result<(), Error> {
        self.metrics.rejected(rejected.operator, rejected.reason, rejected.rows);
        let topic = match rejected.target {
            Target::DeadLetters => {
                self.metrics.dead.inc_by(rejected.operator, 1);
                Some(self.routes.dead_letters)
            }
            Target::LateRecords => {
                self.metrics.late.inc_by(rejected.operator, rejected.rows);
                self.routes.late_records
            }
        };
        topic.map_or(Ok(()), |topic| self.letter(topic, effects, rejected, origin))
    }

    /// Writes a rejected record with headers that say where it is from and why it is here.
    fn letter<R: Records>(
        &mut self,
        topic: u16,
        effects: &Effects,
        rejected: &Rejected,
        origin: &Origin<'_, R>,
    ) -> Result<(), Error> {
        let record = rejected
            .input
            .and_then(|at| origin.records.map(|records| records.get(at as usize)));
        let value = effects
            .resolve(rejected.row, |_| None)
            .or_else(|| record.and_then(|record| record.value));
        let plan = self.plan;
        let operator = rejected
            .operator
            .map_or("source", |position| plan.operators[position as usize].name.as_str());
        let partition = origin.partition.to_string();
        let offset = record.map(|record| record.offset.to_string());
        let timestamp = record.map(|record| record.timestamp.to_string());
        let mut why = vec![
            ("millrace.error", Some(rejected.message.as_bytes())),
            ("millrace.reason", Some(rejected.reason.as_str().as_bytes())),
            ("millrace.operator", Some(operator.as_bytes())),
            ("millrace.topic", Some(origin.topic.as_bytes())),
            ("millrace.partition", Some(partition.as_bytes())),
        ];
        why.extend(
            offset
                .as_ref()
                .map(|offset| ("millrace.offset", Some(offset.as_bytes()))),
        );
        why.extend(
            timestamp
                .as_ref()
                .map(|timestamp| ("millrace.timestamp", Some(timestamp.as_bytes()))),
        );

        let original = rejected
            .input
            .map(|at| OwnedHeaders::of(origin.records, at))
            .unwrap_or_default();
        let headers: Vec<Header<'_>> = original.borrow().into_iter().chain(why.iter().copied()).collect();
        let timestamp = record.map_or(0, |record| record.timestamp);
        let letter = Delivered {
            key: record.and_then(|record| record.key),
            value,
            timestamp,
            headers: &headers,
        };
        match self.producer.send(topic, origin.partition, letter) {
            Err(SendError::TooLarge { bytes, limit, .. }) => {
                self.cut_letter(topic, origin.partition, &letter, &why, bytes - limit)
            }
            sent => Ok(sent?),
        }
    }

    /// Writes as much of a dead letter as its topic takes: the value is cut, and if that is not enough, value, key and the
    /// record's own headers are left out. The header `millrace.cut` says how long the value was.
    fn cut_letter(
        &mut self,
        topic: u16,
        fallback: i32,
        whole: &Delivered<'_>,
        why: &[Header<'_>],
        excess: usize,
    ) -> Result<(), Error> {
        let value = whole.value.unwrap_or_default();
        let length = value.len().to_string();
        let cut = ("millrace.cut", Some(length.as_bytes()));
        let fits = value.len().checked_sub(excess + CUT_HEADER);
        let (key, value, kept) = match fits {
            Some(fits) => (whole.key, Some(&value[..fits]), whole.headers),
            None => (None, None, why),
        };
        let headers: Vec<Header<'_>> = kept.iter().copied().chain([cut]).collect();
        Ok(self.producer.send(
            topic,
            fallback,
            Delivered {
                key,
                value,
                headers: &headers,
                ..*whole
            },
        )?)
    }
}

/// What becomes of a record whose result cannot be written.
fn too_large(emit: &Emit, message: String) -> Rejected {
    Rejected {
        target: Target::DeadLetters,
        input: emit.headers_of,
        row: Bytes::Null,
        operator: None,
        reason: Reason::ResultTooLarge,
        message,
        rows: 1,
    }
}

/// Headers copied out of a connector's buffer. Most records have none, and then nothing is allocated.
#[derive(Default)]
struct OwnedHeaders(Vec<(String, Option<Vec<u8>>)>);

impl OwnedHeaders {
    fn of<R: Records>(records: Option<&R>, at: u32) -> Self {
        let mut headers = Vec::new();
        if let Some(records) = records {
            let mut copy =
                |name: &str, value: Option<&[u8]>| headers.push((name.to_owned(), value.map(<[u8]>::to_vec)));
            records.headers(at as usize, &mut copy);
        }
        Self(headers)
    }

    fn borrow(&self) -> Vec<Header<'_>> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect()
    }
}
