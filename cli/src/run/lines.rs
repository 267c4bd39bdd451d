//! Lines of a file or of standard input, in chunks of bounded size.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::path::Path;

use anyhow::{Context, bail};
use flate2::bufread::MultiGzDecoder;

/// Longest line that is read, as long as the largest record that brokers commonly take.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// A chunk ends with the first line that fills one of these.
const CHUNK: (usize, usize) = (8192, 4 * 1024 * 1024);

/// Reads lines.
pub struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    number: u64,
}

impl Lines {
    /// Opens a file; `-` is standard input, a name that ends in `.gz` is unpacked.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self {
                reader: Box::new(BufReader::new(stdin())),
                name: "standard input".to_owned(),
                number: 0,
            });
        }
        let name = path.display().to_string();
        let file = BufReader::with_capacity(
            256 * 1024,
            File::open(path).with_context(|| format!("cannot read {name}"))?,
        );
        let reader: Box<dyn BufRead> = match path.extension().is_some_and(|extension| extension == "gz") {
            true => Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        Ok(Self {
            reader,
            name,
            number: 0,
        })
    }

    /// The next lines without their ends; empty lines are skipped. Empty at the end of the input.
    pub fn chunk(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while lines.len() < CHUNK.0 && bytes < CHUNK.1 {
            let mut line = Vec::new();
            self.number += 1;
            let read = (&mut self.reader)
                .take(LONGEST_LINE as u64 + 1)
                .read_until(b'\n', &mut line)
                .with_context(|| format!("cannot read {}, line {}", self.name, self.number))?;
            if read == 0 {
                break;
            }
            if line.len() > LONGEST_LINE {
                bail!("{}, line {}: longer than {LONGEST_LINE} bytes", self.name, self.number);
            }
            let end = line
                .iter()
                .rposition(|byte| !matches!(byte, b'\n' | b'\r'))
                .map_or(0, |last| last + 1);
            line.truncate(end);
            if !line.is_empty() {
                bytes += line.len();
                lines.push(line);
            }
        }
        Ok(lines)
    }
}

/// Opens a file to write; `-` is standard output.
pub fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(stdout().lock()));
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(std::io::BufWriter::new(file)))
}
