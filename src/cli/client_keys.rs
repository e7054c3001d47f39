//! The keys that clients of the daemon send, as the settings of this process have them.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::config;
use crate::plain_file;

/// Larger files hold no keys.
const LIMIT: u64 = 1 << 20;

/// Why there is no key to send.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// The file is not there, or not for this user.
    #[error(
        "cannot read the file of `[server] api_key_file`, {}: {source}; set \
         CODEX_PROXY_SERVER_API_KEYS to one of its keys, or run this as the daemon's user",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No line of it is a key.
    #[error(
        "there is no API key in the file of `[server] api_key_file`, {}; `codex-proxy key new` \
         creates one",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The first key that the settings know; the daemon takes any of them.
pub(super) fn first(settings: &config::Server) -> Result<Option<SecretString>, KeyError> {
    match settings.api_keys.first() {
        Some(key) => Ok(Some(key.clone())),
        None => Ok(all(settings)?.into_iter().next()),
    }
}

/// All keys that the daemon of these settings takes; none if it asks for none.
pub(super) fn all(settings: &config::Server) -> Result<Vec<SecretString>, KeyError> {
    let mut keys = settings.api_keys.clone();
    if let Some(path) = &settings.api_key_file {
        keys.extend(of_file(path)?);
    }
    Ok(keys)
}

/// The keys of the file, as the daemon reads it: one on a line, `#` before comments.
fn of_file(path: &Path) -> Result<Vec<SecretString>, KeyError> {
    let text = plain_file::read_text(path, LIMIT)
        .map(Zeroizing::new)
        .map_err(|source| KeyError::Unreadable { path: path.to_owned(), source })?;
    let lines = text.lines().map(str::trim);
    let keys: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(SecretString::from)
        .collect();
    if keys.is_empty() {
        return Err(KeyError::Empty { path: path.to_owned() });
    }
    Ok(keys)
}
