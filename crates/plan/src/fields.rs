//! Fields with their types: the declared ones and those that each operator produces.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};

/// Type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// `true` or `false`; Arrow `Boolean`.
    Boolean,
    /// Whole number; Arrow `Int64`.
    Int64,
    /// IEEE 754 double; Arrow `Float64`.
    Float64,
    /// Exact decimal number; Arrow `Decimal128`.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: u8,
    },
    /// Text; Arrow `Utf8`.
    String,
    /// Instant; Arrow `Timestamp(Millisecond, None)`.
    Timestamp,
    /// List; Arrow `List`.
    Array(Arc<ArrayItem>),
}

/// What an array holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArrayItem {
    /// Whether an item may be null.
    pub nullable: bool,
    /// Scalar items, or objects of scalar fields.
    pub kind: ItemKind,
}

/// Scalar items, or objects of scalar fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// Items are values of this type, never `Array`.
    Scalar(FieldType),
    /// Items are JSON objects with these fields, none of them an `Array`; Arrow `Struct`.
    Object(Vec<Field>),
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Name in expressions and results.
    pub name: String,
    /// Type of the value.
    pub field_type: FieldType,
    /// Whether the value may be null.
    pub nullable: bool,
    /// Member names from outside to inside, where the value stands in the JSON object. For computed fields the name.
    pub path: Vec<String>,
}

/// The fields of a record at one place of the plan, with the Arrow schema that holds them in the same order.
#[derive(Clone, Debug)]
pub struct Fields {
    fields: Arc<[Field]>,
    schema: SchemaRef,
}

impl FieldType {
    /// The Arrow type that holds the values.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
            Self::String => DataType::Utf8,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Array(item) => DataType::List(Arc::new(ArrowField::new("item", item.arrow(), item.nullable))),
        }
    }
}

/// As written in a spec; decimals with their digits: `decimal(10, 2)`.
impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            Self::String => f.write_str("string"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Array(_) => f.write_str("array"),
        }
    }
}

impl ArrayItem {
    /// The Arrow type that holds one item.
    pub fn arrow(&self) -> DataType {
        match &self.kind {
            ItemKind::Scalar(scalar) => scalar.arrow(),
            ItemKind::Object(fields) => DataType::Struct(fields.iter().map(Field::arrow).collect()),
        }
    }
}

impl Field {
    /// A field that stands under its own name.
    pub fn computed(name: impl Into<String>, field_type: FieldType, nullable: bool) -> Self {
        let name = name.into();
        Self {
            path: vec![name.clone()],
            name,
            field_type,
            nullable,
        }
    }

    /// The Arrow field.
    pub fn arrow(&self) -> ArrowField {
        ArrowField::new(&self.name, self.field_type.arrow(), self.nullable)
    }
}

impl Fields {
    /// Builds the Arrow schema beside the fields.
    pub fn new(fields: Vec<Field>) -> Self {
        let schema = Arc::new(Schema::new(fields.iter().map(Field::arrow).collect::<Vec<_>>()));
        Self {
            fields: fields.into(),
            schema,
        }
    }

    /// The Arrow schema, fields in the same order.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Position of the field called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

impl std::ops::Deref for Fields {
    type Target = [Field];

    fn deref(&self) -> &[Field] {
        &self.fields
    }
}
