//! What is known of a request's connection. It is an extension of every request:
//! `listen/connection.rs` sets it, and the guard reads it.

use std::net::SocketAddr;

/// The connection that a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerInfo {
    /// From this machine or another one.
    Tcp {
        /// The daemon's address of the connection; never one such as `0.0.0.0`.
        local: SocketAddr,
        /// The client's address.
        peer: SocketAddr,
    },
    /// Through a Unix socket, which browsers cannot use.
    Unix,
}
