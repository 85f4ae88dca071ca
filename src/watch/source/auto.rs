//! Picks a way per mount, degrades per directory, and says so.
