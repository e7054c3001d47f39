//! Connections, from accepting them to letting them end.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the loop that accepts them, and how it ends |
//! | `workers.rs` | which thread serves a connection |
//! | `connection.rs` | one connection |
//! | `wire.rs` | its bytes, and clients that do not take theirs |
//! | `paced.rs` | bodies that come too slowly |
//! | `idle.rs` | which connection makes room for a new one |
//! | `socket.rs`, `unix.rs`, `inherited.rs` | what is listened on |
//! | `closing.rs` | what requests know of the daemon's end |
//! | `descriptors.rs` | how many connections the system allows |

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
use self::workers::{Load, Seat};
pub use self::workers::{Threads, WorkerPool};
use super::peer_info::PeerInfo;

/// What to wait when no connection can be accepted, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may take to end that was told to make room, before another one is told.
const CLOSE_PAUSE: Duration = Duration::from_millis(100);

/// How much of a client's patience and of the machine connections may take up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections may be open at once. Further ones wait in the system's queue.
    pub connections: usize,
    /// How long a client may take for the head of a request, and be silent before it.
    pub head: Duration,
    /// How long a client may be silent within the body of a request.
    pub body: Duration,
    /// How long a body may be slower than `body_rate`.
    pub body_grace: Duration,
    /// How many bytes of a body have to come in a second behind that, on the whole.
    pub body_rate: u32,
    /// How long a body may take in all.
    pub body_total: Duration,
    /// How long a client may take nothing of its answer.
    pub send: Duration,
    /// How long what a client still sends is taken after its last answer, so that it can read it.
    pub linger: Duration,
    /// How long answers may go on after the daemon was told to stop.
    pub drain: Duration,
    /// How long clients may then take for the last words of those that were cut off.
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

/// Serves `router` until `stop` is ready. Then nothing more is accepted, and what is under way has
/// until `limits.drain` to come to its end; the rest is told that it is cut off. Dropping the future
/// drops all connections.
pub async fn serve(
    listener: impl Into<Listener>,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let mut workers = WorkerPool::new(1, Router::new);
    serve_on(&mut workers, listener, router, limits, stop).await;
}

/// [`serve`] with further threads.
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
    tracing::warn!(connections = connections.len(), "what is still open is cut off");
    if timeout(limits.farewell, all_ended(&mut connections)).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections are dropped whose clients do not take what was left for them"
        );
        connections.shutdown().await;
    }
}

/// Accepts connections until `stop` is ready, and closes the door then.
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
    // A connection beyond the limit, for which another one has to end.
    let mut waiting: Option<Stream> = None;
    loop {
        let is_full = connections.len() >= most;
        if !is_full && let Some(stream) = waiting.take() {
            begin(connections, workers.seat(host, &own), stream);
            continue;
        }
        if is_full && full.begins() {
            tracing::warn!(
                connections = most,
                "as many connections are open as `[server] max_connections` allows: those without \
                 a request are closed for new ones, and if there are none, new ones have to wait"
            );
        }
        let is_waiting = waiting.is_some();
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = connections.join_next() => note(ended),
            stream = accept(&listener, &mut refused), if !is_waiting => waiting = Some(stream),
            () = host.idle().close_one(), if is_waiting => {
                // It ends at once, unless a request has come meanwhile: then another one is closed.
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
fn begin(connections: &mut JoinSet<()>, seat: Seat, stream: Stream) {
    match stream {
        Stream::Tcp(stream) => {
            // Chunks are small and urgent.
            let _ = stream.set_nodelay(true);
            // Without an address it has ended already.
            if let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) {
                let arrival = PeerInfo::Tcp { local, peer };
                spawn(connections, seat, stream, arrival, TcpStream::into_std, TcpStream::from_std);
            }
        }
        #[cfg(unix)]
        Stream::Unix(stream) => {
            spawn(
                connections,
                seat,
                stream,
                PeerInfo::Unix,
                UnixStream::into_std,
                UnixStream::from_std,
            );
        }
    }
}

/// Serves a connection where its seat is. On its way to another thread it belongs to none: `leave`
/// and `enter` do that.
fn spawn<S, H>(
    connections: &mut JoinSet<()>,
    seat: Seat,
    stream: S,
    arrival: PeerInfo,
    leave: impl FnOnce(S) -> io::Result<H>,
    enter: impl FnOnce(H) -> io::Result<S> + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Send + 'static,
{
    let Seat { runtime, host, place } = seat;
    let Some(runtime) = runtime else {
        connections.spawn(async move {
            let _place = place;
            host.serve(stream, arrival).await;
        });
        return;
    };
    // Where that fails, the connection has ended already.
    if let Ok(handed) = leave(stream) {
        let task = async move {
            let _place = place;
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

/// A panic, for example in a streamed body, has ended one connection and nothing else.
fn note(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a connection's task panicked; this is a bug in codex-proxy");
    }
}

/// The next connection. Running out of descriptors is no reason to end.
async fn accept(listener: &Listener, refused: &mut LogThrottle) -> Stream {
    loop {
        match listener.accept().await {
            Ok(stream) => return stream,
            Err(error) if is_the_peers_fault(&error) => {}
            Err(error) => {
                if refused.begins() {
                    tracing::warn!(%error, "cannot accept connections; trying on");
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

/// A time of trouble, which is worth one line in the log however many connections meet it.
#[derive(Debug, Default)]
struct LogThrottle {
    last: Option<Instant>,
}

impl LogThrottle {
    /// After so long without trouble the next one is a new spell.
    const QUIET_FOR: Duration = Duration::from_secs(60);

    /// Notes that there is trouble; true if it is the first of its spell.
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
