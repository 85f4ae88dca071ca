//! Live reload over server-sent events.
