//! A request as it came from the client.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Version};

use crate::proxy::body::RequestBody;
use crate::proxy::connections::ClientConnection;
use crate::proxy::headers::{self, PushTransport};
use crate::proxy::in_flight::RequestLine;

/// A request as it came from the client. It can be sent to an upstream more than once.
pub(super) struct ClientRequest {
    client: Arc<ClientConnection>,
    line: RequestLine,
    head: Arc<request::Parts>,
    body: RequestBody,
    push_transport: Option<PushTransport>,
    upgrade: Option<HeaderValue>,
    on_upgrade: Option<OnUpgrade>,
}

impl ClientRequest {
    pub(super) fn new(client: Arc<ClientConnection>, mut request: Request<Incoming>) -> Self {
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        let upgrade = headers::requested_upgrade(&head).cloned();
        let expects_continue = head.version == Version::HTTP_11
            && headers::text(&head.headers, "expect")
                .is_some_and(|expected| expected.eq_ignore_ascii_case("100-continue"));
        let body = RequestBody::new(body, &client, expects_continue);
        let is_fetch = headers::is_fetch(&head.headers);
        let line = RequestLine::new(head.method.clone(), head.uri.clone(), is_fetch);
        let push_transport = PushTransport::of(&head).filter(|_| body.is_empty());
        let (head, on_upgrade) = (Arc::new(head), Some(on_upgrade));
        Self { client, line, head, body, push_transport, upgrade, on_upgrade }
    }

    pub(super) fn client(&self) -> &Arc<ClientConnection> {
        &self.client
    }

    pub(super) fn line(&self) -> &RequestLine {
        &self.line
    }

    pub(super) fn head(&self) -> &Arc<request::Parts> {
        &self.head
    }

    pub(super) fn method(&self) -> &Method {
        &self.head.method
    }

    pub(super) fn body(&self) -> &RequestBody {
        &self.body
    }

    /// Whether a browser shows the response as a page.
    pub(super) fn is_navigation(&self) -> bool {
        headers::is_navigation(&self.head.headers)
    }

    /// How the server sends its messages to the client by this request, if it does.
    pub(super) fn push_transport(&self) -> Option<PushTransport> {
        self.push_transport
    }

    /// Protocol to which the client wants to upgrade.
    pub(super) fn upgrade(&self) -> Option<&HeaderValue> {
        self.upgrade.as_ref()
    }

    /// The client's side of the upgrade, if the client asked for one. Can be taken once.
    pub(super) fn take_upgrade(&mut self) -> Option<OnUpgrade> {
        self.on_upgrade.take().filter(|_| self.upgrade.is_some())
    }
}
