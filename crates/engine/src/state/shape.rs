//! What an operator's state means, the plan's [`shape`](millrace_plan::shape) of it, is saved in front of the state: it
//! must never be read as something else.

use crate::state::codec::{self, CodecError, Reader};

/// Appends a shape.
pub(crate) fn save_shape(shape: &[String], out: &mut Vec<u8>) {
    codec::put_length(out, shape.len());
    shape.iter().for_each(|line| codec::put_bytes(out, line.as_bytes()));
}

/// Reads a shape.
pub(crate) fn saved_shape(reader: &mut Reader<'_>) -> Result<Vec<String>, CodecError> {
    (0..reader.count(1)?)
        .map(|_| reader.text().map(str::to_owned))
        .collect()
}

/// Reads a saved shape. Another than this one is an error that says what differs.
pub(crate) fn saved_shape_is(shape: &[String], reader: &mut Reader<'_>) -> Result<(), String> {
    let saved = saved_shape(reader).map_err(|error| error.to_string())?;
    millrace_plan::difference(shape, &saved).map_or(Ok(()), Err)
}
