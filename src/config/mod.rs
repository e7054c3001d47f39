//! Settings: flags over environment over file over defaults.
//!
//! [`load`] reads the file and hands everything to a pure function. `load.rs` lists every setting
//! with its default and limits; `reader.rs` finds them in their [`Sources`] and collects all that
//! is wrong, so that one start shows every mistake.

mod checks;
mod client_version;
mod codex;
mod document;
mod effective;
mod load;
mod paths;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

pub(crate) use self::checks::api_key;
#[cfg(unix)]
pub(crate) use self::checks::{is_loopback, only_this_machine};
pub use self::client_version::{ClientVersion, Named};
pub use self::codex::CodexConfig;
pub use self::effective::Effective;
pub use self::paths::{default_file, own_login_file, read as read_file};
pub(crate) use self::source::variable;
pub use self::source::{Environment, Error, File, Flags, Problem, Provenance, Sources};

use crate::platform::Platform;
use crate::translate::policy::{Commentary, MaxTokens, Policy, Reasoning};

/// The variable that holds a personal access token in place of `auth.json`, as for the Codex CLI.
pub(crate) const ACCESS_TOKEN_VARIABLE: &str = "CODEX_ACCESS_TOKEN";

/// The effective settings, checked and with their defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[upstream]`
    pub upstream: Upstream,
    /// `[auth]`
    pub auth: Auth,
    /// `[compat]`
    pub compat: Compat,
    /// `[output]`
    pub output: Output,
    /// `[continuity]`
    pub continuity: Continuity,
    /// `[models]`
    pub models: Models,
    /// `[log]`
    pub log: Log,
}

/// Reads the settings: `named` is the file of `--config`, which must exist.
pub fn load(named: Option<&Path>, flags: Flags) -> Result<(Config, Effective), Error> {
    let file = paths::read(named)?;
    let (environment, home) = (Environment::process(), dirs::home_dir());
    Config::from_sources(&Sources { flags, environment, file, home })
}

impl Config {
    /// What the owner has chosen about the translation, where this API answers.
    pub fn policy(&self, platform: Platform) -> Policy {
        Policy {
            platform,
            strict: self.compat.strict,
            max_tokens: self.compat.max_tokens,
            reasoning: self.output.reasoning,
            commentary: self.output.commentary,
            reasoning_details: self.output.reasoning_details,
        }
    }

    /// The settings that the sources make, and where each came from; pure.
    pub fn from_sources(sources: &Sources) -> Result<(Self, Effective), Error> {
        load::load(sources)
    }

    /// The settings that a file with this text makes, with nothing in the environment.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let file = Some(File { path: PathBuf::from("config.toml"), text: text.to_owned() });
        let sources = Sources { file, home: dirs::home_dir(), ..Sources::default() };
        Ok(Self::from_sources(&sources)?.0)
    }
}

/// `[server]`: the local API.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where to listen.
    pub listen: Listen,
    /// Who may ask: the keys that clients send as `Authorization: Bearer`. Without any, and without
    /// a file of them, everybody may who can connect.
    pub api_keys: Vec<SecretString>,
    /// A file that holds more of them, one on a line.
    pub api_key_file: Option<PathBuf>,
    /// The names, in lower case and without ports, that requests may call this daemon by, besides
    /// `localhost` and its addresses.
    pub allowed_hosts: Vec<String>,
    /// The web pages that may ask, by the `Origin` header that browsers send for them.
    pub allowed_origins: Vec<HeaderValue>,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How much memory the bodies of all requests, and all answers that are not streamed, may take
    /// up together, in bytes; 0 for what is sensible on this machine.
    pub max_body_total_bytes: usize,
    /// How long a request body may take from its beginning to its end.
    pub body_timeout: Duration,
    /// The timeout for a client that does not read its answer.
    pub send_timeout: Duration,
    /// How many connections may be open at once.
    pub max_connections: usize,
    /// The shutdown timeout: how long answers may continue after the stop signal.
    pub shutdown: Duration,
}

