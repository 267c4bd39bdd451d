//! Panes merged into windows. A window is put together of blocks of 1, 2, 4, 8 … panes next to each other, and a block of
//! its two halves, always in the same way: so the result, to the last bit of a double, follows from the panes alone. What
//! is over is merged once and kept for the windows that follow: a window of `n` panes takes `2 log2 n` merges, not `n`.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::operators::window::grid::Grid;
use crate::operators::window::panes::Panes;
use crate::state::{Groups, Layout};

/// A block: `1 << level` panes from number `at << level` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    level: u32,
    at: i128,
}

/// Blocks that are merged already.
#[derive(Default)]
pub(super) struct Blocks {
    merged: BTreeMap<Block, Groups>,
    /// Spare groups of one key, kept for their memory.
    spare: Vec<Groups>,
}

/// All that blocks are made of.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) grid: &'a Grid,
    pub(super) panes: &'a Panes,
    pub(super) layout: &'a Layout,
}

/// A pane as it would be.
#[derive(Clone, Copy)]
pub(super) struct Instead<'a> {
    pub(super) pane: i128,
    pub(super) groups: &'a Groups,
}

impl Block {
    fn panes(self) -> Range<i128> {
        self.at << self.level..(self.at + 1) << self.level
    }

    fn halves(self) -> [Self; 2] {
        let level = self.level - 1;
        [0, 1].map(|half| Self {
            level,
            at: 2 * self.at + half,
        })
    }

    /// The fewest blocks that are the panes `range`, in order.
    fn of(range: Range<i128>) -> impl Iterator<Item = Self> {
        let mut from = range.start;
        std::iter::from_fn(move || {
            let left = range.end - from;
            if left <= 0 {
                return None;
            }
            let level = from.trailing_zeros().min(left.ilog2());
            let at = from >> level;
            from += 1 << level;
            Some(Self { level, at })
        })
    }
}

impl Source<'_> {
    /// How many panes of a block are open: 0, 1 or more.
    fn open(self, block: Block) -> usize {
        self.panes
            .within(self.grid.span_of_panes(block.panes()))
            .take(2)
            .count()
    }
}

impl Blocks {
    /// All groups of the panes `range`. What lies at or before the watermark is kept. Returns an aggregate that would
    /// overflow: that cannot be where every row was asked for.
    pub(super) fn total(&mut self, source: Source<'_>, range: Range<i128>, watermark: i64) -> Result<Groups, usize> {
        let mut total = Groups::new(source.layout);
        Block::of(range).try_for_each(|block| self.fold(source, block, watermark, &mut total))?;
        Ok(total)
    }

    fn fold(&mut self, source: Source<'_>, block: Block, watermark: i64, into: &mut Groups) -> Result<(), usize> {
        let span = source.grid.span_of_panes(block.panes());
        let mut open = source.panes.within(span);
        let Some((_, first)) = open.next() else { return Ok(()) };
        if open.next().is_none() {
            return into.merge(first);
        }
        if let Some(merged) = self.merged.get(&block) {
            return into.merge(merged);
        }
        let mut merged = Groups::new(source.layout);
        for half in block.halves() {
            self.fold(source, half, watermark, &mut merged)?;
        }
        into.merge(&merged)?;
        if span.last <= watermark {
            self.merged.insert(block, merged);
        }
        Ok(())
    }

    /// Folds the group of one key, which is group `group` of `key`, over the panes `range` into `total`. Returns the
    /// aggregate that would overflow.
    pub(super) fn total_of(
        &mut self,
        source: Source<'_>,
        range: Range<i128>,
        (key, group): (&Groups, usize),
        instead: Option<Instead<'_>>,
        total: &mut Groups,
    ) -> Result<(), usize> {
        total.clear();
        Block::of(range).try_for_each(|block| self.fold_one(source, block, (key, group), instead, total))
    }

    fn fold_one(
        &mut self,
        source: Source<'_>,
        block: Block,
        (key, group): (&Groups, usize),
        instead: Option<Instead<'_>>,
        into: &mut Groups,
    ) -> Result<(), usize> {
        let mut take = |groups: &Groups| match groups.same(key, group) {
            Some(group) => into.merge_group(groups, group),
            None => Ok(()),
        };
        let instead = instead.filter(|instead| block.panes().contains(&instead.pane));
        if block.level == 0 {
            let start = source.grid.span_of_panes(block.panes()).start;
            return match (instead, source.panes.find(start)) {
                (Some(instead), _) => take(instead.groups),
                (None, Some(groups)) => take(groups),
                (None, None) => Ok(()),
            };
        }
        if instead.is_none() {
            if source.open(block) == 0 {
                return Ok(());
            }
            if let Some(merged) = self.merged.get(&block) {
                return take(merged);
            }
        }
        let mut merged = self.spare.pop().unwrap_or_else(|| Groups::new(source.layout));
        merged.clear();
        let halves = block.halves();
        let mut folded = halves
            .into_iter()
            .try_for_each(|half| self.fold_one(source, half, (key, group), instead, &mut merged));
        if folded.is_ok() && !merged.is_empty() {
            folded = into.merge_group(&merged, 0);
        }
        self.spare.push(merged);
        folded
    }

    /// Forgets what a pane is in, since it changes or goes.
    pub(super) fn forget(&mut self, pane: i128, panes_of_window: usize) {
        if self.merged.is_empty() {
            return;
        }
        for level in 1..=panes_of_window.ilog2() {
            self.merged.remove(&Block {
                level,
                at: pane >> level,
            });
        }
    }

    /// Estimated bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.merged.values().map(Groups::bytes).sum()
    }
}
