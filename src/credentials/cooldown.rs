//! The cooldown after a failed renewal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::issuer;
use super::session::{Fingerprint, REFRESH_COOLDOWN};

/// The first pause after an error of the service; it doubles with each further error for the same
/// tokens.
const INITIAL_COOLDOWN: Duration = Duration::from_secs(1);

/// The longest pause, unless the service asks for a longer one.
const MAX_COOLDOWN: Duration = Duration::from_secs(10 * 60);

/// The longest pause after the service could not be reached: a laptop that wakes up is online again
/// soon.
const MAX_COOLDOWN_UNREACHABLE: Duration = Duration::from_secs(30);

/// A pause between renewals.
#[derive(Debug)]
pub(super) struct Pause {
    /// The tokens that could not be renewed.
    pub(super) set: Fingerprint,
    /// Why not.
    pub(super) cause: Arc<issuer::Error>,
    failed_at: Instant,
    until: Instant,
    /// How many failures in a row there were.
    failures: u32,
}

impl Pause {
    /// The pause after one more failure for `set`; `last` is the one before, of any set.
    pub(super) fn after(set: Fingerprint, cause: Arc<issuer::Error>, last: Option<Self>) -> Self {
        let earlier = last.filter(|last| last.set == set).map_or(0, |last| last.failures);
        let length = length(&cause, earlier, chance());
        let now = Instant::now();
        Self {
            set,
            cause,
            failed_at: now,
            until: now + length,
            failures: earlier.saturating_add(1),
        }
    }

    /// Whether the failure was just now.
    pub(super) fn is_new(&self) -> bool {
        self.failed_at.elapsed() < REFRESH_COOLDOWN
    }

    /// The remaining time; zero if it is over.
    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// The length after `earlier` other failures; `chance` is from 0 to 1.
fn length(cause: &issuer::Error, earlier: u32, chance: f64) -> Duration {
    let longest = match cause {
        issuer::Error::Unreachable { .. } => MAX_COOLDOWN_UNREACHABLE,
        _ => MAX_COOLDOWN,
    };
    let doubled = INITIAL_COOLDOWN.saturating_mul(2_u32.saturating_pow(earlier)).min(longest);
    // Jitter: daemons that failed together do not retry together.
    let own = doubled.mul_f64(0.8 + 0.4 * chance);
    own.max(cause.retry_after().unwrap_or_default())
}

fn chance() -> f64 {
    // Without randomness there is no jitter.
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn pauses_grow_and_are_as_long_as_the_service_asks() {
        let refused = |retry_after: Option<u64>| issuer::Error::Refused {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: None,
            message: None,
            retry_after: retry_after.map(Duration::from_secs),
        };
        let unreachable = issuer::Error::Unreachable { cause: String::new() };
        for (cause, earlier, expected) in [
            (refused(None), 0, 1),
            (refused(None), 1, 2),
            (refused(None), 3, 8),
            (refused(None), 10, 600),
            (refused(None), u32::MAX, 600),
            (refused(Some(0)), 0, 1),
            (refused(Some(30)), 0, 30),
            (refused(Some(3600)), 9, 3600),
            (unreachable, 9, 30),
        ] {
            assert_eq!(length(&cause, earlier, 0.5).as_secs(), expected, "{cause:?} {earlier}");
        }
        assert_eq!(length(&refused(None), 0, 0.0), Duration::from_millis(800));
        assert_eq!(length(&refused(None), 0, 1.0), Duration::from_millis(1200));
    }
}
