//! One request to the child, streamed both ways, upgrades included.
