//! Requests to any endpoint, each counted once: when its answer was sent.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;

use super::labels::OTHER;
use super::{Metrics, RequestOutcome};
use crate::server::App;

/// The status of a request whose client disconnected before the answer.
const CLIENT_LEFT: u16 = 499;

/// One request. It is counted when the last clone is dropped, in every case. Handlers take it as an
/// argument if they know the outcome better than the head of the answer.
#[derive(Debug, Clone)]
pub(in crate::server) struct RequestMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    figures: Metrics,
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

/// A layer around all routes that records the matched route.
pub(in crate::server) fn note_endpoint(request: Request) -> Request {
    let extensions = request.extensions();
    if let (Some(metrics), Some(path)) =
        (extensions.get::<RequestMetrics>(), extensions.get::<MatchedPath>())
    {
        let _ = metrics.0.endpoint.set(path.clone());
    }
    request
}

impl Metrics {
    /// A new request.
    pub(in crate::server) fn request_metrics(&self) -> RequestMetrics {
        RequestMetrics(Arc::new(Inner {
            figures: self.clone(),
            endpoint: OnceLock::new(),
            began: Instant::now(),
            status: AtomicU16::new(0),
            end: OnceLock::new(),
        }))
    }

    /// Counts a request that was rejected before it reached an endpoint.
    pub(in crate::server) fn refused(&self, refusal: Response) -> Response {
        self.0.prometheus.refused(refusal.status().as_u16());
        refusal
    }
}

impl RequestMetrics {
    /// The answer has this status.
    pub(in crate::server) fn answered(&self, status: StatusCode) {
        self.0.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// A request to a model begins.
    pub(in crate::server) fn begun(&self) {
        self.0.figures.begun();
    }

    /// It has finished.
    pub(in crate::server) fn ended(&self, ended: &RequestOutcome) {
        let figures = &self.0.figures;
        figures.ended(ended);
        let (model, status) = (figures.model(ended).into_owned(), ended.status);
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
        self.figures.0.prometheus.request(endpoint, model, status, self.began.elapsed());
    }
}

impl FromRequestParts<App> for RequestMetrics {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        // The middleware sets it; without it a request is counted, too.
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| app.0.figures.request_metrics()))
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
