//! The listening sockets.

use std::io;

use tokio::net::TcpListener;

#[cfg(unix)]
use super::inherited::{Inherited, InheritedListener};
use super::stream::{BindError, Stream};
#[cfg(unix)]
use super::unix::Socket;
use crate::config::Listen;

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
