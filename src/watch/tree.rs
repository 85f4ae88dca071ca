//! The pruned walk and the snapshot of what it found.
