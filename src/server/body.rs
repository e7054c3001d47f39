//! The body of a request, read whole and within limits.

use std::fmt::Display;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tower_http::timeout::TimeoutError;

use super::App;
use super::error::ApiError;

/// How much room a body gets before any of it has come, whatever its announced length.
const FIRST_ROOM: usize = 64 << 10;

/// The bytes of a body that is not too large.
///
/// They are copied together as they come. Kept as they come, every piece would hold on to the
/// buffer it was read into, and a body sent byte by byte would take up hundreds of times its size.
pub(super) struct Whole(pub(super) Bytes);

impl FromRequest<App> for Whole {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let largest = app.0.config.server.max_body_bytes;
        let announced = announced(&request);
        if announced > largest {
            return Err(too_large(largest));
        }
        let mut whole = Vec::with_capacity(announced.min(FIRST_ROOM));
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let error = error.into_inner();
                if error.is::<TimeoutError>() { too_slow() } else { unreadable(&error) }
            })?;
            let Some(data) = frame.data_ref() else { continue };
            if data.len() > largest - whole.len() {
                return Err(too_large(largest));
            }
            whole.extend_from_slice(data);
        }
        Ok(Self(whole.into()))
    }
}

/// The length that the head announces; 0 if it does not.
fn announced(request: &Request) -> usize {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // One that does not fit is more than anything allowed.
    length.map_or(0, |length| length.parse().unwrap_or(usize::MAX))
}

fn too_large(largest: usize) -> ApiError {
    let largest = largest >> 20;
    let message = format!(
        "The request body is larger than {largest} MiB; `[server] max_body_mib` sets the limit."
    );
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
}

fn too_slow() -> ApiError {
    let message = "The request body stopped coming before its end. Send the request again.";
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", message)
}

fn unreadable(error: &impl Display) -> ApiError {
    ApiError::invalid_request(format!("The request body could not be read: {error}"))
}
