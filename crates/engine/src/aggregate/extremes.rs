//! Smallest and largest values. Nothing here overflows.

use arrow::array::{ArrowNativeTypeOp, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow::datatypes::ArrowPrimitiveType;

use crate::aggregate::kernel::{Fold, State};
use crate::state::Built;
use crate::state::codec::{self, CodecError, Fixed, Reader};

/// Extremes of numbers and times. Doubles in total order: `-0.0` is below `0.0`.
pub(crate) struct Extreme<T: ArrowPrimitiveType> {
    largest: bool,
    values: Vec<T::Native>,
    seen: Vec<bool>,
}

impl<T: ArrowPrimitiveType> Extreme<T> {
    pub(super) fn new(largest: bool) -> Self {
        Self {
            largest,
            values: Vec::new(),
            seen: Vec::new(),
        }
    }
}

impl<T: ArrowPrimitiveType<Native: Fixed>> Fold<T::Native> for Extreme<T>
where
    PrimitiveBuilder<T>: Built,
{
    #[inline(always)]
    fn add(&mut self, group: usize, value: T::Native) {
        let best = self.values[group];
        let better = if self.largest {
            value.is_gt(best)
        } else {
            value.is_lt(best)
        };
        if better || !self.seen[group] {
            self.values[group] = value;
            self.seen[group] = true;
        }
    }
}

impl<T: ArrowPrimitiveType<Native: Fixed>> State for Extreme<T>
where
    PrimitiveBuilder<T>: Built,
{
    type Builder = PrimitiveBuilder<T>;

    fn grow(&mut self, groups: usize) {
        self.values.resize(groups, T::default_value());
        self.seen.resize(groups, false);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut PrimitiveBuilder<T>) {
        out.append_option(self.seen[group].then(|| self.values[group]));
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        if other.seen[from] {
            self.add(into, other.values[from]);
        }
        true
    }

    fn clear(&mut self) {
        self.values.clear();
        self.seen.clear();
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.seen.capacity()
    }

    fn save(&self, out: &mut Vec<u8>) {
        codec::put_all(out, &self.values);
        codec::put_all(out, &self.seen);
    }

    fn put(&self, group: usize, out: &mut Vec<u8>) -> bool {
        self.values[group].put(out);
        self.seen[group].put(out);
        true
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        reader.fill(&mut self.values, groups)?;
        reader.fill(&mut self.seen, groups)?;
        Ok(())
    }
}

/// Extremes of flags: false is below true.
pub(crate) struct ExtremeFlag {
    largest: bool,
    values: Vec<Option<bool>>,
}

impl ExtremeFlag {
    pub(super) fn new(largest: bool) -> Self {
        Self {
            largest,
            values: Vec::new(),
        }
    }
}

impl Fold<bool> for ExtremeFlag {
    #[inline(always)]
    fn add(&mut self, group: usize, value: bool) {
        let best = self.values[group].unwrap_or(value);
        self.values[group] = Some(if self.largest { best | value } else { best & value });
    }
}

impl State for ExtremeFlag {
    type Builder = BooleanBuilder;

    fn grow(&mut self, groups: usize) {
        self.values.resize(groups, None);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut BooleanBuilder) {
        out.append_option(self.values[group]);
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        if let Some(value) = other.values[from] {
            self.add(into, value);
        }
        true
    }

    fn clear(&mut self) {
        self.values.clear();
    }

    fn bytes(&self) -> usize {
        self.values.capacity()
    }

    /// A byte a group: 0 false, 1 true, 2 none.
    fn save(&self, out: &mut Vec<u8>) {
        out.extend(self.values.iter().map(|value| value.map_or(2, u8::from)));
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        let value = |byte: &u8| match byte {
            0 => Ok(Some(false)),
            1 => Ok(Some(true)),
            2 => Ok(None),
            _ => Err(CodecError::Invalid("a flag is neither 0 nor 1 nor 2")),
        };
        self.values = reader.raw(groups)?.iter().map(value).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// Extremes of texts, by bytes.
pub(crate) struct ExtremeText {
    largest: bool,
    values: Vec<Option<Box<str>>>,
    /// Bytes of all texts together.
    text_bytes: usize,
}

impl ExtremeText {
    pub(super) fn new(largest: bool) -> Self {
        Self {
            largest,
            values: Vec::new(),
            text_bytes: 0,
        }
    }
}

impl Fold<&str> for ExtremeText {
    #[inline(always)]
    fn add(&mut self, group: usize, value: &str) {
        let best = self.values[group].as_deref();
        if best.is_some_and(|best| if self.largest { value <= best } else { value >= best }) {
            return;
        }
        self.text_bytes = self.text_bytes - best.map_or(0, str::len) + value.len();
        self.values[group] = Some(value.into());
    }
}

impl State for ExtremeText {
    type Builder = StringBuilder;

    fn grow(&mut self, groups: usize) {
        self.values.resize(groups, None);
    }

    #[inline(always)]
    fn emit(&self, group: usize, out: &mut StringBuilder) {
        out.append_option(self.values[group].as_deref());
    }

    fn merge(&mut self, into: usize, other: &Self, from: usize) -> bool {
        if let Some(value) = other.values[from].as_deref() {
            self.add(into, value);
        }
        true
    }

    fn clear(&mut self) {
        self.values.clear();
        self.text_bytes = 0;
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<Box<str>>>() + self.text_bytes
    }

    /// For each group a flag whether there is a text, then the text.
    fn save(&self, out: &mut Vec<u8>) {
        for value in &self.values {
            value.is_some().put(out);
            if let Some(text) = value {
                codec::put_bytes(out, text.as_bytes());
            }
        }
    }

    fn load(&mut self, reader: &mut Reader<'_>, groups: usize) -> Result<(), CodecError> {
        let mut value = |_| {
            Ok(if reader.get::<bool>()? {
                Some(reader.text()?.into())
            } else {
                None
            })
        };
        self.values = (0..groups).map(&mut value).collect::<Result<_, CodecError>>()?;
        self.text_bytes = self.values.iter().flatten().map(|text| text.len()).sum();
        Ok(())
    }
}
