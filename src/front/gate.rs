//! Holds requests until something is ready, bounded in number and time.
