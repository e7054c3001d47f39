//! Accepted connections, and why there is nothing to accept them from.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpStream;

/// Why listening failed.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is not available.
    #[error("cannot listen on {address}: {cause}; change `[server] listen` or use --listen")]
    Address {
        /// The requested address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// A live daemon listens there.
    #[error(
        "cannot listen on unix:{}: it is in use; stop the daemon that listens there, or change \
         `[server] listen`",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The path exists and is not the socket of a daemon.
    #[error(
        "cannot listen on unix:{}: the path exists and is not a socket; move it, or change \
         `[server] listen`",
        path.display()
    )]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// The socket cannot be created.
    #[error(
        "cannot listen on unix:{}: {cause}; its folder must exist and belong to you, and the \
         path must be short (about 100 bytes)",
        path.display()
    )]
    Socket {
        /// The place.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// This system has no Unix sockets.
    #[error(
        "cannot listen on unix:{}: this system has no Unix sockets; set `[server] listen` to an \
         address such as 127.0.0.1:10455",
        path.display()
    )]
    Unsupported {
        /// The place.
        path: PathBuf,
    },
    /// An inherited socket cannot be used.
    #[error("cannot listen on the inherited socket, descriptor {number} (LISTEN_FDS): {cause}")]
    Handed {
        /// The descriptor.
        number: usize,
        /// What is wrong with it.
        cause: io::Error,
    },
    /// Other machines can reach an inherited socket.
    #[error("cannot listen on the inherited socket (LISTEN_FDS): {0}")]
    NeedsKey(String),
}

/// An accepted connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}
