//! Group keys from columns, and back. NULL is a key like any other; `0.0` and `-0.0` are two.
//!
//! A single whole-number or text key is stored as it is. Any other becomes one row of bytes, for each key field: 0 for
//! NULL, or 1 and then the value (texts with their length in front), so that no two rows look alike.

use std::ops::Range;

use arrow::array::RecordBatch;
use millrace_plan::{FieldType, Fields};

use crate::state::codec::{self, CodecError, Fixed, Reader};
use crate::state::index::{Index, Key};
use crate::state::{ColumnBuilder, Item, Values, View};

/// The keys of the groups, numbered by first arrival.
pub(crate) struct Keys {
    index: Index,
    form: Form,
    types: Vec<FieldType>,
    /// One encoded row, kept for its memory.
    scratch: Vec<u8>,
}

/// Some columns of an operator's input: those of its keys, or of values that it remembers.
pub(crate) struct KeyColumns {
    positions: Vec<usize>,
    types: Vec<FieldType>,
}

/// How keys are stored.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    Text,
    Row,
}

impl KeyColumns {
    pub(crate) fn new(positions: &[usize], input: &Fields) -> Self {
        let field_type = |position: &usize| input[*position].field_type.clone();
        Self {
            types: positions.iter().map(field_type).collect(),
            positions: positions.to_vec(),
        }
    }

    pub(crate) fn types(&self) -> Vec<FieldType> {
        self.types.clone()
    }

    pub(crate) fn views<'a>(&self, columns: &'a RecordBatch) -> Vec<View<'a>> {
        let view = |position: &usize| View::of(columns.column(*position));
        self.positions.iter().map(view).collect()
    }

    /// Empty columns of the same types.
    pub(crate) fn builders(&self, rows: usize) -> Vec<ColumnBuilder> {
        self.types
            .iter()
            .map(|field_type| ColumnBuilder::new(field_type, rows))
            .collect()
    }
}

impl Keys {
    pub(crate) fn new(types: Vec<FieldType>) -> Self {
        let (form, index) = match types.as_slice() {
            [FieldType::Int64 | FieldType::Timestamp] => (Form::Whole, Index::of_whole()),
            [FieldType::String] => (Form::Text, Index::of_bytes()),
            _ => (Form::Row, Index::of_bytes()),
        };
        Self {
            index,
            form,
            types,
            scratch: Vec::new(),
        }
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Replaces `groups` by the group of every row, making groups where needed.
    pub(crate) fn intern_all(
        &mut self,
        columns: &[View<'_>],
        rows: impl Iterator<Item = usize>,
        groups: &mut Vec<u32>,
    ) {
        groups.clear();
        groups.extend(rows.map(|row| self.intern(columns, row)));
    }

    /// The group of a row, made where needed.
    #[inline]
    pub(crate) fn intern(&mut self, columns: &[View<'_>], row: usize) -> u32 {
        self.index.intern(key_of(self.form, columns, row, &mut self.scratch))
    }

    /// Makes a new group of a row's key, whether or not it has one. The old group's key means nothing from here on.
    pub(crate) fn renew(&mut self, columns: &[View<'_>], row: usize) -> u32 {
        self.index.renew(key_of(self.form, columns, row, &mut self.scratch))
    }

    /// The group of a row, if there is one.
    pub(crate) fn find(&mut self, columns: &[View<'_>], row: usize) -> Option<u32> {
        self.index.find(key_of(self.form, columns, row, &mut self.scratch))
    }

    /// As [`Self::find`], for those who share the keys and bring the memory.
    pub(crate) fn look_up(&self, columns: &[View<'_>], row: usize, scratch: &mut Vec<u8>) -> Option<u32> {
        self.index.find(key_of(self.form, columns, row, scratch))
    }

    /// Makes groups of the keys that `other` has and this has not; returns the group here of each group there.
    pub(crate) fn merge(&mut self, other: &Self) -> Vec<u32> {
        (0..other.len()).map(|group| self.adopt(other, group)).collect()
    }

    /// The group here of a key that is a group there, made where needed.
    pub(crate) fn adopt(&mut self, other: &Self, group: usize) -> u32 {
        self.index.intern(other.index.get(group))
    }

    /// The group here of a key that is a group there, if there is one.
    pub(crate) fn same(&self, other: &Self, group: usize) -> Option<u32> {
        self.index.find(other.index.get(group))
    }

    /// Appends the keys of `groups`, one column for each key field.
    pub(crate) fn append(&self, groups: Range<usize>, columns: &mut [ColumnBuilder]) {
        for group in groups {
            match (self.index.get(group), self.form, &mut *columns) {
                (Key::Whole(value), _, [ColumnBuilder::Timestamp(builder)]) => builder.append_value(value),
                (Key::Whole(value), _, [ColumnBuilder::Int64(builder)]) => builder.append_value(value),
                (Key::Bytes(text), Form::Text, [ColumnBuilder::String(builder)]) => {
                    builder.append_value(std::str::from_utf8(text).expect("only texts are stored as texts"));
                }
                (Key::Bytes(row), _, columns) => decode(row, columns).expect("only rows are stored as rows"),
                (_, _, columns) => columns.iter_mut().for_each(ColumnBuilder::append_null),
            }
        }
    }

    /// Appends one key: 0 for NULL, or 1 and then the key as [`Self::save`] writes it.
    pub(crate) fn put(&self, group: usize, out: &mut Vec<u8>) {
        let key = self.index.get(group);
        (key != Key::Null).put(out);
        put_key(key, out);
    }

    /// Reads what [`Self::put`] wrote of keys of the same types: it becomes the only key.
    pub(crate) fn read_only(&mut self, reader: &mut Reader<'_>) -> Result<(), CodecError> {
        self.index.clear();
        let key = match (reader.get::<bool>()?, self.form) {
            (false, Form::Row) => return Err(CodecError::Invalid("there is no key of several fields that is NULL")),
            (false, _) => Key::Null,
            (true, form) => read_key(form, &self.types, reader)?,
        };
        self.index.intern(key);
        Ok(())
    }

    /// Forgets all keys, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.index.clear();
    }

    /// Estimated bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.index.bytes()
    }

    /// Number of groups; then the group of NULL plus one, or 0; then the other keys: numbers, or bytes with their length.
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        codec::put_length(out, self.len());
        codec::put_length(out, self.index.find(Key::Null).map_or(0, |group| group as usize + 1));
        for group in 0..self.len() {
            put_key(self.index.get(group), out);
        }
    }

    /// Reads what `save` wrote for keys of the same types.
    pub(crate) fn load(types: Vec<FieldType>, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut keys = Self::new(types);
        let groups = reader.count(1)?;
        let null = reader.length()?.checked_sub(1);
        if null.is_some_and(|null| null >= groups || matches!(keys.form, Form::Row)) {
            return Err(CodecError::Invalid("there is no such group of NULL"));
        }
        for group in 0..groups {
            let key = match null == Some(group) {
                true => Key::Null,
                false => read_key(keys.form, &keys.types, reader)?,
            };
            if keys.index.intern(key) as usize != group {
                return Err(CodecError::Invalid("a key stands there twice"));
            }
        }
        Ok(keys)
    }
}

/// Writes a key; nothing for NULL.
fn put_key(key: Key<'_>, out: &mut Vec<u8>) {
    match key {
        Key::Null => {}
        Key::Whole(value) => value.put(out),
        Key::Bytes(bytes) => codec::put_bytes(out, bytes),
    }
}

/// Reads a key that is not NULL.
fn read_key<'a>(form: Form, types: &[FieldType], reader: &mut Reader<'a>) -> Result<Key<'a>, CodecError> {
    Ok(match form {
        Form::Whole => Key::Whole(reader.get()?),
        Form::Text => Key::Bytes(reader.text()?.as_bytes()),
        Form::Row => {
            let row = reader.bytes()?;
            check(row, types)?;
            Key::Bytes(row)
        }
    })
}

/// The key of a row. `scratch` holds it if it has to be encoded.
#[inline]
fn key_of<'a>(form: Form, columns: &[View<'a>], row: usize, scratch: &'a mut Vec<u8>) -> Key<'a> {
    match (form, columns) {
        (Form::Row, columns) => {
            encode(columns, row, scratch);
            Key::Bytes(scratch)
        }
        (_, [view]) if view.is_null(row) => Key::Null,
        (
            _,
            [
                View {
                    values: Values::Whole(values),
                    ..
                },
            ],
        ) => Key::Whole(values[row]),
        (
            _,
            [
                View {
                    values: Values::Text(values),
                    ..
                },
            ],
        ) => Key::Bytes(values.value(row).as_bytes()),
        _ => unreachable!("the plan types the keys"),
    }
}

