//! What is listened on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpStream};

#[cfg(unix)]
use super::inherited::{Inherited, InheritedListener};
#[cfg(unix)]
use super::unix::Socket;
use crate::config::Listen;

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
        "cannot listen on unix:{}: the path exists and is not a socket; move it, or change \
         `[server] listen`",
        path.display()
    )]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// The socket cannot be made.
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
    /// What a service manager has handed over is of no use.
    #[error("cannot listen on the inherited socket, descriptor {number} (LISTEN_FDS): {cause}")]
    Handed {
        /// The descriptor.
        number: usize,
        /// What is wrong with it.
        cause: io::Error,
    },
    /// Other machines can reach what a service manager has handed over.
    #[error("cannot listen on the inherited socket (LISTEN_FDS): {0}")]
    NeedsKey(String),
}

/// Takes connections in.
#[derive(Debug)]
pub enum Listener {
    /// From an address.
    Tcp(TcpListener),
    /// From a socket in the file system, which is removed with this.
    #[cfg(unix)]
    Unix(Socket),
    /// From whatever a service manager has opened.
    #[cfg(unix)]
    Inherited(Inherited),
}

/// A connection that was taken in.
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Listener {
    /// Begins to listen.
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

    /// Listens on what a service manager has opened.
    #[cfg(unix)]
    pub fn inherit(handed: InheritedListener) -> Result<Self, BindError> {
        Ok(Self::Inherited(Inherited::new(handed)?))
    }

    /// Where, at least in one place: the real port, not 0.
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
