//! What can go wrong in a runner, by what must be done about it.

use millrace_connect::Fault;

/// Why the worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Spec, state or environment are wrong: a person must act; going on could give wrong results.
    #[error("{0}")]
    Stop(String),
    /// Another runner has this one's name and place.
    #[error("{0}")]
    Fenced(String),
    /// The broker is away for now; trying again may help.
    #[error("{0}")]
    Away(String),
}

impl From<millrace_connect::Error> for Error {
    fn from(error: millrace_connect::Error) -> Self {
        match error.fault {
            Fault::User => Self::Stop(error.message),
            Fault::Fenced => Self::Fenced(error.message),
            Fault::External => Self::Away(error.message),
        }
    }
}
