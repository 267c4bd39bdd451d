//! When each group of each pane last changed: for results before the end of a window. Kept only where they are asked for.

use std::collections::BTreeMap;

use crate::operators::window::panes::{Panes, Span};
use crate::state::codec::{self, CodecError, Reader};

/// By start of the pane.
#[derive(Default)]
pub(super) struct Changes {
    by_pane: BTreeMap<i64, Pane>,
}

/// The watermarks at which the groups of a pane changed last.
#[derive(Default)]
struct Pane {
    newest: i64,
    groups: Vec<i64>,
}

impl Changes {
    /// A group has changed at this watermark.
    pub(super) fn note(&mut self, pane: Span, group: usize, watermark: i64) {
        let pane = self.by_pane.entry(pane.start).or_default();
        if pane.groups.len() <= group {
            pane.groups.resize(group + 1, i64::MIN);
        }
        pane.groups[group] = watermark;
        pane.newest = watermark;
    }

    /// The groups of a pane that have changed at this watermark or later.
    pub(super) fn since(&self, pane: Span, watermark: i64) -> impl Iterator<Item = usize> {
        let groups = match self.by_pane.get(&pane.start) {
            Some(pane) if pane.newest >= watermark => pane.groups.as_slice(),
            Some(_) | None => &[],
        };
        let changed = move |(_, changed): &(usize, &i64)| **changed >= watermark;
        groups.iter().enumerate().filter(changed).map(|(group, _)| group)
    }

    /// The newest change of a pane.
    pub(super) fn newest(&self, pane: Span) -> Option<i64> {
        self.by_pane.get(&pane.start).map(|pane| pane.newest)
    }

    pub(super) fn remove(&mut self, pane: Span) {
        self.by_pane.remove(&pane.start);
    }

    pub(super) fn bytes(&self) -> usize {
        self.by_pane
            .values()
            .map(|pane| pane.groups.capacity() * 8 + size_of::<Pane>())
            .sum()
    }

    /// For each open pane the watermarks of all its groups.
    pub(super) fn save(&self, panes: &Panes, out: &mut Vec<u8>) {
        for span in panes.spans() {
            let known = self.by_pane.get(&span.start).map_or(&[][..], |pane| &pane.groups);
            codec::put_all(out, known);
            codec::put_all(out, &vec![i64::MIN; panes.groups(span).len() - known.len()]);
        }
    }

    /// Reads what `save` wrote. State that was saved without has none: nothing has changed.
    pub(super) fn load(panes: &Panes, reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut changes = Self::default();
        if reader.is_empty() {
            return Ok(changes);
        }
        for span in panes.spans() {
            let groups: Vec<i64> = reader.all(panes.groups(span).len())?;
            let newest = groups.iter().copied().max().unwrap_or(i64::MIN);
            changes.by_pane.insert(span.start, Pane { newest, groups });
        }
        Ok(changes)
    }
}
