//! `POST /v1/chat/completions`.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the handler |
//! | `prepare.rs`, `cost.rs` | from the body to a call that may be made, and where that is worked out |
//! | `reader.rs` | the chat side of an [exchange](crate::exchange) |
//! | `streaming.rs`, `coalesce.rs` | a streamed answer, and which writes are put together |
//! | `buffered.rs` | an answer that is sent when it is complete |
//! | `answer.rs` | id, headers and usage of both |

mod answer;
mod buffered;
mod coalesce;
mod cost;
mod prepare;
mod reader;
mod streaming;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use self::answer::{Identity, insert};
use self::prepare::{Call, prepare};
use super::App;
use super::body::BodyBytes;
use super::capture::CaptureHandle;
use super::error::ApiError;
use super::listen::Shutdown;
use super::models::PrefetchModels;
use super::record::Record;
use crate::capture::Recording;
use crate::metrics::RequestMetrics;
use crate::translate::request::FieldReport;

/// The prefix of request ids.
const REQUEST_ID: &str = "req_";

/// The handler.
pub(super) async fn complete(
    State(app): State<App>,
    request_metrics: RequestMetrics,
    shutdown: Shutdown,
    CaptureHandle(recording): CaptureHandle,
    _: PrefetchModels,
    body: Result<BodyBytes, ApiError>,
) -> Response {
    let request_id = format!("{REQUEST_ID}{}", Uuid::new_v4().simple());
    let record = Record::new(request_id.clone(), request_metrics, shutdown.clone());
    let answer = tokio::select! {
        biased;
        answer = respond(&app, body, record, recording.clone(), &shutdown) => answer,
        () = shutdown.cut() => Err(ApiError::stopping()),
    };
    if let (Err(error), Some(recording)) = (&answer, &recording) {
        recording.error(error.json());
    }
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    insert(response.headers_mut(), "x-request-id", &request_id);
    if let Some(recording) = &recording {
        recording.answer(response.status(), response.headers());
    }
    response
}

async fn respond(
    app: &App,
    body: Result<BodyBytes, ApiError>,
    mut record: Record,
    recording: Option<Recording>,
    shutdown: &Shutdown,
) -> Result<Response, ApiError> {
    if let (Ok(BodyBytes(body)), Some(recording)) = (&body, &recording) {
        recording.body(body);
    }
    let prepared = match body {
        Ok(BodyBytes(body)) => prepare(app, body, &mut record, recording).await,
        Err(error) => Err(error),
    };
    match prepared {
        Ok((call, fields)) => answer(app, call, &fields, record, shutdown).await,
        Err(error) => {
            record.failed(&error);
            Err(error)
        }
    }
}

async fn answer(
    app: &App,
    call: Call,
    fields: &FieldReport,
    record: Record,
    shutdown: &Shutdown,
) -> Result<Response, ApiError> {
    let identity = Identity::new(&call.plan, &record.request_id);
    let mut response = if call.plan.stream {
        streaming::respond(app, call, identity, record, shutdown).await
    } else {
        buffered::respond(app, &call, &identity, record).await
    }?;
    let headers = response.headers_mut();
    if let Some(dropped) = fields.dropped() {
        insert(headers, "x-codex-proxy-dropped", &dropped);
    }
    if let Some(emulated) = fields.emulated() {
        insert(headers, "x-codex-proxy-emulated", &emulated);
    }
    Ok(response)
}
