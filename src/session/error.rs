//! Why a session cannot start.

/// Why a session cannot start. Its text completes a sentence that begins with "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The watch cannot start.
    #[error(transparent)]
    Watch(#[from] crate::watch::Error),
    /// The supervisor cannot start.
    #[error(transparent)]
    Supervise(#[from] crate::supervise::Error),
    /// The proxy cannot listen.
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    Proxy(#[from] crate::proxy::Error),
}
