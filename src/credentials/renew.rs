//! One renewal. It runs in a task of its own, one at a time in this process and, by the lock,
//! among all processes of this program. The Codex CLI knows no lock, so it may redeem the same
//! token at the same time: then one of the two is told that the token was used, and finds the
//! other's in the file.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::document::Document;
use super::error::Error;
use super::file::parse;
use super::issuer::{self, Ended, Tokens};
use super::location::Places;
use super::lock::{Lock, NoLock};
use super::reader::{Outcome, look_patiently};
use super::replace::{self, Slot, Written};
use super::session::{Due, Fingerprint, Session};
use super::store::{Shared, Unsaved};

/// How long to wait before each further look for the tokens that another program has got and is
/// about to write.
const LOOKS: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

/// How many times the sign-in service was asked for new tokens since the start, by what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewals {
    /// It gave them.
    pub renewed: u64,
    /// It refused to: the login has ended, or another program was first.
    pub refused: u64,
    /// It could not be asked, or failed.
    pub failed: u64,
}

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    renewed: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    fn count<T>(&self, answer: &Result<T, issuer::Error>) {
        let counter = match answer {
            Ok(_) => &self.renewed,
            Err(error) if error.ended().is_some() => &self.refused,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> Renewals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Renewals {
            renewed: read(&self.renewed),
            refused: read(&self.refused),
            failed: read(&self.failed),
        }
    }
}

impl Shared {
    /// Gets a session that is newer than the set `stale`: from the file or from the service.
    pub(super) async fn renew(&self, stale: Fingerprint) -> Outcome {
        let places = self.reader.location().places();
        let _lock = self.lock(&places).await?;
        self.finish_interrupted(&places).await;
        self.write_unsaved(&places).await?;
        let disk = self.reader.reload().await?;
        let set = disk.fingerprint();
        if set != stale && disk.due(Timestamp::now()) != Due::Ended {
            tracing::debug!("another program has renewed the login");
            return Ok(disk);
        }
        if let Some(error) = self.state().ended_for(set) {
            return Err(error);
        }
        let Some(refresh_token) = &disk.refresh_token else { return Ok(disk) };
        let slot = blocking(move || Slot::prepare(places))
            .await
            .map_err(|error| self.unwritable(error))?;
        let answer = self.issuer.refresh(refresh_token).await;
        self.tally.count(&answer);
        match answer {
            Ok(tokens) => self.keep(slot, &disk, tokens).await,
            Err(error) => {
                slot.abandon();
                let path = self.reader.location().path.clone();
                let Some(why) = error.ended() else {
                    self.state().tried = Some((set, Instant::now()));
                    return Err(Error::NotRenewed { path, cause: Arc::new(error) });
                };
                if let Some(newer) = self.written_by_others(&disk, &why).await {
                    return Ok(newer);
                }
                let error = Error::Ended { path, why };
                self.state().ended = Some((set, error.clone()));
                Err(error)
            }
        }
    }

