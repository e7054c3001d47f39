//! One renewal. It runs in a separate task, one at a time in this process and, by a lock, among all
//! processes of this program.
//!
//! 1. The refresh token is redeemed under the [`RenewalLock`] only, as the Codex CLI redeems under
//!    no lock. Both may redeem the same token: then one of the two is told that it was used, and
//!    finds the other's successor in the file.
//! 2. The successor is noted on disk beside the file.
//! 3. Under the Codex CLI's locks the file is read again. If it still holds the token that was
//!    redeemed, the successor is put in its place; otherwise the file's set is the newer one.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::atomic_replace::{self, AtomicReplace, Written};
use super::cooldown::Pause;
use super::document::Document;
use super::error::Error;
use super::file::parse;
use super::issuer::{self, Ended, Tokens};
use super::location::{Location, Places};
use super::lock::{CodexLocks, HeldCodexLocks, NoLock, RenewalLock};
use super::login_file::{HALF_WRITTEN_DELAYS, Outcome, look_once};
use super::session::{Fingerprint, RefreshState, Session};
use super::state::{Shared, Unsaved};
use crate::config::CodexConfig;

/// How long to wait for another program to write the tokens that it got for the same refresh token.
/// The Codex CLI waits up to 5 s for its locks before it writes.
const SUCCESSOR_TIMEOUT: Duration = Duration::from_secs(8);

/// How long to wait for them while another program holds the Codex CLI's locks: it is writing, or
/// it holds them over its request, as this program did until version 0.1.
const LOCKED_SUCCESSOR_TIMEOUT: Duration = Duration::from_secs(75);

/// How often to look for them.
const SUCCESSOR_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The outcome of writing a successor.
enum Kept {
    /// It is in the file.
    Written(Written),
    /// The user has signed in or out meanwhile, which takes precedence.
    Superseded,
    /// It could not be written.
    Unsaved(io::Error, SecretSlice<u8>),
}

impl Shared {
    /// Gets a session that is newer than the set `stale`: from the file or from the service.
    pub(super) async fn renew(&self, stale: Fingerprint) -> Outcome {
        let places = self.reader.location().places();
        let lock = self.renewal_lock(&places).await?;
        self.finish_interrupted(&places).await;
        self.write_unsaved(&places).await?;
        let disk = self.reader.reload().await?;
        let set = disk.fingerprint();
        if set != stale && disk.due(Timestamp::now()) != RefreshState::Ended {
            tracing::debug!("another program has renewed the login");
            return Ok(disk);
        }
        self.state().may_renew(set, self.reader.location())?;
        let Some(refresh_token) = &disk.refresh_token else { return Ok(disk) };
        let locks = places.codex_locks.clone();
        let (slot, locks) =
            blocking(move || Ok((AtomicReplace::prepare(places)?, CodexLocks::open(&locks))))
                .await
                .map_err(|error| self.unwritable(error))?;
        let answer = self.issuer.refresh(refresh_token).await;
        self.tally.count(&answer);
        match answer {
            Ok(tokens) => self.persist(slot, locks, &disk, tokens).await,
            Err(error) => {
                slot.abandon();
                // Others, who wait for the same set, must not wait for this look as well.
                drop(lock);
                self.not_renewed(&disk, &locks, error).await
            }
        }
    }

    /// Handles a failed renewal of `disk`.
    async fn not_renewed(
        &self,
        disk: &Arc<Session>,
        locks: &CodexLocks,
        error: issuer::Error,
    ) -> Outcome {
        let (set, location) = (disk.fingerprint(), self.reader.location());
        let path = location.path.clone();
        let error = if let Some(why) = error.ended() {
            if let Some(newer) = self.written_by_others(disk, locks, &why).await {
                return Ok(newer);
            }
            let kept_elsewhere = kept_elsewhere(location).await;
            Error::Ended { path, why, kept_elsewhere }
        } else if error.is_refused_country() {
            Error::RefusedCountry { path }
        } else {
            let error = Arc::new(error);
            let mut state = self.state();
            state.pause = Some(Pause::after(set, Arc::clone(&error), state.pause.take()));
            let retry_in = state.pause.as_ref().map(Pause::left).unwrap_or_default();
            return Err(Error::NotRenewed { path, cause: error, retry_in });
        };
        // Logged once per expired login: failing requests are logged one by one.
        tracing::warn!(%error, "the login can no longer be renewed");
        self.state().ended = Some((set, error.clone()));
        Err(error)
    }

