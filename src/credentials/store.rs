//! The login as requests need it: valid, and renewed when it has to be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared as SharedFuture};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::error::Error;
use super::issuer::Issuer;
use super::location::Location;
use super::login::{Login, Summary};
use super::reader::{Outcome, Reader};
use super::renew::{Renewals, Tally};
use super::session::{Due, Fingerprint, REST, Session};
use crate::platform::Platform;

/// Where logins come from. Clones share their state.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

/// What there is to know about a login without asking anybody.
#[derive(Debug, Clone)]
pub struct Status {
    /// The login.
    pub login: Arc<Login>,
    /// When it was last renewed.
    pub last_refresh: Option<Timestamp>,
    /// Whether it can be renewed.
    pub is_renewable: bool,
}

/// What all who need the login share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reader: Reader,
    pub(super) issuer: Issuer,
    pub(super) tally: Tally,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// The renewal on its way, if it has not ended.
    flight: Option<SharedFuture<BoxFuture<'static, Outcome>>>,
    /// The last set of tokens that has ended for good, and how that is told.
    pub(super) ended: Option<(Fingerprint, Error)>,
    /// The last set of tokens that could not be renewed, and when that was.
    pub(super) tried: Option<(Fingerprint, Instant)>,
    /// A login that was renewed and could not be written.
    pub(super) unsaved: Option<Unsaved>,
}

/// A file's content that has to be written where the set `instead_of` is.
pub(super) struct Unsaved {
    pub(super) instead_of: Fingerprint,
    pub(super) content: SecretSlice<u8>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Store {
    /// A store of the login at `location`, renewed by `issuer`.
    pub fn new(location: Location, issuer: Issuer) -> Self {
        let reader = Reader::new(location);
        Self {
            shared: Arc::new(Shared {
                reader,
                issuer,
                tally: Tally::default(),
                state: Mutex::default(),
            }),
        }
    }

    /// The current login. One that is about to end is renewed first; if that fails, it is used
    /// while it lives.
    pub async fn login(&self) -> Result<Arc<Login>, Error> {
        let session = self.shared.reader.session().await?;
        Ok(Arc::clone(&self.fresh(session).await?.login))
    }

    /// What to use instead of a login that the backend has refused: another one of the same
    /// account that the file holds by now, else a renewed one. The same one again if there is
    /// nothing better.
    pub async fn rejected(&self, refused: &Arc<Login>) -> Result<Arc<Login>, Error> {
        let session = self.shared.reader.reload().await?;
        if !session.is_same_account(refused) {
            // Somebody signed in to another account meanwhile. That is for the next request: this
            // one may hold what only the first account can read.
            return Ok(Arc::clone(refused));
        }
        let current = session.login.access_token.expose_secret();
        if current != refused.access_token.expose_secret() {
            return Ok(Arc::clone(&self.fresh(session).await?.login));
        }
        let now = Timestamp::now();
        // One that ended on its way to the backend was refused for its age.
        let is_too_old = session.due(now) == Due::Ended || !session.is_new(now);
        if session.refresh_token.is_none() || !is_too_old {
            // A newer one would be refused too.
            return Ok(Arc::clone(refused));
        }
        Ok(Arc::clone(&self.renewed(&session).await?.login))
    }

    /// What there is to know about the login; nothing is renewed.
    pub async fn status(&self) -> Result<Status, Error> {
        let session = self.shared.reader.session().await?;
        Ok(Status {
            login: Arc::clone(&session.login),
            last_refresh: session.last_refresh,
            is_renewable: session.refresh_token.is_some(),
        })
    }

    /// Where the login is.
    pub fn location(&self) -> &Location {
        self.shared.reader.location()
    }

    /// Which API the login is for. Does not wait; without a login, the Codex backend.
    pub fn platform(&self) -> Platform {
        self.shared.reader.peek().map(|session| session.login.platform).unwrap_or_default()
    }

    /// What may be shown of the login. Does not wait.
    pub fn summary(&self) -> Summary {
        self.shared.reader.peek().map(|session| Summary::from(&*session.login)).unwrap_or_default()
    }

    /// Whether there is a login that can be used as it is. Does not wait.
    pub fn is_fresh(&self) -> bool {
        let session = self.shared.reader.peek();
        session.is_ok_and(|session| session.due(Timestamp::now()) == Due::No)
    }

    /// How many renewals there were.
    pub fn renewals(&self) -> Renewals {
        self.shared.tally.sum()
    }

    /// Waits until no renewal is on its way; for the end of the program. A renewal that is cut off
    /// can lose the login.
    pub async fn settle(&self) {
        let flight = self.shared.state().flight.clone();
        if let Some(flight) = flight {
            let _ = flight.await;
        }
        let unsaved = self.shared.state().unsaved.as_ref().map(|unsaved| unsaved.instead_of);
        if let Some(stale) = unsaved {
            let _ = self.flight(stale).await;
        }
    }

    /// A session that can be used: this one, or a renewed one.
    async fn fresh(&self, session: Arc<Session>) -> Outcome {
        let now = Timestamp::now();
        match session.due(now) {
            Due::No => Ok(session),
            Due::Soon if self.may_rest(&session, now) => Ok(session),
            Due::Soon => match self.renewed(&session).await {
                Ok(renewed) => Ok(renewed),
                Err(error) => {
                    tracing::warn!(%error, "the login could not be renewed and is used as it is");
                    Ok(session)
                }
            },
            Due::Ended => self.renewed(&session).await,
        }
    }

    /// Whether a session that lives was renewed, or tried to be, only a moment ago.
    fn may_rest(&self, session: &Session, now: Timestamp) -> bool {
        let state = self.shared.state();
        let fingerprint = session.fingerprint();
        let is_tried = |(tried, at): &(_, Instant)| *tried == fingerprint && at.elapsed() < REST;
        state.unsaved.is_none()
            && (session.is_new(now)
                || state.tried.as_ref().is_some_and(is_tried)
                || state.ended.as_ref().is_some_and(|(ended, _)| *ended == fingerprint))
    }

    async fn renewed(&self, stale: &Session) -> Outcome {
        let stale = stale.fingerprint();
        if let Some(error) = self.shared.state().ended_for(stale) {
            return Err(error);
        }
        self.flight(stale).await
    }

    /// The renewal on its way, a new one if there is none.
    fn flight(&self, old: Fingerprint) -> SharedFuture<BoxFuture<'static, Outcome>> {
        let mut state = self.shared.state();
        let on_its_way = state.flight.take().filter(|flight| flight.peek().is_none());
        let flight = on_its_way.unwrap_or_else(|| {
            let shared = Arc::clone(&self.shared);
            let path = self.shared.reader.location().path.clone();
            // A task of its own, so that it outlives a caller who goes away.
            let task = tokio::spawn(async move { shared.renew(old).await });
            let outcome = task.map(|joined| {
                joined.unwrap_or_else(|error| {
                    Err(Error::Unreadable { path, source: Arc::new(std::io::Error::other(error)) })
                })
            });
            outcome.boxed().shared()
        });
        state.flight = Some(flight.clone());
        flight
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How it is told that this set of tokens has ended, if it has.
    pub(super) fn ended_for(&self, set: Fingerprint) -> Option<Error> {
        self.ended.as_ref().filter(|(ended, _)| *ended == set).map(|(_, error)| error.clone())
    }
}
