//! The columns of a set of fields under construction: objects go in whole or leave no trace.

use arrow::array::ArrayRef;
use arrow::datatypes::Fields as ArrowFields;
use millrace_plan::Field;

use crate::decoded::Refusal;
use crate::json::columns::Column;
use crate::json::malformed::Malformed;
use crate::json::reason::Reason;
use crate::json::scan::{Kind, Slot};
use crate::json::shape::Shape;

/// The columns of a set of fields under construction.
#[derive(Debug)]
pub(super) struct Rows {
    shape: Shape,
    cells: Vec<Cell>,
    fields: ArrowFields,
    len: usize,
}

#[derive(Debug)]
struct Cell {
    name: String,
    nullable: bool,
    slot: usize,
    column: Column,
}

impl Rows {
    pub(super) fn new(fields: &[Field]) -> Self {
        let (shape, slots) = Shape::new(fields.iter().map(|field| field.path.as_slice()));
        let cells = fields
            .iter()
            .zip(slots)
            .map(|(field, slot)| Cell::new(field, slot))
            .collect();
        Self {
            shape,
            cells,
            fields: fields.iter().map(Field::arrow).collect(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn reserve(&mut self, rows: usize) {
        self.cells.iter_mut().for_each(|cell| cell.column.reserve(rows));
    }

    /// Checks the object that starts at `at`, notes where its members stand and returns where it ends.
    #[inline(always)]
    pub(super) fn walk(&mut self, document: &[u8], at: usize) -> Result<usize, Malformed> {
        self.shape.walk(document, at)
    }

    /// Appends the object that was walked last.
    #[inline(always)]
    pub(super) fn push(&mut self, document: &[u8]) -> Result<(), Box<Reason>> {
        for cell in &mut self.cells {
            let slot = self.shape.slot(cell.slot);
            let pushed = match slot.kind {
                Kind::Missing | Kind::Null => cell.push_nothing(slot.kind, &self.shape),
                _ => cell.push(slot, document),
            };
            if let Err(reason) = pushed {
                self.truncate(self.len);
                return Err(reason);
            }
        }
        self.len += 1;
        Ok(())
    }

    /// Appends a row that is null further outside.
    pub(super) fn push_placeholder(&mut self) {
        self.cells.iter_mut().for_each(|cell| cell.column.push_placeholder());
        self.len += 1;
    }

    /// Takes back every row from `rows` on.
    #[cold]
    pub(super) fn truncate(&mut self, rows: usize) {
        self.cells.iter_mut().for_each(|cell| cell.column.truncate(rows));
        self.len = rows;
    }

    /// The value of the whole number or instant at `position` in the last row; None if it is null.
    #[inline]
    pub(super) fn last_integer(&self, position: usize) -> Option<i64> {
        self.cells[position].column.integer(self.len.checked_sub(1)?)
    }

    /// Takes all rows out.
    pub(super) fn finish(&mut self) -> (ArrowFields, Vec<ArrayRef>) {
        self.len = 0;
        (
            self.fields.clone(),
            self.cells.iter_mut().map(|cell| cell.column.finish()).collect(),
        )
    }
}

impl Cell {
    fn new(field: &Field, slot: usize) -> Self {
        Self {
            name: field.name.clone(),
            nullable: field.nullable,
            slot,
            column: Column::new(&field.field_type),
        }
    }

    #[inline(always)]
    fn push(&mut self, slot: Slot, document: &[u8]) -> Result<(), Box<Reason>> {
        self.column
            .push(slot, document)
            .map_err(|reason| reason.within(&format!("field `{}`", self.name)))
    }

    fn push_nothing(&mut self, found: Kind, shape: &Shape) -> Result<(), Box<Reason>> {
        let obstacle = if found == Kind::Missing {
            shape.obstacle(self.slot)
        } else {
            None
        };
        let what = match (obstacle, found) {
            (Some((path, kind)), _) => format!(": expected object at `{path}`, found {}", kind.name()),
            (None, _) if self.nullable => {
                self.column.push_null();
                return Ok(());
            }
            (None, Kind::Null) => " is null but not nullable".to_string(),
            (None, _) => " is missing".to_string(),
        };
        Err(Reason::new(
            Refusal::SchemaMismatch,
            format!("field `{}`{what}", self.name),
        ))
    }
}
