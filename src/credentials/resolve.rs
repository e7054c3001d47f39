//! The account of a personal access token. The token does not contain it, and the backend requires
//! it, so it is requested once from the sign-in service, as in the Codex CLI.

use std::sync::Arc;

use reqwest::StatusCode;

use super::cooldown::Pause;
use super::error::Error;
use super::issuer::{self, Whoami};
use super::login::Login;
use super::login_file::Outcome;
use super::session::Session;
use super::state::Shared;

impl Shared {
    /// The session of a personal access token with its account.
    pub(super) async fn resolve(&self, session: Arc<Session>) -> Outcome {
        let set = session.fingerprint();
        let place = self.reader.location().place();
        match self.issuer.whoami(&session.login.access_token).await {
            Ok(whoami) => {
                let resolved = Arc::new(with_account(&session, whoami));
                self.state().resolved = Some((set, Arc::clone(&resolved)));
                Ok(resolved)
            }
            Err(error) if is_final(&error) => {
                let error = Error::RefusedToken { place, why: Arc::new(error) };
                tracing::warn!(%error, "the login cannot be used");
                self.state().ended = Some((set, error.clone()));
                Err(error)
            }
            Err(error) => {
                let cause = Arc::new(error);
                let mut state = self.state();
                let pause = Pause::after(set, Arc::clone(&cause), state.pause.take());
                let retry_in = pause.left();
                state.pause = Some(pause);
                Err(Error::UnknownAccount { place, cause, retry_in })
            }
        }
    }
}

/// Whether the service has rejected the token itself.
fn is_final(error: &issuer::Error) -> bool {
    match error {
        issuer::Error::Refused { status, .. } => {
            matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                || error.is_refused_country()
        }
        _ => false,
    }
}

fn with_account(session: &Session, whoami: Whoami) -> Session {
    let login = Login {
        account_id: Some(whoami.account_id),
        plan: whoami.plan,
        email: whoami.email,
        fedramp: whoami.fedramp.unwrap_or(false),
        ..(*session.login).clone()
    };
    Session {
        login: Arc::new(login),
        kind: session.kind,
        refresh_token: None,
        last_refresh: None,
        content: session.content.clone(),
    }
}
