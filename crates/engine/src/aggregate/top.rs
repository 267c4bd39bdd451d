//! The values that stand highest in an order. Nothing here overflows.

use std::cmp::Ordering;

use millrace_plan::FieldType;

use crate::aggregate::kernel::{Fold, State};
use crate::state::codec::{self, CodecError, Reader};
use crate::state::{Item, Kept, ListColumn, width};

/// For each group its highest values, highest first; equals in the order of their arrival.
pub(crate) struct Top {
    value_type: FieldType,
    by_type: FieldType,
    limit: usize,
    tops: Vec<Vec<Place>>,
    /// Bytes of all places together.
    held: usize,
}

#[derive(Clone)]
struct Place {
    by: Kept,
    value: Kept,
}

impl Place {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.by.heap() + self.value.heap()
    }
}

impl Top {
    pub(super) fn new(value_type: FieldType, by_type: FieldType, limit: u32) -> Self {
        Self {
            value_type,
            by_type,
            limit: limit as usize,
            tops: Vec::new(),
            held: 0,
        }
    }
}

impl<'a> Fold<(Item<'a>, Item<'a>)> for Top {
    fn add(&mut self, group: usize, (value, by): (Item<'a>, Item<'a>)) {
        let top = &mut self.tops[group];
        let full = top.len() == self.limit;
        let stays_above = |place: &Place| place.by.item().order(by) != Ordering::Less;
        if full && top.last().is_some_and(stays_above) {
            return;
        }
        if full {
            self.held -= top.pop().map_or(0, |place| place.bytes());
        }
        let place = Place {
            by: by.keep(),
            value: value.keep(),
        };
        self.held += place.bytes();
        top.insert(top.partition_point(stays_above), place);
    }
}

impl State for Top {
    type Builder = Box<ListColumn>;

    fn grow(&mut self, groups: usize) {
        self.tops.resize(groups, Vec::new());
    }

    fn emit(&self, group: usize, out: &mut Box<ListColumn>) {
        out.append(self.tops[group].iter().map(|place| place.value.item()));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        for place in &other.tops[from] {
            self.add(into, (place.value.item(), place.by.item()));
        }
        true
    }

    fn clear(&mut self) {
        self.tops.clear();
        self.held = 0;
    }

    fn bytes(&self) -> usize {
        self.tops.capacity() * size_of::<Vec<Place>>() + self.held
    }

    /// For each group the number of its places, then for each what it is ordered by and its value.
    fn save(&self, out: &mut Vec<u8>) {
        for top in &self.tops {
            codec::put_length(out, top.len());
            for place in top {
                place.by.item().put(out);
                place.value.item().put(out);
            }
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        self.clear();
        self.grow(groups);
        for group in 0..groups {
            let count = reader.count(width(&self.by_type) + width(&self.value_type))?;
            for place in 0..count {
                let by = Item::read(&self.by_type, reader)?;
                let value = Item::read(&self.value_type, reader)?;
                self.add(group, (value, by));
                let stands = self.tops[group].get(place);
                if stands.is_none_or(|stands| stands.by.item().order(by) != Ordering::Equal) {
                    return Err(CodecError::Invalid("the highest values are too many or out of order"));
                }
            }
        }
        Ok(())
    }
}
