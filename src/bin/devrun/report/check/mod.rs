//! The findings of `devrun check` in four formats.

pub(crate) mod github;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod location;
pub(crate) mod sarif;
