//! Why a session could not begin.

/// Why a session could not begin. Fits "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Watching could not begin.
    #[error(transparent)]
    Watch(#[from] crate::watch::Error),
    /// Supervising could not begin.
    #[error(transparent)]
    Supervise(#[from] crate::supervise::Error),
    /// The port could not be opened.
    #[cfg(feature = "proxy")]
    #[error(transparent)]
    Proxy(#[from] crate::proxy::Error),
}
