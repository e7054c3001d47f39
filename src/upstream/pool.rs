//! A pool of HTTP clients, with enough connections for all concurrent calls.
//!
//! An HTTP/2 connection carries 100 calls at once as most servers have it, and an HTTP client
//! opens one connection to a server: a further call would silently wait for one of them to end. So
//! there are several clients where more concurrent calls are allowed.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BuildError;

/// How many calls go over one connection. The rest of the 100 is for the catalogue, and for answers
/// that are over and read to their ends.
const MAX_CALLS_PER_CLIENT: usize = 90;

/// HTTP clients, each with its own connections.
pub(super) struct ConnectionPool {
    /// The one that is always there, and carries what is not a call.
    first: reqwest::Client,
    clients: Vec<PooledClient>,
    /// Makes another one.
    client: Arc<dyn Fn() -> Result<reqwest::Client, BuildError> + Send + Sync>,
}

struct PooledClient {
    /// Made when it is needed for the first time.
    http: OnceLock<reqwest::Client>,
    room: Arc<Semaphore>,
}

/// One call's share of a client's connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    http: reqwest::Client,
    /// `None` if no permit was free, which takes more calls than the settings allow.
    _permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionPool {
    /// As many clients as `calls` at once need. The first one shows whether they can be made.
    pub(super) fn new(
        calls: usize,
        client: impl Fn() -> Result<reqwest::Client, BuildError> + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        let first = client()?;
        let others =
            (1..calls.div_ceil(MAX_CALLS_PER_CLIENT)).map(|_| PooledClient::new(OnceLock::new()));
        let clients =
            std::iter::once(PooledClient::new(first.clone().into())).chain(others).collect();
        Ok(Self { first, clients, client: Arc::new(client) })
    }

    /// As many clients again, with other connections for calls.
    pub(super) fn for_worker(&self) -> Self {
        let clients = self.clients.iter().map(|_| PooledClient::new(OnceLock::new())).collect();
        Self { first: self.first.clone(), clients, client: Arc::clone(&self.client) }
    }

    /// The client for what is not a call.
    pub(super) fn first(&self) -> &reqwest::Client {
        &self.first
    }

    /// Takes the first client that has room, so that connections are used again and not more of
    /// them are open than it takes.
    pub(super) fn take(&self) -> Lease {
        let lease = self.clients.iter().find_map(|pooled| {
            let permit = Arc::clone(&pooled.room).try_acquire_owned().ok()?;
            Some(Lease { http: self.http(pooled), _permit: Some(permit) })
        });
        // Answers that are read to their ends may take up the last room for a moment.
        lease.unwrap_or_else(|| Lease { http: self.first.clone(), _permit: None })
    }

    fn http(&self, pooled: &PooledClient) -> reqwest::Client {
        // It could be made at the start. If it cannot any more, calls may have to wait.
        let make = || (self.client)().unwrap_or_else(|_| self.first.clone());
        pooled.http.get_or_init(make).clone()
    }
}

impl PooledClient {
    fn new(http: OnceLock<reqwest::Client>) -> Self {
        Self { http, room: Arc::new(Semaphore::new(MAX_CALLS_PER_CLIENT)) }
    }
}

impl std::fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConnectionPool({})", self.clients.len())
    }
}

impl Lease {
    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(calls: usize) -> ConnectionPool {
        ConnectionPool::new(calls, || Ok(reqwest::Client::new())).unwrap()
    }

    fn room(pool: &ConnectionPool) -> Vec<usize> {
        pool.clients.iter().map(|pooled| pooled.room.available_permits()).collect()
    }

    #[test]
    fn there_are_as_many_clients_as_the_calls_need() {
        for (calls, clients) in [(1, 1), (64, 1), (90, 1), (91, 2), (180, 2), (300, 4)] {
            assert_eq!(room(&pool(calls)).len(), clients, "{calls}");
        }
    }

    #[test]
    fn the_first_one_with_room_is_filled() {
        let pool = pool(200);
        let mut leases: Vec<Lease> = (0..100).map(|_| pool.take()).collect();
        assert_eq!(room(&pool), [0, 80, 90]);
        let made = pool.clients.iter().map(|pooled| pooled.http.get().is_some());
        assert_eq!(made.collect::<Vec<_>>(), [true, true, false]);
        leases.truncate(89);
        assert_eq!(room(&pool), [1, 90, 90]);
        let _next = pool.take();
        assert_eq!(room(&pool), [0, 90, 90]);
    }

    #[test]
    fn without_any_room_a_call_is_sent_all_the_same() {
        let pool = pool(1);
        let leases: Vec<Lease> = (0..92).map(|_| pool.take()).collect();
        assert_eq!(room(&pool), [0]);
        drop(leases);
        assert_eq!(room(&pool), [90]);
    }
}
