//! What is known of the connection that a request came over. Every request carries it among its
//! extensions: `listen/connection.rs` puts it there, and the guard reads it.

use std::net::SocketAddr;

/// The connection that a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerInfo {
    /// From this machine or another one.
    Tcp {
        /// The daemon's own address, as the other side has it; never one such as `0.0.0.0`.
        local: SocketAddr,
        /// The other side's.
        peer: SocketAddr,
    },
    /// Through a socket in the file system, where no browser comes from.
    Unix,
}