    pub(super) async fn renewal_lock(&self, places: &Places) -> Result<RenewalLock, Error> {
        match RenewalLock::acquire(&places.renewal_lock).await {
            Ok(lock) => Ok(lock),
            Err(NoLock::Busy) => Err(Error::Busy { lock: places.renewal_lock.clone() }),
            Err(NoLock::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                // There is no folder: reading tells that better.
                Err(self.reader.peek().await.err().unwrap_or_else(|| self.unwritable(error)))
            }
            Err(NoLock::Io(error)) => Err(self.unwritable(error)),
        }
    }

    pub(super) fn unwritable(&self, error: io::Error) -> Error {
        Error::Unwritable { path: self.reader.location().path.clone(), source: Arc::new(error) }
    }

    /// Writes the new tokens. From here on until they are on disk a crash loses the login, so
    /// nothing happens in between that is not necessary.
    async fn persist(
        &self,
        mut slot: AtomicReplace,
        locks: CodexLocks,
        old: &Arc<Session>,
        tokens: Tokens,
    ) -> Outcome {
        let answered = Instant::now();
        // Before all else, and without a change of thread: where this fails, so does what follows,
        // which tells it.
        let now = Timestamp::now();
        let _ = slot.write_ahead(with_tokens(old.content.expose_secret(), &tokens, now).as_bytes());
        let noted = answered.elapsed();
        let (location, redeemed) = (self.reader.location().clone(), Arc::clone(old));
        let kept = blocking(move || {
            // Before the locks are taken: a disk may be slow.
            let _ = slot.sync();
            Ok(put_in_file(slot, &locks, &location, &redeemed, &tokens, now))
        });
        match kept.await.map_err(|error| self.unwritable(error))? {
            Kept::Written(written) => {
                let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                let (noted_us, saved_us) = (micros(noted), micros(answered.elapsed()));
                tracing::info!(noted_us, saved_us, "renewed the login");
                self.tell(written);
            }
            Kept::Superseded => {
                tracing::warn!("the login was changed during the renewal");
            }
            Kept::Unsaved(error, content) => {
                let unsaved = Unsaved { instead_of: old.fingerprint(), content };
                self.state().unsaved = Some(unsaved);
                return Err(self.unsaved(error));
            }
        }
        self.reader.reload().await
    }

    pub(super) fn tell(&self, written: Written) {
        if written == Written::InPlace {
            tracing::warn!(
                path = %self.reader.location().path.display(),
                "the login was written in place, since the file cannot be replaced; mount its \
                 folder instead of the file"
            );
        }
    }

    fn unsaved(&self, error: io::Error) -> Error {
        let path = self.reader.location().path.clone();
        let error = Error::Unsaved { path, source: Arc::new(error) };
        tracing::error!(%error);
        error
    }

    /// Writes a login that could not be written before, unless the user has signed in meanwhile.
    async fn write_unsaved(&self, places: &Places) -> Result<(), Error> {
        let Some(unsaved) = self.state().unsaved.take() else { return Ok(()) };
        let (places, location) = (places.clone(), self.reader.location().clone());
        let written = blocking(move || {
            let content = unsaved.content.expose_secret();
            let write = || {
                let mut slot = AtomicReplace::prepare(places.clone())?;
                slot.write_ahead(content)?;
                slot.sync()?;
                let locks = CodexLocks::open(&places.codex_locks);
                let (held, disk) = look_locked(&locks, &location);
                if !disk.is_ok_and(|disk| disk.fingerprint() == unsaved.instead_of) {
                    slot.abandon();
                    return Ok(None);
                }
                let written = slot.commit(content)?;
                drop(held);
                atomic_replace::sync_folder(&places);
                Ok(Some(written))
            };
            let written = write();
            Ok((written, unsaved))
        });
        let (written, unsaved) = written.await.map_err(|error| self.unwritable(error))?;
        match written {
            Ok(written) => {
                if let Some(written) = written {
                    self.tell(written);
                }
                Ok(())
            }
            Err(error) => {
                self.state().unsaved = Some(unsaved);
                Err(self.unsaved(error))
            }
        }
    }

