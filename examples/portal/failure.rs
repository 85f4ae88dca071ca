//! Failures of requests: their HTTP status and their chain of causes.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper::StatusCode;

/// The cause of a failed request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("there is no tender {0:?}")]
    NoTender(String),
    #[error("there is no page at {0:?}")]
    NoPage(String),
    #[error("failed to connect to the upstream at {address}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("the upstream timed out after {} s while {doing}", after.as_secs_f64())]
    Timeout { doing: &'static str, after: Duration },
    #[error("the connection to the upstream broke while {doing}")]
    Broken { doing: &'static str, source: hyper::Error },
    #[error("the upstream answered {0}")]
    Refused(StatusCode),
    #[error("failed to write {}", path.display())]
    Save { path: PathBuf, source: io::Error },
    #[error("the task that saved the document ended without a result")]
    Abandoned,
}

impl Failure {
    /// 404 for an unknown path or tender, 503 for a failed connection, 504 for a timeout, 500 for all other
    /// failures.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoTender(_) | Self::NoPage(_) => StatusCode::NOT_FOUND,
            Self::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Connect { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken { source, .. } if is_connection_lost(source) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken { .. } | Self::Refused(_) | Self::Save { .. } | Self::Abandoned => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The message for the visitor.
    pub(crate) fn sentence(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => "الصفحة أو المنافسة المطلوبة غير موجودة",
            StatusCode::GATEWAY_TIMEOUT => "انتهت مهلة الاتصال بمصدر المرفقات، حاول مرة أخرى",
            StatusCode::SERVICE_UNAVAILABLE => "تعذّر الاتصال بمصدر المرفقات",
            _ => "حدث خطأ غير متوقع أثناء تجهيز المرفقات",
        }
    }

    /// The failure and each of its causes, outermost first.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Whether a reset or a broken pipe ended the connection. A body that ends too early is no lost connection.
fn is_connection_lost(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() != io::ErrorKind::UnexpectedEof;
        }
        cause = error.source();
    }
    false
}
