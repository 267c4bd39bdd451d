//! Whether a row, or a partial, fits into its pane so that all its open windows can still be merged.

use crate::operators::window::blocks::Instead;
use crate::operators::window::panes::Span;
use crate::operators::window::sliding::SlidingWindows;
use crate::state::{Groups, Inputs};

impl SlidingWindows {
    /// Whether the partial that was read last can be folded into its pane and all its open windows still be merged.
    pub(super) fn one_fits(&mut self, span: Span) -> Result<(), usize> {
        let half = 2 * self.grid.panes_of_window();
        let open = self.panes.find_mut(span.start);
        let has_room = open.is_none_or(|groups| groups.is_mergeable(half)) && self.one.is_mergeable(half);
        if has_room && self.crowded.is_empty() {
            return Ok(());
        }
        let mut pane = Groups::new(&self.layout);
        if let Some(groups) = self.panes.find(span.start)
            && let Some(group) = groups.same(&self.one, 0)
        {
            pane.merge_group(groups, group)?;
        }
        pane.merge_group(&self.one, 0)?;
        self.windows_fit(&pane, span)
    }

    /// Whether a row can be added to its pane and all its open windows still be merged.
    pub(super) fn fits(&mut self, inputs: &Inputs<'_>, row: usize, span: Span) -> Result<(), usize> {
        let share = self.grid.panes_of_window();
        let has_room = match self.panes.find_mut(span.start) {
            Some(groups) => groups.has_room_among(inputs, 1, share),
            None => Groups::new(&self.layout).has_room_among(inputs, 1, share),
        };
        if has_room && self.crowded.is_empty() {
            return Ok(());
        }
        let mut pane = Groups::new(&self.layout);
        if let Some(groups) = self.panes.find_mut(span.start)
            && let Some(group) = groups.find(inputs, row)
        {
            pane.merge_group(groups, group)?;
        }
        pane.add_row(inputs, row)?;
        self.windows_fit(&pane, span)
    }

    /// Whether all open windows of a pane can be merged, if the one group of `pane` stood in it.
    pub(super) fn windows_fit(&mut self, pane: &Groups, span: Span) -> Result<(), usize> {
        let instead = Instead {
            pane: self.grid.pane_at(span.last),
            groups: pane,
        };
        let mut total = Groups::new(&self.layout);
        let mut blocks = std::mem::take(&mut self.blocks);
        let mut windows = self.first_of(span, self.closed)..=*self.grid.windows(span).end();
        let fits = windows.try_for_each(|window| {
            let panes = self.grid.panes(window);
            blocks.total_of(self.source(), panes, (pane, 0), Some(instead), &mut total)
        });
        self.blocks = blocks;
        fits
    }
}
