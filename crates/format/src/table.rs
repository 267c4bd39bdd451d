//! A table's bytes to columns: all rows, or what is wrong with them, line by line. Rows are read as records are, so that
//! a value means the same in both; what CSV says in its own way is put in JSON's words first.

mod changes;
mod csv;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use millrace_plan::{EventTime, Field, Fields, Table, TableFormat, TimeOrigin};

use crate::json::Decoder;
use crate::record::Record;

pub use changes::{ChangeDecoder, TableChanges};

/// Faults that are described; a table in another format has as many as it has lines.
const MAX_FAULTS: usize = 20;
/// Rows that are decoded together.
const CHUNK: usize = 8192;

/// The rows of a table.
#[derive(Clone, Debug)]
pub struct TableRows {
    /// The table's fields.
    pub columns: RecordBatch,
    /// For each row the line that it begins in, from 1.
    pub lines: Vec<u32>,
}

/// One thing that is wrong with a table. Names fields and types, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFault {
    /// From 1; None: it is about the table as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for TableFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl TableFault {
    /// About the table as a whole.
    pub fn whole(message: impl Into<String>) -> Vec<Self> {
        vec![Self {
            line: None,
            message: message.into(),
        }]
    }
}

/// One row as a JSON object, and where it stands.
struct Row<'a> {
    line: u32,
    object: std::borrow::Cow<'a, [u8]>,
}

impl TableRows {
    /// Reads a whole table. The faults are the first of all that there are.
    pub fn read(table: &Table, bytes: &[u8]) -> Result<Self, Vec<TableFault>> {
        if bytes.len() > Table::MAX_BYTES {
            let text = format!("has {} bytes; a table may have {}", bytes.len(), Table::MAX_BYTES);
            return Err(TableFault::whole(text));
        }
        if std::str::from_utf8(bytes).is_err() {
            let line = bytes
                .split(|byte| *byte == b'\n')
                .position(|line| std::str::from_utf8(line).is_err());
            return Err(vec![TableFault {
                line: line.map(|line| line as u32 + 1),
                message: "is not UTF-8".to_owned(),
            }]);
        }
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        match table.format {
            TableFormat::JsonLines => Self::decode(&table.fields, &table.fields, json_lines(bytes)),
            TableFormat::Csv => {
                let (members, rows) = csv::rows(&table.fields, bytes)?;
                Self::decode(&members, &table.fields, rows)
            }
        }
    }

    /// `members` are the fields with the paths that they have in the objects.
    fn decode<'a>(
        members: &Fields,
        fields: &Fields,
        rows: impl Iterator<Item = Result<Row<'a>, TableFault>>,
    ) -> Result<Self, Vec<TableFault>> {
        let any_time = EventTime {
            origin: TimeOrigin::Record,
            ..EventTime::default()
        };
        let mut decoder = Decoder::json(members, None, any_time);
        let (mut parts, mut lines, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = rows.peekable();
        while rows.peek().is_some() && faults.len() < MAX_FAULTS {
            let mut chunk = Vec::new();
            for row in rows.by_ref().take(CHUNK) {
                match row {
                    Ok(row) => chunk.push(row),
                    Err(fault) => faults.push(fault),
                }
            }
            let records: Vec<Record<'_>> = chunk.iter().map(Row::record).collect();
            let mut refused = Vec::new();
            parts.push(decoder.decode(&records, &mut refused).columns);
            faults.extend(refused.into_iter().map(|refused| TableFault {
                line: Some(chunk[refused.input as usize].line),
                message: refused.message,
            }));
            lines.extend(chunk.iter().map(|row| row.line));
            if lines.len() > Table::MAX_ROWS {
                let text = format!("has more than {} rows", Table::MAX_ROWS);
                return Err(TableFault::whole(text));
            }
        }
        if !faults.is_empty() {
            faults.sort_by_key(|fault| fault.line);
            faults.truncate(MAX_FAULTS);
            return Err(faults);
        }
        let columns = concat_batches(fields.schema(), &parts).expect("all parts have the table's fields");
        Ok(Self { columns, lines })
    }
}

impl Row<'_> {
    fn record(&self) -> Record<'_> {
        Record {
            value: Some(&self.object),
            ..Record::default()
        }
    }
}

/// Lines that are not empty.
fn json_lines(bytes: &[u8]) -> impl Iterator<Item = Result<Row<'_>, TableFault>> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(at, line)| {
            Ok(Row {
                line: at as u32 + 1,
                object: line.into(),
            })
        })
}

/// The same fields under other paths.
fn at_paths(fields: &Fields, path: impl Fn(usize) -> String) -> Fields {
    let moved = fields.iter().enumerate().map(|(at, field)| Field {
        path: vec![path(at)],
        ..field.clone()
    });
    Fields::new(moved.collect())
}

#[cfg(test)]
mod tests;
