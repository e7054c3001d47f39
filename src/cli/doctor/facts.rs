//! The facts, as plain data. Nothing here contains a secret.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::daemon::Health;
use crate::cli::exit::Exit;
use crate::credentials;
use crate::platform::Platform;

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) settings: Settings,
    /// `None` if the settings are invalid: everything else depends on them.
    pub(super) rest: Option<Rest>,
}

#[derive(Debug, Clone)]
pub(super) struct Rest {
    pub(super) keys: Keys,
    pub(super) login: Login,
    pub(super) address: Address,
    /// `None` if checks are offline.
    pub(super) network: Option<Network>,
    pub(super) backend: Option<Backend>,
    pub(super) clients: Clients,
}

/// The settings file, and what it makes.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// Where the file is looked for.
    pub(super) file: Option<PathBuf>,
    pub(super) file_exists: bool,
    /// Whether others than its owner may read it.
    pub(super) file_is_open: bool,
    /// What is wrong, each with its place.
    pub(super) problems: Vec<String>,
    /// What is not as it is by default: setting and origin.
    pub(super) changed: Vec<String>,
    /// The version of the Codex CLI that is named to the backend, and a time at which it was the
    /// newest one; nothing if that is not known, or no plan is used.
    pub(super) client_version: Option<(String, Timestamp)>,
    pub(super) now: Timestamp,
}

/// The keys of clients.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    pub(super) are_needed: bool,
    /// Whether the settings file itself holds some.
    pub(super) are_in_settings_file: bool,
    /// Why there is none to send, if there is to be one.
    pub(super) problem: Option<String>,
    /// The file of keys, and whether others may read it.
    pub(super) open_file: Option<PathBuf>,
}

/// The login.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) path: PathBuf,
    pub(super) is_shared: bool,
    pub(super) state: State,
    /// The permissions of the file, where there are such.
    pub(super) mode: Option<u32>,
    pub(super) writable: Writable,
    /// Whether the file itself is mounted, and not the folder that it is in.
    pub(super) is_mounted_alone: bool,
    /// Where the Codex CLI keeps its login by its own settings, if they say so.
    pub(super) codex_store: Option<String>,
    pub(super) now: Timestamp,
}

/// What the login is.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// There is none to use.
    None(credentials::Error),
    /// A key of the platform is to be used, and there is none.
    NoKey(String),
    /// A key of the platform, of the settings' or the file's own.
    Key,
    /// A plan.
    Plan {
        account: Option<String>,
        plan: Option<String>,
        ends: Option<Timestamp>,
        /// By the clock of the service that issued the token.
        has_expired: bool,
        is_renewable: bool,
        /// How far this machine's clock was ahead when the login was renewed, in seconds.
        clock_skew: Option<i64>,
    },
}

/// Where a renewed login could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writable {
    /// Beside the old one, as it should be.
    Folder,
    /// In its place only.
    FileOnly,
    /// Nowhere.
    Nothing,
}

/// Where the daemon listens.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) place: String,
    pub(super) found: Found,
    /// Who listens there, if that can be seen.
    pub(super) holder: Option<Holder>,
}

/// What is found at the daemon's address.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// A daemon.
    Daemon(Health),
    /// Something else.
    Stranger(String),
    /// Something that does not answer.
    Silent(String),
    /// Nobody, and it can be listened on.
    Free,
    /// Nobody, and it cannot be listened on.
    Unusable(String),
    /// The system is to choose the port.
    AnyPort,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) program: String,
}

/// The ways out of this machine.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) roots: Option<Roots>,
    /// To the backend.
    pub(super) backend: Route,
    /// To the sign-in service; nothing if nobody is to be signed in.
    pub(super) issuer: Option<Route>,
}

/// A file of certificates that the environment names.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    pub(super) variable: &'static str,
    pub(super) path: PathBuf,
    /// Why it is of no use.
    pub(super) problem: Option<String>,
}

/// One way, step by step: each is there only if the one before came about.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Where to, as in `chatgpt.com:443`.
    pub(super) target: String,
    pub(super) is_encrypted: bool,
    pub(super) proxy: Option<Proxy>,
    /// The addresses of the target, or of the proxy if there is one.
    pub(super) resolved: Result<Vec<IpAddr>, String>,
    pub(super) connected: Option<Result<Duration, String>>,
    pub(super) answered: Option<Result<Answer, NoAnswer>>,
}

/// What stands between.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) scheme: String,
    /// As in `proxy.example:3128`; without credentials.
    pub(super) place: String,
}

/// An answer to a request without a login.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether it is a page for browsers.
    pub(super) is_page: bool,
    /// The time that the answer says, and the time when it came.
    pub(super) clocks: Option<(Timestamp, Timestamp)>,
}

/// How a request failed that could be sent somewhere.
#[derive(Debug, Clone)]
pub(super) struct NoAnswer {
    /// Whether the failure came before there was a connection to send it over: of the encryption,
    /// or of the proxy.
    pub(super) while_connecting: bool,
    pub(super) cause: String,
}

/// What the backend says to the login. Each is there only if the one before came about.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    /// How many models it offers.
    pub(super) models: Asked<usize>,
    /// What is used of the plan; nothing where there is no plan.
    pub(super) limits: Option<Asked<Vec<Window>>>,
    /// The tiny call; nothing if it was not asked for.
    pub(super) call: Option<Asked<Call>>,
}

/// An answer, or how the command would end that asked, and what it would say.
pub(super) type Asked<T> = Result<T, (Exit, String)>;

/// A part of the plan's limits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) used_percent: f64,
    pub(super) length: Duration,
    pub(super) begins_anew: Option<Timestamp>,
}

/// The tiny call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) model: String,
    pub(super) took: Duration,
}

/// What clients find in the environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients {
    /// Addresses that clients may use for this daemon, without `/v1`; nothing if it has none.
    pub(super) bases: Vec<String>,
    /// The variables that say where the API is, and those of proxies. Not to be shown: addresses
    /// may hold passwords.
    pub(super) variables: BTreeMap<&'static str, String>,
    /// What `OPENAI_API_KEY` is to the daemon.
    pub(super) key: ClientKey,
    pub(super) keys_are_needed: bool,
    /// Which API answers: there `OPENAI_API_KEY` may be the daemon's own.
    pub(super) platform: Platform,
}

/// What `OPENAI_API_KEY` is to the daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum ClientKey {
    /// Not set.
    #[default]
    Absent,
    /// One that the daemon takes.
    Known,
    /// Another one.
    Unknown,
}
