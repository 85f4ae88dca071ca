//! Scans of the pruned tree.