    /// Puts in place what a killed process had written beside the file, if it is the successor of
    /// what the file holds; otherwise removes it.
    async fn finish_interrupted(&self, places: &Places) {
        let (location, places) = (self.reader.location().clone(), places.clone());
        let finished = blocking(move || {
            let Some(content) = atomic_replace::unfinished(&places) else { return Ok(None) };
            let Ok(left) = parse(SecretSlice::from(content), &places.temp) else {
                atomic_replace::discard(&places);
                return Ok(None);
            };
            let locks = CodexLocks::open(&places.codex_locks);
            let (held, disk) = look_locked(&locks, &location);
            let is_successor = match disk {
                Ok(disk) => disk.is_same_account(&left) && disk.last_refresh < left.last_refresh,
                Err(error) => error.may_be_half_written(),
            };
            if !is_successor {
                atomic_replace::discard(&places);
                return Ok(None);
            }
            let written = atomic_replace::finish(&places, left.content.expose_secret())?;
            drop(held);
            atomic_replace::sync_folder(&places);
            Ok(Some(written))
        });
        match finished.await {
            Ok(None) => {}
            Ok(Some(written)) => {
                tracing::warn!("an interrupted renewal was completed");
                self.tell(written);
            }
            Err(error) => tracing::warn!(%error, "an interrupted renewal could not be completed"),
        }
    }

    /// What another program has written instead of `spent`, which was refused. It may still be
    /// about to write.
    async fn written_by_others(
        &self,
        spent: &Session,
        locks: &CodexLocks,
        why: &Ended,
    ) -> Option<Arc<Session>> {
        let may_come = matches!(why, Ended::Reused | Ended::Refused { .. });
        let start = tokio::time::Instant::now();
        loop {
            let found = self.reader.reload().await.ok();
            let newer = found
                .filter(|disk| !disk.has_same_refresh_token(spent) && disk.is_same_account(spent));
            let is_over = newer.is_some() || !may_come || {
                let waited = start.elapsed();
                waited >= LOCKED_SUCCESSOR_TIMEOUT
                    || (waited >= SUCCESSOR_TIMEOUT && !locks.are_held_by_others())
            };
            if is_over {
                return newer;
            }
            tokio::time::sleep(SUCCESSOR_POLL_INTERVAL).await;
        }
    }
}

/// Puts the successor of `redeemed` in the file, unless the file holds another set by now. Blocks.
fn put_in_file(
    slot: AtomicReplace,
    locks: &CodexLocks,
    location: &Location,
    redeemed: &Arc<Session>,
    tokens: &Tokens,
    now: Timestamp,
) -> Kept {
    let places = location.places();
    let (held, disk) = look_locked(locks, location);
    let base = match disk {
        Ok(disk) if disk.has_same_refresh_token(redeemed) => disk,
        // Damaged while the service answered: what was there before is better.
        Err(error) if error.may_be_half_written() => Arc::clone(redeemed),
        Ok(_) | Err(_) => {
            slot.abandon();
            return Kept::Superseded;
        }
    };
    let content = with_tokens(base.content.expose_secret(), tokens, now);
    let written = slot.commit(content.as_bytes());
    drop(held);
    match written {
        Ok(written) => {
            atomic_replace::sync_folder(&places);
            Kept::Written(written)
        }
        Err(error) => Kept::Unsaved(error, SecretSlice::from(content.as_bytes().to_vec())),
    }
}

/// What the file holds, with the Codex CLI's locks on it from before it was read. They are not held
/// while a file that is half-written is waited for. Blocks.
pub(super) fn look_locked<'a>(
    locks: &'a CodexLocks,
    location: &Location,
) -> (HeldCodexLocks<'a>, Outcome) {
    for delay in HALF_WRITTEN_DELAYS {
        let held = locks.acquire();
        match look_once(location) {
            Err(error) if error.may_be_half_written() => {
                drop(held);
                std::thread::sleep(delay);
            }
            outcome => return (held, outcome),
        }
    }
    let held = locks.acquire();
    let outcome = look_once(location);
    (held, outcome)
}

/// Where the Codex CLI keeps its login if that is not in the file, which is then an old one.
async fn kept_elsewhere(location: &Location) -> Option<String> {
    if location.keeper != crate::config::LoginStore::Codex {
        return None;
    }
    let home = location.codex_home.clone();
    let read = blocking(move || Ok(CodexConfig::read(&home).credentials_store));
    read.await.ok().flatten().filter(|store| store != "file")
}

/// The file with new tokens, those that came, and nothing else changed but the time.
pub(super) fn with_tokens(file: &[u8], tokens: &Tokens, now: Timestamp) -> Zeroizing<String> {
    // It was parsed before, so it is an object, all of it.
    let mut document = Document::parse(file).unwrap_or_default();
    document.within("tokens", |members| members.set_tokens(tokens));
    document.set("last_refresh", &now.to_string());
    document.into_text()
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
