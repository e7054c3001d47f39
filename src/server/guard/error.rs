//! Errors of rejected requests.

use axum::http::StatusCode;

use crate::server::error::ApiError;

/// Why a request is rejected before its body is read. The messages go to unauthenticated callers:
/// they repeat nothing of the request and reveal nothing of the account, files or the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The Host header is missing or ambiguous.
    #[error(
        "A request needs exactly one Host header, a name or address with or without a port, and \
         a target that does not name another one."
    )]
    UnclearHost,
    /// The Host is not allowed: a page may have pointed its own name here (DNS rebinding).
    #[error(
        "Host not allowed. Use `localhost`, or add the name to `[server] allowed_hosts` in the \
         daemon's settings."
    )]
    UnknownHost,
    /// It comes from a web page whose origin is not allowed.
    #[error(
        "Origin not allowed. Web pages may use this daemon only if their origin is in `[server] \
         allowed_origins` in its settings."
    )]
    ForeignPage,
    /// The API key is missing or wrong.
    #[error(
        "Missing or invalid API key for this daemon. Set your client's API key (`api_key` in the \
         SDKs, or the variable OPENAI_API_KEY) to a key from `[server] api_keys` in the daemon's \
         settings, or from its key file. Send it as `Authorization: Bearer KEY` or `api-key: \
         KEY`."
    )]
    NoKey,
    /// Pages can send this content type without a preflight.
    #[error(
        "Unsupported or missing content type. Send `content-type: application/json`; with curl: \
         -H 'content-type: application/json'."
    )]
    FormContentType,
}

impl From<GuardError> for ApiError {
    fn from(refusal: GuardError) -> Self {
        let (status, code) = match refusal {
            GuardError::UnclearHost => (StatusCode::BAD_REQUEST, "invalid_host"),
            GuardError::UnknownHost => (StatusCode::MISDIRECTED_REQUEST, "host_not_allowed"),
            GuardError::ForeignPage => (StatusCode::FORBIDDEN, "origin_not_allowed"),
            GuardError::NoKey => (StatusCode::UNAUTHORIZED, "invalid_api_key"),
            GuardError::FormContentType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_type")
            }
        };
        ApiError::new(status, "invalid_request_error", refusal.to_string()).code(code)
    }
}
