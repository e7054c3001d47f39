//! Connections, from accept to shutdown.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the accept loop and its shutdown |
//! | `workers.rs` | which thread serves a connection |
//! | `connection.rs` | one connection |
//! | `wire.rs` | its bytes, and the timeout for clients that do not read |
//! | `paced.rs` | the timeout for slow request bodies |
//! | `idle.rs` | which idle connection is closed for a new one |
//! | `socket.rs`, `stream.rs`, `unix.rs`, `inherited.rs` | the listening sockets |
//! | `shutdown.rs` | the shutdown signal for requests |
//! | `descriptors.rs` | the limit of open file descriptors |

mod connection;
mod descriptors;
mod idle;
#[cfg(unix)]
mod inherited;
mod paced;
mod shutdown;
mod socket;
mod stream;
#[cfg(unix)]
mod unix;
mod wire;
mod workers;

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use self::connection::Host;
pub use self::descriptors::raise as raise_descriptor_limit;
#[cfg(unix)]
pub use self::inherited::InheritedListener;
use self::paced::Pace;
pub(super) use self::paced::TooSlow;
pub(super) use self::shutdown::Shutdown;
use self::shutdown::{ShutdownStages, Stage};
pub use self::socket::Listener;
pub use self::stream::BindError;
use self::stream::Stream;
use self::workers::{Assignment, Load};
pub use self::workers::{Threads, WorkerPool};
use super::peer_info::PeerInfo;

/// The pause after a failed accept, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may take to close for a new one, before another one is signalled.
const CLOSE_PAUSE: Duration = Duration::from_millis(100);

/// Limits and timeouts of connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The limit of open connections. Further ones wait in the system's backlog.
    pub connections: usize,
    /// The timeout for the head of a request, and for the idle time before it.
    pub head: Duration,
    /// The idle timeout within the body of a request.
    pub body: Duration,
    /// How long a body may be slower than `body_rate`.
    pub body_grace: Duration,
    /// The minimum rate of a body after that, in bytes per second on average.
    pub body_rate: u32,
    /// The timeout of a whole body.
    pub body_total: Duration,
    /// The timeout for a client that does not read its answer.
    pub send: Duration,
    /// The timeout of the lingering close after the last answer.
    pub linger: Duration,
    /// The shutdown timeout: how long answers may continue after the stop signal.
    pub drain: Duration,
    /// How long clients may then take to read the errors of interrupted answers.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            body_grace: Duration::from_secs(30),
            body_rate: 1 << 10,
            body_total: Duration::from_secs(600),
            send: Duration::from_secs(300),
            linger: Duration::from_secs(2),
            drain: Duration::from_secs(30),
            farewell: Duration::from_secs(2),
        }
    }
}

impl Limits {
    fn pace(&self) -> Pace {
        Pace {
            silence: self.body,
            grace: self.body_grace,
            bytes_per_second: self.body_rate,
            total: self.body_total,
        }
    }
}

/// Serves `router` until `stop` is ready. Then nothing more is accepted, and requests in progress
/// have `limits.drain` to finish; the rest is interrupted with an error. Dropping the future drops
/// all connections.
pub async fn serve(
    listener: impl Into<Listener>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let mut workers = WorkerPool::new(1, Router::new);
    serve_on(&mut workers, listener, router, limits, stop).await;
}

/// [`serve`] with worker threads.
pub async fn serve_on(
    workers: &mut WorkerPool,
    listener: impl Into<Listener>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let stages = ShutdownStages::new();
    let host = Host::new(router, limits, stages.closing());
    let mut connections = JoinSet::new();
    accept_until(stop, listener.into(), &host, workers, &mut connections).await;

    stages.enter(Stage::Draining);
    tracing::info!(connections = connections.len(), "stopping");
    if timeout(limits.drain, all_ended(&mut connections)).await.is_ok() {
        return;
    }
    stages.enter(Stage::Cut);
    tracing::warn!(
        connections = connections.len(),
        "shutdown timeout reached; closing the remaining connections"
    );
    if timeout(limits.farewell, all_ended(&mut connections)).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "dropping connections whose clients do not read the rest of their answers"
        );
        connections.shutdown().await;
    }
}

