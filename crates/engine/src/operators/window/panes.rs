//! The open panes with their groups, by start: windows that do not overlap, or the pieces of those that do. What a closed
//! pane leaves behind is used for the next one.

use std::collections::BTreeMap;

use millrace_plan::Tumbling;

use crate::state::codec::{self, CodecError, Fixed, Reader};
use crate::state::{Groups, Inputs, Layout};

/// Closed windows whose memory is kept.
const SPARE: usize = 2;

/// A window by its first and last instant, both included, in milliseconds. At the ends of time they are cut to 64 bits,
/// which leaves every window its own start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) last: i64,
}

impl Span {
    /// Holds no time.
    pub(super) const NOWHERE: Self = Self {
        start: i64::MAX,
        last: i64::MIN,
    };

    /// The window that holds `time`.
    pub(super) fn of(tumbling: Tumbling, time: i64) -> Self {
        let Tumbling { size, offset } = tumbling;
        if time.checked_sub(size).and_then(|_| time.checked_add(size)).is_some() {
            let start = tumbling.start_of(time);
            return Self {
                start,
                last: start + (size - 1),
            };
        }
        let (wide, size) = (i128::from(time), i128::from(size));
        let start = wide - (wide - i128::from(offset)).rem_euclid(size);
        let cut = |time: i128| time.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Self {
            start: cut(start),
            last: cut(start + size - 1),
        }
    }

    pub(super) fn holds(self, time: i64) -> bool {
        (self.start..=self.last).contains(&time)
    }
}

/// The open windows.
#[derive(Default)]
pub(super) struct Panes {
    /// Where each open window stands in `panes`.
    by_start: BTreeMap<i64, usize>,
    panes: Vec<Pane>,
    /// Places in `panes` that no open window has.
    free: Vec<usize>,
    /// Windows in which rows wait.
    touched: Vec<usize>,
    /// The window that was looked up last.
    recent: Option<(i64, usize)>,
}

struct Pane {
    span: Span,
    groups: Groups,
    /// Rows of the batch that are still to be added.
    waiting: Vec<u32>,
}

impl Panes {
    /// The oldest open window.
    pub(super) fn first(&self) -> Option<Span> {
        self.spans().next()
    }

    /// The open panes that start within `span`, oldest first.
    pub(super) fn within(&self, span: Span) -> impl DoubleEndedIterator<Item = (Span, &Groups)> {
        let pane = |(_, at): (&i64, &usize)| (self.panes[*at].span, &self.panes[*at].groups);
        self.by_start.range(span.start..=span.last.max(span.start)).map(pane)
    }

    /// The oldest open pane that starts at `start` or later.
    pub(super) fn from(&self, start: i64) -> Option<Span> {
        self.by_start.range(start..).next().map(|(_, at)| self.panes[*at].span)
    }

    /// The groups of the pane that starts there, if it is open.
    pub(super) fn find(&self, start: i64) -> Option<&Groups> {
        self.by_start.get(&start).map(|at| &self.panes[*at].groups)
    }

    /// The groups of the pane that starts there, if it is open.
    pub(super) fn find_mut(&mut self, start: i64) -> Option<&mut Groups> {
        self.by_start.get(&start).map(|at| &mut self.panes[*at].groups)
    }

    /// Starts of the panes in which rows wait.
    pub(super) fn touched(&self) -> impl Iterator<Item = i64> {
        self.touched.iter().map(|at| self.panes[*at].span.start)
    }

