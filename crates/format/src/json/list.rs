//! A column of lists under construction: the items of all rows one after the other, and where each row's items end.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Field as ArrowField;
use millrace_plan::{ArrayItem, ItemKind};

use crate::decoded::Refusal;
use crate::json::columns::{Column, null_buffer};
use crate::json::reason::Reason;
use crate::json::rows::Rows;
use crate::json::scan::{self, Kind, Slot};

/// A column of lists under construction.
#[derive(Debug)]
pub(super) struct List {
    item: Arc<ArrowField>,
    ends: Vec<i32>,
    items: Items,
}

#[derive(Debug)]
enum Items {
    Scalar(Column),
    Object {
        rows: Rows,
        /// Items that are null.
        nulls: Vec<u32>,
    },
}

impl List {
    pub(super) fn new(item: &ArrayItem) -> Self {
        let items = match &item.kind {
            ItemKind::Scalar(scalar) => Items::Scalar(Column::new(scalar)),
            ItemKind::Object(fields) => Items::Object {
                rows: Rows::new(fields),
                nulls: Vec::new(),
            },
        };
        Self {
            item: Arc::new(ArrowField::new("item", item.arrow(), item.nullable)),
            ends: vec![0],
            items,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.ends.reserve(rows);
    }

    /// Appends the list at `slot`, whose syntax has been checked.
    pub(super) fn push(&mut self, slot: Slot, document: &[u8]) -> Result<(), Box<Reason>> {
        let mut at = scan::space(document, slot.start as usize + 1);
        let mut position = 0;
        while document.get(at) != Some(&b']') {
            let pushed = self.items.push(document, at, self.item.is_nullable());
            at = scan::space(
                document,
                pushed.map_err(|reason| reason.within(&format!("item {position}")))?,
            );
            if document.get(at) == Some(&b',') {
                at = scan::space(document, at + 1);
            }
            position += 1;
        }
        self.push_empty();
        Ok(())
    }

    /// Ends a row with what was pushed to the items since the last one.
    pub(super) fn push_empty(&mut self) {
        self.ends.push(self.items.len() as i32);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.items.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let ends = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.ends, vec![0])));
        let items = match &mut self.items {
            Items::Scalar(column) => column.finish(),
            Items::Object { rows, nulls } => {
                let count = rows.len();
                let (fields, columns) = rows.finish();
                let nulls = null_buffer(std::mem::take(nulls), count);
                let items = StructArray::try_new_with_length(fields, columns, nulls, count);
                Arc::new(items.expect("the columns of the items are built from their fields"))
            }
        };
        Arc::new(ListArray::new(self.item.clone(), ends, items, nulls))
    }
}

impl Items {
    fn len(&self) -> usize {
        match self {
            Self::Scalar(column) => column.len(),
            Self::Object { rows, .. } => rows.len(),
        }
    }

    /// Appends the item that starts at `at` and returns where it ends.
    fn push(&mut self, document: &[u8], at: usize, nullable: bool) -> Result<usize, Box<Reason>> {
        if let (Self::Object { rows, .. }, Some(b'{')) = (&mut *self, document.get(at)) {
            let end = rows.walk(document, at)?;
            return rows.push(document).map(|()| end);
        }
        let (slot, end) = scan::value(document, at, 0)?;
        match (self, slot.kind) {
            (_, Kind::Null) if !nullable => {
                return Err(Reason::new(Refusal::SchemaMismatch, "null, but items are not nullable"));
            }
            (Self::Scalar(column), Kind::Null) => column.push_null(),
            (Self::Scalar(column), _) => column.push(slot, document)?,
            (Self::Object { rows, nulls }, Kind::Null) => {
                nulls.push(rows.len() as u32);
                rows.push_placeholder();
            }
            (Self::Object { .. }, found) => {
                let message = format!("expected object, found {}", found.name());
                return Err(Reason::new(Refusal::SchemaMismatch, message));
            }
        }
        Ok(end)
    }

    fn truncate(&mut self, count: usize) {
        match self {
            Self::Scalar(column) => column.truncate(count),
            Self::Object { rows, nulls } => {
                rows.truncate(count);
                while nulls.last().is_some_and(|null| *null as usize >= count) {
                    nulls.pop();
                }
            }
        }
    }
}
