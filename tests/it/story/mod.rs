//! The use case that devrun was made for: downloads never restart the server, and clients never see a
//! restart.

/// The portal and Flask under devrun.
#[cfg(feature = "cli")]
mod downloads;
/// The example server without devrun.
mod portal;
/// The story's project as it was, with its own reloader and no rules for devrun.
#[cfg(feature = "cli")]
mod unedited;
