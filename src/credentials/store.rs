//! The login for requests: valid, and renewed when needed.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::cooldown::Pause;
use super::error::Error;
use super::issuer::Issuer;
use super::location::Location;
use super::login::{Login, Summary};
use super::login_file::{LoginFile, Outcome};
use super::session::{Fingerprint, RefreshState, Session};
use super::state::Shared;
use super::tally::{Renewals, Tally};
use crate::platform::Platform;
use crate::single_flight::SingleFlight;

/// The source of logins. Clones share their state.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

/// The local status of a login.
#[derive(Debug, Clone)]
pub struct Status {
    /// The login.
    pub login: Arc<Login>,
    /// When it was last renewed.
    pub last_refresh: Option<Timestamp>,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// Whether its token has expired, by the clock of its issuer.
    pub has_expired: bool,
    /// How far this machine's clock was ahead of the service's when the login was renewed, in
    /// seconds, if it was more than five minutes.
    pub clock_skew: Option<i64>,
}

impl Store {
    /// A store of the login at `location`, renewed by `issuer`.
    pub fn new(location: Location, issuer: Issuer) -> Self {
        let reader = LoginFile::new(location);
        Self {
            shared: Arc::new(Shared {
                reader,
                issuer,
                tally: Tally::default(),
                flights: SingleFlight::default(),
                state: Mutex::default(),
            }),
        }
    }

    /// The current login. If it is about to expire, it is renewed first; if that fails, it is used
    /// until it expires.
    pub async fn login(&self) -> Result<Arc<Login>, Error> {
        let session = self.shared.reader.session().await?;
        Ok(Arc::clone(&self.usable(session).await?.login))
    }

    /// The login for a request that was made for `prepared`: the current one if it is of the same
    /// account. If another account has signed in meanwhile, `prepared` itself: the request may
    /// contain data that only the first account can decrypt.
    pub async fn login_for(&self, prepared: &Arc<Login>) -> Result<Arc<Login>, Error> {
        let session = self.shared.reader.session().await?;
        if !session.login.is_same_account(prepared) && !session.is_unresolved() {
            return Ok(Arc::clone(prepared));
        }
        let login = Arc::clone(&self.usable(session).await?.login);
        Ok(if login.is_same_account(prepared) { login } else { Arc::clone(prepared) })
    }

    /// The login to use after the backend has rejected this one: a newer one of the same account
    /// from the file, else a renewed one, else the same one.
    pub async fn on_unauthorized(&self, refused: &Arc<Login>) -> Result<Arc<Login>, Error> {
        let session = self.shared.reader.reload().await?;
        if !session.login.is_same_account(refused) {
            // Somebody signed in to another account meanwhile. That is for the next request.
            return Ok(Arc::clone(refused));
        }
        if !session.login.has_same_token(refused) {
            return Ok(Arc::clone(&self.usable(session).await?.login));
        }
        let now = Timestamp::now();
        // One that ended on its way to the backend was refused for its age.
        let is_too_old = session.due(now) == RefreshState::Ended || !session.is_new(now);
        if session.refresh_token.is_none() || !is_too_old {
            // A newer one would be refused too.
            return Ok(Arc::clone(refused));
        }
        let outcome = self.renewed(&session).await;
        let mut state = self.shared.state();
        if outcome.is_err() && state.ended_for(session.fingerprint()).is_some() {
            state.refused = Some(session.fingerprint());
        }
        Ok(Arc::clone(&outcome?.login))
    }

    /// The local status of the login; nothing is renewed.
    pub async fn status(&self) -> Result<Status, Error> {
        let session = self.shared.reader.session().await?;
        let session = self.shared.state().resolved_for(&session).unwrap_or(session);
        Ok(Status {
            login: Arc::clone(&session.login),
            last_refresh: session.last_refresh,
            is_renewable: session.refresh_token.is_some(),
            has_expired: session.has_expired(Timestamp::now()),
            clock_skew: session.clock_skew(),
        })
    }

    /// Where the login is.
    pub fn location(&self) -> &Location {
        self.shared.reader.location()
    }

    /// Which API the login is for; without a login, the Codex backend.
    pub async fn platform(&self) -> Platform {
        self.shared.reader.peek().await.map(|session| session.login.platform).unwrap_or_default()
    }

    /// The displayable summary of the login. Renews nothing.
    pub async fn summary(&self) -> Summary {
        let Ok(session) = self.shared.reader.peek().await else { return Summary::default() };
        let state = self.shared.state();
        let session = state.resolved_for(&session).unwrap_or(session);
        let ended = state.unusable(&session).map(|error| error.to_string());
        Summary { signed_in: ended.is_none(), ended, ..Summary::from(&*session.login) }
    }

