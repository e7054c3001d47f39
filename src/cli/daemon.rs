//! How a command connects to the daemon with the same settings.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client_keys::{self, KeyError};
use super::exit::{Exit, Failure};
use crate::config::{self, Listen};
use crate::error_chain::root_cause;

/// The connect timeout: the daemon is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the daemon may take to say that it runs.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to say anything else but answers of a model: it may have to ask the
/// backend first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The daemon of the settings, whether it runs or not.
#[derive(Debug)]
pub(super) struct Daemon {
    place: Place,
    http: reqwest::Client,
    /// Nothing if the daemon asks for none. If it cannot be told, only what needs it fails.
    key: Result<Option<SecretString>, KeyError>,
}

/// Where a daemon is asked, which is not always where it says that it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// An address that can be connected to.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// The health answer of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Health {
    /// Always `ok`.
    pub(super) status: String,
    /// Nothing if the daemon does not take the key of these settings.
    #[serde(flatten)]
    pub(super) details: Option<Details>,
}

/// What it says to those who have a key, or if none is needed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Details {
    /// The version of codex-proxy.
    pub(super) version: String,
    /// Whether there is a login to use.
    pub(super) credentials: bool,
    /// Whether the backend is simulated.
    pub(super) simulated: bool,
    /// Why the login can no longer be used, with a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login_error: Option<String>,
}

/// Why a request to the daemon failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The settings do not determine its address.
    #[error(
        "the settings let the system choose the daemon's port, so its address is not known; set \
         the port with --listen"
    )]
    AnyPort,
    /// There is no client for such a place.
    #[error("cannot create a client for {place}: {cause}")]
    Client {
        /// Where.
        place: Place,
        /// Why.
        cause: String,
    },
    /// No daemon is running.
    #[error(
        "no daemon answers at {place} ({cause}); start it with `codex-proxy` or `codex-proxy \
         service start`, or set its address with --listen"
    )]
    NotRunning {
        /// Where.
        place: Place,
        /// What the system says.
        cause: String,
    },
    /// The server does not answer, or closes the connection.
    #[error(
        "something listens at {place} but does not answer ({cause}); if it is codex-proxy, check \
         its log and restart it"
    )]
    Silent {
        /// Where.
        place: Place,
        /// What happened.
        cause: String,
    },
    /// It is not codex-proxy.
    #[error(
        "the server at {place} is not codex-proxy ({found}); let codex-proxy listen on another \
         port with --listen or `[server] listen`"
    )]
    Stranger {
        /// Where.
        place: Place,
        /// What came back.
        found: String,
    },
    /// No API key is configured.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The daemon rejects the key.
    #[error(
        "the daemon at {place} rejects the key of these settings; it was started with other \
         settings: use those, or restart it"
    )]
    WrongKey {
        /// Where.
        place: Place,
    },
    /// The daemon answered with an error object.
    #[error("{0}")]
    Refused(Refused),
}

/// An error object of the daemon's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The status; that of success if the failure came within a stream.
    pub(super) status: u16,
    /// The error code.
    pub(super) code: Option<String>,
    /// The message, with a hint.
    pub(super) message: String,
}

impl Daemon {
    /// The daemon of these settings. Nobody is asked yet; the file of keys is read.
    pub(super) fn of(settings: &config::Server) -> Result<Self, Error> {
        let place = Place::of(&settings.listen).ok_or(Error::AnyPort)?;
        let http = client(&place)
            .map_err(|error| Error::Client { place: place.clone(), cause: causes(&error) })?;
        Ok(Self { place, http, key: client_keys::first(settings) })
    }

    /// Where it is.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The key that clients of this daemon send; nothing if they need none.
    pub(super) fn key(&self) -> Result<Option<&SecretString>, &KeyError> {
        self.key.as_ref().map(Option::as_ref)
    }

