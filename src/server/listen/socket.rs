//! The listening sockets.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpStream};

#[cfg(unix)]
use super::inherited::{Inherited, InheritedListener};
#[cfg(unix)]
use super::unix::Socket;
use crate::config::Listen;

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
        /// The path.
        path: PathBuf,
    },
    /// The socket cannot be created.
    #[error(
        "cannot listen on unix:{}: {cause}; its folder must exist and belong to you, and the \
         path must be short (about 100 bytes)",
        path.display()
    )]
    Socket {
        /// The path.
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
        /// The path.
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

/// A listener.
#[derive(Debug)]
pub enum Listener {
    /// On a TCP address.
    Tcp(TcpListener),
    /// On a Unix socket, which is removed on drop.
    #[cfg(unix)]
    Unix(Socket),
    /// On inherited sockets.
    #[cfg(unix)]
    Inherited(Inherited),
}

/// An accepted connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Listener {
    /// Starts to listen.
    pub async fn bind(listen: &Listen) -> Result<Self, BindError> {
        match listen {
            &Listen::Tcp(address) => match TcpListener::bind(address).await {
                Ok(listener) => Ok(Self::Tcp(listener)),
                Err(cause) => Err(BindError::Address { address, cause }),
            },
            #[cfg(unix)]
            Listen::Unix(path) => Ok(Self::Unix(Socket::bind(path).await?)),
            #[cfg(not(unix))]
            Listen::Unix(path) => Err(BindError::Unsupported { path: path.clone() }),
        }
    }

    /// Listens on inherited sockets.
    #[cfg(unix)]
    pub fn inherit(handed: InheritedListener) -> Result<Self, BindError> {
        Ok(Self::Inherited(Inherited::new(handed)?))
    }

    /// The addresses, at least one: with the real port, not 0.
    pub fn places(&self) -> io::Result<Vec<Listen>> {
        Ok(match self {
            Self::Tcp(listener) => vec![Listen::Tcp(listener.local_addr()?)],
            #[cfg(unix)]
            Self::Unix(socket) => vec![Listen::Unix(socket.path().to_owned())],
            #[cfg(unix)]
            Self::Inherited(sockets) => sockets.places(),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => Ok(Stream::Tcp(listener.accept().await?.0)),
            #[cfg(unix)]
            Self::Unix(socket) => Ok(Stream::Unix(socket.accept().await?)),
            #[cfg(unix)]
            Self::Inherited(sockets) => sockets.accept().await,
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}
