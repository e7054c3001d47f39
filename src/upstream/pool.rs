//! As many connections as there are calls to carry.
//!
//! An HTTP/2 connection carries 100 calls at once as most servers have it, and an HTTP client
//! opens one connection to a server: another call would wait, without a word, for one of them to
//! end. So there are several clients where more calls may be under way.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BuildError;

/// How many calls go over one connection. The rest of the 100 is for the catalogue, and for answers
/// that are over and read to their ends.
const MAX_CALLS_PER_CLIENT: usize = 90;

/// HTTP clients; each of them has connections of its own.
pub(super) struct ConnectionPool {
    /// The one that is always there, and carries what is not a call.
    first: reqwest::Client,
    lanes: Vec<PooledClient>,
    /// Makes another one.
    client: Arc<dyn Fn() -> Result<reqwest::Client, BuildError> + Send + Sync>,
}

struct PooledClient {
    /// Made when it is needed for the first time.
    http: OnceLock<reqwest::Client>,
    room: Arc<Semaphore>,
}

/// The place of one call on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    http: reqwest::Client,
    /// Nothing if there was no room, which takes more calls than the settings allow.
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
        let lanes =
            std::iter::once(PooledClient::new(first.clone().into())).chain(others).collect();
        Ok(Self { first, lanes, client: Arc::new(client) })
    }

    /// As many clients again, with other connections for calls.
    pub(super) fn for_worker(&self) -> Self {
        let lanes = self.lanes.iter().map(|_| PooledClient::new(OnceLock::new())).collect();
        Self { first: self.first.clone(), lanes, client: Arc::clone(&self.client) }
    }

    /// The client for what is not a call.
    pub(super) fn first(&self) -> &reqwest::Client {
        &self.first
    }

    /// Takes the first client that has room, so that connections are used again and not more of
    /// them are open than it takes.
    pub(super) fn take(&self) -> Lease {
        let seat = self.lanes.iter().find_map(|lane| {
            let permit = Arc::clone(&lane.room).try_acquire_owned().ok()?;
            Some(Lease { http: self.http(lane), _permit: Some(permit) })
        });
        // Answers that are read to their ends may take up the last room for a moment.
        seat.unwrap_or_else(|| Lease { http: self.first.clone(), _permit: None })
    }

    fn http(&self, lane: &PooledClient) -> reqwest::Client {
        // It could be made at the start. If it cannot any more, calls may have to wait.
        let make = || (self.client)().unwrap_or_else(|_| self.first.clone());
        lane.http.get_or_init(make).clone()
    }
}

impl PooledClient {
    fn new(http: OnceLock<reqwest::Client>) -> Self {
        Self { http, room: Arc::new(Semaphore::new(MAX_CALLS_PER_CLIENT)) }
    }
}

impl std::fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lanes({})", self.lanes.len())
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

    fn lanes(calls: usize) -> ConnectionPool {
        ConnectionPool::new(calls, || Ok(reqwest::Client::new())).unwrap()
    }

    fn room(lanes: &ConnectionPool) -> Vec<usize> {
        lanes.lanes.iter().map(|lane| lane.room.available_permits()).collect()
    }

    #[test]
    fn there_are_as_many_clients_as_the_calls_need() {
        for (calls, clients) in [(1, 1), (64, 1), (90, 1), (91, 2), (180, 2), (300, 4)] {
            assert_eq!(room(&lanes(calls)).len(), clients, "{calls}");
        }
    }

    #[test]
    fn the_first_one_with_room_is_filled() {
        let lanes = lanes(200);
        let mut seats: Vec<Lease> = (0..100).map(|_| lanes.take()).collect();
        assert_eq!(room(&lanes), [0, 80, 90]);
        let made = lanes.lanes.iter().map(|lane| lane.http.get().is_some());
        assert_eq!(made.collect::<Vec<_>>(), [true, true, false]);
        seats.truncate(89);
        assert_eq!(room(&lanes), [1, 90, 90]);
        let _next = lanes.take();
        assert_eq!(room(&lanes), [0, 90, 90]);
    }

    #[test]
    fn without_any_room_a_call_is_sent_all_the_same() {
        let lanes = lanes(1);
        let seats: Vec<Lease> = (0..92).map(|_| lanes.take()).collect();
        assert_eq!(room(&lanes), [0]);
        drop(seats);
        assert_eq!(room(&lanes), [90]);
    }
}
