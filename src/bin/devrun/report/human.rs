//! Events of a run, for people.
