//! The check of the Host. A page may point its own name at this machine (DNS rebinding): to the
//! browser the daemon then has the same origin. Only the Host reveals that, so the daemon accepts
//! few names.

use std::net::IpAddr;

use axum::http::HeaderValue;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use super::GuardError;
use crate::server::peer_info::PeerInfo;

/// The allowed names of the settings.
#[derive(Debug)]
pub(super) struct Hosts(Vec<Host>);

/// How the Host of a request matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostMatch {
    /// `localhost` or the daemon's own address, which nobody else can control.
    Own,
    /// A name of the settings, for example of a TLS proxy.
    Listed,
    /// Any name: the Unix socket has its own access control.
    Any,
}

/// A name or an address, normalized for comparison.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    /// An IPv4 address that is written as an IPv6 address is the IPv4 address.
    Address(IpAddr),
    /// In lower case.
    Name(String),
}

/// The value of a `Host` header.
#[derive(Debug, PartialEq, Eq)]
struct Called {
    host: Host,
    port: u16,
}

impl Hosts {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| Host::new(name)).collect())
    }

    /// Checks the Host of the request.
    pub(super) fn check(&self, parts: &Parts) -> Result<HostMatch, GuardError> {
        let arrival = parts.extensions.get();
        let host = called(parts);
        let standing = host.as_ref().ok().and_then(|host| self.standing(host, arrival));
        if arrival == Some(&PeerInfo::Unix) {
            one_host(parts)?;
            return Ok(standing.unwrap_or(HostMatch::Any));
        }
        host?;
        standing.ok_or(GuardError::UnknownHost)
    }

    fn standing(&self, host: &Host, arrival: Option<&PeerInfo>) -> Option<HostMatch> {
        if self.0.contains(host) {
            Some(HostMatch::Listed)
        } else if host.is_loopback() || host.is_where(arrival) {
            Some(HostMatch::Own)
        } else {
            None
        }
    }
}

/// The Host of the request, if it is unambiguous.
fn called(parts: &Parts) -> Result<Host, GuardError> {
    let read = |bytes: &[u8]| Called::read(bytes).ok_or(GuardError::UnclearHost);
    let target =
        parts.uri.authority().map(|target| read(target.as_str().as_bytes())).transpose()?;
    let header = read(one_host(parts)?.as_bytes())?;
    if target.is_some_and(|target| target != header) {
        return Err(GuardError::UnclearHost);
    }
    Ok(header.host)
}

/// The one `Host` header.
fn one_host(parts: &Parts) -> Result<&HeaderValue, GuardError> {
    let mut headers = parts.headers.get_all(HOST).iter();
    match (headers.next(), headers.next()) {
        (Some(host), None) => Ok(host),
        _ => Err(GuardError::UnclearHost),
    }
}

impl Called {
    /// A name or address with an optional port; nothing else of an authority.
    fn read(bytes: &[u8]) -> Option<Self> {
        let authority = Authority::try_from(bytes).ok()?;
        let host = authority.host();
        // With a user's name in front this would not be the beginning.
        let rest = authority.as_str().strip_prefix(host)?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => "",
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port,
            _ => return None,
        };
        let port = if port.is_empty() { 80 } else { port.parse().ok()? };
        let host = Host::new(host);
        // Brackets belong to addresses.
        let is_sound = match &host {
            Host::Address(_) => true,
            Host::Name(name) => !name.is_empty() && !name.contains(['[', ']', '@']),
        };
        is_sound.then_some(Self { host, port })
    }
}

impl Host {
    fn new(text: &str) -> Self {
        let literal = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        // Only in full form: browsers normalize short forms of addresses.
        match literal.unwrap_or(text).parse::<IpAddr>() {
            Ok(address) if literal.is_none() || address.is_ipv6() => {
                Self::Address(address.to_canonical())
            }
            _ => Self::Name(text.to_ascii_lowercase()),
        }
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost" || name == "localhost.",
        }
    }

    /// Whether it is the address that the connection was accepted on.
    fn is_where(&self, arrival: Option<&PeerInfo>) -> bool {
        match (self, arrival) {
            (Self::Address(address), Some(PeerInfo::Tcp { local, .. })) => {
                *address == local.ip().to_canonical()
            }
            _ => false,
        }
    }
}
