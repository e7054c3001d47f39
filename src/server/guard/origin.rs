//! Which web pages may ask. Browsers say for which page they send a request, and no page can keep
//! them from it; other programs say nothing of the kind.

use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, HeaderValue};

use super::Refusal;

/// The origins that the settings allow.
#[derive(Debug)]
pub(super) struct Origins(Vec<HeaderValue>);

impl Origins {
    pub(super) fn new(origins: &[HeaderValue]) -> Self {
        Self(origins.to_vec())
    }

    /// Whether it is no page that asks, or one that may.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let is_welcome = match (origins.next(), origins.next()) {
            (None, _) => !is_from_another_site(headers),
            (Some(origin), None) => self.0.contains(origin),
            (Some(_), Some(_)) => false,
        };
        if is_welcome { Ok(()) } else { Err(Refusal::ForeignPage) }
    }
}

/// Pictures, scripts and links come without an origin, but not without this.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| {
        let site = site.as_bytes().trim_ascii();
        site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
    })
}
