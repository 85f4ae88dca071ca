//! The findings of `devrun check`, in four formats.

mod finding_text;
mod github;
mod human;
mod json;
mod sarif;

pub(crate) use finding_text::FileNames;
pub(crate) use github::write as write_github;
pub(crate) use human::write as write_human;
pub(crate) use json::write as write_json;
pub(crate) use sarif::write as write_sarif;
