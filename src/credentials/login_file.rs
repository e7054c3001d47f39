//! The file, re-read when it changes.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};

use super::error::Error;
use super::file::{parse, personal_access_token};
use super::location::Location;
use super::session::Session;
use crate::config::{CodexConfig, LoginStore};
use crate::plain_file::{self, Links};

/// Larger files are not logins.
pub(super) const LIMIT: u64 = 1 << 20;

/// The delays before re-reading a file that may be half-written, as old versions of the Codex CLI
/// write it in place.
pub(super) const HALF_WRITTEN_DELAYS: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
];

/// How coarse the clocks of file systems may be: a file that changed this recently can change
/// again without looking different.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);

pub(super) type Outcome = Result<Arc<Session>, Error>;

/// Reads the file.
#[derive(Debug)]
pub(super) struct LoginFile {
    location: Location,
    known: Mutex<Option<Known>>,
}

/// The content at the last read.
#[derive(Debug, Clone)]
struct Known {
    identity: Option<Identity>,
    outcome: Outcome,
}

impl LoginFile {
    pub(super) fn new(location: Location) -> Self {
        Self { location, known: Mutex::default() }
    }

    pub(super) fn location(&self) -> &Location {
        &self.location
    }

    /// The current content; re-reads the file if its metadata has changed.
    pub(super) async fn session(&self) -> Outcome {
        match self.unchanged() {
            Some(outcome) => outcome,
            None => self.reload().await,
        }
    }

    /// Reads the file even if it looks unchanged; used after the backend has rejected its login.
    pub(super) async fn reload(&self) -> Outcome {
        self.remember(patiently(|| self.look_elsewhere()).await)
    }

