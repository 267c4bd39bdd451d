//! Why a record is refused, in words. Names fields, types and byte positions, never values.

use millrace_plan::FieldType;

use crate::decoded::Refusal;
use crate::json::malformed::Malformed;
use crate::json::number::Unfit;
use crate::json::scan::Kind;

/// Why one record is refused. Boxed, so that the good path carries one word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) refusal: Refusal,
    pub(super) message: String,
}

impl Reason {
    #[cold]
    pub(super) fn new(refusal: Refusal, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            refusal,
            message: message.into(),
        })
    }

    #[cold]
    pub(super) fn kind(expected: &FieldType, found: Kind) -> Box<Self> {
        Self::new(
            Refusal::SchemaMismatch,
            format!("expected {}, found {}", type_name(expected), found.name()),
        )
    }

    #[cold]
    pub(super) fn unfit(expected: &FieldType, unfit: Unfit) -> Box<Self> {
        let what = match (unfit, expected) {
            (Unfit::Fraction, FieldType::Decimal { .. }) => "more digits after the point than",
            (Unfit::Fraction, _) => "not a whole number, expected",
            (Unfit::Range, _) => "number out of range for",
        };
        Self::new(Refusal::SchemaMismatch, format!("{what} {}", type_name(expected)))
    }

    /// Puts the place in front, as in "item 3: expected string". Syntax faults have a byte position and need none.
    #[cold]
    pub(super) fn within(mut self: Box<Self>, place: &str) -> Box<Self> {
        if self.refusal == Refusal::SchemaMismatch {
            self.message = format!("{place}: {}", self.message);
        }
        self
    }
}

impl From<Malformed> for Box<Reason> {
    #[cold]
    fn from(malformed: Malformed) -> Self {
        Reason::new(Refusal::Undecodable, malformed.to_string())
    }
}

/// The name that a spec uses for the type.
pub(super) fn type_name(field_type: &FieldType) -> String {
    match field_type {
        FieldType::Boolean => "boolean".into(),
        FieldType::Int64 => "int64".into(),
        FieldType::Float64 => "float64".into(),
        FieldType::Decimal { precision, scale } => format!("decimal({precision}, {scale})"),
        FieldType::String => "string".into(),
        FieldType::Timestamp => "timestamp".into(),
        FieldType::Array(_) => "array".into(),
    }
}
