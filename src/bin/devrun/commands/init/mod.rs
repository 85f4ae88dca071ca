//! `devrun init`: writes a commented `.watchignore` and `devrun.toml` for the project. It never overwrites a
//! file.

mod config_template;
mod existing_rules;
mod rules_template;
mod write;

pub(crate) use write::run;