/// Accepts connections until `stop` is ready, then closes the listener.
async fn accept_until(
    stop: impl Future<Output = ()>,
    listener: Listener,
    host: &Host,
    workers: &mut WorkerPool,
    connections: &mut JoinSet<()>,
) {
    let own = Load::default();
    let most = host.limits().connections;
    let mut stop = pin!(stop);
    let (mut full, mut refused) = (LogThrottle::default(), LogThrottle::default());
    // A connection over the limit: another one must be closed first.
    let mut waiting: Option<Stream> = None;
    loop {
        let is_full = connections.len() >= most;
        if !is_full && let Some(stream) = waiting.take() {
            begin(connections, workers.assign(host, &own), stream);
            continue;
        }
        if is_full && full.begins() {
            tracing::warn!(
                connections = most,
                "`[server] max_connections` reached: idle connections are closed for new ones; \
                 if none is idle, new connections wait"
            );
        }
        let is_waiting = waiting.is_some();
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = connections.join_next() => note(ended),
            stream = accept(&listener, &mut refused), if !is_waiting => waiting = Some(stream),
            () = host.idle().close_one(), if is_waiting => {
                // It closes at once, unless it got a request meanwhile: then another one is closed.
                tokio::select! {
                    () = &mut stop => break,
                    Some(ended) = connections.join_next() => note(ended),
                    () = sleep(CLOSE_PAUSE) => {}
                }
            }
        }
    }
}

/// Serves a new connection.
fn begin(connections: &mut JoinSet<()>, assignment: Assignment, stream: Stream) {
    match stream {
        Stream::Tcp(stream) => {
            // No delay: chunks are small and urgent.
            let _ = stream.set_nodelay(true);
            // Without an address it is already closed.
            if let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) {
                let arrival = PeerInfo::Tcp { local, peer };
                spawn(
                    connections,
                    assignment,
                    stream,
                    arrival,
                    TcpStream::into_std,
                    TcpStream::from_std,
                );
            }
        }
        #[cfg(unix)]
        Stream::Unix(stream) => {
            spawn(
                connections,
                assignment,
                stream,
                PeerInfo::Unix,
                UnixStream::into_std,
                UnixStream::from_std,
            );
        }
    }
}

/// Serves a connection on its assigned thread. While it moves to another thread it belongs to no
/// runtime: `leave` and `enter` do that.
fn spawn<S, H>(
    connections: &mut JoinSet<()>,
    assignment: Assignment,
    stream: S,
    arrival: PeerInfo,
    leave: impl FnOnce(S) -> io::Result<H>,
    enter: impl FnOnce(H) -> io::Result<S> + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Send + 'static,
{
    let Assignment { runtime, host, guard } = assignment;
    let Some(runtime) = runtime else {
        connections.spawn(async move {
            let _guard = guard;
            host.serve(stream, arrival).await;
        });
        return;
    };
    // If that fails, the connection is already closed.
    if let Ok(handed) = leave(stream) {
        let task = async move {
            let _guard = guard;
            if let Ok(stream) = enter(handed) {
                host.serve(stream, arrival).await;
            }
        };
        connections.spawn_on(task, &runtime);
    }
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while let Some(ended) = connections.join_next().await {
        note(ended);
    }
}

/// A panic, for example in a streamed body, affects only its connection.
fn note(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection's task panicked; this is a bug in codex-proxy");
    }
}

/// The next connection. Running out of descriptors is not fatal.
async fn accept(listener: &Listener, refused: &mut LogThrottle) -> Stream {
    loop {
        match listener.accept().await {
            Ok(stream) => return stream,
            Err(error) if is_the_peers_fault(&error) => {}
            Err(error) => {
                if refused.begins() {
                    tracing::warn!(%error, "accept failed; retrying");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_the_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A log throttle: one line per period of trouble, however many connections are affected.
#[derive(Debug, Default)]
struct LogThrottle {
    last: Option<Instant>,
}

impl LogThrottle {
    /// After so long without trouble a new period begins.
    const QUIET_FOR: Duration = Duration::from_secs(60);

    /// Records trouble; true if it is the first of its period.
    fn begins(&mut self) -> bool {
        let last = self.last.replace(Instant::now());
        last.is_none_or(|last| last.elapsed() >= Self::QUIET_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_spell_is_told_once_until_it_was_quiet_for_a_while() {
        let mut spell = LogThrottle::default();
        assert!(spell.begins());
        for _ in 0..10 {
            sleep(LogThrottle::QUIET_FOR / 2).await;
            assert!(!spell.begins());
        }
        sleep(LogThrottle::QUIET_FOR).await;
        assert!(spell.begins());
    }
}