    /// The health answer of the daemon. This needs no key, but says less without one.
    pub(super) async fn health(&self) -> Result<Health, Error> {
        let key = self.key.as_ref().ok().and_then(Option::as_ref);
        let request = self.request(Method::GET, "/health", key).timeout(HEALTH_TIMEOUT);
        let response = self.send(request).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.silent(&error))?;
        let found = |found: String| Error::Stranger { place: self.place.clone(), found };
        if status != StatusCode::OK {
            return Err(found(format!("GET /health: HTTP {}", status.as_u16())));
        }
        match serde_json::from_slice(&body) {
            Ok(health @ Health { .. }) if health.status == "ok" => Ok(health),
            _ => Err(found("its /health has other content".to_owned())),
        }
    }

    /// Fetches a document, which `path` names with its slash in front.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Error> {
        let request = self.request(Method::GET, path, self.own_key()?).timeout(REQUEST_TIMEOUT);
        let body = self.accepted(self.send(request).await?).await?;
        let body = body.bytes().await.map_err(|error| self.silent(&error))?;
        serde_json::from_slice(&body).map_err(|_| self.stranger(path))
    }

    /// Sends JSON and gives the answer, if it is one, as soon as its head has come. How long that
    /// or the rest of it may take is the caller's to say.
    pub(super) async fn post(&self, path: &str, json: &Value) -> Result<Response, Error> {
        let request = self
            .request(Method::POST, path, self.own_key()?)
            .header(CONTENT_TYPE, "application/json")
            .body(json.to_string());
        self.accepted(self.send(request).await?).await
    }

    /// A failure while an answer was read.
    pub(super) fn silent(&self, error: &reqwest::Error) -> Error {
        Error::Silent { place: self.place.clone(), cause: causes(error) }
    }

    fn own_key(&self) -> Result<Option<&SecretString>, Error> {
        match &self.key {
            Ok(key) => Ok(key.as_ref()),
            // Errors of the system cannot be cloned; the file is read again for another one.
            Err(KeyError::Empty { path }) => Err(KeyError::Empty { path: path.clone() }.into()),
            Err(KeyError::Unreadable { path, source }) => {
                let source = io::Error::new(source.kind(), source.to_string());
                Err(KeyError::Unreadable { path: path.clone(), source }.into())
            }
        }
    }

    fn request(&self, method: Method, path: &str, key: Option<&SecretString>) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.place.base_url()));
        match key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        request.send().await.map_err(|error| {
            if error.is_connect() && !error.is_timeout() {
                let place = self.place.clone();
                Error::NotRunning { place, cause: root_cause(&error) }
            } else if is_not_http(&error) {
                let place = self.place.clone();
                Error::Stranger { place, found: "it does not speak HTTP".to_owned() }
            } else {
                self.silent(&error)
            }
        })
    }

    /// The answer if its status is success, else what it reports.
    async fn accepted(&self, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.silent(&error))?;
        let refused = serde_json::from_slice(&body)
            .ok()
            .and_then(|body| Refused::read(status.as_u16(), &body))
            .ok_or_else(|| self.stranger(&format!("HTTP {}", status.as_u16())))?;
        if refused.code.as_deref() == Some("invalid_api_key") {
            return Err(Error::WrongKey { place: self.place.clone() });
        }
        Err(Error::Refused(refused))
    }

    fn stranger(&self, found: &str) -> Error {
        let found = format!("{found}: not an answer of the OpenAI API");
        Error::Stranger { place: self.place.clone(), found }
    }
}

impl Place {
    /// Where the daemon can be asked that listens there. Addresses that stand for all of this
    /// machine's cannot be connected to everywhere; port 0 is no port.
    pub(super) fn of(listen: &Listen) -> Option<Self> {
        match listen {
            Listen::Unix(path) => Some(Self::Unix(path.clone())),
            Listen::Tcp(address) if address.port() == 0 => None,
            Listen::Tcp(address) => Some(Self::Tcp(config::callable(*address))),
        }
    }

