//! Result rows of a join under construction: key fields, window, left fields, right fields.

use millrace_plan::{Fields, Matching, StreamJoin};

use crate::batch::Batch;
use crate::operators::join::stream::rows::Side;
use crate::operators::record_batch;
use crate::state::{ColumnBuilder, decode_row as decode};

/// What a result is made of: encoded fields.
#[derive(Clone, Copy)]
pub(super) enum Half<'a> {
    Both(&'a [u8], &'a [u8]),
    Left(&'a [u8]),
    Right(&'a [u8]),
}

impl<'a> Half<'a> {
    /// A row without a match.
    pub(super) fn of(side: Side, fields: &'a [u8]) -> Self {
        match side {
            Side::Left => Self::Left(fields),
            Side::Right => Self::Right(fields),
        }
    }

    fn parts(self) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        match self {
            Self::Both(left, right) => (Some(left), Some(right)),
            Self::Left(left) => (Some(left), None),
            Self::Right(right) => (None, Some(right)),
        }
    }
}

/// Nothing is allocated until there is a result.
pub(super) struct Output {
    fields: Fields,
    /// Number of key fields, of window fields, of left fields.
    widths: [usize; 3],
    columns: Vec<ColumnBuilder>,
    times: Vec<i64>,
    watermarks: Vec<i64>,
}

impl Output {
    pub(super) fn new(spec: &StreamJoin, fields: &Fields) -> Self {
        let window = match spec.matching {
            Matching::Window { .. } => 2,
            Matching::Interval { .. } | Matching::Remembered { .. } => 0,
        };
        Self {
            fields: fields.clone(),
            widths: [spec.left.key.len(), window, spec.left.fields.len()],
            columns: Vec::new(),
            times: Vec::new(),
            watermarks: Vec::new(),
        }
    }

    /// Appends a result. `window` has start and end.
    pub(super) fn append(&mut self, key: &[u8], window: Option<(i64, i64)>, half: Half<'_>, time: i64, watermark: i64) {
        if self.columns.is_empty() {
            let columns = self.fields.iter().map(|field| ColumnBuilder::new(&field.field_type, 0));
            self.columns = columns.collect();
        }
        let (keys, rest) = self.columns.split_at_mut(self.widths[0]);
        let (windows, rest) = rest.split_at_mut(self.widths[1]);
        let (left, right) = rest.split_at_mut(self.widths[2]);
        append_part(Some(key), keys);
        for (column, instant) in windows
            .iter_mut()
            .zip(window.into_iter().flat_map(|(start, end)| [start, end]))
        {
            if let ColumnBuilder::Timestamp(builder) = column {
                builder.append_value(instant);
            }
        }
        let (of_left, of_right) = half.parts();
        append_part(of_left, left);
        append_part(of_right, right);
        self.times.push(time);
        self.watermarks.push(watermark);
    }

    /// The rows, if there are any.
    pub(super) fn finish(mut self) -> Option<Batch> {
        let rows = self.times.len();
        if rows == 0 {
            return None;
        }
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        Some(Batch {
            columns: record_batch(&self.fields, columns, rows),
            origins: Vec::new(),
            times: self.times,
            watermarks: self.watermarks,
        })
    }
}

fn append_part(part: Option<&[u8]>, columns: &mut [ColumnBuilder]) {
    match part {
        Some(row) => decode(row, columns).expect("only rows of these columns are remembered"),
        None => columns.iter_mut().for_each(ColumnBuilder::append_null),
    }
}
