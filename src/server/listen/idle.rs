//! The idle connections. At the connection limit they are closed for new ones, the longest idle
//! first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A connection that has been idle for less is not closed: its request may be on its way.
const MIN_IDLE: Duration = Duration::from_millis(100);

/// All idle connections. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct IdleConnections(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Signals a new idle connection.
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// A counter: the first of the connections has been idle longest.
    next: u64,
    connections: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// One connection, idle or busy.
#[derive(Debug)]
pub(super) struct Connection {
    all: IdleConnections,
    /// Signals it to close.
    close: Arc<Notify>,
    own: Mutex<Own>,
}

#[derive(Debug, Default)]
struct Own {
    /// The number of its requests in progress.
    requests: usize,
    /// Its number while it is idle.
    number: Option<u64>,
}

/// A request in progress; ends on drop.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl IdleConnections {
    /// A new connection; idle until its first request.
    pub(super) fn connection(&self) -> Arc<Connection> {
        let connection =
            Connection { all: self.clone(), close: Arc::default(), own: Mutex::default() };
        connection.set_idle(&mut connection.own());
        Arc::new(connection)
    }

    /// Waits for an idle connection and signals the longest idle one to close.
    pub(super) async fn close_one(&self) {
        loop {
            let added = self.0.added.notified();
            let longest = self.longest();
            match longest {
                None => added.await,
                Some((number, since)) if since.elapsed() >= MIN_IDLE => {
                    if let Some((_, close)) = self.state().connections.remove(&number) {
                        // Kept for a connection that is not just waiting for it.
                        close.notify_one();
                        return;
                    }
                }
                Some((_, since)) => sleep_until(since + MIN_IDLE).await,
            }
        }
    }

    fn longest(&self) -> Option<(u64, Instant)> {
        let state = self.state();
        state.connections.first_key_value().map(|(&number, &(since, _))| (number, since))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Marks it busy until the request is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        let mut own = self.own();
        own.requests += 1;
        self.set_busy(&mut own);
        Busy(Arc::clone(self))
    }

    /// Ready once it must close for a new connection; it closes when no request is in progress.
    pub(super) async fn closing(&self) {
        self.close.notified().await;
    }

    fn set_idle(&self, own: &mut Own) {
        let mut state = self.all.state();
        let number = state.next;
        state.next += 1;
        own.number = Some(number);
        state.connections.insert(number, (Instant::now(), Arc::clone(&self.close)));
        drop(state);
        self.all.0.added.notify_one();
    }

    fn set_busy(&self, own: &mut Own) {
        if let Some(number) = own.number.take() {
            self.all.state().connections.remove(&number);
        }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut own = self.0.own();
        own.requests -= 1;
        if own.requests == 0 {
            self.0.set_idle(&mut own);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.set_busy(&mut self.own());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_was_idle_longest_goes_first() {
        let all = IdleConnections::default();
        let [first, second, third] = [(); 3].map(|()| all.connection());
        let request = second.request();
        drop(first.request());
        tokio::time::sleep(MIN_IDLE).await;
        let has_to_close = |connection: &Connection| connection.closing().now_or_never().is_some();
        all.close_one().await;
        assert!(has_to_close(&third) && !has_to_close(&first) && !has_to_close(&second));
        all.close_one().await;
        assert!(has_to_close(&first) && !has_to_close(&second));
        // The last one has a request.
        assert!(all.close_one().now_or_never().is_none());
        drop((first, second, third, request));
        assert!(all.state().connections.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_only_begun_to_be_idle_is_waited_for() {
        let all = IdleConnections::default();
        let begin = Instant::now();
        let busy = all.connection();
        let requests = [busy.request(), busy.request()];
        let idle = async {
            for request in requests {
                tokio::time::sleep(Duration::from_millis(2500)).await;
                drop(request);
            }
        };
        tokio::join!(all.close_one(), idle);
        assert_eq!(begin.elapsed(), Duration::from_secs(5) + MIN_IDLE);
        assert!(busy.closing().now_or_never().is_some());
    }
}