    /// Whether there is a login that can be used as it is.
    pub async fn is_fresh(&self) -> bool {
        let Ok(session) = self.shared.reader.peek().await else { return false };
        session.due(Timestamp::now()) == RefreshState::No
            && !session.is_unresolved()
            && self.shared.state().unusable(&session).is_none()
    }

    /// How many renewals there were.
    pub fn renewals(&self) -> Renewals {
        self.shared.tally.sum()
    }

    /// Waits until no renewal is in progress, before the program exits. An interrupted renewal can
    /// lose the login.
    pub async fn settle(&self) {
        if let Some(flight) = self.shared.flights.under_way() {
            let _ = flight.await;
        }
        let unsaved = self.shared.state().unsaved.as_ref().map(|unsaved| unsaved.instead_of);
        if let Some(stale) = unsaved {
            let _ = self.renew(stale).await;
        }
    }

    /// A session that can be used: this one, or a renewed one.
    async fn usable(&self, session: Arc<Session>) -> Outcome {
        if session.is_unresolved() {
            return self.resolved(session).await;
        }
        let (now, set) = (Timestamp::now(), session.fingerprint());
        if let Some(error) = self.shared.state().unusable(&session) {
            return Err(error);
        }
        match session.due(now) {
            RefreshState::No => {
                if let Some(skew) = session.clock_skew() {
                    self.warn_of_clock(set, Some(skew));
                }
                Ok(session)
            }
            RefreshState::Soon if self.may_wait(&session, now) => Ok(session),
            RefreshState::Soon => match self.renewed(&session).await {
                Ok(renewed) => Ok(renewed),
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "the login could not be renewed; using the current one"
                    );
                    Ok(session)
                }
            },
            // No token ends so soon after it came: the clock is wrong, and the next one would seem
            // to have ended too. Whether this one is good is for the backend to say.
            RefreshState::Ended if session.is_new(now) => {
                self.warn_of_clock(set, session.clock_skew());
                Ok(session)
            }
            RefreshState::Ended => self.renewed(&session).await,
        }
    }

    fn warn_of_clock(&self, set: Fingerprint, ahead_secs: Option<i64>) {
        if self.shared.state().clock_warned.replace(set) != Some(set) {
            tracing::warn!(
                ahead_secs,
                "this machine's clock is wrong: by this clock, the new login has already \
                 expired; set the clock"
            );
        }
    }

    /// Whether a session that lives need not be renewed now: it was, or it was tried, only a moment
    /// ago.
    fn may_wait(&self, session: &Session, now: Timestamp) -> bool {
        let state = self.shared.state();
        let set = session.fingerprint();
        let is_tried = |pause: &Pause| pause.set == set && pause.is_new();
        state.unsaved.is_none()
            && (session.is_new(now)
                || state.pause.as_ref().is_some_and(is_tried)
                || state.may_renew(set, self.location()).is_err())
    }

    async fn renewed(&self, stale: &Session) -> Outcome {
        let stale = stale.fingerprint();
        if self.shared.state().unsaved.is_none() {
            self.shared.state().may_renew(stale, self.location())?;
        }
        self.renew(stale).await
    }

    /// A session newer than the set `stale`, from the renewal in progress or else a new one.
    async fn renew(&self, stale: Fingerprint) -> Outcome {
        let start = || {
            let shared = Arc::clone(&self.shared);
            self.shared.flights.join_or_start(|| async move { shared.renew(stale).await })
        };
        let (flight, is_own) = start();
        let outcome = flight.await;
        let is_stale = |session: &Session| session.fingerprint() == stale;
        match outcome {
            // It was for an older set, of which `stale` is the successor.
            Ok(Ok(session)) if !is_own && is_stale(&session) => match start().0.await {
                Ok(outcome) => outcome,
                Err(aborted) => Err(self.aborted(aborted)),
            },
            Ok(outcome) => outcome,
            Err(aborted) => Err(self.aborted(aborted)),
        }
    }

    /// A personal access token with its account, which is requested once.
    async fn resolved(&self, session: Arc<Session>) -> Outcome {
        let set = session.fingerprint();
        {
            let state = self.shared.state();
            if let Some(resolved) = state.resolved_for(&session) {
                return Ok(resolved);
            }
            state.may_resolve(set, self.location())?;
        }
        let shared = Arc::clone(&self.shared);
        let work = || async move { shared.resolve(session).await };
        let (flight, _) = self.shared.flights.join_or_start(work);
        match flight.await {
            Ok(outcome) => outcome,
            Err(aborted) => Err(self.aborted(aborted)),
        }
    }

    fn aborted(&self, error: crate::single_flight::Aborted) -> Error {
        let source = Arc::new(std::io::Error::other(error));
        Error::Unreadable { path: self.location().path.clone(), source }
    }
}
