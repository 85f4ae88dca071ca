//! One request to the server, streamed both ways, upgrades included.
//!
//! A request waits here, is tried, and goes to a newer generation if its own died before it could matter.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, UPGRADE};
use hyper::http::request;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::body::{Body, Busy};
use super::bridge::Bridge;
use super::client::Client;
use super::dial::{dial, is_crowded, outlives};
use super::download::{Download, Driver, Ending};
use super::drain::{Generation, RequestLine, Seat};
use super::event::Event;
use super::gate::View;
use super::headers::{self, HEAD_LIMIT, HEADER_LIMIT, Hop};
use super::inject;
use super::page::Place;
use super::port::Port;
use super::reload;
use super::reply::Trouble;
use super::server::ServerStream;
use super::upload::{Parcel, Upload};

/// How long a server may refuse connections although it is said to be ready: it binds late, or has just died and that
/// has yet to be told.
const REFUSED_PATIENCE: Duration = Duration::from_secs(2);
/// The longest pause between two tries.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);
/// How long the death of a generation may take to be told.
const NEWS_PATIENCE: Duration = Duration::from_secs(1);

/// The client has left: there is nobody to answer.
#[derive(Debug, thiserror::Error)]
#[error("the client has left")]
pub(super) struct Gone;

/// Answers one request, whatever happens.
///
/// # Errors
/// [`Gone`] if the client left while its request was held.
pub(super) async fn answer(
    port: Arc<Port>,
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Gone> {
    let busy = Busy::new(&client);
    let mut exchange = Exchange::new(port, client, request);
    let response = match exchange.run().await {
        Ok(response) => response,
        Err(Failure::Gone) => return Err(Gone),
        Err(Failure::Trouble(trouble)) => exchange.answer_trouble(&trouble),
    };
    Ok(response.map(|body| body.keep(busy)))
}

/// One request and all that is known of it.
struct Exchange {
    port: Arc<Port>,
    client: Arc<Client>,
    line: RequestLine,
    head: request::Parts,
    parcel: Parcel,
    upgrade: Option<(HeaderValue, OnUpgrade)>,
    /// The generation that was asked last.
    asked: Option<u64>,
    /// It was sent to a generation that died; it is sent again once at most.
    resent: bool,
    /// Since when connections are refused.
    refused: Option<Instant>,
}

enum Failure {
    Gone,
    Trouble(Trouble),
}

/// Why one attempt came to nothing.
#[derive(Debug)]
enum Miss {
    Refused(std::io::Error),
    Broke(String),
    TimedOut(Duration),
    /// It waited for an event stream of a generation whose streams are released.
    Released,
}

/// What an attempt brought: the head of an answer, and the connection it comes from.
struct Hit {
    response: Response<Incoming>,
    driver: Driver,
}

impl Exchange {
    fn new(port: Arc<Port>, client: Arc<Client>, mut request: Request<Incoming>) -> Self {
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let upgrade = headers::upgrade(&head).map(|protocol| (protocol.clone(), on_upgrade));
        let expects =
            headers::text(&head.headers, "expect").is_some_and(|it| it.eq_ignore_ascii_case("100-continue"));
        let parcel = Parcel::new(body, &client, expects && head.version == Version::HTTP_11);
        let line =
            RequestLine::new(head.method.clone(), head.uri.clone(), headers::is_fetched(&head.headers));
        Self { port, client, line, head, parcel, upgrade, asked: None, resent: false, refused: None }
    }

    async fn run(&mut self) -> Result<Response<Body>, Failure> {
        headers::check(&self.head).map_err(|unfit| Failure::Trouble(Trouble::Unfit(unfit)))?;
        if let Some(own) = reload::answer(&self.port, &self.head) {
            return own.map_err(Failure::Trouble);
        }
        if headers::is_loop(&self.head.headers, &self.port.via) {
            return Err(Failure::Trouble(Trouble::Loop));
        }
        loop {
            let mut seat = self.enter().await?;
            self.asked = Some(seat.generation.number);
            if headers::wants_events(&self.head) {
                seat.become_stream();
            }
            let generation = seat.generation.number;
            tracing::debug!(request = %self.line, generation, address = %seat.generation.address, "forwarded");
            match self.attempt(&seat).await {
                Ok(hit) => return self.pass_on(hit, seat).map_err(Failure::Trouble),
                Err(miss) => {
                    tracing::debug!(request = %self.line, generation, ?miss, "it came to nothing");
                    let generation = Arc::clone(&seat.generation);
                    drop(seat);
                    if self.parcel.is_broken() {
                        return Err(Failure::Gone);
                    }
                    self.after(miss, &generation).await.map_err(Failure::Trouble)?;
                }
            }
        }
    }

    /// Waits for a generation. hyper does not read while a body is unread, and would not notice that the client leaves.
    async fn enter(&self) -> Result<Seat, Failure> {
        tokio::select! {
            biased;
            seat = self.port.gate.enter(&self.line) => {
                seat.map_err(|denied| Failure::Trouble(Trouble::Denied(denied)))
            }
            () = self.client.left(), if !self.parcel.is_empty() => Err(Failure::Gone),
        }
    }

    async fn attempt(&self, seat: &Seat) -> Result<Hit, Miss> {
        let generation = &seat.generation;
        let stream = dial(generation.address).await.map_err(Miss::Refused)?;
        let handshake = http1::Builder::new()
            .preserve_header_case(true)
            .max_buf_size(HEAD_LIMIT)
            .max_headers(HEADER_LIMIT)
            .handshake::<_, Upload>(TokioIo::new(ServerStream::new(stream)));
        let (mut sender, connection) = handshake.await.map_err(|error| Miss::Broke(chain(&error)))?;
        let driver = Driver(tokio::spawn(connection.with_upgrades()).abort_handle());
        let answer = sender.send_request(self.request());
        tokio::pin!(answer);
        tokio::select! {
            biased;
            response = &mut answer => match response {
                Ok(response) => Ok(Hit { response, driver }),
                Err(error) => Err(Miss::Broke(chain(&error))),
            },
            limit = self.overdue() => Err(Miss::TimedOut(limit)),
            () = generation.release.cancelled(), if headers::wants_events(&self.head) => Err(Miss::Released),
        }
    }

    /// The request as the server gets it.
    fn request(&self) -> Request<Upload> {
        let mut request = Request::new(self.parcel.upload());
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = headers::target(&self.head.uri);
        let hop = Hop {
            peer: self.peer(),
            via: &self.port.via,
            upgrade: self.upgrade.as_ref().map(|(protocol, _)| protocol),
            chunked: self.parcel.is_chunked(),
            page: self.port.live_reload && headers::is_navigation(&self.head.headers),
        };
        *request.headers_mut() = headers::outgoing(&self.head, &hop);
        *request.extensions_mut() = self.head.extensions.clone();
        self.pass_interim_on(&mut request);
        request
    }

    fn pass_interim_on(&self, request: &mut Request<Upload>) {
        if self.head.version != Version::HTTP_11 {
            return;
        }
        let (parcel, client) = (self.parcel.clone(), Arc::clone(&self.client));
        hyper::ext::on_informational(request, move |interim| match interim.status() {
            // hyper says it to the client when the body is wanted.
            StatusCode::CONTINUE => parcel.want(),
            status => client.put_between(&headers::interim(status, interim.headers())),
        });
    }

    fn peer(&self) -> IpAddr {
        self.client.peer().ip()
    }

    /// Waits until the server has had its time since it got the last of the request.
    async fn overdue(&self) -> Duration {
        let Some(limit) = self.port.answer_timeout else { return std::future::pending().await };
        let mut last = Instant::now();
        loop {
            tokio::time::sleep_until(last + limit).await;
            match self.parcel.progress() {
                Some(progress) if progress > last => last = progress,
                _ => return limit,
            }
        }
    }

    /// Waits until the request may be tried again; the trouble if it may not.
    async fn after(&mut self, miss: Miss, generation: &Generation) -> Result<(), Trouble> {
        match miss {
            Miss::Refused(error) => self.after_refusal(error, generation).await,
            Miss::Broke(detail) => self.after_break(detail, generation).await,
            Miss::TimedOut(limit) => Err(Trouble::TimedOut(limit)),
            Miss::Released => {
                self.port.gate.replaced(generation).await;
                Ok(())
            }
        }
    }

    async fn after_refusal(&mut self, error: std::io::Error, generation: &Generation) -> Result<(), Trouble> {
        let now = Instant::now();
        let since = *self.refused.get_or_insert(now);
        // What fails for want of descriptors here is no fault of the server's: it waits like any request.
        let crowded = is_crowded(&error);
        let patience = if crowded { self.port.gate.hold_timeout() } else { REFUSED_PATIENCE };
        if now.duration_since(since) >= patience {
            return Err(Trouble::Unreachable(generation.address, error));
        }
        // More patiently each time, so that a thousand requests to a dead server cost little.
        if crowded {
            // An idle client can do without one.
            self.port.crowded.notify_one();
        }
        let pause = (Duration::from_millis(5) + now.duration_since(since) / 4).min(REFUSED_PAUSE);
        if tokio::time::timeout(pause, self.port.gate.replaced(generation)).await.is_ok() {
            self.refused = None;
        }
        Ok(())
    }

    /// The server broke off before an answer. If its generation is dead and the request cannot have done anything that
    /// must not be done twice, it goes to the next one (RFC 9110, 9.2.2).
    async fn after_break(&mut self, detail: String, generation: &Generation) -> Result<(), Trouble> {
        if outlives(generation.address).await && !generation.is_retired() {
            return Err(Trouble::Broke(detail, None));
        }
        let told = tokio::time::timeout(NEWS_PATIENCE, self.port.gate.replaced(generation)).await.is_ok();
        if let View::Down(report) = self.port.gate.view() {
            return Err(Trouble::Broke(detail, Some(report)));
        }
        if !told || self.resent || self.parcel.is_touched() || !self.head.method.is_idempotent() {
            return Err(Trouble::Broke(detail, None));
        }
        self.resent = true;
        Ok(())
    }

    /// The server's answer as the client gets it.
    fn pass_on(&mut self, hit: Hit, seat: Seat) -> Result<Response<Body>, Trouble> {
        let (mut head, body) = hit.response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return self.bridge(Response::from_parts(head, body), seat, hit.driver);
        }
        let ending = ending(&head.headers, &self.head.method, head.status);
        let closes = self.parcel.is_unread() && headers::closes(&head.headers);
        if headers::strip(&mut head.headers) {
            let detail = "its answer has a transfer coding besides chunked".to_owned();
            return Err(Trouble::Broke(detail, None));
        }
        let exact = hyper::body::Body::size_hint(&body).exact();
        if let (Some(length), true) = (exact, has_body(&self.head.method, head.status)) {
            // One value whatever the server wrote: `5, 5` and twice `5` are both one 5 to hyper.
            if head.headers.contains_key(CONTENT_LENGTH) {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        if headers::is_large(&head.headers) {
            return Err(Trouble::Broke("the head of its answer is too large".to_owned(), None));
        }
        if closes {
            // It wants no more of the request, so that the client can have no other answer on this connection either.
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        head.version = Version::HTTP_11;
        let mut download = Download::new(body, seat, hit.driver, ending, Arc::clone(&self.client));
        if headers::is_endless(&head.headers) {
            download.endless();
        }
        self.inject(&mut head, &mut download);
        if self.head.version == Version::HTTP_10 && !head.headers.contains_key(CONTENT_LENGTH) {
            download.delimited_by_close();
        }
        Ok(Response::from_parts(head, Body::download(download)))
    }

    fn inject(&self, head: &mut hyper::http::response::Parts, download: &mut Download) {
        let fits = self.port.live_reload
            && has_body(&self.head.method, head.status)
            && !headers::is_fragment(&self.head.headers);
        if !fits {
            return;
        }
        match inject::decide(head.status, &head.headers) {
            Ok(nonce) => {
                let id = self.port.page_id(download.generation());
                let tag = reload::tag(&id, &self.head.method, nonce.as_deref());
                inject::adjust(&mut head.headers, tag.len());
                download.append(tag);
            }
            Err(inject::Skip::Policy) => {
                tracing::debug!(request = %self.line, "no live reload: the page's Content-Security-Policy forbids it");
            }
            Err(inject::Skip::NotAPage) => {}
        }
    }

    fn bridge(
        &mut self,
        mut response: Response<Incoming>,
        mut seat: Seat,
        driver: Driver,
    ) -> Result<Response<Body>, Trouble> {
        let server = hyper::upgrade::on(&mut response);
        let (mut head, _) = response.into_parts();
        let protocol = head.headers.get(UPGRADE).cloned();
        let (Some((_, client)), Some(protocol)) = (self.upgrade.take(), protocol) else {
            return Err(Trouble::Broke("it switched protocols unasked".to_owned(), None));
        };
        seat.become_stream();
        let websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
        headers::strip(&mut head.headers);
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, protocol);
        head.version = Version::HTTP_11;
        let bridge = Bridge { client, server, seat, driver, websocket };
        self.port.tasks.spawn(bridge.run(self.port.kill.clone()));
        Ok(Response::from_parts(head, Body::empty()))
    }

    /// Whose trouble it is: its page comes back when another generation serves. While none does, any is another.
    fn generation_of(&self, trouble: &Trouble) -> Option<u64> {
        match (trouble, self.port.gate.view()) {
            (Trouble::Denied(_), _) => None,
            (_, View::Ready { generation, .. }) => Some(self.asked.unwrap_or(generation)),
            _ => self.asked,
        }
    }

    fn answer_trouble(&self, trouble: &Trouble) -> Response<Body> {
        let (status, detail) = (trouble.status().as_u16(), trouble.summary());
        self.port.teller.note(Event::Answered { status, request: self.line.to_string(), detail });
        let id = self.generation_of(trouble).map(|generation| self.port.page_id(generation));
        let place = Place::Proxy(id.as_deref().unwrap_or_default());
        let mut answer = trouble.answer(headers::is_navigation(&self.head.headers), place);
        if self.parcel.is_unread() {
            // The rest of the request goes nowhere, and its connection with it: the client should know.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// How the end of an answer is told from a cut, by what the server sent (RFC 9112, 6.3).
fn ending(headers: &hyper::HeaderMap, method: &Method, status: StatusCode) -> Ending {
    let framed =
        headers.contains_key(CONTENT_LENGTH) || headers.contains_key(hyper::header::TRANSFER_ENCODING);
    if framed || !has_body(method, status) { Ending::Framed } else { Ending::ServerCloses }
}

fn has_body(method: &Method, status: StatusCode) -> bool {
    *method != Method::HEAD && !status.is_informational() && !matches!(status.as_u16(), 204 | 304)
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
