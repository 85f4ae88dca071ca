//! A burst in, a proven batch out: the only reader of watched files' contents.
