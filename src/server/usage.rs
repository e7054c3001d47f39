//! `GET /v1/usage`: the limits of the plan.
//!
//! Every answer of the backend reports them. They are requested only if there was no answer for a
//! while.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::App;
use crate::limits::{Limits, LimitsReport};
use crate::platform::Platform;
use crate::upstream::Client;

/// Older limits are requested again, in seconds.
const FRESH_FOR: i64 = 60;

/// The timeout of the request.
const USAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// The cooldown after a request, whatever its outcome.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// Requests the limits for all callers: one request at a time, and not often.
#[derive(Debug, Default)]
pub(super) struct UsageRefresher {
    last: Mutex<Option<Instant>>,
}

pub(super) async fn usage(State(app): State<App>) -> impl IntoResponse {
    let client = &app.0.upstream;
    // An API key has no plan.
    if app.0.account.platform().await == Platform::Codex && !knows_enough(client) {
        // Waiting for another caller's request has the same timeout.
        if timeout(USAGE_TIMEOUT, app.0.inquiry.ask(client)).await.is_err() {
            tracing::info!(reason = "timeout", "the backend does not report the plan's limits");
        }
    }
    let now = Timestamp::now().as_second();
    let report = LimitsReport::new(client.limits().current(now), now);
    ([(CACHE_CONTROL, "no-store")], Json(report))
}

fn knows_enough(client: &Client) -> bool {
    let now = Timestamp::now().as_second();
    is_fresh(&client.limits().current(now), now)
}

fn is_fresh(limits: &Limits, now: i64) -> bool {
    limits.age(now).is_some_and(|age| age <= FRESH_FOR)
}

impl UsageRefresher {
    async fn ask(&self, client: &Client) {
        let mut last = self.last.lock().await;
        if knows_enough(client) || last.is_some_and(|last| last.elapsed() < MIN_REFRESH_INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
        if let Err(failure) = client.usage().await {
            let reason = failure.log_reason();
            tracing::info!(reason, "the backend does not report the plan's limits");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Source;

    #[test]
    fn what_was_told_a_minute_ago_is_good_enough() {
        assert!(!is_fresh(&Limits::default(), 1000));
        let limits = Limits { updated: Some((1000, Source::Headers)), ..Limits::default() };
        for (now, expected) in [(1000, true), (1060, true), (1061, false), (900, true)] {
            assert_eq!(is_fresh(&limits, now), expected, "{now}");
        }
    }
}
