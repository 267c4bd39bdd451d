//! The bytes of what a join remembers, after its shape and its watermark:
//!
//! | bytes | what |
//! |---|---|
//! | count | number of rows, then each in the order of arrival |
//! | 1 | sum of: 1 right side, 2 has matched, 4 first row of its key, 8 nothing can match its key |
//! | bytes, or count | the key, of its first row; else the number of the key by first row |
//! | 8 | event time, `i64` milliseconds |
//! | bytes | the fields |

use std::collections::BTreeSet;

use millrace_plan::{Fields, JoinSide};

use super::StreamJoinOperator;
use super::rows::{Row, Side, Store};
use crate::state::codec::{self, CodecError, Fixed, Reader};
use crate::state::{ColumnBuilder, decode_row as decode};

const RIGHT: u8 = 1;
const MATCHED: u8 = 2;
const FIRST: u8 = 4;
const ALONE: u8 = 8;

pub(super) fn save(store: &Store, out: &mut Vec<u8>) {
    let rows = store.by_arrival();
    codec::put_length(out, rows.len());
    // By place; `usize::MAX` where no row of the key has been written yet.
    let mut numbers = vec![usize::MAX; store.places()];
    let mut next = 0;
    for (place, side, row) in rows {
        let number = &mut numbers[place as usize];
        let first = *number == usize::MAX;
        if first {
            (*number, next) = (next, next + 1);
        }
        let entry = store.entry(place);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let flags = flag(side == Side::Right, RIGHT)
            | flag(row.matched, MATCHED)
            | flag(first, FIRST)
            | flag(!entry.findable, ALONE);
        flags.put(out);
        match first {
            true => codec::put_bytes(out, &entry.key),
            false => codec::put_length(out, *number),
        }
        row.time.put(out);
        codec::put_bytes(out, &row.fields);
    }
}

impl StreamJoinOperator {
    /// Reads watermark and rows. On an error nothing has changed.
    pub(super) fn load_rows(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        let watermark: i64 = reader.get()?;
        let mut store = Store::default();
        let mut open = BTreeSet::new();
        let mut entries: Vec<u32> = Vec::new();
        let mut check = Check::new(self);
        // Flags, key or number, time, and the length of the fields.
        for _ in 0..reader.count(11)? {
            let flags: u8 = reader.get()?;
            let side = if flags & RIGHT > 0 { Side::Right } else { Side::Left };
            let findable = flags & ALONE == 0;
            let entry = if flags & FIRST > 0 {
                let key = reader.bytes()?;
                check.key(key)?;
                if findable && store.find(key).is_some() {
                    return Err(CodecError::Invalid("a key stands there twice"));
                }
                entries.push(store.add_entry(key, findable));
                entries.last()
            } else {
                entries.get(reader.length()?)
            };
            let entry = *entry.ok_or(CodecError::Invalid("a row has no key"))?;
            let (time, fields) = (reader.get()?, reader.bytes()?);
            check.fields(side, fields)?;
            let due = self.due(side, time);
            if due.is_some_and(|due| due <= watermark) {
                return Err(CodecError::Invalid("a row is there that time has passed"));
            }
            let spans = self.spans();
            open.extend(spans.iter().flat_map(|spans| {
                let lasts = spans.lasts(time);
                lasts.take_while(|last| *last > watermark)
            }));
            let row = Row::new(time, flags & MATCHED > 0, fields);
            store.add(entry, side, row, if spans.is_some() { None } else { due });
        }
        reader.end()?;
        (self.watermark, self.store, self.open) = (watermark, store, open);
        Ok(())
    }
}

/// Columns to read rows into, only to see that they can be read.
struct Check {
    key: Vec<ColumnBuilder>,
    sides: [Vec<ColumnBuilder>; 2],
}

impl Check {
    fn new(operator: &StreamJoinOperator) -> Self {
        let spec = &operator.spec;
        let builders = |fields: &Fields, from: usize, count: usize| -> Vec<ColumnBuilder> {
            let fields = fields[from..from + count].iter();
            fields.map(|field| ColumnBuilder::new(&field.field_type, 0)).collect()
        };
        let output = &operator.output;
        let width = |side: &JoinSide| side.fields.len();
        let right = output.len() - width(&spec.right);
        Self {
            key: builders(output, 0, spec.left.key.len()),
            sides: [
                builders(output, right - width(&spec.left), width(&spec.left)),
                builders(output, right, width(&spec.right)),
            ],
        }
    }

    fn key(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        decode(bytes, &mut self.key)
    }

    fn fields(&mut self, side: Side, bytes: &[u8]) -> Result<(), CodecError> {
        decode(bytes, &mut self.sides[side as usize])
    }
}
