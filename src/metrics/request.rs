//! Requests to any endpoint, each counted once: when its answer was sent.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::MatchedPath;
use axum::http::StatusCode;

use super::labels::OTHER;
use super::{Metrics, RequestOutcome};

/// The status of a request whose client disconnected before the answer.
const CLIENT_LEFT: u16 = 499;

/// One request. It is counted when the last clone is dropped, in every case. Handlers take it as an
/// argument if they know the outcome better than the head of the answer.
#[derive(Debug, Clone)]
pub(crate) struct RequestMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metrics: Metrics,
    endpoint: OnceLock<MatchedPath>,
    began: Instant,
    /// 0 until there is an answer.
    status: AtomicU16,
    end: OnceLock<End>,
}

/// The outcome of the request.
#[derive(Debug)]
struct End {
    model: String,
    status: u16,
}

impl Metrics {
    /// A request comes in.
    pub(crate) fn request(&self) -> RequestMetrics {
        RequestMetrics(Arc::new(Inner {
            metrics: self.clone(),
            endpoint: OnceLock::new(),
            began: Instant::now(),
            status: AtomicU16::new(0),
            end: OnceLock::new(),
        }))
    }

    /// Counts a request that was rejected before it reached an endpoint.
    pub(crate) fn refused(&self, status: StatusCode) {
        self.0.prometheus.refused(status.as_u16());
    }
}

impl RequestMetrics {
    /// This route was chosen.
    pub(crate) fn routed(&self, path: &MatchedPath) {
        let _ = self.0.endpoint.set(path.clone());
    }

    /// The answer has this status.
    pub(crate) fn answered(&self, status: StatusCode) {
        self.0.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// A request to a model begins.
    pub(crate) fn begun(&self) {
        self.0.metrics.begun();
    }

    /// It has ended.
    pub(crate) fn ended(&self, ended: &RequestOutcome) {
        let metrics = &self.0.metrics;
        metrics.ended(ended);
        let (model, status) = (metrics.model(ended).into_owned(), ended.status);
        let _ = self.0.end.set(End { model, status });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let endpoint = self.endpoint.get().map_or(OTHER, |path| plain(path.as_str()));
        let (model, status) = match (self.end.get(), *self.status.get_mut()) {
            (Some(end), _) => (end.model.as_str(), end.status),
            (None, 0) => ("", CLIENT_LEFT),
            (None, status) => ("", status),
        };
        self.metrics.0.prometheus.request(endpoint, model, status, self.began.elapsed());
    }
}

/// An endpoint's path without ignored prefixes.
fn plain(mut path: &str) -> &str {
    while let Some(rest) = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')) {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_one_name() {
        for (path, expected) in [
            ("/v1/models", "/models"),
            ("/models", "/models"),
            ("/v1/v1/chat/completions", "/chat/completions"),
            ("/health", "/health"),
            ("/v1", "/v1"),
            ("/v10/x", "/v10/x"),
        ] {
            assert_eq!(plain(path), expected);
        }
    }
}
