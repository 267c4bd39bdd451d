//! Comma-separated values (RFC 4180) as JSON objects: the header says which column is which field; a cell becomes what
//! its field's type wants, or a string, and then the decoder says what is wrong with it.

use millrace_plan::{FieldType, Fields};

use super::{Row, TableFault, at_paths};
use crate::json::{is_number, write_text};

/// The rows behind the header, and the fields with the paths that they have in the objects: their positions.
pub(super) fn rows<'a>(
    fields: &'a Fields,
    bytes: &'a [u8],
) -> Result<(Fields, impl Iterator<Item = Result<Row<'a>, TableFault>>), Vec<TableFault>> {
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let (_, header) = lines
        .next()
        .ok_or_else(|| TableFault::whole("is empty: the first line has the names of the columns"))?
        .map_err(|fault| vec![fault])?;
    let columns = columns(fields, &header)?;
    let width = header.len();
    let rows = lines.map(move |line| {
        let (line, cells) = line?;
        if cells.len() != width {
            let message = format!("has {} cells, the header has {width}", cells.len());
            return Err(TableFault {
                line: Some(line),
                message,
            });
        }
        let cells = columns.iter().map(|column| &cells[*column]);
        Ok(Row {
            line,
            object: object(fields, cells).into(),
        })
    });
    Ok((at_paths(fields, |at| at.to_string()), rows))
}

/// For each field the position of its column.
fn columns(fields: &Fields, header: &[Cell]) -> Result<Vec<usize>, Vec<TableFault>> {
    let (mut columns, mut faults) = (Vec::new(), Vec::new());
    for field in fields.iter() {
        let name = field.path.concat();
        let mut found = (0..header.len()).filter(|at| header[*at].text == name.as_bytes());
        match (found.next(), found.next()) {
            (Some(column), None) => columns.push(column),
            (first, _) => {
                let what = if first.is_none() { "no column" } else { "two columns" };
                faults.push(TableFault {
                    line: Some(1),
                    message: format!("the header has {what} `{name}`"),
                });
            }
        }
    }
    if faults.is_empty() { Ok(columns) } else { Err(faults) }
}

fn object<'a>(fields: &Fields, cells: impl Iterator<Item = &'a Cell>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (at, (field, cell)) in fields.iter().zip(cells).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(format!("\"{at}\":").as_bytes());
        let plain = match field.field_type {
            FieldType::String => false,
            FieldType::Boolean => matches!(cell.text.as_slice(), b"true" | b"false"),
            _ => is_number(&cell.text),
        };
        match cell {
            Cell { text, quoted: false } if text.is_empty() => out.extend_from_slice(b"null"),
            Cell { text, .. } if plain => out.extend_from_slice(text),
            Cell { text, .. } => write_text(text, &mut out),
        }
    }
    out.push(b'}');
    out
}

#[derive(Debug, PartialEq, Eq)]
struct Cell {
    text: Vec<u8>,
    quoted: bool,
}

/// Cells line by line; empty lines are skipped. Ends after the first fault of syntax.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The line that `at` is in.
    line: u32,
}

impl Iterator for Lines<'_> {
    type Item = Result<(u32, Vec<Cell>), TableFault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.line_ends() {
            if self.at == self.bytes.len() {
                return None;
            }
            self.skip_end();
        }
        let line = self.line;
        let cells = self.cells();
        if cells.is_err() {
            self.at = self.bytes.len();
        }
        Some(cells.map(|cells| (line, cells)))
    }
}

impl Lines<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn line_ends(&self) -> bool {
        matches!(self.rest(), [] | [b'\n', ..] | [b'\r', b'\n', ..] | [b'\r'])
    }

    fn skip_end(&mut self) {
        self.at += if self.rest().starts_with(b"\r\n") { 2 } else { 1 };
        self.line += 1;
    }

    fn cells(&mut self) -> Result<Vec<Cell>, TableFault> {
        let mut cells = Vec::new();
        loop {
            let cell = match self.rest().first() {
                Some(b'"') => self.quoted()?,
                _ => self.plain()?,
            };
            cells.push(cell);
            if self.rest().first() == Some(&b',') {
                self.at += 1;
            } else if self.line_ends() {
                if self.at < self.bytes.len() {
                    self.skip_end();
                }
                return Ok(cells);
            } else {
                return Err(self.fault("something follows a closing quote"));
            }
        }
    }

    fn plain(&mut self) -> Result<Cell, TableFault> {
        let start = self.at;
        while !self.line_ends() && self.bytes[self.at] != b',' {
            if self.bytes[self.at] == b'"' {
                return Err(self.fault("a quote stands inside a cell that does not begin with one"));
            }
            self.at += 1;
        }
        Ok(Cell {
            text: self.bytes[start..self.at].to_vec(),
            quoted: false,
        })
    }

    /// Two quotes stand for one.
    fn quoted(&mut self) -> Result<Cell, TableFault> {
        let began = self.line;
        let mut text = Vec::new();
        self.at += 1;
        loop {
            match self.rest() {
                [] => {
                    return Err(TableFault {
                        line: Some(began),
                        message: "a quote is not closed".to_owned(),
                    });
                }
                [b'"', b'"', ..] => {
                    text.push(b'"');
                    self.at += 2;
                }
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(Cell { text, quoted: true });
                }
                &[byte, ..] => {
                    self.line += u32::from(byte == b'\n');
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn fault(&self, message: &str) -> TableFault {
        TableFault {
            line: Some(self.line),
            message: message.to_owned(),
        }
    }
}
