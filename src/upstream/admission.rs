//! The limit of concurrent calls, and the queue of requests that wait for a permit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config;

/// How long a request may wait in the queue.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);

/// The permits for concurrent calls, and the queue of requests that wait for them.
#[derive(Debug)]
pub(super) struct Admission {
    max_in_flight: u32,
    max_queued: usize,
    /// Fair: a request that needs many permits is not starved.
    permits: Arc<Semaphore>,
    queue: Semaphore,
}

/// Why a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The queue is full.
    #[error(
        "Too many requests at once: at most {max_in_flight} upstream calls and {max_queued} \
         queued requests are allowed (`[upstream] max_in_flight` and `max_queued`). Try again \
         later, or raise the limits."
    )]
    FullLine {
        /// `[upstream] max_in_flight`
        max_in_flight: u32,
        /// `[upstream] max_queued`
        max_queued: usize,
    },
    /// The request has waited too long in the queue.
    #[error(
        "Too many requests at once: this one waited {} s in the queue; at most {max_in_flight} \
         upstream calls are allowed (`[upstream] max_in_flight`, `max_queued`). Try again later, \
         or raise the limits.",
        waited.as_secs()
    )]
    WaitedTooLong {
        /// `[upstream] max_in_flight`
        max_in_flight: u32,
        /// How long.
        waited: Duration,
    },
}

impl Admission {
    pub(super) fn new(settings: &config::Upstream) -> Self {
        let max_in_flight = u32::try_from(settings.max_in_flight).unwrap_or(u32::MAX);
        let max_queued = settings.max_queued.min(Semaphore::MAX_PERMITS);
        Self {
            max_in_flight,
            max_queued,
            permits: Arc::new(Semaphore::new(max_in_flight as usize)),
            queue: Semaphore::new(max_queued),
        }
    }

    /// Takes the permits for so many calls, all at once: two requests that hold some and wait for
    /// more could deadlock. A request that needs more permits than there are gets all of them, and
    /// makes its calls one after another.
    ///
    /// Dropping the future leaves the queue.
    pub(super) async fn enter(&self, calls: u32) -> Result<Arc<Permits>, AdmissionError> {
        let count = calls.clamp(1, self.max_in_flight);
        // Fair: a permit that becomes free goes to the first in the queue.
        let permit = match Arc::clone(&self.permits).try_acquire_many_owned(count) {
            Ok(permit) => permit,
            Err(_) => self.wait(count).await?,
        };
        Ok(Arc::new(Permits { calls: Arc::new(Semaphore::new(count as usize)), _permit: permit }))
    }

    /// How many requests are in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.max_queued - self.queue.available_permits()
    }

    async fn wait(&self, count: u32) -> Result<OwnedSemaphorePermit, AdmissionError> {
        let Self { max_in_flight, max_queued, .. } = *self;
        let full = AdmissionError::FullLine { max_in_flight, max_queued };
        let _queued = self.queue.try_acquire().map_err(|_| full)?;
        let permits = Arc::clone(&self.permits).acquire_many_owned(count);
        match timeout(QUEUE_TIMEOUT, permits).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) => Err(full),
            Err(_) => Err(AdmissionError::WaitedTooLong { max_in_flight, waited: QUEUE_TIMEOUT }),
        }
    }
}

/// The permits of one request, until its last [`CallPermit`] is dropped.
#[derive(Debug)]
pub struct Permits {
    calls: Arc<Semaphore>,
    _permit: OwnedSemaphorePermit,
}

/// The permit for one call.
#[derive(Debug)]
pub struct CallPermit {
    _permit: Option<OwnedSemaphorePermit>,
    _permits: Arc<Permits>,
}

impl Permits {
    /// A permit for a call, if one is free; there are fewer than calls if the request got fewer.
    pub fn try_acquire(self: &Arc<Self>) -> Option<CallPermit> {
        let permit = Arc::clone(&self.calls).try_acquire_owned().ok()?;
        Some(CallPermit { _permit: Some(permit), _permits: Arc::clone(self) })
    }

