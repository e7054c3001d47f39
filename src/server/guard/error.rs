//! Why somebody does not get in.

use axum::http::StatusCode;

use crate::server::error::ApiError;

/// Why a request is refused before its body is read. The messages go to strangers: they repeat
/// nothing of what was sent and tell nothing of the account, of files or of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// It does not say, or says in two ways, whom it calls.
    #[error(
        "A request needs exactly one Host header, a name or address with or without a port, and \
         a target that does not name another one."
    )]
    UnclearHost,
    /// It calls somebody else: the page that sent it may have had a name of its own point here.
    #[error(
        "This daemon does not go by the name in the Host header. Call it `localhost`, or add the \
         name to `[server] allowed_hosts` in its settings."
    )]
    UnknownHost,
    /// It comes from a web page.
    #[error(
        "Web pages may not use this daemon, unless their origins are in `[server] \
         allowed_origins` in its settings."
    )]
    ForeignPage,
    /// It has no key, or a wrong one.
    #[error(
        "A key of this daemon's own is needed. Set your client's API key (`api_key` in the SDKs, \
         or the variable OPENAI_API_KEY) to one of those in `[server] api_keys` of the daemon's \
         settings, or in its key file; it has to arrive as `Authorization: Bearer KEY` \
         or `api-key: KEY`."
    )]
    NoKey,
    /// Its body is of a kind that pages can send without asking.
    #[error(
        "The body has a content type of web forms, or a browser sent it without one. Send `content-type: application/json`; with \
         curl: -H 'content-type: application/json'."
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
