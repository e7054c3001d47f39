//! The ways to the backend and to the sign-in service, one step after the other.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, USER_AGENT};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::super::facts::{Answer, Network, NoAnswer, Proxy, Roots, Route, State};
use crate::config::{self, Config};
use crate::error_chain::root_cause;
use crate::upstream::{BuildError, http_client};

/// How long each step may take: who looks on is a person.
const STEP: Duration = Duration::from_secs(10);

pub(super) async fn look(config: &Config, login: &State) -> Network {
    let base = match login {
        State::Key | State::NoKey(_) => &config.upstream.public_url,
        State::Plan { .. } | State::None(_) => &config.upstream.base_url,
    };
    let needs_issuer = matches!(login, State::Plan { .. } | State::None(_));
    let upstream = &config.upstream;
    let page = models(base);
    let (backend, issuer) = tokio::join!(route(upstream, base, &page), async {
        let issuer = &config.auth.issuer;
        if needs_issuer { Some(route(upstream, issuer, issuer).await) } else { None }
    });
    Network { roots: roots(upstream, base), backend, issuer }
}

/// Something that is there and asks for a login.
fn models(base: &Url) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("models");
    }
    url
}

/// The file of certificates that the environment names, by the rules of the client of the backend.
fn roots(settings: &config::Upstream, base: &Url) -> Option<Roots> {
    let (variable, path) = ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .find(|(_, value)| !value.is_empty())?;
    let problem = match http_client(settings, base) {
        Err(error @ (BuildError::Certificates { .. } | BuildError::NoCertificate { .. })) => {
            Some(error.to_string())
        }
        _ => None,
    };
    Some(Roots { variable, path: PathBuf::from(path), problem })
}

/// The way to `service`, and what `page` of it answers to somebody without a login.
async fn route(settings: &config::Upstream, service: &Url, page: &Url) -> Route {
    let place = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        (host.to_owned(), url.port_or_known_default().unwrap_or(443))
    };
    let (host, port) = place(service);
    let mut route = Route {
        target: format!("{host}:{port}"),
        is_encrypted: service.scheme() == "https",
        proxy: None,
        resolved: Ok(Vec::new()),
        connected: None,
        answered: None,
    };
    let mut next = (host, port);
    if let Some((proxy, place)) = proxy(service) {
        (route.proxy, next) = (Some(proxy), place);
    }
    route.resolved = resolve(&next.0, next.1).await;
    let Ok(addresses) = &route.resolved else { return route };
    let connected = connect(addresses, next.1).await;
    let is_connected = connected.is_ok();
    route.connected = Some(connected);
    if is_connected {
        route.answered = ask(settings, service, page).await;
    }
    route
}

/// The proxy that the environment or the system means for a service. This machine needs none.
fn proxy(service: &Url) -> Option<(Proxy, (String, u16))> {
    let host = service.host_str()?.trim_matches(['[', ']']).to_owned();
    let is_here =
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if is_here {
        return None;
    }
    let target: Uri = service.as_str().parse().ok()?;
    let found = Matcher::from_system().intercept(&target)?;
    let uri = found.uri();
    let scheme = uri.scheme_str().unwrap_or("http").to_owned();
    let usual = match scheme.as_str() {
        "https" => 443,
        scheme if scheme.starts_with("socks") => 1080,
        _ => 80,
    };
    let (host, port) = (uri.host()?.to_owned(), uri.port_u16().unwrap_or(usual));
    Some((Proxy { scheme, place: format!("{host}:{port}") }, (host, port)))
}

async fn resolve(host: &str, port: u16) -> Result<Vec<IpAddr>, String> {
    let host = host.trim_matches(['[', ']']);
    match timeout(STEP, lookup_host((host, port))).await {
        Err(_) => Err(format!("no answer within {} s", STEP.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<_> = addresses.map(|address| address.ip()).collect();
            addresses.dedup();
            if addresses.is_empty() { Err("no address found".to_owned()) } else { Ok(addresses) }
        }
    }
}

/// Connects to the first address that takes it.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<Duration, String> {
    let begun = Instant::now();
    let places: Vec<_> = addresses.iter().map(|address| (*address, port).into()).collect();
    match timeout(STEP, TcpStream::connect(places.as_slice())).await {
        Ok(Ok(_)) => Ok(begun.elapsed()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", STEP.as_secs())),
    }
}

/// Asks as the daemon does, but without a login. Nothing if there is no client for that, which has
/// a finding of its own.
async fn ask(
    settings: &config::Upstream,
    service: &Url,
    page: &Url,
) -> Option<Result<Answer, NoAnswer>> {
    let client = http_client(settings, service).ok()?;
    let request = client.get(page.clone()).header(USER_AGENT, &settings.user_agent).timeout(STEP);
    Some(match request.send().await {
        Ok(response) => Ok(Answer {
            status: response.status().as_u16(),
            is_page: is_challenge(response.status().as_u16(), response.headers()),
            clocks: clocks(response.headers()),
        }),
        Err(error) => {
            let cause = if error.is_timeout() {
                format!("no answer within {} s", STEP.as_secs())
            } else {
                root_cause(&error)
            };
            Err(NoAnswer { while_connecting: error.is_connect(), cause })
        }
    })
}

/// Whether something in front answers in place of the service: by a page that is no success.
fn is_challenge(status: u16, headers: &HeaderMap) -> bool {
    let is_page = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    headers.contains_key("cf-mitigated") || (is_page && matches!(status, 403 | 429 | 503))
}

/// The time that an answer says, and the time now.
fn clocks(headers: &HeaderMap) -> Option<(Timestamp, Timestamp)> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(text).ok()?;
    Some((theirs.timestamp(), Timestamp::now()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let (theirs, _) = clocks(&headers(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")])).unwrap();
        assert_eq!(theirs.to_string(), "1994-11-06T08:49:37Z");
        assert!(clocks(&headers(&[("date", "soon")])).is_none());
        assert!(clocks(&headers(&[])).is_none());
    }

    #[test]
    fn challenges_are_told_from_answers() {
        for (status, pairs, expected) in [
            (401, &[("content-type", "application/json")][..], false),
            (200, &[("content-type", "text/html")], false),
            (403, &[("content-type", "text/html; charset=UTF-8")], true),
            (403, &[("content-type", "application/json")], false),
            (200, &[("cf-mitigated", "challenge")], true),
        ] {
            assert_eq!(is_challenge(status, &headers(pairs)), expected, "{status} {pairs:?}");
        }
    }

    #[test]
    fn the_page_that_is_asked_for_is_below_the_base() {
        let base = "https://a.example/backend-api/codex".parse().unwrap();
        assert_eq!(models(&base).as_str(), "https://a.example/backend-api/codex/models");
    }
}