    /// Waits until another call of the same request has ended.
    pub async fn acquire(self: Arc<Self>) -> CallPermit {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.calls).acquire_owned().await.ok();
        CallPermit { _permit: permit, _permits: self }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::Instant;

    use super::*;

    fn admission(max_in_flight: usize, max_queued: usize) -> Admission {
        let text =
            format!("[upstream]\nmax_in_flight = {max_in_flight}\nmax_queued = {max_queued}");
        Admission::new(&config::Config::from_toml(&text).unwrap().upstream)
    }

    #[tokio::test]
    async fn places_are_given_in_the_order_of_coming() {
        let admission = admission(2, 10);
        let (one, two) = (admission.enter(1).await.unwrap(), admission.enter(1).await.unwrap());
        // Needs both, and so has to wait longer than the next one would.
        let mut many = Box::pin(admission.enter(2));
        assert!(many.as_mut().now_or_never().is_none());
        let mut next = Box::pin(admission.enter(1));
        assert!(next.as_mut().now_or_never().is_none());
        drop(one);
        assert!(next.as_mut().now_or_never().is_none(), "overtaken");
        assert!(many.as_mut().now_or_never().is_none());
        assert!(Box::pin(admission.enter(1)).now_or_never().is_none(), "overtaken by a new one");
        drop(two);
        let many = many.now_or_never().unwrap().unwrap();
        assert!(next.as_mut().now_or_never().is_none());
        drop(many);
        next.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn leaving_the_line_leaves_nothing_behind() {
        let admission = admission(2, 1);
        let one = admission.enter(1).await.unwrap();
        // Half of what it needs is set aside for it.
        let mut many = Box::pin(admission.enter(2));
        assert!(many.as_mut().now_or_never().is_none());
        assert!(matches!(
            admission.enter(1).now_or_never(),
            Some(Err(AdmissionError::FullLine { max_in_flight: 2, max_queued: 1 }))
        ));
        drop(many);
        let two = admission.enter(1).now_or_never().unwrap().unwrap();
        let mut third = Box::pin(admission.enter(1));
        assert!(third.as_mut().now_or_never().is_none(), "there is room in the queue again");
        drop((one, two));
        third.now_or_never().unwrap().unwrap();
    }

    #[tokio::test]
    async fn without_a_line_nobody_waits() {
        let admission = admission(1, 0);
        let _one = admission.enter(1).await.unwrap();
        assert!(matches!(admission.enter(1).await, Err(AdmissionError::FullLine { .. })));
    }

    #[tokio::test]
    async fn who_needs_more_than_there_is_gets_all_and_takes_turns() {
        let admission = admission(2, 1);
        let permits = admission.enter(8).await.unwrap();
        let turns = [permits.try_acquire().unwrap(), permits.try_acquire().unwrap()];
        assert!(permits.try_acquire().is_none());
        let mut third = Box::pin(Arc::clone(&permits).acquire());
        assert!(third.as_mut().now_or_never().is_none());
        let [first, second] = turns;
        drop(first);
        let third = third.now_or_never().unwrap();
        drop(permits);
        drop(second);
        let mut other = Box::pin(admission.enter(1));
        assert!(other.as_mut().now_or_never().is_none(), "one turn is still under way");
        drop(third);
        other.now_or_never().unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_long_enough_is_sent_away() {
        let admission = admission(1, 1);
        let _one = admission.enter(1).await.unwrap();
        let start = Instant::now();
        let crowded = admission.enter(1).await.unwrap_err();
        assert_eq!(
            crowded,
            AdmissionError::WaitedTooLong { max_in_flight: 1, waited: QUEUE_TIMEOUT }
        );
        assert_eq!(start.elapsed().as_secs(), 60);
        assert_eq!(admission.queue.available_permits(), 1);
        for crowded in [crowded, AdmissionError::FullLine { max_in_flight: 1, max_queued: 1 }] {
            let text = crowded.to_string();
            assert!(text.contains("max_in_flight`") && text.contains("`max_queued`"), "{text}");
        }
    }
}
