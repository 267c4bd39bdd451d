//! Reading partials, before the windows take them in.

use millrace_format::Record;
use millrace_plan::{Fields, Window};

use crate::batch::Batch;
use crate::operators::window::Pieces;
use crate::operators::window::output::Output;
use crate::partial::{Head, Partial};
use crate::state::{Groups, Layout};

/// What the partials of a window look like.
pub(crate) struct Partials {
    layout: Layout,
    fingerprint: u32,
    pieces: Pieces,
    output: Fields,
}

impl Partials {
    /// None for windows of which there are no partials.
    pub(crate) fn of(spec: &Window, input: &Fields, output: &Fields) -> Option<Self> {
        let layout = Layout::new(Some(spec), &spec.keys, &spec.aggregates, input);
        Some(Self {
            fingerprint: layout.fingerprint(),
            layout,
            pieces: Pieces::of(spec)?,
            output: output.clone(),
        })
    }

    /// The partial that is the record at `place`; or why it is none of this window.
    pub(crate) fn read<'a>(&self, record: &Record<'a>, place: u32, watermark: i64) -> Result<Partial<'a>, String> {
        let (head, group) = Head::read(record.value.unwrap_or_default()).map_err(|error| error.to_string())?;
        if head.fingerprint != self.fingerprint {
            return Err("it was combined for a window of another shape".to_owned());
        }
        Ok(Partial {
            place,
            watermark,
            time: record.timestamp,
            rows: head.rows,
            group,
        })
    }

    /// A partial as if it were a result of its piece of time: what can be shown of its rows.
    pub(crate) fn shown(&self, partial: &Partial<'_>) -> Option<Batch> {
        let mut group = Groups::new(&self.layout);
        group.read_only(partial.group).ok()?;
        let mut out = Output::default();
        let span = self.pieces.at(partial.time);
        out.append(&self.layout, &group, 0..1, span, false, partial.watermark);
        out.finish(&self.output, 0)
    }
}
