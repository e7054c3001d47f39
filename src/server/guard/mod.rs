//! Access control. It is decided by the head of a request, before its body is read, in this order:
//!
//! | file | asks |
//! |---|---|
//! | `host.rs` | is the Host allowed? |
//! | `origin.rs` | does a web page send it, and is its origin allowed? |
//! | `cors.rs` | (tells browsers what allowed pages may do) |
//! | `keys.rs` | does the caller have an API key? |
//! | `content_type.rs` | could a page have sent the body without a preflight? |
//! | `error.rs` | the errors of rejected requests |

mod content_type;
mod cors;
mod error;
mod host;
mod keys;
mod origin;
#[cfg(test)]
mod tests;

use axum::http::header::{ORIGIN, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::CorsLayer;
use uuid::Uuid;

pub use self::error::GuardError;
use self::host::Hosts;
pub(super) use self::keys::Caller;
pub use self::keys::KeyFileError;
use self::keys::Keys;
use self::origin::Origins;
use super::error::ApiError;
use super::page;
use crate::config;

/// Access control by the settings.
#[derive(Debug)]
pub(super) struct Guard {
    hosts: Hosts,
    origins: Origins,
    /// `None` if no origin is allowed.
    cors: Option<CorsLayer>,
    keys: Keys,
}

impl Guard {
    /// Creates the guard of the settings. It reads the key file.
    pub(super) fn new(settings: &config::Server) -> Result<Self, KeyFileError> {
        let config::Server { allowed_hosts, allowed_origins, .. } = settings;
        Ok(Self {
            hosts: Hosts::new(allowed_hosts),
            origins: Origins::new(allowed_origins),
            cors: cors::layer(allowed_origins),
            keys: Keys::load(&settings.api_keys, settings.api_key_file.as_deref())?,
        })
    }

    /// Checks the Host and the origin of the request.
    pub(super) fn check_source(&self, parts: &Parts) -> Result<(), GuardError> {
        let standing = self.hosts.check(parts)?;
        self.origins.check(parts, standing)
    }

    /// The CORS layer, if it applies to this request. The layer treats every OPTIONS as a
    /// preflight; without an origin it is none.
    pub(super) fn cors(&self, parts: &Parts) -> Option<&CorsLayer> {
        let is_preflight_or_other =
            parts.method != Method::OPTIONS || parts.headers.contains_key(ORIGIN);
        self.cors.as_ref().filter(|_| is_preflight_or_other)
    }

    /// The caller, if it is allowed.
    pub(super) fn check_caller(&self, parts: &Parts) -> Result<Caller, GuardError> {
        let caller = self.keys.caller(&parts.headers);
        if caller == Caller::Anonymous && !is_for_everybody(parts) {
            return Err(GuardError::NoKey);
        }
        content_type::check(parts)?;
        Ok(caller)
    }
}

/// Without a key, callers can use the health check and load the static page, and nothing else.
fn is_for_everybody(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let is_reading = parts.method == Method::GET || parts.method == Method::HEAD;
    path.trim_end_matches('/') == "/health" || (is_reading && page::has(path))
}

/// The response to a rejected request. The log does not repeat its content either.
pub(super) fn refuse(refusal: GuardError) -> Response {
    let request_id = format!("req_{}", Uuid::new_v4().simple());
    let error = ApiError::from(refusal);
    tracing::info!(request_id, status = error.status.as_u16(), code = error.error.code, "refused");
    let mut response = error.into_response();
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert("x-request-id", id);
    }
    if refusal == GuardError::NoKey {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
