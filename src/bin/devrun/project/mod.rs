//! What kind of project a directory holds. `devrun init` and `devrun doctor` use it.

mod kinds;

pub(crate) use kinds::{DataLike, Project, data_like, recognise};
