//! The identity of one question of an owner that is answered later.

/// Number that the owner chooses for a question, such as [`crate::Handle::settle`]. The answer has the same number. The
/// library does not interpret it, so an owner with several questions at a time uses each number once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SyncId(u64);

impl SyncId {
    /// The question with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The plain number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}
