//! The HTTP server: it routes requests, answers failures and drains.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::body::{self, Answer};
use crate::download::Download;
use crate::failure::Failure;
use crate::portal::Portal;

/// The file name `جدول-الكميات-والمرفقات.zip` as in RFC 6266 and RFC 8187, with a name for old clients.
const ATTACHMENT: &str = "attachment; filename=\"documents.zip\"; filename*=UTF-8''%D8%AC%D8%AF%D9%88%D9%84-%D8%A7%D9%84%D9%83%D9%85%D9%8A%D8%A7%D8%AA-%D9%88%D8%A7%D9%84%D9%85%D8%B1%D9%81%D9%82%D8%A7%D8%AA.zip";

/// Serves until the portal is stopped, then finishes the answers in flight.
pub(crate) async fn until_stopped(listener: TcpListener, portal: Arc<Portal>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => portal.spawn(connection(Arc::clone(&portal), stream, client)),
                Err(error) => {
                    tracing::warn!("failed to accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            () = portal.stop.cancelled() => break,
        }
    }
    drop(listener);
    portal.tasks.close();
    tracing::info!(in_flight = portal.tasks.len(), "stopping: finishing what is in flight");
    portal.tasks.wait().await;
}

async fn connection(portal: Arc<Portal>, stream: TcpStream, client: SocketAddr) {
    let stop = portal.stop.clone();
    let service = service_fn(move |request| respond(Arc::clone(&portal), request, client));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::warn!(%client, "connection ended early: {error}");
    }
}

async fn respond(
    portal: Arc<Portal>,
    request: Request<Incoming>,
    client: SocketAddr,
) -> Result<Response<Answer>, Infallible> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    tracing::info!(%method, %uri, %client, "request received");
    let answered = answer(&portal, request).await;
    Ok(answered.unwrap_or_else(|failure| {
        tracing::warn!(%method, %uri, status = failure.status().as_u16(), "request failed: {}", failure.chain());
        refusal(&failure)
    }))
}

async fn answer(portal: &Arc<Portal>, request: Request<Incoming>) -> Result<Response<Answer>, Failure> {
    let path = request.uri().path().to_owned();
    if request.method() != Method::GET {
        return Err(Failure::NoPage(format!("{} {path}", request.method())));
    }
    let words: Vec<&str> = path.split('/').skip(1).collect();
    match words[..] {
        [""] => Ok(typed("text/html; charset=utf-8", body::text(portal.catalogue.page()))),
        ["api", "version"] => Ok(typed("application/json", body::text(portal.version()))),
        ["api", "events"] => Ok(typed("text/event-stream", portal.events())),
        ["api", "tender", id, "download"] => download(portal, id, request.uri().query()).await,
        _ => Err(Failure::NoPage(path)),
    }
}

async fn download(portal: &Arc<Portal>, id: &str, query: Option<&str>) -> Result<Response<Answer>, Failure> {
    let tender = portal.catalogue.find(id).ok_or_else(|| Failure::NoTender(id.to_owned()))?.clone();
    tracing::info!(reference = %tender.reference, name = %tender.name, "download requested");
    let download = Download { portal: Arc::clone(portal), tender };
    let answer = match query {
        Some("while=saving") => download.while_saving().await?,
        _ => download.after_saving().await?,
    };
    let mut response = typed("application/zip", answer);
    response.headers_mut().insert(CONTENT_DISPOSITION, header(ATTACHMENT));
    Ok(response)
}

fn refusal(failure: &Failure) -> Response<Answer> {
    let text = serde_json::json!({ "error": failure.sentence(), "detail": failure.chain() });
    let mut response = typed("application/json", body::text(format!("{text}\n")));
    *response.status_mut() = failure.status();
    response
}

fn typed(kind: &'static str, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    response.headers_mut().insert(CONTENT_TYPE, header(kind));
    response.headers_mut().insert(CACHE_CONTROL, header("no-store"));
    response
}

fn header(text: &'static str) -> hyper::header::HeaderValue {
    hyper::header::HeaderValue::from_static(text)
}
