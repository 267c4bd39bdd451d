//! Rows of one of two streams on their way to the join: its half of the columns that the join takes, and a flag that says
//! which. The members of the other half are left out, which reads as NULL.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use millrace_format::KeyEncoder;
use millrace_plan::{Field, Fields, JoinedStreams};

use crate::operators::record_batch;

/// One side of a join.
pub(super) struct Half {
    is_right: bool,
    /// `is_right`, then the fields of this side.
    fields: Fields,
    /// For each but the first its position in the rows of this side.
    taken: Vec<usize>,
    /// Position among all fields of the join's input of the first of this side.
    first: usize,
}

impl Half {
    pub(super) fn new(streams: &JoinedStreams, is_right: bool) -> Self {
        let side = streams.side(is_right);
        let all: Vec<Field> = streams.input[..1]
            .iter()
            .chain(&streams.input[side.clone()])
            .cloned()
            .collect();
        let taken = match is_right {
            true => streams.other.carried.clone(),
            false => (0..side.len()).collect(),
        };
        Self {
            is_right,
            fields: Fields::new(all),
            taken,
            first: side.start,
        }
    }

    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// What makes the key of these rows. Rows of both sides that match have the same key: its members have the names of the
    /// left side.
    pub(super) fn key(&self, streams: &JoinedStreams) -> KeyEncoder {
        let (left, right) = (&streams.join.left.key, &streams.join.right.key);
        let own = if self.is_right { right } else { left };
        let positions: Vec<usize> = own.iter().map(|position| 1 + position - self.first).collect();
        let mut fields = self.fields.to_vec();
        for (position, left) in positions.iter().zip(left) {
            fields[*position].name.clone_from(&streams.input[*left].name);
        }
        KeyEncoder::new(&Fields::new(fields), &positions)
    }

    /// The columns of this side, of rows as they are in its own stage.
    pub(super) fn columns(&self, rows: &RecordBatch) -> RecordBatch {
        let flag: ArrayRef = Arc::new(BooleanArray::from(vec![self.is_right; rows.num_rows()]));
        let taken = self.taken.iter().map(|position| rows.column(*position).clone());
        let columns = std::iter::once(flag).chain(taken).collect();
        record_batch(&self.fields, columns, rows.num_rows())
    }
}
