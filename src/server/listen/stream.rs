//! Accepted connections, and why there is nothing to accept them from.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpStream;

/// Why there is nothing to listen on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {cause}; change `[server] listen` or use --listen")]
    Address {
        /// The one that was asked for.
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
    /// There is something that no daemon has left.
    #[error(
        "cannot listen on unix:{}: there is something else at this place, which is left alone; \
         move it away, or change `[server] listen`",
        path.display()
    )]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error(
        "cannot listen on unix:{}: {cause}; its folder has to exist and be yours, and the path \
         has to be short (some 100 bytes)",
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
    /// What a service manager has handed over is of no use.
    #[error(
        "cannot listen on the socket that was handed over as descriptor {number} (LISTEN_FDS): \
         {cause}"
    )]
    Handed {
        /// The descriptor.
        number: usize,
        /// What is wrong with it.
        cause: io::Error,
    },
    /// Other machines can reach what a service manager has handed over.
    #[error("cannot listen on the socket that was handed over (LISTEN_FDS): {0}")]
    NeedsKey(String),
}

/// A connection that was taken in.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}
