//! The API keys of clients, kept as digests only.

use std::fmt;
use std::path::{Path, PathBuf};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HeaderName};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::config;
use crate::plain_file;

/// The largest key file.
const LIMIT: u64 = 1 << 20;

/// The header in which Azure's clients send their key.
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Errors of the key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot read the file of `[server] api_key_file`, {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line is not a valid key.
    #[error("{}:{line}: {problem}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it, without its content.
        problem: String,
    },
    /// The file contains no key.
    #[error(
        "no API key in the file of `[server] api_key_file`, {}; `codex-proxy key new` creates one",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The keys. Without any, every caller is authenticated.
#[derive(Default)]
pub(super) struct Keys(Vec<[u8; 32]>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// The caller, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Caller {
    /// With a valid key, or any caller if no key is needed.
    Authenticated,
    /// Without a valid key.
    Anonymous,
}

impl Keys {
    /// The keys of the settings and of the file, which is read once.
    pub(super) fn load(keys: &[SecretString], file: Option<&Path>) -> Result<Self, KeyFileError> {
        let mut digests: Vec<_> = keys.iter().map(|key| digest(key.expose_secret())).collect();
        if let Some(path) = file {
            let text = plain_file::read_text(path, LIMIT)
                .map(Zeroizing::new)
                .map_err(|source| KeyFileError::Unreadable { path: path.to_owned(), source })?;
            digests.extend(read(&text, path)?);
        }
        Ok(Self(digests))
    }

    /// The caller with these headers.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Caller {
        let sent = [authorization(headers), api_key(headers)];
        if self.0.is_empty() || sent.into_iter().flatten().any(|key| self.hold(key)) {
            Caller::Authenticated
        } else {
            Caller::Anonymous
        }
    }

    /// Whether this is one of the keys. In constant time: it reveals only the number of keys.
    fn hold(&self, key: &[u8]) -> bool {
        let sent = digest(key);
        let same = |found: Choice, held: &[u8; 32]| found | held.ct_eq(&sent);
        self.0.iter().fold(Choice::from(0), same).into()
    }
}

/// The digests of the keys in the text of a file: one on a line, `#` before comments.
fn read(text: &str, path: &Path) -> Result<Vec<[u8; 32]>, KeyFileError> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let digests = lines
        .filter(|(_, key)| !key.is_empty() && !key.starts_with('#'))
        .map(|(line, key)| match config::api_key(key) {
            Ok(key) => Ok(digest(key.expose_secret())),
            Err(problem) => Err(KeyFileError::Wrong { path: path.to_owned(), line, problem }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if digests.is_empty() {
        return Err(KeyFileError::Empty { path: path.to_owned() });
    }
    Ok(digests)
}

/// The key in the one `Authorization: Bearer KEY`, or `Authorization: KEY`.
fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let value = only(headers, &AUTHORIZATION)?;
    // No key has a space in it.
    let Some(at) = value.iter().position(|&byte| byte == b' ') else { return Some(value) };
    let (scheme, key) = value.split_at(at);
    scheme.eq_ignore_ascii_case(b"bearer").then_some(key.trim_ascii())
}

/// The key in the one `api-key: KEY`, as Azure's clients send it.
fn api_key(headers: &HeaderMap) -> Option<&[u8]> {
    only(headers, &API_KEY)
}

/// The value of a header that occurs exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Some(value.as_bytes().trim_ascii())
}

fn digest(key: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests;
