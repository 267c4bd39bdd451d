//! Numbers, ages and tables as kubectl would print them.

use std::fmt;

/// What stands where nothing is known.
pub const UNKNOWN: &str = "-";

/// How a verb prints what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

impl Format {
    /// Anything but a table.
    pub fn print(self, value: &impl serde::Serialize) -> anyhow::Result<String> {
        Ok(match self {
            Self::Yaml => yaml_serde::to_string(value)?,
            Self::Table | Self::Json => format!("{}\n", serde_json::to_string_pretty(value)?),
        })
    }
}

/// Rows under a head, in columns that are as wide as they must be.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&str]) -> Self {
        let head = head.iter().map(|heading| (*heading).to_owned()).collect();
        Self { rows: vec![head] }
    }

    /// Adds a row with as many cells as there are headings.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there are only headings.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cell = |(cell, width): (&String, &usize)| format!("{cell:<width$}");
            let line = row.iter().zip(&widths).map(cell).collect::<Vec<_>>().join("   ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// What is known, as text; else [`UNKNOWN`].
pub fn known<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// Seconds in the unit that a person would choose: `45s`, `12m`, `3h`, `2d`.
pub fn age(seconds: i64) -> String {
    match seconds {
        ..0 => format!("-{}", age(seconds.saturating_neg())),
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        172_800.. => format!("{}d", seconds / 86_400),
    }
}

/// Bytes in the unit that a person would choose: `512B`, `12Ki`, `3.4Mi`.
pub fn bytes(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    match UNITS.into_iter().find(|(size, _)| bytes >= *size) {
        None => format!("{bytes}B"),
        Some((size, unit)) if bytes >= 10 * size => format!("{}{unit}", bytes / size),
        Some((size, unit)) => format!("{:.1}{unit}", bytes as f64 / size as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "LAG"]);
        table.row(vec!["delayed-flights".to_owned(), "7".to_owned()]);
        table.row(vec!["x".to_owned(), String::new()]);
        assert_eq!(table.to_string(), "NAME              LAG\ndelayed-flights   7\nx\n");
    }

    #[test]
    fn ages_and_sizes_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_200, "2h"),
            (172_800, "2d"),
            (-5, "-5s"),
        ] {
            assert_eq!(age(seconds), text);
        }
        for (number, text) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_536, "1.5Ki"),
            (10_240, "10Ki"),
            (5 << 20, "5.0Mi"),
            (64 << 30, "64Gi"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
