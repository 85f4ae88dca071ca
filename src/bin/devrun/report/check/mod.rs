//! The findings of `devrun check`, in four formats.

mod finding_text;
pub(crate) mod github;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod sarif;
