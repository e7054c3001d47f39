//! Bodies of the kinds that a page can send anywhere without asking first. Such requests are
//! known by their origin; here is a second line of defence, in case a browser keeps silent.

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};

use super::Refusal;

const FORMS: [&[u8]; 3] =
    [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"];

/// Whether the body is of no such kind. Many programs send JSON and do not say so, which is fine.
pub(super) fn check(parts: &Parts) -> Result<(), Refusal> {
    let mut types = parts.headers.get_all(CONTENT_TYPE).iter();
    if parts.method == Method::POST && types.any(is_form) {
        return Err(Refusal::FormContentType);
    }
    Ok(())
}

fn is_form(value: &HeaderValue) -> bool {
    let kind = value.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    FORMS.iter().any(|form| kind.trim_ascii().eq_ignore_ascii_case(form))
}
