//! What is known of the connection that a request came over. Every request carries it among its
//! extensions: `listen.rs` puts it there, and the guard reads it.

use std::io;
use std::net::SocketAddr;

use axum::Extension;
use axum::middleware::AddExtension;
use tokio::net::TcpStream;
use tower::Layer as _;

/// The connection that a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// From this machine or another one.
    Tcp {
        /// The daemon's own address, as the other side has it; never one such as `0.0.0.0`.
        local: SocketAddr,
    },
    /// Through a socket in the file system, where no browser comes from.
    Unix,
}

impl Arrival {
    /// That of an accepted connection; fails if it has ended already.
    pub fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self::Tcp { local: stream.local_addr()? })
    }

    /// The service for one connection: all of its requests carry where they came from.
    pub fn mark<S>(self, service: S) -> AddExtension<S, Self> {
        Extension(self).layer(service)
    }
}
