//! The kernel's events, through notify: one watch per directory that counts.
