//! Events of a run, one JSON object per line.
