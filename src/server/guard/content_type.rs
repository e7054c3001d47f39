//! Content types that a page can send to any site without a CORS preflight. Such requests are
//! recognized by their origin; this is a second line of defence, in case a browser sends none.

use axum::http::header::{CONTENT_TYPE, ORIGIN, REFERER, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};

use super::GuardError;

const FORMS: [&[u8]; 3] =
    [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"];

/// Whether the content type is allowed. Many programs send JSON without a content type, which is
/// fine; a page can do the same, so a browser must send a content type or an origin.
pub(super) fn check(parts: &Parts) -> Result<(), GuardError> {
    if parts.method != Method::POST {
        return Ok(());
    }
    let mut types = parts.headers.get_all(CONTENT_TYPE).iter().filter(|value| !is_blank(value));
    let is_form = match types.next() {
        None => is_silent_browser(&parts.headers),
        Some(first) => is_form(first) || types.any(is_form),
    };
    if is_form { Err(GuardError::FormContentType) } else { Ok(()) }
}

/// Whether a browser sends this, without an origin and without `sec-fetch-site`.
fn is_silent_browser(headers: &HeaderMap) -> bool {
    let is_browser = headers.contains_key(REFERER)
        || headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"));
    is_browser && !headers.contains_key(ORIGIN) && !headers.contains_key("sec-fetch-site")
}

fn is_blank(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().is_empty()
}

fn is_form(value: &HeaderValue) -> bool {
    let kind = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    FORMS.iter().any(|form| kind.trim_ascii().eq_ignore_ascii_case(form))
}
