//! How events and findings are written: one file per format. No decisions.

mod record;
mod chronicle;
mod human;
mod json;
mod reporter;
pub(crate) mod finding;
pub(crate) mod check_human;
pub(crate) mod check_json;
pub(crate) mod github;
pub(crate) mod sarif;

pub(crate) use reporter::Reporter;
