//! What Linux has: subreaper, pidfds, /proc.
