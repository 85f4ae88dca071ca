//! One script tag into HTML streams.
