//! Batches of records to columns: the good ones become rows, the bad ones say what is wrong with them.

use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use millrace_plan::{EventTime, Fields, InputKey, TimeOrigin, TimeUnit};

use crate::decoded::{Decoded, Refusal, Refused};
use crate::json::key::KeyEncoder;
use crate::json::malformed::{Malformed, Why};
use crate::json::reason::Reason;
use crate::json::rows::Rows;
use crate::json::scan;
use crate::record::Record;

/// Turns JSON records into columns, one batch after the other. Remembers between batches only how records are laid out.
#[derive(Debug)]
pub struct Decoder {
    fields: Fields,
    rows: Rows,
    key: Option<KeyEncoder>,
    time: TimeOrigin,
}

impl Decoder {
    /// A decoder of `fields`. With `key`, each record's key must be the text that [`KeyEncoder`] writes of these fields.
    pub fn json(fields: &Fields, key: Option<&InputKey>, event_time: EventTime) -> Self {
        Self {
            fields: fields.clone(),
            rows: Rows::new(fields),
            key: key.map(|key| KeyEncoder::new(fields, &key.fields)),
            time: event_time.origin,
        }
    }

    /// Decodes a batch. Bad records go to `refused` in their order, all others become rows in theirs.
    ///
    /// # Panics
    ///
    /// If the values together hold 2 GiB or more, which the 32-bit offsets of a column cannot count.
    pub fn decode(&mut self, records: &[Record<'_>], refused: &mut Vec<Refused>) -> Decoded {
        let size: usize = records.iter().filter_map(|record| record.value).map(<[u8]>::len).sum();
        assert!(i32::try_from(size).is_ok(), "a batch holds less than 2 GiB");
        let known = refused.len();
        self.rows.reserve(records.len());
        let mut origins = Vec::with_capacity(records.len());
        let mut times = Vec::with_capacity(records.len());
        for (input, record) in records.iter().enumerate() {
            match self.record(record) {
                Ok(time) => {
                    origins.push(input as u32);
                    times.push(time);
                }
                Err(reason) => refused.push(Refused::new(input, *reason)),
            }
        }
        let mut decoded = Decoded {
            columns: self.columns(),
            origins,
            times,
        };
        if let Some(key) = &self.key {
            check_keys(key, records, &mut decoded, &mut refused.split_off(known), refused);
        }
        decoded
    }

    /// Appends a row and returns its event time.
    #[inline]
    fn record(&mut self, record: &Record<'_>) -> Result<i64, Box<Reason>> {
        let Some(document) = record.value else {
            return Err(Reason::new(Refusal::NullValue, "the value is null"));
        };
        if let Err(error) = std::str::from_utf8(document) {
            return Err(Malformed::new(error.valid_up_to(), Why::Utf8).into());
        }
        let end = self.rows.walk(document, scan::space(document, 0))?;
        let end = scan::space(document, end);
        if end < document.len() {
            return Err(Malformed::new(end, Why::Trailing).into());
        }
        self.rows.push(document)?;
        let time = self.time(record);
        if time.is_err() {
            self.rows.truncate(self.rows.len() - 1);
        }
        time
    }

    #[inline]
    fn time(&self, record: &Record<'_>) -> Result<i64, Box<Reason>> {
        match self.time {
            TimeOrigin::Record if record.timestamp >= 0 => Ok(record.timestamp),
            TimeOrigin::Record => Err(Reason::new(Refusal::BadEventTime, "the record has no timestamp")),
            TimeOrigin::Field { position, unit } => {
                let bad = |what| {
                    let name = &self.fields[position].name;
                    Reason::new(Refusal::BadEventTime, format!("field `{name}`, the event time, {what}"))
                };
                let value = self.rows.last_integer(position).ok_or_else(|| bad("is null"))?;
                milliseconds(value, unit).ok_or_else(|| bad("is out of range"))
            }
        }
    }

    fn columns(&mut self) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let (_, columns) = self.rows.finish();
        RecordBatch::try_new_with_options(self.fields.schema().clone(), columns, &options)
            .expect("the columns are built from the fields")
    }
}

fn milliseconds(value: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Seconds => value.checked_mul(1000),
        TimeUnit::Milliseconds => Some(value),
        TimeUnit::Microseconds => Some(value.div_euclid(1000)),
        TimeUnit::Nanoseconds => Some(value.div_euclid(1_000_000)),
    }
}

/// Moves the rows whose record key is another one from `decoded` to `refused`, in order with those refused `before`.
fn check_keys(
    key: &KeyEncoder,
    records: &[Record<'_>],
    decoded: &mut Decoded,
    before: &mut Vec<Refused>,
    refused: &mut Vec<Refused>,
) {
    let known = before.len();
    let bound = key.bind(&decoded.columns);
    let mut scratch = Vec::new();
    for (row, input) in decoded.origins.iter().enumerate() {
        let found = records[*input as usize].key;
        if !found.is_some_and(|found| bound.is(row, found, &mut scratch)) {
            let message = key.expectation(found.is_none());
            before.push(Refused {
                input: *input,
                refusal: Refusal::KeyMismatch,
                message,
            });
        }
    }
    if before.len() > known {
        let mut mismatched = before[known..].iter().map(|refused| refused.input).peekable();
        let keep: Vec<bool> = decoded
            .origins
            .iter()
            .map(|input| mismatched.next_if_eq(input).is_none())
            .collect();
        retain(&mut decoded.origins, &keep);
        retain(&mut decoded.times, &keep);
        decoded.columns = filter_record_batch(&decoded.columns, &BooleanArray::from(keep))
            .expect("the mask has one bit for each row");
        before.sort_unstable_by_key(|refused| refused.input);
    }
    refused.append(before);
}

fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    values.retain(|_| keep.next().is_some_and(|keep| *keep));
}

impl Refused {
    #[cold]
    fn new(input: usize, reason: Reason) -> Self {
        Self {
            input: input as u32,
            refusal: reason.refusal,
            message: reason.message,
        }
    }
}