    pub(super) async fn lock(&self, places: &Places) -> Result<Lock, Error> {
        Lock::acquire(&places.lock).await.map_err(|error| match error {
            NoLock::Busy => Error::Busy { lock: places.lock.clone() },
            NoLock::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                // There is no folder: reading tells that better.
                self.reader.peek().err().unwrap_or_else(|| self.unwritable(error))
            }
            NoLock::Io(error) => self.unwritable(error),
        })
    }

    pub(super) fn unwritable(&self, error: io::Error) -> Error {
        Error::Unwritable { path: self.reader.location().path.clone(), source: Arc::new(error) }
    }

    /// Writes the new tokens. From here on until they are on disk a crash loses the login, so
    /// nothing happens in between that is not necessary.
    async fn keep(&self, mut slot: Slot, old: &Arc<Session>, tokens: Tokens) -> Outcome {
        let answered = Instant::now();
        // Before all else, and without a change of thread: where this fails, so does what follows,
        // which tells it.
        let now = Timestamp::now();
        let _ = slot.note(with_tokens(old.content.expose_secret(), &tokens, now).as_bytes());
        let noted = answered.elapsed();
        let location = self.reader.location().clone();
        let (old_session, path) = (Arc::clone(old), location.path.clone());
        let written = tokio::task::spawn_blocking(move || {
            let base = match look_patiently(&location) {
                Ok(disk) if disk.has_same_refresh_token(&old_session) => disk,
                // Damaged while the service answered: what was there before is better.
                Err(error) if error.may_be_half_written() => old_session,
                // Somebody has signed in or out meanwhile, and meant it.
                Ok(_) | Err(_) => {
                    slot.abandon();
                    return Ok(None);
                }
            };
            let content = with_tokens(base.content.expose_secret(), &tokens, now);
            match slot.commit(content.as_bytes()) {
                Ok(written) => Ok(Some(written)),
                Err(error) => Err((error, SecretSlice::from(content.as_bytes().to_vec()))),
            }
        })
        .await
        .map_err(|error| Error::Unreadable { path, source: Arc::new(io::Error::other(error)) })?;
        match written {
            Ok(Some(written)) => {
                let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                let (noted_us, saved_us) = (micros(noted), micros(answered.elapsed()));
                tracing::info!(noted_us, saved_us, "renewed the login");
                self.tell(written);
            }
            Ok(None) => tracing::warn!("the login was changed by somebody while it was renewed"),
            Err((error, content)) => {
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
                 folder rather than the file alone"
            );
        }
    }

    fn unsaved(&self, error: io::Error) -> Error {
        let path = self.reader.location().path.clone();
        let error = Error::Unsaved { path, source: Arc::new(error) };
        tracing::error!(%error);
        error
    }

    /// Writes what could not be written before, unless somebody has signed in meanwhile.
    async fn write_unsaved(&self, places: &Places) -> Result<(), Error> {
        let Some(unsaved) = self.state().unsaved.take() else { return Ok(()) };
        let disk = self.reader.reload().await;
        if !disk.is_ok_and(|disk| disk.fingerprint() == unsaved.instead_of) {
            return Ok(());
        }
        let places = places.clone();
        let (unsaved, written) = tokio::task::spawn_blocking(move || {
            let content = unsaved.content.expose_secret();
            let written = Slot::prepare(places).and_then(|slot| slot.commit(content));
            (unsaved, written)
        })
        .await
        .map_err(|error| self.unwritable(io::Error::other(error)))?;
        match written {
            Ok(written) => {
                self.tell(written);
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
            let Some(content) = replace::unfinished(&places) else { return Ok(None) };
            let content = SecretSlice::from(content);
            let Ok(left) = parse(content, &places.spare) else {
                replace::discard(&places);
                return Ok(None);
            };
            let is_successor = match look_patiently(&location) {
                Ok(disk) => {
                    disk.is_same_account(&left.login) && disk.last_refresh < left.last_refresh
                }
                Err(error) => error.may_be_half_written(),
            };
            if is_successor {
                replace::finish(&places, left.content.expose_secret()).map(Some)
            } else {
                replace::discard(&places);
                Ok(None)
            }
        });
        match finished.await {
            Ok(None) => {}
            Ok(Some(written)) => {
                tracing::warn!("a renewal that was cut off has been completed");
                self.tell(written);
            }
            Err(error) => tracing::warn!(%error, "a renewal that was cut off stays incomplete"),
        }
    }

    /// What another program has written instead of `spent`, which was refused. It may still be
    /// about to write.
    async fn written_by_others(&self, spent: &Session, why: &Ended) -> Option<Arc<Session>> {
        let looks = match why {
            Ended::Reused | Ended::Refused { .. } => &LOOKS[..],
            Ended::Expired | Ended::Invalidated => &LOOKS[..1],
        };
        for pause in looks {
            tokio::time::sleep(*pause).await;
            let found = self.reader.reload().await.ok();
            let newer = found.filter(|disk| {
                !disk.has_same_refresh_token(spent) && disk.is_same_account(&spent.login)
            });
            if newer.is_some() {
                return newer;
            }
        }
        None
    }
}

/// The file with new tokens, those that came, and nothing else changed but the time.
pub(super) fn with_tokens(file: &[u8], tokens: &Tokens, now: Timestamp) -> Zeroizing<String> {
    // It was parsed before, so it is an object, all of it.
    let mut document = Document::parse(file).unwrap_or_default();
    document.within("tokens", |members| members.set_tokens(tokens));
    document.set("last_refresh", &now.to_string());
    document.into_text()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
