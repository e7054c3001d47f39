//! Single flight: concurrent callers of the same operation share one run of it.
//!
//! The operation runs in a separate task and outlives its callers. Once it has ended, new callers
//! start a new run, whether or not the result was read: a caller never gets a result from before
//! its call.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::Shared;
use tokio::sync::oneshot;

/// One kind of operation, with at most one run in progress. Clones share it.
#[derive(Debug, Clone)]
pub struct SingleFlight<T> {
    current: Arc<Mutex<Option<Flight<T>>>>,
}

/// A run in progress, as seen by one of its callers.
#[derive(Debug)]
pub struct Flight<T> {
    result: Shared<oneshot::Receiver<T>>,
}

/// The run ended without a result: it panicked, or the runtime is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared operation was aborted")]
pub struct Aborted;

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { current: Arc::default() }
    }
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self { result: self.result.clone() }
    }
}

impl<T: Clone + Send + 'static> SingleFlight<T> {
    /// The run in progress, or else a new one of `work`. The flag: whether it is new.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn join_or_start<F>(&self, work: impl FnOnce() -> F) -> (Flight<T>, bool)
    where
        F: Future<Output = T> + Send + 'static,
        T: Sync,
    {
        let mut current = lock(&self.current);
        if let Some(flight) = &*current {
            return (flight.clone(), false);
        }
        let (sender, receiver) = oneshot::channel();
        let flight = Flight { result: receiver.shared() };
        *current = Some(flight.clone());
        // Also when the work panics or the runtime drops it.
        let ended = Ended(Arc::clone(&self.current));
        let work = work();
        tokio::spawn(async move {
            let result = work.await;
            // In this order, so that a caller that finds no run cannot miss its result.
            drop(ended);
            let _ = sender.send(result);
        });
        (flight, true)
    }

    /// The run in progress, if there is one.
    pub fn under_way(&self) -> Option<Flight<T>> {
        lock(&self.current).clone()
    }
}

impl<T: Clone> Future for Flight<T> {
    type Output = Result<T, Aborted>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.result.poll_unpin(cx).map(|result| result.map_err(|_| Aborted))
    }
}

/// Allows the next run on drop.
struct Ended<T>(Arc<Mutex<Option<Flight<T>>>>);

impl<T> Drop for Ended<T> {
    fn drop(&mut self) {
        *lock(&self.0) = None;
    }
}

fn lock<T>(slot: &Mutex<Option<Flight<T>>>) -> MutexGuard<'_, Option<Flight<T>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_run() {
        let (flights, runs) = (SingleFlight::default(), Arc::new(AtomicUsize::new(0)));
        let start = || {
            let runs = Arc::clone(&runs);
            flights.join_or_start(|| async move { runs.fetch_add(1, Ordering::Relaxed) })
        };
        let waiting: Vec<_> = (0..20).map(|_| start()).collect();
        assert_eq!(waiting.iter().filter(|(_, is_new)| *is_new).count(), 1);
        for (flight, _) in waiting {
            assert_eq!(flight.await, Ok(0));
        }
        assert_eq!(start().0.await, Ok(1));
    }

    /// The caller that started the run goes away, and nobody polls the result.
    #[tokio::test]
    async fn a_result_that_nobody_has_looked_at_is_not_given_to_later_callers() {
        let flights = SingleFlight::default();
        let (gate, done) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let work = {
            let (gate, done) = (Arc::clone(&gate), Arc::clone(&done));
            async move {
                gate.acquire().await.unwrap().forget();
                done.add_permits(1);
                "old"
            }
        };
        drop(flights.join_or_start(|| work));
        gate.add_permits(1);
        done.acquire().await.unwrap().forget();
        // The task ends without a further wait from here on.
        tokio::task::yield_now().await;
        assert!(flights.under_way().is_none());
        assert_eq!(flights.join_or_start(|| async { "new" }).0.await, Ok("new"));
    }

    #[tokio::test]
    async fn a_run_that_panics_is_told_and_makes_room_for_the_next() {
        let flights = SingleFlight::<u8>::default();
        let (flight, _) = flights.join_or_start(|| async { std::panic::panic_any("on purpose") });
        assert_eq!(flight.await, Err(Aborted));
        assert_eq!(flights.join_or_start(|| async { 2 }).0.await, Ok(2));
    }
}
