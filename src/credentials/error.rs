//! Errors of the login, with hints.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::issuer;
use super::location::ACCESS_TOKEN_VARIABLE;

/// Why there is no usable login. No message contains anything of the file's content.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no file.
    #[error("not signed in: {} does not exist; run `codex-proxy login` or `codex login`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is no file of the separate login.
    #[error("not signed in: {} does not exist; run `codex-proxy login`", path.display())]
    OwnMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is no file because the Codex CLI keeps the login elsewhere.
    #[error(
        "{} does not exist, and {} says cli_auth_credentials_store = \"{store}\": the Codex CLI \
         keeps its login {}, where codex-proxy cannot read it; set cli_auth_credentials_store = \
         \"file\" there and run `codex login` again, or use a separate login with `[auth] store \
         = \"own\"` and `codex-proxy login`",
        path.display(), config.display(), whereabouts(store)
    )]
    ElsewhereStored {
        /// Where the login was looked for.
        path: PathBuf,
        /// The Codex CLI's settings file.
        config: PathBuf,
        /// The setting's value: `keyring`, `auto` or `ephemeral`.
        store: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}; check its permissions, or run `codex-proxy login` again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// The file is much larger than a login is.
    #[error("{} is larger than {limit} bytes and cannot be a login; run `codex-proxy login` again", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How much is read, in bytes.
        limit: u64,
    },
    /// The file stayed something other than JSON of the expected shape, also when read again.
    #[error("{} is damaged (line {line}, column {column}); run `codex-proxy login` again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where the JSON goes wrong, from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// The login is of a kind that the backend's API cannot be used with here.
    #[error(
        "{} contains {mode}, which codex-proxy cannot use; run `codex-proxy login` or `codex \
         login`",
        path.display()
    )]
    UnsupportedMode {
        /// The file.
        path: PathBuf,
        /// What it holds.
        mode: Mode,
    },
    /// The login has expired and a new sign-in is needed. Returned without another request to the
    /// sign-in service until the file changes.
    #[error(
        "the login in {} has expired: {why}; {}", path.display(),
        ended_remedy(kept_elsewhere.as_deref())
    )]
    Ended {
        /// The file.
        path: PathBuf,
        /// What the sign-in service says.
        why: issuer::Ended,
        /// Where the Codex CLI keeps its login if not in the file: the value of
        /// `cli_auth_credentials_store`.
        kept_elsewhere: Option<String>,
    },
    /// The access token has expired and could not be renewed this time.
    #[error(
        "cannot renew the login in {}: {cause}{}", path.display(),
        next_try(*retry_in)
    )]
    NotRenewed {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: Arc<issuer::Error>,
        /// The remaining cooldown.
        retry_in: Duration,
    },
    /// The sign-in service does not serve the country or region that the network is in. There is no
    /// further request until the login changes.
    #[error(
        "cannot renew the login in {}: the sign-in service does not serve the country or region \
         of this network; use another network and sign in again with `codex-proxy login`",
        path.display()
    )]
    RefusedCountry {
        /// The file.
        path: PathBuf,
    },
    /// The account of a personal access token could not be looked up this time.
    #[error(
        "cannot identify the account of the personal access token in {place}: {cause}{}",
        next_try(*retry_in)
    )]
    UnknownAccount {
        /// Where the token is: a file or a variable.
        place: String,
        /// Why.
        cause: Arc<issuer::Error>,
        /// The remaining cooldown.
        retry_in: Duration,
    },
    /// The sign-in service does not accept a personal access token. There is no further request
    /// until the token changes.
    #[error(
        "the personal access token in {place} is not accepted ({why}); create a new one, or sign \
         in with `codex-proxy login`"
    )]
    RefusedToken {
        /// Where the token is: a file or a variable.
        place: String,
        /// What the sign-in service says.
        why: Arc<issuer::Error>,
    },
    /// The variable holds something other than a personal access token.
    #[error(
        "the variable {ACCESS_TOKEN_VARIABLE} does not contain a personal access token (at-…), \
         and codex-proxy does not support agent identities; unset it, or set it to such a token"
    )]
    UnsupportedVariable,
    /// The file is not writable, so the refresh token was not redeemed.
    #[error(
        "the login in {} has to be renewed, but its file cannot be written ({source}), and \
         renewing it without writing it would sign out the Codex CLI; make the file and its \
         folder writable",
        path.display()
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// The login was renewed but could not be written. It is kept in memory, and writing is retried
    /// with every request.
    #[error(
        "the login in {} was renewed, but could not be written ({source}); free disk space \
         before you stop codex-proxy, or you have to sign in again",
        path.display()
    )]
    Unsaved {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// Another process has been renewing the login for too long.
    #[error(
        "another process has been renewing the login for too long; stop the one that holds {}",
        lock.display()
    )]
    Busy {
        /// The lock file.
        lock: PathBuf,
    },
    /// The file says that the login is an API key, and has none.
    #[error(
        "{} says that the login is an API key, but contains none; run `codex-proxy login`, or \
         sign in to Codex with a key again",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The login is of the right kind, but has no access token.
    #[error(
        "{} contains no access token; run `codex-proxy login` or `codex login`",
        path.display()
    )]
    NoToken {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// Whether a later attempt may succeed without any action of the user.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NotRenewed { .. } | Self::UnknownAccount { .. } | Self::Busy { .. })
    }

    /// How long it will fail in any case, if known.
    pub fn retry_in(&self) -> Option<Duration> {
        match self {
            Self::NotRenewed { retry_in, .. } | Self::UnknownAccount { retry_in, .. } => {
                Some(*retry_in)
            }
            _ => None,
        }
    }

    /// Whether reading again in a moment may help: the Codex CLI truncates the file in place
    /// before it writes the new content.
    pub(super) fn may_be_half_written(&self) -> bool {
        matches!(self, Self::Malformed { .. })
    }
}

fn ended_remedy(kept_elsewhere: Option<&str>) -> String {
    let sign_in = "run `codex-proxy login` or `codex login`";
    match kept_elsewhere {
        None => sign_in.to_owned(),
        Some(store) => format!(
            "Codex keeps its login {} (cli_auth_credentials_store = \"{store}\"), and the file \
             is outdated: set that to \"file\" in Codex's config.toml and {sign_in}",
            whereabouts(store)
        ),
    }
}

fn next_try(retry_in: Duration) -> String {
    let seconds = retry_in.as_secs() + u64::from(retry_in.subsec_nanos() > 0);
    if seconds == 0 { String::new() } else { format!("; the next attempt is in {seconds} s") }
}

fn whereabouts(store: &str) -> &'static str {
    match store {
        "ephemeral" => "in memory only",
        _ => "in the system's keyring",
    }
}

/// Kinds of login other than ChatGPT tokens and keys of the OpenAI platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// An agent's signing key.
    AgentIdentity,
    /// A key for Amazon Bedrock.
    Bedrock,
    /// Headers supplied by a host application.
    Headers,
    /// One that this version does not know.
    Unknown(String),
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AgentIdentity => "an agent identity",
            Self::Bedrock => "an Amazon Bedrock key",
            Self::Headers => "headers of a host application",
            Self::Unknown(name) => return write!(f, "a login of the unknown kind {name:?}"),
        })
    }
}
