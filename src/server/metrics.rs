//! `GET /v1/activity` and `GET /metrics`.

use std::convert::Infallible;
use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, MatchedPath, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::App;
use super::error::ApiError;
use crate::metrics::activity::{Bucket, Entry};
use crate::metrics::prometheus::Gauges;
use crate::metrics::{RequestMetrics, unix};

/// The media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is asked for.
#[derive(Deserialize)]
pub(super) struct Since {
    /// The number of the last request that is known already.
    #[serde(default)]
    after: u64,
}

/// The answer.
#[derive(Serialize)]
struct Shown {
    object: &'static str,
    now: f64,
    started_at: f64,
    in_flight: usize,
    requests: Vec<Entry>,
    tokens: Vec<Bucket>,
}

/// The last requests to models, and the tokens of the last hours.
pub(super) async fn activity(
    State(app): State<App>,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Ok(Query(Since { after })) = since else {
        let message = "The parameter 'after' must be the 'seq' of a request: an integer.";
        return Err(ApiError::invalid_request(message).param("after").code("invalid_value"));
    };
    let metrics = &app.0.metrics;
    let now = SystemTime::now();
    let (requests, tokens) = {
        let activity = metrics.activity();
        (activity.requests(after), activity.tokens(now))
    };
    let shown = Shown {
        object: "activity",
        now: unix(now),
        started_at: metrics.started(),
        in_flight: metrics.in_flight(),
        requests,
        tokens,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(shown)))
}

/// All figures for Prometheus.
pub(super) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let metrics = &app.0.metrics;
    let levels = Gauges {
        started: metrics.started(),
        in_flight: metrics.in_flight(),
        waiting: app.0.upstream.waiting(),
        renewals: app.0.account.renewals(),
        limits: app.0.upstream.limits().current(Timestamp::now().as_second()),
    };
    let text = metrics.text(&levels).map_err(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text))
}

/// Notes the route that was chosen for the request; the layer around all of them.
pub(super) fn note_endpoint(request: Request) -> Request {
    let extensions = request.extensions();
    if let (Some(metrics), Some(path)) =
        (extensions.get::<RequestMetrics>(), extensions.get::<MatchedPath>())
    {
        metrics.routed(path);
    }
    request
}

impl FromRequestParts<App> for RequestMetrics {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        // The middleware puts it there; without it a request would be counted all the same.
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| app.0.metrics.request()))
    }
}