/// Replaces `out` by the values of a row.
pub(crate) fn encode(columns: &[View<'_>], row: usize, out: &mut Vec<u8>) {
    out.clear();
    for column in columns {
        let null = column.is_null(row);
        (!null).put(out);
        match column.values {
            _ if null => {}
            Values::Boolean(values) => values.value(row).put(out),
            Values::Whole(values) => values[row].put(out),
            Values::Double(values) => values[row].put(out),
            Values::Decimal(values) => values[row].put(out),
            Values::Text(values) => codec::put_bytes(out, values.value(row).as_bytes()),
            Values::Opaque => unreachable!("the plan refuses lists as keys"),
        }
    }
}

/// Appends the values of an encoded row.
pub(crate) fn decode(row: &[u8], columns: &mut [ColumnBuilder]) -> Result<(), CodecError> {
    let mut reader = Reader::new(row);
    for column in columns {
        if !reader.get::<bool>()? {
            column.append_null();
            continue;
        }
        match column {
            ColumnBuilder::Boolean(builder) => builder.append_value(reader.get()?),
            ColumnBuilder::Int64(builder) => builder.append_value(reader.get()?),
            ColumnBuilder::Float64(builder) => builder.append_value(reader.get()?),
            ColumnBuilder::Decimal(builder) => builder.append_value(reader.get()?),
            ColumnBuilder::String(builder) => builder.append_value(reader.text()?),
            ColumnBuilder::Timestamp(builder) => builder.append_value(reader.get()?),
            ColumnBuilder::List(_) => unreachable!("the plan refuses lists as keys"),
        }
    }
    reader.end()
}

/// Whether these are the bytes of an encoded row.
pub(crate) fn check(row: &[u8], types: &[FieldType]) -> Result<(), CodecError> {
    let mut reader = Reader::new(row);
    for field_type in types {
        if reader.get::<bool>()? {
            Item::read(field_type, &mut reader)?;
        }
    }
    reader.end()
}

#[cfg(test)]
mod tests;
