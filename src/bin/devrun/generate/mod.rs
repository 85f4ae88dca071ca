//! Files made from the parser: completions, manual pages, the reference and the JSON schema.

pub(crate) mod completions;
pub(crate) mod man;
pub(crate) mod reference;
pub(crate) mod schema;
