//! devrun's own responses: error pages, JSON errors, and live reload.

mod ansi_html;
mod error_response;
pub(super) mod inject;
pub(super) mod live_reload;
mod page;
mod palette;

pub(super) use error_response::ErrorResponse;
pub(super) use page::PageOrigin;