impl Server {
    /// Whether clients have to send a key.
    pub fn needs_key(&self) -> bool {
        !self.api_keys.is_empty() || self.api_key_file.is_some()
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; one that other machines can reach only together with API keys.
    Tcp(SocketAddr),
    /// A Unix socket for this user only.
    Unix(PathBuf),
}

/// An address that the daemon answers to. "All addresses" is not one.
pub(crate) fn callable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

impl std::fmt::Display for Listen {
    /// As the settings file has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `[upstream]`: the Codex backend and how this program names itself there.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Who pays, which decides which API answers.
    pub mode: Billing,
    /// The address that `/responses` and `/models` are appended to; its path has no trailing
    /// slash, except that [`Url`] writes an empty path as `/`.
    pub base_url: Url,
    /// The same for logins that are keys of the OpenAI platform. An address that was set is for
    /// all of them.
    pub public_url: Url,
    /// Whether large requests are sent compressed.
    pub compression: Compression,
    /// How long the backend may be silent within one answer.
    pub idle_timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Whether the list of models is fetched ahead of the requests that need it.
    pub prewarm: bool,
    /// How often a call that failed may be retried.
    pub max_retries: u32,
    /// How many calls may be in progress at once.
    pub max_in_flight: usize,
    /// How many requests may wait for one of them to end.
    pub max_queued: usize,
    /// The `originator` header.
    pub originator: String,
    /// The `user-agent` header.
    pub user_agent: String,
    /// The `version` header and the `client_version` of `/models`: the backend offers a model
    /// only to clients that are new enough for it.
    pub client_version: ClientVersion,
    /// The headers that carry the conversation's id.
    pub session_headers: Vec<HeaderName>,
    /// Headers added to every request, or put in place of those above. Their values are marked
    /// sensitive: they do not show in debug output.
    pub headers: HeaderMap,
}

/// Whether large requests are sent compressed. Only those for plans are, and only over `https://`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// To the backend that is known to take it.
    Auto,
    /// To whichever backend is set.
    On,
    /// Never.
    Off,
}

/// Who pays, which decides which API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Billing {
    /// A ChatGPT plan, through the Codex backend.
    ChatGpt,
    /// A key of the OpenAI platform, through its public API.
    ApiKey {
        /// The environment variable that may hold the key; asked first.
        variable: String,
        /// The file that may hold the key; asked next. `auth.json` comes last.
        file: Option<PathBuf>,
    },
}

/// `[auth]`: the login.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The sign-in service.
    pub issuer: Url,
    /// The folder of `auth.json`, `config.toml` and `models_cache.json`.
    pub codex_home: PathBuf,
    /// Whose login is used.
    pub store: LoginStore,
    /// `CODEX_ACCESS_TOKEN`: a personal access token, used in place of the Codex CLI's file.
    pub access_token: Option<SecretString>,
}

/// Whose login is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginStore {
    /// The one of the Codex CLI: `auth.json` in its folder.
    Codex,
    /// This program's own, which the Codex CLI never sees.
    Own,
}

/// `[compat]`: what to do with request fields that the backend does not know.
#[derive(Debug, Clone, Copy)]
pub struct Compat {
    /// Reject fields with 400 that would be dropped.
    pub strict: bool,
    /// What `max_completion_tokens` and `max_tokens` do.
    pub max_tokens: MaxTokens,
}

/// `[output]`: the shape of answers where the Chat Completions documentation leaves it open.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Where reasoning summaries go.
    pub reasoning: Reasoning,
    /// Where the model's preambles before tool calls go.
    pub commentary: Commentary,
    /// Whether encrypted reasoning is given to clients as `reasoning_details`, and taken back.
    pub reasoning_details: bool,
}

/// `[continuity]`: the memory of what chat clients cannot carry.
#[derive(Debug, Clone, Copy)]
pub struct Continuity {
    /// Whether turns are remembered.
    pub enabled: bool,
    /// How much memory they may take up.
    pub max_bytes: u64,
    /// How long they are remembered.
    pub ttl: Duration,
}

/// `[models]`: names.
#[derive(Debug, Clone)]
pub struct Models {
    /// Other names for models: alias to model.
    pub aliases: BTreeMap<String, String>,
    /// What to do with a model that the backend does not list.
    pub unknown: UnknownModel,
}

/// What to do with a model that the backend does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownModel {
    /// Answer 404 and name the models there are.
    Reject,
    /// Use the default model.
    Default,
}

/// `[log]`
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// The form of the lines on standard error.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
