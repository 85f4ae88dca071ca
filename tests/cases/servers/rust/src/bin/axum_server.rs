//! axum: it uses the socket or $PORT, and finishes its requests at SIGTERM.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use servers::{halves, listener};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const VERSION: &str = "1";

fn app() -> Router {
    Router::new()
        .route("/version", get(async || VERSION))
        .route("/hold", get(async || Body::from_stream(halves())))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = listener()?;
    listener.set_nonblocking(true)?;
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(TcpListener::from_std(listener)?, app())
        .with_graceful_shutdown(async move { terminate.recv().await.unwrap_or(()) })
        .await
}
