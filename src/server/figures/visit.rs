//! Requests to any endpoint, each of which is counted once: when its answer has gone out.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use super::names::OTHER;
use super::{Ended, Figures};
use crate::server::App;
use crate::server::guard::Refusal;

/// The status of a request whose client has left before there was an answer.
const CLIENT_LEFT: u16 = 499;

/// One request, from its coming to its end. It is counted when the last clone is dropped, however
/// that comes about. Handlers take it as an argument if they know better than the head of the
/// answer what became of the request.
#[derive(Debug, Clone)]
pub(in crate::server) struct Visit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    figures: Figures,
    endpoint: Option<MatchedPath>,
    began: Instant,
    /// 0 until there is an answer.
    status: AtomicU16,
    end: OnceLock<End>,
}

/// What became of the request.
#[derive(Debug)]
struct End {
    model: String,
    status: u16,
}

/// Counts the requests to all endpoints; the layer around them.
pub(in crate::server) async fn observe(
    State(figures): State<Figures>,
    mut request: Request,
    next: Next,
) -> Response {
    let visit = figures.visit(request.extensions().get().cloned());
    request.extensions_mut().insert(visit.clone());
    let response = next.run(request).await;
    visit.0.status.store(response.status().as_u16(), Ordering::Relaxed);
    response
}

/// Counts the requests that come to no endpoint, since the guard has turned them away.
pub(in crate::server) async fn count_refusals(
    State(figures): State<Figures>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if response.extensions().get::<Refusal>().is_some() {
        figures.0.metrics.refused(response.status().as_u16());
    }
    response
}

impl Figures {
    fn visit(&self, endpoint: Option<MatchedPath>) -> Visit {
        Visit(Arc::new(Inner {
            figures: self.clone(),
            endpoint,
            began: Instant::now(),
            status: AtomicU16::new(0),
            end: OnceLock::new(),
        }))
    }
}

impl Visit {
    /// A request to a model begins.
    pub(in crate::server) fn begun(&self) {
        self.0.figures.begun();
    }

    /// It has ended.
    pub(in crate::server) fn ended(&self, ended: &Ended) {
        let figures = &self.0.figures;
        figures.ended(ended);
        let (model, status) = (figures.model(ended).into_owned(), ended.status);
        let _ = self.0.end.set(End { model, status });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let endpoint = self.endpoint.as_ref().map_or(OTHER, |path| plain(path.as_str()));
        let (model, status) = match (self.end.get(), *self.status.get_mut()) {
            (Some(end), _) => (end.model.as_str(), end.status),
            (None, 0) => ("", CLIENT_LEFT),
            (None, status) => ("", status),
        };
        self.figures.0.metrics.request(endpoint, model, status, self.began.elapsed());
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        // The layer is around every handler; without it a request would be counted all the same.
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| app.0.figures.visit(None)))
    }
}

/// An endpoint's path without what clients may put before it.
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
