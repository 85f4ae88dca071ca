//! The built-in table, the lowest layer.
