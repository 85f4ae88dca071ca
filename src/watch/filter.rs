//! Which hints go on: rules, extensions, filters.
