//! A cheap test that rules out most patterns before they are matched.

/// A set of bytes without regard to case, as a mask of their lowest six bits. It contains every byte that was
/// added, and possibly more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ByteMask(u64);

impl ByteMask {
    /// The mask of some bytes.
    pub(super) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let bit = |byte: u8| 1 << (byte.to_ascii_lowercase() & 63);
        Self(bytes.into_iter().fold(0, |mask, byte| mask | bit(byte)))
    }

    /// Whether `other` contains every byte of this mask.
    pub(super) fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}
