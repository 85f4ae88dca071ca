//! How events and findings are written: one file per format. No decisions.

pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod finding;
pub(crate) mod check_human;
pub(crate) mod check_json;
pub(crate) mod github;
pub(crate) mod sarif;
