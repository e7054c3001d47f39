//! `GET /v1/activity` and `GET /metrics`.

use std::time::SystemTime;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::activity::{Bucket, Entry};
use super::prometheus::Gauges;
use super::unix;
use crate::server::App;
use crate::server::error::ApiError;

/// The media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is asked for.
#[derive(Deserialize)]
pub(in crate::server) struct Since {
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
pub(in crate::server) async fn activity(
    State(app): State<App>,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Ok(Query(Since { after })) = since else {
        let message = "The parameter 'after' must be the 'seq' of a request: an integer.";
        return Err(ApiError::invalid_request(message).param("after").code("invalid_value"));
    };
    let figures = &app.0.figures;
    let now = SystemTime::now();
    let (requests, tokens) = {
        let activity = figures.activity();
        (activity.requests(after), activity.tokens(now))
    };
    let shown = Shown {
        object: "activity",
        now: unix(now),
        started_at: unix(figures.0.started),
        in_flight: figures.in_flight(),
        requests,
        tokens,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(shown)))
}

/// All figures for Prometheus.
pub(in crate::server) async fn metrics(
    State(app): State<App>,
) -> Result<impl IntoResponse, ApiError> {
    let figures = &app.0.figures;
    let levels = Gauges {
        started: unix(figures.0.started),
        in_flight: figures.in_flight(),
        waiting: app.0.upstream.waiting(),
        renewals: app.0.account.renewals(),
        limits: app.0.upstream.limits().current(Timestamp::now().as_second()),
    };
    let text = figures.0.prometheus.text(&levels).map_err(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text))
}
