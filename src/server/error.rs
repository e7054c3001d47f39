//! The one place where failures become OpenAI error objects.

mod paths;
mod upstream;

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::budget::Exhausted;
use crate::chat::error::{ErrorBody, ErrorObject};
use crate::chat::invalid_request::InvalidRequest;
use crate::excerpt::excerpt_of;
use crate::models::UnknownModel;

/// The backend's id of a request, on answers and on errors.
pub(super) const UPSTREAM_REQUEST_ID: HeaderName =
    HeaderName::from_static("x-codex-proxy-upstream-request-id");

/// How long a restart takes, if it follows at once.
const RESTART: Duration = Duration::from_secs(5);

/// The longest message, in bytes. Quotes of a request in it have their own limit, so that the hint
/// after them is kept.
const MAX_MESSAGE: usize = 4096;

/// When memory is likely to be free again.
const MEMORY_FREE: Duration = Duration::from_secs(5);

/// An error as the client gets it: an HTTP response, or the last event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The status; unused in a stream, where 200 was sent before.
    pub status: StatusCode,
    /// The error object.
    pub error: ErrorObject,
    /// When to retry: `retry-after`, and `retry-after-ms` if seconds are too coarse.
    pub retry_after: Option<Duration>,
    /// `x-should-retry`: it overrides the status for the official SDKs.
    pub should_retry: Option<bool>,
    /// The backend's failure, if it caused the error.
    pub cause: Option<Box<Cause>>,
}

/// The backend's failure: for the log, and for support requests to OpenAI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    /// A short description, without the backend's message, which may quote the conversation.
    pub reason: String,
    /// The backend's id of the request.
    pub upstream_request_id: Option<String>,
    /// The rate-limit headers of the public API, unchanged.
    pub rate_limits: HeaderMap,
}

impl ApiError {
    /// A failure of the class `kind`, without a code.
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let message = excerpt_of(&message.into(), MAX_MESSAGE).into_owned();
        let error = ErrorObject { message, kind, param: None, code: None };
        Self { status, error, retry_after: None, should_retry: None, cause: None }
    }

    /// 400: the request is wrong.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A bug in this program.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        let message = format!("codex-proxy failed: {error}. This is a bug in codex-proxy.");
        Self::server(StatusCode::INTERNAL_SERVER_ERROR, message).code("internal_error")
    }

    /// A server error.
    pub fn server(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "server_error", message)
    }

    /// The daemon is shutting down.
    pub fn stopping() -> Self {
        let message = "codex-proxy is shutting down, and this answer is incomplete. Try again \
                       when it is running again.";
        Self::server(StatusCode::SERVICE_UNAVAILABLE, message)
            .code("server_shutting_down")
            .retry_after(RESTART)
    }

    /// Sets the code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.error.code = Some(code.into());
        self
    }

    /// Sets the JSON path of the request field at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.error.param = Some(param.into());
        self
    }

    /// Sets the time after which to retry.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Tells the SDKs not to retry.
    #[must_use]
    pub fn no_retry(mut self) -> Self {
        self.should_retry = Some(false);
        self
    }

    /// Sets the rate-limit headers of the public API.
    #[must_use]
    pub fn rate_limits(mut self, limits: &HeaderMap) -> Self {
        if !limits.is_empty() {
            self.cause.get_or_insert_default().rate_limits = limits.clone();
        }
        self
    }

    /// The event that reports the failure in a stream: `data: {"error":{…}}` and a blank line.
    pub fn into_sse(&self) -> String {
        format!("data: {}\n\n", self.json())
    }

    /// The error object in its envelope, as clients get it.
    #[expect(clippy::expect_used, reason = "strings and nulls always serialise")]
    pub(super) fn json(&self) -> String {
        let body = ErrorBody { error: self.error.clone() };
        serde_json::to_string(&body).expect("strings and nulls")
    }

    fn headers(&self) -> HeaderMap {
        const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
        const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

        let cause = self.cause.as_deref();
        let mut headers = cause.map(|cause| cause.rate_limits.clone()).unwrap_or_default();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let id = cause.and_then(|cause| cause.upstream_request_id.as_ref());
        if let Some(id) = id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(UPSTREAM_REQUEST_ID, id);
        }
        if let Some(delay) = self.retry_after {
            let fraction = delay.subsec_nanos() > 0;
            headers.insert(RETRY_AFTER, (delay.as_secs() + u64::from(fraction)).into());
            if fraction && let Ok(millis) = u64::try_from(delay.as_millis()) {
                headers.insert(RETRY_AFTER_MS, millis.into());
            }
        }
        if let Some(retry) = self.should_retry {
            let text = if retry { "true" } else { "false" };
            headers.insert(SHOULD_RETRY, HeaderValue::from_static(text));
        }
        headers
    }
}

impl From<Exhausted> for ApiError {
    fn from(exhausted: Exhausted) -> Self {
        let code = "memory_limit_reached";
        match exhausted {
            Exhausted::ForNow => {
                let message = "Requests and answers use all the memory that `[server] \
                               max_body_total_mib` allows. Try again later.";
                Self::server(StatusCode::SERVICE_UNAVAILABLE, message)
                    .code(code)
                    .retry_after(MEMORY_FREE)
            }
            Exhausted::ForGood => {
                let message = "The answer needs more memory than `[server] max_body_total_mib` \
                               allows. Use `stream: true`, which needs little memory.";
                Self::server(StatusCode::SERVICE_UNAVAILABLE, message).code(code).no_retry()
            }
        }
    }
}

impl From<InvalidRequest> for ApiError {
    fn from(reject: InvalidRequest) -> Self {
        let error = Self::invalid_request(reject.message);
        let code = reject.code.map(|code| code.as_str().to_owned());
        Self { error: ErrorObject { param: reject.param, code, ..error.error }, ..error }
    }
}

impl From<UnknownModel> for ApiError {
    fn from(unknown: UnknownModel) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", unknown.to_string())
            .param("model")
            .code("model_not_found")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, self.headers(), self.json() + "\n").into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(response: &Response, name: &str) -> Option<String> {
        Some(response.headers().get(name)?.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn the_answer_is_a_json_line_with_all_four_keys() {
        let response = ApiError::invalid_request("no \"x\"\n").param("x").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(header(&response, "content-type").as_deref(), Some("application/json"));
        for name in ["retry-after", "retry-after-ms", "x-should-retry"] {
            assert_eq!(header(&response, name), None, "{name}");
        }
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let expected = concat!(
            r#"{"error":{"message":"no \"x\"\n","type":"invalid_request_error","#,
            r#""param":"x","code":null}}"#,
            "\n"
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn delays_are_whole_seconds_and_exact_milliseconds() {
        for (millis, seconds, exact) in [
            (0, "0", None),
            (5000, "5", None),
            (11_054, "12", Some("11054")),
            (350, "1", Some("350")),
        ] {
            let error = ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "m");
            let response =
                error.retry_after(Duration::from_millis(millis)).no_retry().into_response();
            assert_eq!(header(&response, "retry-after").as_deref(), Some(seconds));
            assert_eq!(header(&response, "retry-after-ms").as_deref(), exact);
            assert_eq!(header(&response, "x-should-retry").as_deref(), Some("false"));
        }
    }

    #[test]
    fn in_a_stream_it_is_one_event() {
        let event = ApiError::server(StatusCode::BAD_GATEWAY, "a\nb").code("c").into_sse();
        let expected = concat!(
            r#"data: {"error":{"message":"a\nb","type":"server_error","param":null,"code":"c"}}"#,
            "\n\n"
        );
        assert_eq!(event, expected);
    }
}