    /// What the file holds now: one that has changed is read once, and if that finds it
    /// half-written, what was known before stands.
    pub(super) async fn peek(&self) -> Outcome {
        if let Some(outcome) = self.unchanged() {
            return outcome;
        }
        let known = self.look_elsewhere().await;
        match &known.outcome {
            Err(error) if error.may_be_half_written() => {
                self.known().map_or(known.outcome, |before| before.outcome)
            }
            _ => self.remember(known),
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, known: Known) -> Outcome {
        let outcome = known.outcome.clone();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        outcome
    }

    fn unchanged(&self) -> Option<Outcome> {
        let Known { identity, outcome } = self.known()?;
        if self.location.access_token.is_some() {
            return Some(outcome);
        }
        let now = Identity::of(&std::fs::metadata(&self.location.path).ok()?)?;
        (identity? == now).then_some(outcome)
    }

    /// [`look`] where blocking is allowed.
    async fn look_elsewhere(&self) -> Known {
        let location = self.location.clone();
        let looked = tokio::task::spawn_blocking(move || look(&location)).await;
        looked.unwrap_or_else(|error| {
            let (path, source) = (self.location.path.clone(), std::io::Error::other(error));
            let outcome = Err(Error::Unreadable { path, source: Arc::new(source) });
            Known { identity: None, outcome }
        })
    }
}

/// Looks until the file is whole, a few times within a short while.
async fn patiently<F: Future<Output = Known>>(mut look: impl FnMut() -> F) -> Known {
    let mut known = look().await;
    for wait in HALF_WRITTEN_DELAYS {
        match &known.outcome {
            Err(error) if error.may_be_half_written() => tokio::time::sleep(wait).await,
            _ => break,
        }
        known = look().await;
    }
    known
}

/// What the file holds right now; blocks. For those who know better than to wait.
pub(super) fn look_once(location: &Location) -> Outcome {
    look(location).outcome
}

/// Reads the file once.
fn look(location: &Location) -> Known {
    if let Some(token) = &location.access_token {
        return Known { identity: None, outcome: of_variable(token) };
    }
    let path = &location.path;
    match read(path) {
        Ok((identity, content)) => {
            Known { identity, outcome: parse(content.into(), path).map(Arc::new) }
        }
        Err(error) => Known { identity: None, outcome: Err(explain(error, location)) },
    }
}

/// The login in the variable. What does not begin like a personal access token is an agent
/// identity there, by the Codex CLI's rule.
fn of_variable(token: &SecretString) -> Outcome {
    if !token.expose_secret().starts_with("at-") {
        return Err(Error::UnsupportedVariable);
    }
    Ok(Arc::new(personal_access_token(token.clone(), Vec::new().into())))
}

fn read(path: &Path) -> std::io::Result<(Option<Identity>, Vec<u8>)> {
    let mut file = plain_file::open(path, File::options().read(true), Links::Followed)?;
    // Before the content: if the file changes in between, it will look changed the next time.
    let identity = Identity::of(&file.metadata()?);
    // In one piece: a buffer that grows leaves copies of secrets behind.
    let mut content = Vec::with_capacity(64 << 10);
    file.by_ref().take(LIMIT + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LIMIT {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok((identity, content))
}

fn explain(error: std::io::Error, location: &Location) -> Error {
    let (path, home) = (location.path.clone(), &location.codex_home);
    match error.kind() {
        ErrorKind::NotFound if location.keeper == LoginStore::Own => Error::OwnMissing { path },
        ErrorKind::NotFound => match CodexConfig::read(home).credentials_store {
            Some(store) if store != "file" => {
                Error::ElsewhereStored { path, config: home.join("config.toml"), store }
            }
            _ => Error::Missing { path },
        },
        ErrorKind::FileTooLarge => Error::TooLarge { path, limit: LIMIT },
        _ => Error::Unreadable { path, source: Arc::new(error) },
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Identity {
    /// `None` while the file is so new that it could change without its identity changing.
    fn of(metadata: &Metadata) -> Option<Self> {
        let modified = metadata.modified().ok()?;
        // A time in the future is as good a mark as any, unless it is about now.
        let distance = modified.elapsed().unwrap_or_else(|error| error.duration());
        let is_settled = distance > CLOCK_GRAIN;
        is_settled.then(|| Self { modified, length: metadata.len(), inode: inode(metadata) })
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn auth(token: &str) -> String {
        format!(r#"{{"tokens":{{"access_token":"{token}"}}}}"#)
    }

    fn folder(files: &[(&str, &str)]) -> (TempDir, LoginFile) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let store = LoginFile::new(Location::shared(folder.path()));
        (folder, store)
    }

    /// Makes the file look as if it had been written some time ago.
    fn age(folder: &TempDir, seconds: u64) {
        let file = File::options().append(true).open(folder.path().join("auth.json")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }

    async fn token(store: &LoginFile) -> String {
        store.session().await.unwrap().login.access_token.expose_secret().to_owned()
    }

    #[tokio::test]
    async fn a_changed_file_is_picked_up_at_once() {
        let (folder, store) = folder(&[("auth.json", &auth("one"))]);
        assert_eq!(token(&store).await, "one");
        // Same length, same inode, and most likely within the same tick of the file's clock.
        std::fs::write(folder.path().join("auth.json"), auth("two")).unwrap();
        assert_eq!(token(&store).await, "two");
    }

    #[tokio::test]
    async fn an_unchanged_file_is_not_read_again() {
        let (folder, store) = folder(&[("auth.json", &auth("one"))]);
        age(&folder, 60);
        let first = store.session().await.unwrap();
        assert!(Arc::ptr_eq(&first, &store.session().await.unwrap()));
        assert!(!Arc::ptr_eq(&first, &store.reload().await.unwrap()), "reload always reads");
        age(&folder, 50);
        let touched = store.session().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &touched));
    }

    #[tokio::test]
    async fn a_half_written_file_is_read_again() {
        let (_folder, store) = folder(&[]);
        let whole = auth("whole");
        let mut states = ["", &whole[..20], &whole].into_iter();
        let known = patiently(|| {
            std::fs::write(&store.location.path, states.next().unwrap()).unwrap();
            std::future::ready(look(&store.location))
        });
        let login = known.await.outcome.unwrap();
        assert_eq!(login.login.access_token.expose_secret(), "whole");
    }

    #[tokio::test]
    async fn a_file_that_stays_damaged_is_reported() {
        let (_folder, store) = folder(&[("auth.json", "{\"tokens\":{")]);
        let error = store.session().await.unwrap_err();
        assert!(matches!(error, Error::Malformed { line: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_file_says_how_to_sign_in_and_a_later_one_is_found() {
        let (folder, store) = folder(&[]);
        let error = store.session().await.unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error}");
        assert!(error.to_string().contains("`codex-proxy login`"), "{error}");
        std::fs::write(folder.path().join("auth.json"), auth("new")).unwrap();
        assert_eq!(token(&store).await, "new");
    }

    #[tokio::test]
    async fn a_login_in_the_keyring_is_recognised() {
        for (store_name, whereabouts) in
            [("keyring", "in the system's keyring"), ("ephemeral", "in memory only")]
        {
            let config = format!("cli_auth_credentials_store = \"{store_name}\"");
            let (_folder, store) = folder(&[("config.toml", &config)]);
            let error = store.session().await.unwrap_err().to_string();
            assert!(error.contains(&config) && error.contains(whereabouts), "{error}");
            assert!(error.contains("\"file\" there and run `codex login`"), "{error}");
        }
        let (_folder, store) = folder(&[("config.toml", "cli_auth_credentials_store = \"file\"")]);
        assert!(matches!(store.session().await, Err(Error::Missing { .. })));
    }

    #[tokio::test]
    async fn a_file_that_is_too_large_is_not_read_to_its_end() {
        let (folder, store) = folder(&[("auth.json", "")]);
        let file = File::options().write(true).open(folder.path().join("auth.json")).unwrap();
        file.set_len(LIMIT + 1).unwrap();
        let error = store.session().await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        file.set_len(LIMIT).unwrap();
        assert!(matches!(store.session().await, Err(Error::Malformed { .. })));
    }

    #[tokio::test]
    async fn a_peek_follows_the_file() {
        let (folder, store) = folder(&[]);
        let path = folder.path().join("auth.json");
        assert!(store.peek().await.is_err());
        std::fs::write(&path, auth("one")).unwrap();
        assert!(store.peek().await.is_ok());
        std::fs::write(&path, "{").unwrap();
        assert!(store.peek().await.is_ok(), "half-written: what was known stands");
        std::fs::remove_file(&path).unwrap();
        assert!(store.peek().await.is_err());
    }

    #[test]
    fn a_file_of_the_future_is_read_once() {
        let (folder, _) = folder(&[("auth.json", "")]);
        let file = File::options().write(true).open(folder.path().join("auth.json")).unwrap();
        let hour = Duration::from_secs(3600);
        for (time, is_settled) in [
            (SystemTime::now() - hour, true),
            (SystemTime::now(), false),
            (SystemTime::now() + hour, true),
        ] {
            file.set_modified(time).unwrap();
            assert_eq!(Identity::of(&file.metadata().unwrap()).is_some(), is_settled, "{time:?}");
        }
    }
}
