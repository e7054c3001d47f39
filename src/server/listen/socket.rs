//! What is listened on.

use std::io;

use tokio::net::TcpListener;

#[cfg(unix)]
use super::inherited::{Inherited, InheritedListener};
use super::stream::{BindError, Stream};
#[cfg(unix)]
use super::unix::Socket;
use crate::config::Listen;

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
