//! What values must satisfy beyond their form. Each check says what is wrong; what is allowed
//! stands beside the key in `load`.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::{self, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::{ClientVersion, Listen, client_version};

/// Headers that belong to the login or to HTTP itself.
const RESERVED: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) fn within(range: RangeInclusive<u64>) -> impl Fn(u64) -> Result<u64, String> {
    move |number| {
        if range.contains(&number) { Ok(number) } else { Err(format!("{number} is out of range")) }
    }
}

/// An address with a port, or `unix:` and a path.
pub(super) fn listen(text: &str, home: Option<PathBuf>) -> Result<Listen, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("the socket's path is missing".to_owned()),
        Some(file) => Ok(Listen::Unix(path(file, home)?)),
        None => text
            .parse()
            .map(Listen::Tcp)
            .map_err(|_| format!("\"{text}\" is not an address with a port")),
    }
}

/// Whoever reaches the port can spend the plan: without keys only programs on this machine may.
pub(crate) fn only_this_machine(listen: Listen) -> Result<Listen, String> {
    match listen {
        Listen::Tcp(address) if !address.ip().to_canonical().is_loopback() => Err(format!(
            "{address} can be reached from other machines, so an API key is needed; run `export \
             CODEX_PROXY_SERVER_API_KEYS=\"$(codex-proxy key new)\"`, or add a key to `[server] \
             api_keys` or to the file in `[server] api_key_file`"
        )),
        listen => Ok(listen),
    }
}

/// Keys that nobody can guess. They are not quoted in messages.
pub(super) fn api_keys(keys: &[String]) -> Result<Vec<SecretString>, String> {
    keys.iter().map(|key| api_key(key)).collect()
}

/// One such key. How random it is does not show; how long it is does.
pub(crate) fn api_key(key: &str) -> Result<SecretString, String> {
    /// 16 bytes in base64 have 22 characters.
    const SHORTEST: usize = 22;
    const FEWEST_CHARACTERS: usize = 8;

    let characters: BTreeSet<u8> = key.bytes().collect();
    if key.len() < SHORTEST || characters.len() < FEWEST_CHARACTERS {
        return Err(
            "an API key is too easy to guess: use at least 16 random bytes (22 characters); \
             `codex-proxy key new` creates one"
                .to_owned(),
        );
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("an API key contains characters that clients cannot send".to_owned());
    }
    Ok(key.into())
}

/// A name by which requests may call the daemon.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let is_address = || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name || is_address() {
        return Ok(name);
    }
    Err(format!("\"{text}\" is not a host name"))
}

/// An origin as browsers send it: `scheme://host`, with the port unless it is the scheme's own.
pub(super) fn origin(text: &str) -> Result<HeaderValue, String> {
    let origin = text.trim().to_ascii_lowercase();
    match origin.split_once("://") {
        Some((scheme, host))
            if !scheme.is_empty()
                && !host.is_empty()
                && !origin.contains('*')
                && !host.contains(['/', '?', '#', '@', ' ', ',']) =>
        {
            header_value(&origin)
        }
        _ => Err(format!(
            "\"{text}\" is not an origin (scheme://host:port, without path or wildcards)"
        )),
    }
}

/// An address of a service: `https`, or `http` on this machine; without trailing slash.
pub(super) fn service_url(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("not a URL ({error})"))?;
    // Not quoted in the message: it would show the password.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL may not contain credentials".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(format!("\"{text}\" would send the login unencrypted")),
        other => return Err(format!("the scheme \"{other}\" is not supported")),
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("\"{text}\" has a query or fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// [`service_url`] of the backend, below which `/responses` is asked for.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let url = service_url(text)?;
    if url.path().ends_with("/responses") {
        return Err(format!("\"{text}\" is an endpoint: leave out \"/responses\""));
    }
    Ok(url)
}

/// Whether the address is this machine's own.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Text that can be a header's value.
pub(super) fn header_text(text: String) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    header_value(&text)?;
    Ok(text)
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text)
        .map_err(|_| "it contains characters that are not allowed in a header".to_owned())
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let name: HeaderName = text.parse().map_err(|_| format!("\"{text}\" is not a header name"))?;
    if RESERVED.contains(&name) {
        return Err(format!("\"{name}\" may not be set here"));
    }
    Ok(name)
}

pub(super) fn header_names(names: &[String]) -> Result<Vec<HeaderName>, String> {
    names.iter().map(|name| header_name(name)).collect()
}

/// A header whose value never shows in debug output, whatever it is.
pub(super) fn header(name: &str, text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = header_name(name)?;
    let mut value = header_value(text)?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Whether a header's name says that its value is a secret.
pub(super) fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "token", "key", "secret"].iter().any(|word| name.contains(word))
}

/// `MAJOR.MINOR.PATCH`, which is what the backend compares.
pub(super) fn version(text: String) -> Result<String, String> {
    if text == ClientVersion::AUTO || client_version::numbers(&text).is_some() {
        return Ok(text);
    }
    Err(format!("\"{text}\" is not a version"))
}

/// A model's other name.
pub(super) fn alias(name: &str, model: &str) -> Result<(String, String), String> {
    let (name, model) = (name.trim(), model.trim());
    if name.is_empty() || model.is_empty() {
        return Err("the alias or its model is empty".to_owned());
    }
    Ok((name.to_owned(), model.to_owned()))
}

/// A path in which a leading `~` is the home directory.
pub(super) fn path(text: &str, home: Option<PathBuf>) -> Result<PathBuf, String> {
    let rest = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with(std::path::is_separator) => rest,
        _ => return Ok(PathBuf::from(text)),
    };
    let home = home.ok_or("~ cannot be expanded: there is no home directory")?;
    Ok(home.join(rest.trim_start_matches(std::path::is_separator)))
}
