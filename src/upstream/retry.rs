//! When a failed call is retried.

use std::time::Duration;

use tokio::time::Instant;

use super::{Retry, UpstreamError};

/// The delay before the second attempt; it doubles with each further attempt.
const INITIAL_BACKOFF: Duration = Duration::from_millis(200);

/// The longest delay that the backend may ask for. If it is longer, the client gets the error
/// instead.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// No attempt begins later than this after the first one began.
const RETRY_DEADLINE: Duration = Duration::from_secs(30);

/// The attempts of one call.
#[derive(Debug)]
pub struct RetryState {
    max_retries: u32,
    made: u32,
    first: Instant,
}

/// The failure that ended a call.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct CallError {
    /// The failure of the last attempt.
    pub failure: UpstreamError,
    /// How many attempts there were.
    pub attempts: u32,
    /// The backend's id of the last attempt, if it has answered.
    pub upstream_request_id: Option<String>,
}

impl RetryState {
    /// The first attempt begins now.
    pub(super) fn new(max_retries: u32) -> Self {
        Self { max_retries, made: 1, first: Instant::now() }
    }

    /// How many attempts there were, including the current one.
    pub fn attempts(&self) -> u32 {
        self.made
    }

    /// The delay before the call is retried; `None` if a retry cannot help.
    pub fn next(&mut self, failure: &UpstreamError) -> Option<Duration> {
        if self.made > self.max_retries {
            return None;
        }
        let pause = pause(failure.retry(), self.made, self.first.elapsed(), jitter())?;
        self.made += 1;
        Some(pause)
    }
}

/// The delay after `made` attempts that took `elapsed`; `chance` is from 0 to 1.
fn pause(retry: Retry, made: u32, elapsed: Duration, chance: f64) -> Option<Duration> {
    let doubled = 2_u32.saturating_pow(made.saturating_sub(1));
    let own = INITIAL_BACKOFF.saturating_mul(doubled).min(2 * RETRY_DEADLINE);
    // Jitter: calls that failed together are not retried together.
    let own = own.mul_f64(0.9 + 0.2 * chance);
    let pause = match retry {
        Retry::Never => return None,
        Retry::After(told) if told > MAX_RETRY_AFTER => return None,
        // Overloaded gateways ask for a delay of zero.
        Retry::After(told) => told.max(own),
        Retry::Soon => own,
    };
    (elapsed + pause <= RETRY_DEADLINE).then_some(pause)
}

fn jitter() -> f64 {
    // Without randomness there is no jitter.
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn millis(pause: Option<Duration>) -> Option<u128> {
        pause.map(|pause| pause.as_millis())
    }

    #[test]
    fn pauses_double_and_differ_by_a_tenth() {
        for (made, low, even, high) in [
            (1, 180, 200, 220),
            (2, 360, 400, 440),
            (3, 720, 800, 880),
            (4, 1440, 1600, 1760),
            (5, 2880, 3200, 3520),
            (8, 23_040, 25_600, 28_160),
        ] {
            for (chance, expected) in [(0.0, low), (0.5, even), (1.0, high)] {
                let pause = pause(Retry::Soon, made, START, chance);
                assert_eq!(millis(pause), Some(expected), "after {made} attempts");
            }
        }
    }

    #[test]
    fn a_time_that_the_backend_gives_is_waited_for_if_it_is_short_and_longer_than_our_own_pause() {
        for (told, made, chance, expected) in [
            // A wait of nothing, or of next to nothing, is our own growing pause.
            (0, 1, 0.5, Some(200)),
            (0, 2, 0.5, Some(400)),
            (0, 4, 1.0, Some(1760)),
            (1, 1, 0.0, Some(180)),
            (350, 1, 0.0, Some(350)),
            (350, 4, 0.5, Some(1600)),
            (10_000, 1, 0.0, Some(10_000)),
            (10_000, 4, 1.0, Some(10_000)),
            (10_001, 1, 0.0, None),
            (60_000, 4, 1.0, None),
        ] {
            let pause = pause(Retry::After(Duration::from_millis(told)), made, START, chance);
            assert_eq!(millis(pause), expected, "{told} ms after {made} attempts");
        }
    }

    #[test]
    fn no_try_begins_later_than_the_limit() {
        let wait = Retry::After(Duration::from_secs(10));
        for (retry, made, elapsed, is_tried) in [
            (Retry::Soon, 1, 29_800, true),
            (Retry::Soon, 1, 29_801, false),
            (Retry::Soon, 1, 60_000, false),
            (Retry::Soon, 9, 0, false),
            (Retry::Soon, u32::MAX, 0, false),
            (wait, 1, 20_000, true),
            (wait, 1, 20_001, false),
            (Retry::Never, 1, 0, false),
        ] {
            let pause = pause(retry, made, Duration::from_millis(elapsed), 0.5);
            assert_eq!(pause.is_some(), is_tried, "{retry:?} after {made} in {elapsed} ms");
        }
    }

    #[test]
    fn chance_is_from_0_to_1() {
        assert!((0..1000).map(|_| jitter()).all(|chance| (0.0..=1.0).contains(&chance)));
    }

    fn cut() -> UpstreamError {
        UpstreamError::Disconnected { cause: String::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_as_many_retries_as_the_settings_allow() {
        for max_retries in [0, 1, 4] {
            let mut retry = RetryState::new(max_retries);
            let mut count = 0;
            while let Some(pause) = retry.next(&cut()) {
                tokio::time::sleep(pause).await;
                count += 1;
            }
            assert_eq!((count, retry.attempts()), (max_retries, max_retries + 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_are_allowed_the_last_one_begins_in_time() {
        let mut retry = RetryState::new(100);
        let first = Instant::now();
        let mut last = first;
        while let Some(pause) = retry.next(&cut()) {
            tokio::time::sleep(pause).await;
            last = Instant::now();
            // What a try takes counts too.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let seconds = last.duration_since(first).as_secs_f64();
        assert!((10.0..=30.0).contains(&seconds), "{seconds}");
        assert!(retry.attempts() < 10, "{retry:?}");
    }
}
