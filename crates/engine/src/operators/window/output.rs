//! Result rows of windows under construction: key fields, start, end, whether final, aggregates.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, TimestampMillisecondArray};
use millrace_plan::Fields;

use crate::batch::Batch;
use crate::operators::record_batch;
use crate::operators::window::panes::Span;
use crate::state::{ColumnBuilder, Groups, Layout};

/// Nothing is allocated until there is a result.
#[derive(Default)]
pub(super) struct Output {
    keys: Vec<ColumnBuilder>,
    starts: Vec<i64>,
    /// Last instants: also the rows' times.
    lasts: Vec<i64>,
    finals: Vec<bool>,
    results: Vec<ColumnBuilder>,
    watermarks: Vec<i64>,
}

impl Output {
    /// Appends one row for each of `groups`.
    pub(super) fn append(
        &mut self,
        layout: &Layout,
        groups: &Groups,
        range: Range<usize>,
        span: Span,
        is_final: bool,
        watermark: i64,
    ) {
        let (keys, results) = self.rows(layout, range.len(), span, is_final, watermark);
        groups.append_keys(range.clone(), keys);
        groups.append_results(range, results);
    }

    /// Appends so many rows of one window, whose keys and results are then appended to the columns returned.
    pub(super) fn rows(
        &mut self,
        layout: &Layout,
        count: usize,
        span: Span,
        is_final: bool,
        watermark: i64,
    ) -> (&mut [ColumnBuilder], &mut [ColumnBuilder]) {
        if self.starts.is_empty() {
            self.keys = layout.key_builders(count);
            self.results = layout.result_builders(count);
        }
        let rows = self.starts.len() + count;
        self.starts.resize(rows, span.start);
        self.lasts.resize(rows, span.last);
        self.finals.resize(rows, is_final);
        self.watermarks.resize(rows, watermark);
        (&mut self.keys, &mut self.results)
    }

    /// The rows, if there are any. Behind the windows time is `held` back: see [`times::behind`](super::times::behind).
    pub(super) fn finish(mut self, fields: &Fields, held: i64) -> Option<Batch> {
        let rows = self.starts.len();
        if rows == 0 {
            return None;
        }
        for watermark in &mut self.watermarks {
            *watermark = watermark.saturating_sub(held);
        }
        let build = |builders: Vec<ColumnBuilder>| builders.into_iter().map(|mut builder| builder.finish());
        let ends = self.lasts.iter().map(|last| last.saturating_add(1));
        let window: [ArrayRef; 3] = [
            Arc::new(TimestampMillisecondArray::from(self.starts)),
            Arc::new(TimestampMillisecondArray::from_iter_values(ends)),
            Arc::new(BooleanArray::from(self.finals)),
        ];
        let columns = build(self.keys).chain(window).chain(build(self.results)).collect();
        Some(Batch {
            columns: record_batch(fields, columns, rows),
            origins: Vec::new(),
            times: self.lasts,
            watermarks: self.watermarks,
        })
    }
}
