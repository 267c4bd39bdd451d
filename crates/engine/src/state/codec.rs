//! Little-endian bytes of state and checkpoints. The reader checks every length against what is left, so that garbage
//! gives an error: never a panic, never an allocation larger than a small multiple of the input.
//!
//! | value | bytes |
//! |---|---|
//! | `u8`, `u16`, `u32`, `u64`, `i32`, `i64`, `i128` | as they are, little-endian |
//! | `f64` | its bits as `u64` |
//! | flag | one byte, 0 or 1 |
//! | length, count | seven bits a byte from the lowest on, the eighth bit set in all but the last (LEB128) |
//! | bytes, text | length, then the bytes (UTF-8) |

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("it ends too early")]
    Truncated,
    #[error("{0} bytes too many at the end")]
    TrailingBytes(usize),
    #[error("{0}")]
    Invalid(&'static str),
}

/// A value of fixed width.
pub(crate) trait Fixed: Sized + Copy {
    /// Bytes that it takes.
    const WIDTH: usize;
    fn put(self, out: &mut Vec<u8>);
    /// Reads it from exactly `WIDTH` bytes.
    fn parse(bytes: &[u8]) -> Result<Self, CodecError>;
}

macro_rules! fixed_integer {
    ($($integer:ty),*) => {$(
        impl Fixed for $integer {
            const WIDTH: usize = size_of::<$integer>();

            fn put(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
                bytes.try_into().map(Self::from_le_bytes).map_err(|_| CodecError::Truncated)
            }
        }
    )*};
}

fixed_integer!(u8, u16, u32, u64, i32, i64, i128);

impl Fixed for f64 {
    const WIDTH: usize = 8;

    fn put(self, out: &mut Vec<u8>) {
        self.to_bits().put(out);
    }

    fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        u64::parse(bytes).map(Self::from_bits)
    }
}

impl Fixed for bool {
    const WIDTH: usize = 1;

    fn put(self, out: &mut Vec<u8>) {
        out.push(u8::from(self));
    }

    fn parse(bytes: &[u8]) -> Result<Self, CodecError> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(CodecError::Invalid("a flag is neither 0 nor 1")),
        }
    }
}

/// Writes a length or count.
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes the values without a length: the reader must know it.
pub(crate) fn put_all<T: Fixed>(out: &mut Vec<u8>, values: &[T]) {
    out.reserve(values.len() * T::WIDTH);
    values.iter().for_each(|value| value.put(out));
}

/// Bytes not yet read.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `length` bytes.
    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// One value.
    pub(crate) fn get<T: Fixed>(&mut self) -> Result<T, CodecError> {
        T::parse(self.raw(T::WIDTH)?)
    }

    /// `length` values. Allocates only once it is known that they are there.
    pub(crate) fn all<T: Fixed>(&mut self, length: usize) -> Result<Vec<T>, CodecError> {
        let mut values = Vec::new();
        self.fill(&mut values, length)?;
        Ok(values)
    }

    /// `length` values, in place of what `values` holds, in its memory.
    pub(crate) fn fill<T: Fixed>(&mut self, values: &mut Vec<T>, length: usize) -> Result<(), CodecError> {
        let bytes = length.checked_mul(T::WIDTH).ok_or(CodecError::Truncated)?;
        let bytes = self.raw(bytes)?;
        values.clear();
        values.reserve(length);
        for value in bytes.chunks_exact(T::WIDTH) {
            values.push(T::parse(value)?);
        }
        Ok(())
    }

    /// A length or count, whatever follows.
    pub(crate) fn length(&mut self) -> Result<usize, CodecError> {
        let mut length = 0usize;
        for shift in (0..usize::BITS).step_by(7) {
            let byte = self.get::<u8>()?;
            let bits = usize::from(byte & 0x7f);
            if bits > usize::MAX >> shift || (byte == 0 && shift > 0) {
                break;
            }
            length |= bits << shift;
            if byte < 0x80 {
                return Ok(length);
            }
        }
        Err(CodecError::Invalid("a length is not one"))
    }

    /// A number of things of which each takes at least `least` bytes (at least 1), all still to be read.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, CodecError> {
        let count = self.length()?;
        match count.checked_mul(least.max(1)) {
            Some(bytes) if bytes <= self.rest.len() => Ok(count),
            _ => Err(CodecError::Truncated),
        }
    }

    /// Bytes with their length in front.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.count(1)?;
        self.raw(length)
    }

    /// Text with its length in front.
    pub(crate) fn text(&mut self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CodecError::Invalid("a text is not UTF-8"))
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CodecError::TrailingBytes(self.rest.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_claimed_length_beyond_the_input_is_an_error_and_allocates_nothing() {
        let mut huge = Vec::new();
        put_length(&mut huge, usize::MAX);
        assert_eq!(Reader::new(&huge).bytes(), Err(CodecError::Truncated));
        assert_eq!(Reader::new(&huge).count(1), Err(CodecError::Truncated));
        assert_eq!(Reader::new(&huge).all::<i128>(usize::MAX), Err(CodecError::Truncated));
        assert_eq!(Reader::new(&huge).all::<i64>(1 << 60), Err(CodecError::Truncated));
    }

    #[test]
    fn bad_flags_texts_and_left_overs_are_errors() {
        assert!(matches!(Reader::new(&[2]).get::<bool>(), Err(CodecError::Invalid(_))));
        let mut text = Vec::new();
        put_bytes(&mut text, &[0xff]);
        assert!(matches!(Reader::new(&text).text(), Err(CodecError::Invalid(_))));
        assert_eq!(Reader::new(&[1, 2]).end(), Err(CodecError::TrailingBytes(2)));
        for bytes in [[0x80, 0x00].as_slice(), &[0xff; 10], &[0xff; 20]] {
            assert!(matches!(Reader::new(bytes).length(), Err(CodecError::Invalid(_))));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number: i64, wide: i128, bits: u64, flag: bool, length: usize, shift in 0u32..64, text in ".{0,20}",
            many in proptest::collection::vec(any::<i128>(), 0..9),
        ) {
            let mut out = Vec::new();
            number.put(&mut out);
            wide.put(&mut out);
            f64::from_bits(bits).put(&mut out);
            flag.put(&mut out);
            put_length(&mut out, length >> shift);
            put_bytes(&mut out, text.as_bytes());
            put_all(&mut out, &many);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.get::<i64>(), Ok(number));
            prop_assert_eq!(reader.get::<i128>(), Ok(wide));
            prop_assert_eq!(reader.get::<f64>().map(f64::to_bits), Ok(bits));
            prop_assert_eq!(reader.get::<bool>(), Ok(flag));
            prop_assert_eq!(reader.length(), Ok(length >> shift));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert_eq!(reader.all::<i128>(many.len()), Ok(many));
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
