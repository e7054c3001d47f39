//! Which web pages may ask. Browsers say for which page they send a request, and no page can keep
//! them from it; other programs say nothing of the kind.
//!
//! A page of this daemon's own may always ask. It is known by its origin, which is then the scheme
//! and the very `Host` of the request: the page came from where the request went. That says nothing
//! by itself, since a name can be made to lead here; the host has been found good before.

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};

use super::GuardError;
use super::host::HostMatch;

/// The origins that the settings allow.
#[derive(Debug)]
pub(super) struct Origins(Vec<HeaderValue>);

impl Origins {
    pub(super) fn new(origins: &[HeaderValue]) -> Self {
        Self(origins.to_vec())
    }

    /// Whether it is no page that asks, or one that may. `standing` is that of the request's host.
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

/// Whether the page with this origin came from where the request goes. Browsers write both in the
/// same way, so that nothing but equal bytes will do, the port's too.
fn is_own_page(origin: &HeaderValue, headers: &HeaderMap, standing: HostMatch) -> bool {
    let schemes: &[&[u8]] = match standing {
        HostMatch::Own => &[b"http://"],
        HostMatch::Listed => &[b"http://", b"https://"],
        HostMatch::Any => &[],
    };
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let is_same = |scheme: &&[u8]| origin.as_bytes().strip_prefix(*scheme) == Some(host.as_bytes());
    // Where TLS ends elsewhere, this tells a page that came without it from one that came with it.
    let mut sites = headers.get_all("sec-fetch-site").iter();
    schemes.iter().any(is_same) && sites.all(|site| site == "same-origin")
}

/// Pictures, scripts and links come without an origin, but not without this.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| {
        let site = site.as_bytes().trim_ascii();
        site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
    })
}

/// Whether somebody follows a link to the page at `/`: it is the same for everybody, and the page
/// with the link can neither read nor frame it. All else that other sites lead to stays closed.
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
