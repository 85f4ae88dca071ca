//! The HTTP client: one connection to the upstream per document, with a timeout for each wait.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::Failure;

/// The server from which the portal fetches documents.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    patience: Duration,
}

/// A document in transfer.
#[derive(Debug)]
pub(crate) struct Document {
    body: Incoming,
    patience: Duration,
}

impl Upstream {
    pub(crate) fn new(address: SocketAddr, patience: Duration) -> Self {
        Self { address, patience }
    }

    /// Requests the document of a tender. Returns when the upstream begins to answer.
    pub(crate) async fn open(&self, id: &str) -> Result<Document, Failure> {
        let connecting = self.in_time("connecting", TcpStream::connect(self.address)).await?;
        let stream = connecting.map_err(|source| Failure::Connect { address: self.address, source })?;
        let asking = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            let request =
                Request::get(format!("/documents/{id}.zip")).header("host", self.address.to_string());
            let request = request.body(Empty::<Bytes>::new()).unwrap_or_default();
            sender.send_request(request).await
        };
        let answer = self.in_time("waiting for the answer", asking).await?;
        let answer = answer.map_err(|source| Failure::Broken { doing: "waiting for the answer", source })?;
        if !answer.status().is_success() {
            return Err(Failure::Refused(answer.status()));
        }
        Ok(Document { body: answer.into_body(), patience: self.patience })
    }

    async fn in_time<T>(&self, doing: &'static str, work: impl Future<Output = T>) -> Result<T, Failure> {
        timeout(self.patience, work).await.map_err(|_| Failure::Timeout { doing, after: self.patience })
    }
}

impl Document {
    /// The size in bytes, if the upstream declares it.
    pub(crate) fn size(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next chunk, or `None` at the end. A stall anywhere in the document is a timeout.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        const DOING: &str = "receiving the document";
        loop {
            let frame = timeout(self.patience, self.body.frame()).await;
            let frame = frame.map_err(|_| Failure::Timeout { doing: DOING, after: self.patience })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|source| Failure::Broken { doing: DOING, source })?;
            if let Ok(bytes) = frame.into_data() {
                return Ok(Some(bytes));
            }
        }
    }
}
