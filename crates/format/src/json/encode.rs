//! Rows to JSON objects: every field under its own name, in order, nulls written out, no spaces.

use arrow::array::{ArrayRef, RecordBatch};
use millrace_plan::{Field, FieldType, Fields, ItemKind};

use crate::json::cells::Cells;
use crate::json::text;

/// Writes rows of some fields as one JSON object each.
#[derive(Debug)]
pub struct Encoder {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// `{"name":` for the first member, `,"name":` for the others.
    prefix: Vec<u8>,
    field_type: FieldType,
    /// For a list of objects.
    items: Option<Encoder>,
}

/// An [`Encoder`] with the columns that it reads.
#[derive(Debug)]
pub struct BoundEncoder<'a> {
    members: Vec<(&'a [u8], Cells<'a>)>,
}

impl Encoder {
    /// An encoder of `fields`.
    pub fn json(fields: &Fields) -> Self {
        Self::new(fields.iter())
    }

    pub(super) fn new<'a>(fields: impl Iterator<Item = &'a Field>) -> Self {
        Self {
            members: fields
                .enumerate()
                .map(|(position, field)| Member::new(position, field))
                .collect(),
        }
    }

    /// Looks at the types of a batch once.
    ///
    /// # Panics
    ///
    /// If the columns are not of the types of the fields.
    pub fn bind<'a>(&'a self, columns: &'a RecordBatch) -> BoundEncoder<'a> {
        self.bind_columns(columns.columns().iter())
    }

    pub(super) fn bind_columns<'a>(&'a self, columns: impl ExactSizeIterator<Item = &'a ArrayRef>) -> BoundEncoder<'a> {
        assert_eq!(
            self.members.len(),
            columns.len(),
            "a batch has one column for each field"
        );
        let members = self
            .members
            .iter()
            .zip(columns)
            .map(|(member, column)| member.bind(column))
            .collect();
        BoundEncoder { members }
    }
}

impl Member {
    fn new(position: usize, field: &Field) -> Self {
        let mut prefix = vec![if position == 0 { b'{' } else { b',' }];
        text::write(field.name.as_bytes(), &mut prefix);
        prefix.push(b':');
        let items = match &field.field_type {
            FieldType::Array(item) => match &item.kind {
                ItemKind::Object(fields) => Some(Encoder::new(fields.iter())),
                ItemKind::Scalar(_) => None,
            },
            _ => None,
        };
        Self {
            prefix,
            field_type: field.field_type.clone(),
            items,
        }
    }

    fn bind<'a>(&'a self, column: &'a ArrayRef) -> (&'a [u8], Cells<'a>) {
        (&self.prefix, Cells::bind(&self.field_type, self.items.as_ref(), column))
    }
}

impl BoundEncoder<'_> {
    /// Appends the object of one row.
    ///
    /// # Panics
    ///
    /// If the batch has no such row.
    #[inline]
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.members.is_empty() {
            out.push(b'{');
        }
        for (prefix, cells) in &self.members {
            out.extend_from_slice(prefix);
            cells.write(row, out);
        }
        out.push(b'}');
    }

    /// The only column.
    pub(super) fn single(&self) -> &Cells<'_> {
        &self.members[0].1
    }
}
