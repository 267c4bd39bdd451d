//! Values of the rows at the ends of event time. Order of arrival decides only between equal times, so that parts of a
//! group give the same whatever reads first. Nothing here overflows.

use millrace_plan::FieldType;

use crate::aggregate::kernel::{Fold, State};
use crate::state::codec::{CodecError, Fixed, Reader};
use crate::state::{ColumnBuilder, Item, Kept};

/// The first or last values, with their times.
pub(crate) struct FirstLast {
    value_type: FieldType,
    last: bool,
    values: Vec<Option<(i64, Kept)>>,
    /// Bytes of all texts together.
    text_bytes: usize,
}

impl FirstLast {
    pub(super) fn new(value_type: FieldType, last: bool) -> Self {
        Self {
            value_type,
            last,
            values: Vec::new(),
            text_bytes: 0,
        }
    }
}

impl<'a> Fold<(Item<'a>, i64)> for FirstLast {
    fn add(&mut self, group: usize, (value, time): (Item<'a>, i64)) {
        let place = &mut self.values[group];
        let heap = match place {
            Some((best, _)) if if self.last { time < *best } else { time >= *best } => return,
            Some((_, kept)) => kept.heap(),
            None => 0,
        };
        let kept = value.keep();
        self.text_bytes = self.text_bytes - heap + kept.heap();
        *place = Some((time, kept));
    }
}

impl State for FirstLast {
    type Builder = ColumnBuilder;

    fn grow(&mut self, groups: usize) {
        self.values.resize(groups, None);
    }

    fn emit(&self, group: usize, out: &mut ColumnBuilder) {
        match &self.values[group] {
            Some((_, kept)) => out.append(kept.item()),
            None => out.append_null(),
        }
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        if let Some((time, kept)) = &other.values[from] {
            self.add(into, (kept.item(), *time));
        }
        true
    }

    fn clear(&mut self) {
        self.values.clear();
        self.text_bytes = 0;
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<(i64, Kept)>>() + self.text_bytes
    }

    /// For each group a flag whether there is a value, then its time and the value.
    fn save(&self, out: &mut Vec<u8>) {
        for value in &self.values {
            value.is_some().put(out);
            if let Some((time, kept)) = value {
                time.put(out);
                kept.item().put(out);
            }
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        let mut value = |_| {
            Ok(if reader.get::<bool>()? {
                Some((reader.get()?, Item::read(&self.value_type, reader)?.keep()))
            } else {
                None
            })
        };
        self.values = (0..groups).map(&mut value).collect::<Result<_, CodecError>>()?;
        self.text_bytes = self.values.iter().flatten().map(|(_, kept)| kept.heap()).sum();
        Ok(())
    }
}
