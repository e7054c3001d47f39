//! Finding out what there is to know. All the IO is here, and no judgement.

mod address;
mod backend;
mod login;
mod network;
mod process;

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use super::facts::{ClientKey, Clients, Facts, Keys, Rest, Settings, State};
use crate::cli::Options;
use crate::cli::client_keys;
use crate::cli::daemon::Place;
use crate::config::{self, Config, Effective, Provenance};
use crate::platform::Platform;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// No further than this machine.
    Offline,
    /// As far as it costs nothing.
    Backend,
    /// As far as a call.
    Call,
}

/// All facts.
pub(super) async fn facts(options: &Options, scope: Scope) -> Facts {
    let file = options.config.clone().or_else(config::default_file);
    let mut settings = Settings {
        file_exists: file.as_deref().is_some_and(Path::exists),
        file_is_open: file.as_deref().and_then(mode).is_some_and(|mode| mode & 0o077 != 0),
        file,
        now: Timestamp::now(),
        ..Settings::default()
    };
    match options.load() {
        Ok((config, effective)) => {
            let changed = effective.changed();
            settings.changed = changed.map(|(name, origin)| format!("{name} ({origin})")).collect();
            settings.client_version = client_version(&config.upstream);
            Facts { settings, rest: Some(rest(&config, &effective, scope).await) }
        }
        Err(config::Error::Invalid(problems)) => {
            settings.problems = problems.iter().map(ToString::to_string).collect();
            Facts { settings, rest: None }
        }
        Err(error) => {
            settings.problems = vec![error.to_string()];
            Facts { settings, rest: None }
        }
    }
}

/// The version that is named to the backend of plans, and a time at which it was the newest one.
fn client_version(upstream: &config::Upstream) -> Option<(String, Timestamp)> {
    let config::Named { version, as_of } = match upstream.mode {
        config::Billing::ChatGpt => upstream.client_version.in_force(),
        config::Billing::ApiKey { .. } => return None,
    };
    Some((version, as_of?))
}

async fn rest(config: &Config, effective: &Effective, scope: Scope) -> Rest {
    let (login, address) = tokio::join!(login::look(config), address::look(&config.server));
    let network = match scope {
        Scope::Offline => None,
        Scope::Backend | Scope::Call => Some(network::look(config, &login.state).await),
    };
    let is_reached =
        network.as_ref().is_some_and(|network| matches!(network.backend.answered, Some(Ok(_))));
    let can_ask = is_reached && !matches!(login.state, State::None(_) | State::NoKey(_));
    let backend =
        if can_ask { Some(backend::look(config, scope == Scope::Call).await) } else { None };
    let platform = match login.state {
        State::Key | State::NoKey(_) => Platform::OpenAiApi,
        State::Plan { .. } | State::None(_) => Platform::Codex,
    };
    let clients = clients(&config.server, platform);
    Rest { keys: keys(&config.server, effective), login, address, network, backend, clients }
}

fn keys(server: &config::Server, effective: &Effective) -> Keys {
    let is_open = |file: &&std::path::PathBuf| mode(file).is_some_and(|mode| mode & 0o077 != 0);
    Keys {
        are_needed: server.needs_key(),
        are_in_settings_file: effective.changed().any(|(name, origin)| {
            name == "[server] api_keys" && matches!(origin, Provenance::File { .. })
        }),
        problem: client_keys::all(server).err().map(|error| error.to_string()),
        open_file: server.api_key_file.as_ref().filter(is_open).cloned(),
    }
}

fn clients(server: &config::Server, platform: Platform) -> Clients {
    const NAMES: [&str; 8] = [
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "ALL_PROXY",
        "all_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
    ];
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let variables: BTreeMap<_, _> =
        NAMES.into_iter().filter_map(|name| Some((name, value(name)?))).collect();
    let known = client_keys::all(server).unwrap_or_default();
    let key = match value("OPENAI_API_KEY") {
        None => ClientKey::Absent,
        Some(key) if known.iter().any(|known| known.expose_secret() == key) => ClientKey::Known,
        Some(_) => ClientKey::Unknown,
    };
    let bases = match Place::of(&server.listen) {
        Some(place @ Place::Tcp(_)) => vec![place.base_url()],
        Some(Place::Unix(_)) | None => Vec::new(),
    };
    Clients { bases, variables, key, keys_are_needed: server.needs_key(), platform }
}

/// The permissions of a file, where there are such.
#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(std::fs::metadata(path).ok()?.mode() & 0o7777)
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}
