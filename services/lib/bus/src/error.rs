//! Why the bus did not do as asked, by what the caller can do about it.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why the bus did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server is away or slow. Nothing is known to be stored; the same call with the same id may be repeated.
    #[error("message bus unavailable")]
    Unavailable(#[source] Source),
    /// The stream is full: take no more from the platform until it drains.
    #[error("stream of `{0}` is full")]
    Full(String),
    /// The server cannot do what this version needs; a person must act.
    #[error("{0}")]
    Refused(String),
    /// The message, key or subject is unusable; repeating it is of no use.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An [`Error::Unavailable`] with its cause.
    pub(crate) fn away(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }
}
