//! devrun's own responses: error pages, JSON errors, and live reload.

mod ansi_html;
mod error_response;
pub(super) mod live_reload;

pub(super) use error_response::{ErrorResponse, PageOrigin};
