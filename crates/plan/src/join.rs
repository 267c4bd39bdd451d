//! Joins, checked and typed.

use std::ops::Range;

use crate::{EventTime, Field, Fields, Start, TopicName};

/// Fields of a table for every row. Output: the input's fields, then those of `fields`.
#[derive(Clone, Debug)]
pub struct Join {
    /// The other side.
    pub table: Table,
    /// Positions of the input fields that must equal the table's key, in its order and of its types.
    pub on: Vec<usize>,
    /// Whether a row without a match goes on, with NULL in the added fields.
    pub keeps_unmatched: bool,
    /// Positions in `table.fields` of the fields to add.
    pub fields: Vec<usize>,
}

/// Rows that are read whole before the first record; those of a topic change afterwards.
#[derive(Clone, Debug)]
pub struct Table {
    /// For messages.
    pub name: String,
    /// Where it is.
    pub origin: TableOrigin,
    /// How rows are written.
    pub format: TableFormat,
    /// The fields of a row; where the format is CSV, the path of each is the name of its column.
    pub fields: Fields,
    /// Positions of the key fields in `fields`: never empty, never nullable.
    pub key: Vec<usize>,
    /// Position of the field, a `Timestamp`, from which on a row holds. None: a key has one row.
    pub valid_from: Option<usize>,
}

/// Where a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableOrigin {
    /// A file; a path that is not absolute begins where the manifest is.
    File(String),
    /// A key of a ConfigMap, found as the file `<config-maps-dir>/<name>/<key>`. Neither part can leave that directory.
    ConfigMap {
        /// Name of the ConfigMap.
        name: String,
        /// Key within it.
        key: String,
    },
    /// A topic of the source's cluster; each record is a row in JSON, or deletes one. Its key is that of the table.
    Topic(TopicName),
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// RFC 4180 with a header.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// A join with another stream, which is read beside the source. Rows of both come in through one internal topic.
#[derive(Clone, Debug)]
pub struct JoinedStreams {
    /// The other stream.
    pub other: OtherStream,
    /// A row of either stream, as it stands in the internal topic: `is_right`, the left fields as `left_…`, those of the
    /// other stream as `right_…`. All but the first may be null, and those of the other side are.
    pub input: Fields,
    /// How they are joined; positions are those in `input`.
    pub join: StreamJoin,
}

/// A stream that is read beside the source, of the same cluster and in the same group.
#[derive(Clone, Debug)]
pub struct OtherStream {
    /// For messages.
    pub name: String,
    /// Topics to read. Never empty; nothing else of the plan reads or writes one of them.
    pub topics: Vec<TopicName>,
    /// Where to start a partition without a committed offset.
    pub start: Start,
    /// The fields to decode from a record's value.
    pub fields: Fields,
    /// Which time a record happened at.
    pub event_time: EventTime,
    /// Positions in `fields` of those that go on to the join, in the order in which they stand in its input.
    pub carried: Vec<usize>,
}

/// Rows of two streams joined with each other. The rows of both come in as one: a field says which stream a row belongs
/// to, and the fields of the other stream are NULL in it. Output: the key fields, with windows `window_start` and
/// `window_end` (Timestamp), the left fields, the right fields.
#[derive(Clone, Debug)]
pub struct StreamJoin {
    /// Position of the field, a `Boolean` that is never NULL, that is true in rows of the right stream.
    pub is_right: usize,
    /// The stream that the join stands in.
    pub left: JoinSide,
    /// The other stream.
    pub right: JoinSide,
    /// Which rows of equal keys match.
    pub matching: Matching,
}

/// One of two streams.
#[derive(Clone, Debug)]
pub struct JoinSide {
    /// Positions of the fields that must equal those of the other side, in the same order and of the same types. Never
    /// empty. A row with NULL in one of them matches nothing.
    pub key: Vec<usize>,
    /// Positions of the fields that go into results besides the key. None is a list.
    pub fields: Vec<usize>,
    /// Whether a row without a match comes out, with NULL in the fields of the other side. Not without a `ttl`.
    pub keeps_unmatched: bool,
}

/// Which rows of equal keys match. Milliseconds, none below 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// The right row's time is at least the left one's less `before`, and at most the left one's plus `after`.
    Interval {
        /// How much earlier the right row may be.
        before: i64,
        /// How much later the right row may be.
        after: i64,
    },
    /// Both rows lie in one window; once for every such window, when it is over.
    Window {
        /// Length of a window, at least 1.
        size: i64,
        /// From the start of a window to that of the next: at least 1, at most `size`.
        slide: i64,
        /// Less than `slide`.
        offset: i64,
    },
    /// One row came while the other was remembered.
    Remembered {
        /// A row is remembered until the watermark is this much behind its time. None: for ever.
        ttl: Option<i64>,
    },
}

impl JoinedStreams {
    /// The input of a join of rows with the fields `left`, and `right` of the other stream.
    pub(crate) fn input(left: &[Field], right: &[Field]) -> Fields {
        let side = |prefix: &'static str, fields: &[Field]| {
            let fields = fields.iter();
            let wide = move |field: &Field| {
                Field::computed(format!("{prefix}_{}", field.name), field.field_type.clone(), true)
            };
            fields.map(wide).collect::<Vec<_>>()
        };
        let is_right = Field::computed("is_right", crate::FieldType::Boolean, false);
        Fields::new([vec![is_right], side("left", left), side("right", right)].concat())
    }

    /// Where the fields of one side stand in the input, without `is_right`.
    pub fn side(&self, is_right: bool) -> Range<usize> {
        let right = self.input.len() - self.other.carried.len();
        match is_right {
            true => right..self.input.len(),
            false => 1..right,
        }
    }
}

impl StreamJoin {
    /// The lines that say what its state means; see [`OperatorState::shape`](crate::OperatorState::shape).
    pub fn shape(&self, input: &Fields) -> Vec<String> {
        let field = |what: &str, at: usize, position: usize| {
            let field = &input[position];
            format!("{what} {}: {} {}", at + 1, field.name, field.field_type)
        };
        let side = |what: &'static str, side: &JoinSide| {
            let unmatched = if side.keeps_unmatched { "kept" } else { "left out" };
            let key = side.key.iter().enumerate();
            let key: Vec<String> = key.map(|(at, key)| field(&format!("{what} key"), at, *key)).collect();
            let fields = side.fields.iter().enumerate();
            let fields: Vec<String> = fields.map(|(at, position)| field(what, at, *position)).collect();
            [vec![format!("{what} rows without a match: {unmatched}")], key, fields].concat()
        };
        let matching = vec![format!("join: {}", self.matching)];
        [matching, side("left", &self.left), side("right", &self.right)].concat()
    }
}

impl std::fmt::Display for Matching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interval { before, after } => write!(f, "{before} ms before to {after} ms after"),
            Self::Window { size, slide, offset } => {
                write!(f, "windows of {size} ms every {slide} ms, offset {offset} ms")
            }
            Self::Remembered { ttl: Some(ttl) } => write!(f, "remembered for {ttl} ms"),
            Self::Remembered { ttl: None } => f.write_str("remembered for ever"),
        }
    }
}

impl Table {
    /// Bytes that a table may have.
    pub const MAX_BYTES: usize = 64 << 20;
    /// Rows that a table may have.
    pub const MAX_ROWS: usize = 1_000_000;
}

impl std::fmt::Display for TableOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {path}"),
            Self::ConfigMap { name, key } => write!(f, "ConfigMap `{name}`, key `{key}`"),
            Self::Topic(name) => write!(f, "topic {name}"),
        }
    }
}
