//! The HTTP clients: TLS roots, proxies, pool, windows and timeouts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Url, redirect};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use crate::config;
use crate::plain_file;

use super::circuit::CircuitBreakerLayer;

/// HTTP/2 gives every stream this much room, and the connection room for all of them: a client
/// that stops reading then fills its own window and no other stream waits for it.
const STREAM_WINDOW: u32 = 256 << 10;
/// More than the number of streams that servers allow on one connection, which is 100.
const STREAMS: u32 = 128;

/// How long a connection to the backend may go without a new call. Over HTTP/2 that is counted from
/// the beginning of the last call, and answers take minutes: with much less, a program that asks
/// again as soon as it has read an answer would have to connect anew. Until then pings keep the
/// connection open, and find out if it is not. It is as long as a list of models is fresh, and less
/// than what edges allow.
const IDLE: Duration = Duration::from_secs(300);
/// The same for other services, which nobody asks twice in a row.
const IDLE_ELSEWHERE: Duration = Duration::from_secs(90);

/// Why there is no client for these settings.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The extra certificates cannot be read.
    #[error("cannot read the certificates in {}: {error}", path.display())]
    Certificates {
        /// The file named by `CODEX_CA_CERTIFICATE` or `SSL_CERT_FILE`.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file has no certificate that can be used.
    #[error("{} holds no usable PEM certificate", path.display())]
    NoCertificate {
        /// The file named by `CODEX_CA_CERTIFICATE` or `SSL_CERT_FILE`.
        path: PathBuf,
    },
    /// A setting cannot be a header.
    #[error("`[upstream] {key}`: {value:?} cannot be sent in a header")]
    Header {
        /// The setting.
        key: &'static str,
        /// The name or value at fault.
        value: String,
    },
    /// Paths cannot be appended to the address.
    #[error("`[upstream] base_url`: nothing can be appended to {0}")]
    BaseUrl(Url),
    /// There are no certificates to trust, or they cannot be used.
    #[error("cannot set up the HTTP client: {0}; are the system's CA certificates installed?")]
    Tls(#[from] rustls::Error),
    /// The client cannot be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// How clients encrypt, and whom they trust. Clones share the certificates: a system keeps them in
/// hundreds of files, which take milliseconds to read and a few hundred KiB to know.
#[derive(Debug, Clone)]
pub struct Tls(ClientConfig);

impl Tls {
    /// Trusts the platform's certificates, and those that `CODEX_CA_CERTIFICATE` or `SSL_CERT_FILE`
    /// name.
    pub fn of_environment() -> Result<Self, BuildError> {
        Self::with_extra_roots(extra_roots_file(std::env::var_os).as_deref())
    }

    /// Trusts the platform's certificates, and those in the PEM file `extra_roots`.
    pub fn with_extra_roots(extra_roots: Option<&Path>) -> Result<Self, BuildError> {
        let extra_roots = extra_roots.map_or_else(|| Ok(Vec::new()), certificates)?;
        // All of this is what reqwest does, which would read the certificates for every client.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra_roots, Arc::clone(&provider))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec!["h2".into(), "http/1.1".into()];
        Ok(Self(config))
    }
}

/// The file of extra certificates that the environment names, by the rules of the Codex CLI: the
/// first that is set and not empty.
fn extra_roots_file(variable: impl Fn(&'static str) -> Option<OsString>) -> Option<PathBuf> {
    ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// An HTTP client for another `service`, set up like those for the backend.
pub fn http_client(
    settings: &config::Upstream,
    service: &Url,
) -> Result<reqwest::Client, BuildError> {
    http_client_over(settings, service, &Tls::of_environment()?)
}

/// The same, with what other clients know already.
pub fn http_client_over(
    settings: &config::Upstream,
    service: &Url,
    tls: &Tls,
) -> Result<reqwest::Client, BuildError> {
    Ok(builder(service, tls).connect_timeout(settings.connect_timeout).build()?)
}

/// The client for the backend, which connects as the `breaker` lets it.
pub(super) fn client(
    service: &Url,
    tls: &Tls,
    breaker: &CircuitBreakerLayer,
) -> Result<reqwest::Client, BuildError> {
    let builder = builder(service, tls).pool_idle_timeout(IDLE);
    Ok(builder.connector_layer(breaker.clone()).build()?)
}

/// What the clients of all services have in common.
///
/// There is no total timeout, because answers take as long as they take; whoever reads them
/// watches for silence.
fn builder(service: &Url, tls: &Tls) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.0.clone())
        .redirect(redirect::Policy::none())
        .referer(false)
        .pool_idle_timeout(IDLE_ELSEWHERE)
        .tcp_nodelay(true)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(STREAM_WINDOW * STREAMS)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .http2_keep_alive_while_idle(true);
    // Proxies have another idea of where this machine is.
    if config::is_loopback(service) { builder.no_proxy() } else { builder }
}

/// The largest file of certificates that is read, in bytes: those of whole systems have some 250 KB.
const LARGEST_CERTIFICATES: u64 = 16 << 20;

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let pem = plain_file::read(path, LARGEST_CERTIFICATES)
        .map_err(|error| BuildError::Certificates { path: path.to_owned(), error })?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(BuildError::NoCertificate { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_not_empty_names_the_file() {
        for (codex, ssl, expected) in [
            (None, None, None),
            (Some(""), Some(""), None),
            (Some("a"), Some("b"), Some("a")),
            (Some(""), Some("b"), Some("b")),
            (None, Some("b"), Some("b")),
        ] {
            let file = extra_roots_file(|name| match name {
                "CODEX_CA_CERTIFICATE" => codex.map(Into::into),
                "SSL_CERT_FILE" => ssl.map(Into::into),
                _ => None,
            });
            assert_eq!(file, expected.map(PathBuf::from), "{codex:?} {ssl:?}");
        }
    }

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9/x", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
            ("https://127.0.0.1.example", false),
            ("https://localhost.example", false),
        ] {
            assert_eq!(config::is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn every_certificate_of_a_file_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roots.pem");
        std::fs::write(&path, include_str!("two-roots.pem")).unwrap();
        assert_eq!(certificates(&path).unwrap().len(), 2);
    }

    #[test]
    fn files_without_certificates_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roots.pem");
        let refused = |path: &Path| certificates(path).unwrap_err().to_string();
        assert!(refused(&path).contains("roots.pem"), "absent");
        for pem in ["", "junk", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, pem).unwrap();
            assert!(refused(&path).contains("holds no usable"), "{pem}");
        }
    }
}
