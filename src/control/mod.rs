//! A Unix socket on which people, editors and agents ask and steer a running session.
//!
//! A [`Server`] holds one or more named services, follows their events, and answers requests of the same user:
//!
//! ```text
//! Client --> socket --> Connection (a task) --> Hub --> session::Handle
//!                                                ^
//!                          session::Event -------+  Server::observe, called by the owner of the session
//! ```
//!
//! The protocol is JSON-RPC 2.0, one object a line; `docs/reference/control.md` describes it, and [`protocol`] has its
//! types. A [`Directory`] holds the sockets of a user, so that a [`Client`] finds the one of a project.
//!
//! The server runs on a separate thread. The length of a request and the number of clients are bounded, and the server
//! disconnects a client that reads too slowly.

pub mod protocol;

mod client;
mod clock;
mod connection;
mod directory;
mod history;
mod hub;
mod json_rpc;
mod lines;
mod server;
mod service;
mod stream;

pub use client::{Client, Error};
pub use directory::{Directory, DirectoryError, SocketFile};
pub use server::{Options, OwnerRequest, Server, Service, StartError};