    /// The open windows, oldest first.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        self.by_start.values().map(|at| self.panes[*at].span)
    }

    /// The groups of an open window.
    pub(super) fn groups(&self, span: Span) -> &Groups {
        &self.panes[self.by_start[&span.start]].groups
    }

    /// Lets a row wait in its window, which is opened where needed. Waiting rows are added together. Returns whether it is
    /// the first one there.
    #[inline]
    pub(super) fn wait(&mut self, span: Span, row: u32, layout: &Layout) -> bool {
        let at = self.open(span, layout);
        let waiting = &mut self.panes[at].waiting;
        let is_first = waiting.is_empty();
        if is_first {
            self.touched.push(at);
        }
        waiting.push(row);
        is_first
    }

    /// Whether the waiting rows can be added without overflow, also of `panes` panes merged into one.
    pub(super) fn has_room(&mut self, inputs: &Inputs<'_>, panes: usize) -> bool {
        let room = |at: &usize| {
            let Pane { groups, waiting, .. } = &mut self.panes[*at];
            groups.has_room_among(inputs, waiting.len(), panes)
        };
        self.touched.iter().all(room)
    }

    /// Adds the waiting rows, for which there is room. `added` hears for each pane which rows went to which groups.
    pub(super) fn add_waiting(&mut self, inputs: &Inputs<'_>, mut added: impl FnMut(Span, &[u32], &[u32])) {
        for at in self.touched.drain(..) {
            let Pane { groups, waiting, span } = &mut self.panes[at];
            groups.add(inputs, waiting);
            added(*span, waiting, groups.numbers());
            waiting.clear();
        }
    }

    /// Takes the waiting rows out, in order, with their windows; windows that had nothing else are gone again.
    pub(super) fn take_waiting(&mut self, layout: &Layout) -> Vec<(u32, Span)> {
        let mut rows = Vec::new();
        for at in std::mem::take(&mut self.touched) {
            let span = self.panes[at].span;
            rows.extend(self.panes[at].waiting.drain(..).map(|row| (row, span)));
            self.remove_if_empty(span, layout);
        }
        rows.sort_unstable_by_key(|(row, _)| *row);
        rows
    }

    /// Adds one row to its window, which is opened where needed, and returns its group; or, having changed nothing, the
    /// aggregate that would overflow.
    pub(super) fn add_row(
        &mut self,
        inputs: &Inputs<'_>,
        row: usize,
        span: Span,
        layout: &Layout,
    ) -> Result<usize, usize> {
        let at = self.open(span, layout);
        let added = self.panes[at].groups.add_row(inputs, row);
        self.remove_if_empty(span, layout);
        added
    }

    /// Folds the only group of `one` into its window, which is opened where needed, and returns its group there; or,
    /// having changed nothing, the aggregate that would overflow.
    pub(super) fn merge(&mut self, one: &mut Groups, span: Span, layout: &Layout) -> Result<usize, usize> {
        let at = self.open(span, layout);
        let groups = &mut self.panes[at].groups;
        let merged = groups.check_merge(one, layout).and_then(|()| {
            let group = groups.adopt(one, 0);
            groups.merge_group(one, 0).map(|()| group)
        });
        self.remove_if_empty(span, layout);
        merged
    }

    fn remove_if_empty(&mut self, span: Span, layout: &Layout) {
        if self.groups(span).is_empty() {
            self.remove(span, layout);
        }
    }

    /// Closes a window.
    pub(super) fn remove(&mut self, span: Span, layout: &Layout) {
        let at = self.by_start.remove(&span.start).expect("only open windows are closed");
        self.recent = None;
        let groups = &mut self.panes[at].groups;
        if self.free.len() < SPARE {
            groups.clear();
        } else {
            *groups = Groups::new(layout);
        }
        self.free.push(at);
    }

    /// Where the window stands.
    fn open(&mut self, span: Span, layout: &Layout) -> usize {
        if let Some((start, at)) = self.recent
            && start == span.start
        {
            return at;
        }
        let at = *self
            .by_start
            .entry(span.start)
            .or_insert_with(|| match self.free.pop() {
                Some(at) => {
                    self.panes[at].span = span;
                    at
                }
                None => {
                    self.panes.push(Pane {
                        span,
                        groups: Groups::new(layout),
                        waiting: Vec::new(),
                    });
                    self.panes.len() - 1
                }
            });
        self.recent = Some((span.start, at));
        at
    }

    /// Estimated bytes of memory, spare windows included.
    pub(super) fn bytes(&self) -> usize {
        self.panes
            .iter()
            .map(|pane| pane.groups.bytes() + pane.waiting.capacity() * 4 + size_of::<Pane>())
            .sum()
    }

    /// Number of windows, then for each its first and last instant and its groups, oldest first.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        codec::put_length(out, self.by_start.len());
        for span in self.spans() {
            span.start.put(out);
            span.last.put(out);
            self.groups(span).save(out);
        }
    }

    /// Reads what `save` wrote under the same layout and windows; `pane_of` says which pane holds a time.
    pub(super) fn load(
        layout: &Layout,
        pane_of: impl Fn(i64) -> Span,
        reader: &mut Reader<'_>,
    ) -> Result<Self, CodecError> {
        let mut panes = Self::default();
        for at in 0..reader.count(16)? {
            let span = Span {
                start: reader.get()?,
                last: reader.get()?,
            };
            let newest = panes.by_start.last_key_value().map(|(start, _)| *start);
            if pane_of(span.last) != span || newest.is_some_and(|newest| newest >= span.start) {
                return Err(CodecError::Invalid("windows do not follow each other"));
            }
            let groups = Groups::load(layout, reader)?;
            panes.by_start.insert(span.start, at);
            panes.panes.push(Pane {
                span,
                groups,
                waiting: Vec::new(),
            });
        }
        Ok(panes)
    }
}
