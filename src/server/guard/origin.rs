//! The check of the origin. Browsers send the origin of a request's page, and no page can prevent
//! that; other programs send none.
//!
//! The daemon's own page is always allowed. Its origin equals the scheme and `Host` of the request.
//! That alone proves nothing, because of DNS rebinding; the Host was checked before.

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};

use super::GuardError;
use super::host::HostMatch;

/// The allowed origins of the settings.
#[derive(Debug)]
pub(super) struct Origins(Vec<HeaderValue>);

impl Origins {
    pub(super) fn new(origins: &[HeaderValue]) -> Self {
        Self(origins.to_vec())
    }

    /// Whether the request comes from no page, or from an allowed one. `standing` is that of the
    /// request's Host.
    pub(super) fn check(&self, parts: &Parts, standing: HostMatch) -> Result<(), GuardError> {
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        let is_welcome = match (origins.next(), origins.next()) {
            (None, _) => !is_from_another_site(&parts.headers) || is_visit(parts),
            (Some(origin), None) => {
                self.0.contains(origin) || is_own_page(origin, &parts.headers, standing)
            }
            (Some(_), Some(_)) => false,
        };
        if is_welcome { Ok(()) } else { Err(GuardError::ForeignPage) }
    }
}

/// Whether this origin is the request's own address. Browsers write both in the same way, so they
/// must be equal byte by byte, including the port.
fn is_own_page(origin: &HeaderValue, headers: &HeaderMap, standing: HostMatch) -> bool {
    let schemes: &[&[u8]] = match standing {
        HostMatch::Own => &[b"http://"],
        HostMatch::Listed => &[b"http://", b"https://"],
        HostMatch::Any => &[],
    };
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let is_same = |scheme: &&[u8]| origin.as_bytes().strip_prefix(*scheme) == Some(host.as_bytes());
    // Behind a TLS proxy, this distinguishes a page loaded over HTTP from one loaded over HTTPS.
    let mut sites = headers.get_all("sec-fetch-site").iter();
    schemes.iter().any(is_same) && sites.all(|site| site == "same-origin")
}

/// Images, scripts and links send no origin, but this header.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| {
        let site = site.as_bytes().trim_ascii();
        site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
    })
}

/// Whether this is a navigation to the page at `/`: the page is static, and the linking page can
/// neither read nor frame it. All other cross-site requests are rejected.
fn is_visit(parts: &Parts) -> bool {
    let says = |name, value: &str| {
        let mut values = parts.headers.get_all(name).iter();
        values.next().is_some_and(|found| found == value) && values.next().is_none()
    };
    parts.method == Method::GET
        && parts.uri.path() == "/"
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}
