//! The program: parsing, words, exit statuses. Uses the public API only.

fn main() {}