    /// What paths are appended to. A socket has no address, but requests name one.
    pub(super) fn base_url(&self) -> String {
        match self {
            Self::Tcp(address) => format!("http://{address}"),
            Self::Unix(_) => "http://localhost".to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Refused {
    /// The error object in a body, or in an event of a stream, if it is one.
    pub(super) fn read(status: u16, body: &Value) -> Option<Self> {
        let error = body.get("error")?.as_object()?;
        Some(Self {
            status,
            code: error.get("code").and_then(Value::as_str).map(str::to_owned),
            message: error.get("message")?.as_str()?.to_owned(),
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::AnyPort => Exit::Usage,
            Error::Key(_) | Error::WrongKey { .. } => Exit::Config,
            Error::Client { .. } => Exit::Internal,
            Error::Refused(refused) => refused.exit(),
            Error::NotRunning { .. } | Error::Silent { .. } | Error::Stranger { .. } => {
                Exit::Unavailable
            }
        };
        Self::new(exit, error)
    }
}

impl Refused {
    /// Requests that are wrong are wrong usage here; all else may pass.
    fn exit(&self) -> Exit {
        match (self.status, self.code.as_deref()) {
            (_, Some("upstream_auth")) => Exit::NotSignedIn,
            (400 | 404 | 413 | 422, _) => Exit::Usage,
            (421, _) => Exit::Config,
            _ => Exit::Unavailable,
        }
    }
}

/// A client for this place alone: without proxies, and without the system's certificates, which
/// plain HTTP does not need and containers may not have.
fn client(place: &Place) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .no_proxy();
    match place {
        #[cfg(unix)]
        Place::Unix(path) => builder.unix_socket(path.as_path()).build(),
        _ => builder.build(),
    }
}

fn is_not_http(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_parse();
        }
        cause = error.source();
    }
    false
}

/// A silence in a few words, without the address, which the message names already.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() { "timed out".to_owned() } else { root_cause(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn server(toml: &str) -> config::Server {
        Config::from_toml(&format!("[server]\n{toml}")).unwrap().server
    }

    #[test]
    fn the_place_is_one_that_can_be_connected_to() {
        let key = "api_keys = [\"kx3-09Zqv_T1bWm4RsYd7A\"]";
        for (listen, expected) in [
            ("127.0.0.1:1", Some("http://127.0.0.1:1")),
            ("0.0.0.0:1", Some("http://127.0.0.1:1")),
            ("[::]:1", Some("http://[::1]:1")),
            ("[::1]:1", Some("http://[::1]:1")),
            ("192.0.2.1:80", Some("http://192.0.2.1:80")),
            ("unix:/run/api.sock", Some("unix:/run/api.sock")),
            ("127.0.0.1:0", None),
        ] {
            let place = Place::of(&server(&format!("listen = \"{listen}\"\n{key}")).listen);
            assert_eq!(place.map(|place| place.to_string()).as_deref(), expected, "{listen}");
        }
        assert_eq!(Place::Unix("/x".into()).base_url(), "http://localhost");
    }

    #[test]
    fn the_first_key_is_sent_and_shows_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        std::fs::write(&file, "# mine\n\n sk-in-the-file \nsk-another\n").unwrap();
        let named = format!("api_key_file = {:?}", file.to_str().unwrap());
        let both = format!("{named}\napi_keys = [\"kx3-09Zqv_T1bWm4RsYd7A\"]");
        for (settings, expected) in [
            ("", None),
            (named.as_str(), Some("sk-in-the-file")),
            (both.as_str(), Some("kx3-09Zqv_T1bWm4RsYd7A")),
        ] {
            let daemon = Daemon::of(&server(settings)).unwrap();
            let key = daemon.key().unwrap().map(ExposeSecret::expose_secret);
            assert_eq!(key, expected, "{settings}");
            assert!(expected.is_none_or(|key| !format!("{daemon:?}").contains(key)));
        }
    }

    #[test]
    fn a_file_without_keys_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let named = server(&format!("api_key_file = {:?}", file.to_str().unwrap()));
        let refused = || {
            let daemon = Daemon::of(&named).unwrap();
            Failure::from(daemon.own_key().unwrap_err())
        };
        let failure = refused();
        assert!(failure.to_string().contains("cannot read"), "{failure}");
        std::fs::write(&file, "# none yet\n").unwrap();
        let failure = refused();
        assert!(failure.to_string().contains("there is no API key"), "{failure}");
        assert_eq!(failure.exit, Exit::Config);
    }

    #[test]
    fn failures_say_what_to_do_and_end_by_their_kind() {
        let place = || Place::Tcp(([127, 0, 0, 1], 10455).into());
        let text = || "cause".to_owned();
        let refused = |status, code: Option<&str>| {
            let code = code.map(str::to_owned);
            Error::Refused(Refused { status, code, message: "sign in".to_owned() })
        };
        for (error, exit, advice) in [
            (Error::AnyPort, Exit::Usage, "--listen"),
            (
                Error::NotRunning { place: place(), cause: text() },
                Exit::Unavailable,
                "no daemon answers at http://127.0.0.1:10455 (cause); start it with `codex-proxy`",
            ),
            (Error::Silent { place: place(), cause: text() }, Exit::Unavailable, "its log"),
            (Error::Stranger { place: place(), found: text() }, Exit::Unavailable, "another port"),
            (Error::WrongKey { place: place() }, Exit::Config, "restart it"),
            (refused(401, Some("upstream_auth")), Exit::NotSignedIn, "sign in"),
            (refused(404, Some("model_not_found")), Exit::Usage, "sign in"),
            (refused(421, None), Exit::Config, "sign in"),
            (refused(429, None), Exit::Unavailable, "sign in"),
            (refused(200, None), Exit::Unavailable, "sign in"),
        ] {
            let failure = Failure::from(error);
            assert_eq!(failure.exit, exit, "{failure}");
            assert!(failure.to_string().contains(advice), "{failure}");
        }
    }

    #[test]
    fn only_error_objects_are_refusals() {
        let read = |text: &str| Refused::read(400, &serde_json::from_str(text).unwrap());
        let refused = read(r#"{"error":{"message":"m","code":"c","type":"t"}}"#).unwrap();
        assert_eq!((refused.message.as_str(), refused.code.as_deref()), ("m", Some("c")));
        assert_eq!(read(r#"{"error":{"message":"m","code":null}}"#).unwrap().code, None);
        for text in ["{}", "[]", r#"{"error":"m"}"#, r#"{"error":{"code":"c"}}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
