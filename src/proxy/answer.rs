//! Answers on sockets whose server does not live, until it does again.
//!
//! Accepts on sockets that others share; never opens or closes one.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use super::body::Body;
use super::client::{Client, ClientStream};
use super::download::Cut;
use super::drain::RequestLine;
use super::event::Event;
use super::gate::Denied;
use super::headers::{self, HEAD_LIMIT, HEADER_LIMIT};
use super::page::Place;
use super::port::Port;
use super::reload;
use super::reply::Trouble;
use super::shared::Shared;
use super::upload::Parcel;
use super::upstream::FailureReport;

/// How long a client may take to ask: its connection is one that the server will not get.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before accepting again when no descriptor is left.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(5);

/// Those who accept now.
#[derive(Debug, Default)]
pub(super) struct Answerers {
    /// Ends those who accept, and the event streams they have begun.
    current: Mutex<CancellationToken>,
    accepting: TaskTracker,
}

/// What is answered, and for how long.
struct Duty {
    port: Arc<Port>,
    report: Arc<FailureReport>,
    over: CancellationToken,
}

impl Answerers {
    /// Answers on these sockets in the place of any before.
    pub(super) fn start(
        &self,
        port: &Arc<Port>,
        runtime: &tokio::runtime::Handle,
        sockets: Vec<OwnedFd>,
        report: Arc<FailureReport>,
    ) {
        let over = CancellationToken::new();
        std::mem::replace(&mut *self.current(), over.clone()).cancel();
        let duty = Arc::new(Duty { port: Arc::clone(port), report, over });
        let _entered = runtime.enter();
        for socket in sockets {
            match Shared::new(socket) {
                Ok(socket) => drop(self.accepting.spawn(accept(Arc::clone(&duty), socket))),
                Err(error) => tracing::debug!(%error, "nobody can answer on a socket"),
            }
        }
    }

    /// Returns once nobody accepts on the sockets any more.
    pub(super) async fn stop(&self) {
        self.current().cancel();
        self.accepting.close();
        self.accepting.wait().await;
        self.accepting.reopen();
    }

    fn current(&self) -> MutexGuard<'_, CancellationToken> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(duty: Arc<Duty>, listener: Shared) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = duty.over.cancelled() => return,
            () = duty.port.stop.cancelled() => return,
            accepted = accept_one(&duty.port, &listener) => accepted,
        };
        match accepted {
            Ok(None) => return,
            Ok(Some(client)) => drop(duty.port.tasks.spawn(serve(Arc::clone(&duty), Arc::new(client)))),
            Err(error) => {
                tracing::debug!(%error, "accepting in a server's place failed");
                tokio::time::sleep(NO_ROOM_PAUSE).await;
            }
        }
    }
}

/// `None` once a server has the socket.
async fn accept_one(port: &Port, listener: &Shared) -> io::Result<Option<Client>> {
    let room = port.make_room().await.ok_or(io::ErrorKind::NotConnected)?;
    let accepted = std::future::poll_fn(|cx| listener.poll_accept(cx)).await?;
    Ok(accepted.map(|(stream, peer)| Client::new(stream, peer, room)))
}

async fn serve(duty: Arc<Duty>, client: Arc<Client>) {
    let service = service_fn(|request| {
        let answer = answer(&duty, &client, request);
        async { Ok::<_, Infallible>(answer) }
    });
    // One answer each, so that the next request finds the server as soon as it lives.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(HEADER_LIMIT)
        .serve_connection(TokioIo::new(ClientStream::new(Arc::clone(&client))), service);
    let served = async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
        client.linger().await;
    };
    duty.port.kill.run_until_cancelled(served).await;
}

fn answer(duty: &Duty, client: &Arc<Client>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let parcel = Parcel::new(body, client, false);
    let trouble = match (headers::check(&head), reload::own_path(&duty.port, &head)) {
        (Err(unfit), _) => Trouble::Unfit(unfit),
        (Ok(()), Some(Ok("client.js"))) => return reload::script(),
        (Ok(()), Some(Ok("events"))) => return reload::events(waiting(duty)),
        (Ok(()), Some(Err(stranger))) => stranger,
        _ => Trouble::Denied(Denied::Down(Arc::clone(&duty.report))),
    };
    drop(parcel);
    let line = RequestLine::new(head.method.clone(), head.uri.clone(), false);
    let (status, detail) = (trouble.status().as_u16(), trouble.summary());
    duty.port.teller.note(Event::Answered { status, request: line.to_string(), detail });
    trouble.answer(headers::is_navigation(&head.headers), Place::Socket)
}

fn waiting(duty: &Duty) -> Waiting {
    let over = Box::pin(duty.over.clone().cancelled_owned());
    Waiting { told: Some(Bytes::from_static(b"retry: 500\n\n")), over }
}

/// An event stream that says nothing and ends when the server is about to live: whoever it then meets under its path
/// is the server.
struct Waiting {
    told: Option<Bytes>,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl hyper::body::Body for Waiting {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.told.take() {
            Some(told) => Poll::Ready(Some(Ok(Frame::data(told)))),
            None => self.over.as_mut().poll(cx).map(|()| None),
        }
    }
}
