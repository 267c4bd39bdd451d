//! How many rows, or how many of them have a value.

use arrow::array::Int64Builder;

use crate::aggregate::kernel::{Fold, State};
use crate::state::codec::{self, CodecError, Fixed, Reader};

/// Counts. They do not overflow: 2^63 records do not come.
#[derive(Default)]
pub(crate) struct Count {
    counts: Vec<i64>,
}

impl Fold<()> for Count {
    #[inline(always)]
    fn add(&mut self, group: usize, (): ()) {
        self.counts[group] += 1;
    }
}

impl State for Count {
    type Builder = Int64Builder;

    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut Int64Builder) {
        out.append_value(self.counts[group]);
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        self.counts[into] += other.counts[from];
        true
    }

    fn clear(&mut self) {
        self.counts.clear();
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * 8
    }

    fn save(&self, out: &mut Vec<u8>) {
        codec::put_all(out, &self.counts);
    }

    fn put(&self, group: usize, out: &mut Vec<u8>) -> bool {
        self.counts[group].put(out);
        true
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        reader.fill(&mut self.counts, groups)?;
        let possible = |count: &i64| (0..1 << 62).contains(count);
        if self.counts.iter().all(possible) {
            Ok(())
        } else {
            Err(CodecError::Invalid("a count is impossible"))
        }
    }
}
