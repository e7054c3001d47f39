//! What all who need the login share: the file, the sign-in service, and what is known of both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use secrecy::SecretSlice;

use super::cooldown::Pause;
use super::error::Error;
use super::issuer::Issuer;
use super::location::Location;
use super::login_file::{LoginFile, Outcome};
use super::session::{Fingerprint, RefreshState, Session};
use super::tally::Tally;
use crate::single_flight::SingleFlight;

/// The shared state.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reader: LoginFile,
    pub(super) issuer: Issuer,
    pub(super) tally: Tally,
    /// Renewals, and lookups of a personal access token's account.
    pub(super) flights: SingleFlight<Outcome>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// The last set of tokens that can no longer be renewed, and its error.
    pub(super) ended: Option<(Fingerprint, Error)>,
    /// The last such set whose access token the backend has rejected. It is not sent again.
    pub(super) refused: Option<Fingerprint>,
    /// The cooldown for the sign-in service.
    pub(super) pause: Option<Pause>,
    /// A login that was renewed and could not be written.
    pub(super) unsaved: Option<Unsaved>,
    /// The last personal access token whose account was asked for, with its account.
    pub(super) resolved: Option<(Fingerprint, Arc<Session>)>,
    /// The last set of tokens for which the log says that the clock is wrong.
    pub(super) clock_warned: Option<Fingerprint>,
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

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How it is told that this set of tokens can be renewed no more, if that is so.
    pub(super) fn ended_for(&self, set: Fingerprint) -> Option<Error> {
        self.ended.as_ref().filter(|(ended, _)| *ended == set).map(|(_, error)| error.clone())
    }

    /// Why this session is of no more use, if that is known.
    pub(super) fn unusable(&self, session: &Session) -> Option<Error> {
        let set = session.fingerprint();
        let ended = self.ended_for(set)?;
        let is_dead = self.refused == Some(set)
            || session.refresh_token.is_none()
            || session.due(Timestamp::now()) == RefreshState::Ended;
        is_dead.then_some(ended)
    }

    /// Whether the sign-in service may be asked for a successor of this set now.
    pub(super) fn may_renew(&self, set: Fingerprint, location: &Location) -> Result<(), Error> {
        if let Some(error) = self.ended_for(set) {
            return Err(error);
        }
        match self.pause_for(set) {
            None => Ok(()),
            Some(pause) => Err(Error::NotRenewed {
                path: location.path.clone(),
                cause: Arc::clone(&pause.cause),
                retry_in: pause.left(),
            }),
        }
    }

    /// Whether the sign-in service may be asked whose personal access token this is.
    pub(super) fn may_resolve(&self, set: Fingerprint, location: &Location) -> Result<(), Error> {
        if let Some(error) = self.ended_for(set) {
            return Err(error);
        }
        match self.pause_for(set) {
            None => Ok(()),
            Some(pause) => Err(Error::UnknownAccount {
                place: location.place(),
                cause: Arc::clone(&pause.cause),
                retry_in: pause.left(),
            }),
        }
    }

    pub(super) fn pause_for(&self, set: Fingerprint) -> Option<&Pause> {
        self.pause.as_ref().filter(|pause| pause.set == set && !pause.left().is_zero())
    }

    pub(super) fn resolved_for(&self, session: &Session) -> Option<Arc<Session>> {
        if !session.is_unresolved() {
            return None;
        }
        let (set, resolved) = self.resolved.as_ref()?;
        (*set == session.fingerprint()).then(|| Arc::clone(resolved))
    }
}
