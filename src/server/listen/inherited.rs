//! Socket activation: sockets that a service manager has opened for the daemon (`LISTEN_FDS`).
//!
//! They replace the address in the settings and belong to the manager: they are not removed at the
//! end.

use std::future::poll_fn;
use std::io;
use std::net;
use std::os::fd::AsFd;
use std::os::unix::net as unix;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::stream::{BindError, Stream};
use crate::config::{Listen, only_this_machine};

/// The first descriptor, the same in every process.
const FIRST_DESCRIPTOR: usize = 3;

/// The inherited sockets.
#[derive(Debug)]
pub struct InheritedListener(Vec<Socket>);

#[derive(Debug)]
struct Socket {
    place: Listen,
    listener: Kind<net::TcpListener, unix::UnixListener>,
}

/// The kind of socket, before and after registration with a runtime.
#[derive(Debug)]
enum Kind<T, U> {
    Tcp(T),
    Unix(U),
}

impl InheritedListener {
    /// Takes the inherited sockets. An address that other machines can reach needs API keys here,
    /// too.
    ///
    /// This removes environment variables, so it must be called before threads are started.
    pub fn take(needs_key: bool) -> Result<Option<Self>, BindError> {
        let mut all = ListenFd::from_env();
        let mut sockets = Vec::with_capacity(all.len());
        for index in 0..all.len() {
            let fault = |cause| BindError::Handed { number: FIRST_DESCRIPTOR + index, cause };
            let socket = Socket::take(&mut all, index).map_err(fault)?;
            if !needs_key {
                only_this_machine(socket.place.clone()).map_err(BindError::NeedsKey)?;
            }
            sockets.push(socket);
        }
        Ok(if sockets.is_empty() { None } else { Some(Self(sockets)) })
    }
}

impl Socket {
    fn take(all: &mut ListenFd, index: usize) -> io::Result<Self> {
        let (place, listener) = if let Ok(Some(listener)) = all.take_tcp_listener(index) {
            listener.set_nonblocking(true)?;
            (Listen::Tcp(listener.local_addr()?), Kind::Tcp(listener))
        } else if let Ok(Some(listener)) = all.take_unix_listener(index) {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let path = address.as_pathname().unwrap_or(Path::new("(without a path)"));
            (Listen::Unix(path.to_owned()), Kind::Unix(listener))
        } else {
            return Err(io::Error::other("it is not a TCP or Unix stream socket"));
        };
        let listens = match &listener {
            Kind::Tcp(listener) => listens(listener),
            Kind::Unix(listener) => listens(listener),
        };
        if listens {
            return Ok(Self { place, listener });
        }
        let cause = "it does not listen; in a socket unit, `Accept=` must be `no`";
        Err(io::Error::other(cause))
    }
}

/// Whether it is a listening socket, and not a connection.
#[cfg(target_os = "linux")]
fn listens(socket: impl AsFd) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).is_ok_and(|listens| listens)
}

#[cfg(not(target_os = "linux"))]
fn listens(_: impl AsFd) -> bool {
    true
}

/// The inherited sockets as listeners.
#[derive(Debug)]
pub struct Inherited {
    doors: Vec<SocketActivation>,
    /// Which one is polled first, so that a busy one does not starve the others.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct SocketActivation {
    place: Listen,
    listener: Kind<TcpListener, UnixListener>,
}

impl Inherited {
    /// Registers them with the runtime. Needs a runtime.
    pub(super) fn new(handed: InheritedListener) -> Result<Self, BindError> {
        let door = |(index, socket): (usize, Socket)| {
            let Socket { place, listener } = socket;
            let listener = match listener {
                Kind::Tcp(listener) => TcpListener::from_std(listener).map(Kind::Tcp),
                Kind::Unix(listener) => UnixListener::from_std(listener).map(Kind::Unix),
            };
            let fault = |cause| BindError::Handed { number: FIRST_DESCRIPTOR + index, cause };
            Ok(SocketActivation { place, listener: listener.map_err(fault)? })
        };
        let doors = handed.0.into_iter().enumerate().map(door).collect::<Result<_, _>>()?;
        Ok(Self { doors, turn: AtomicUsize::new(0) })
    }

    pub(super) fn places(&self) -> Vec<Listen> {
        self.doors.iter().map(|door| door.place.clone()).collect()
    }

    /// The next connection through any of them.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.doors.len();
        let in_turn = || self.doors[first..].iter().chain(&self.doors[..first]);
        poll_fn(|context| {
            let ready = |door: &SocketActivation| match door.poll(context) {
                Poll::Ready(stream) => Some(stream),
                Poll::Pending => None,
            };
            in_turn().find_map(ready).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl SocketActivation {
    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match &self.listener {
            Kind::Tcp(listener) => {
                listener.poll_accept(context).map_ok(|(stream, _)| Stream::Tcp(stream))
            }
            Kind::Unix(listener) => {
                listener.poll_accept(context).map_ok(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}
