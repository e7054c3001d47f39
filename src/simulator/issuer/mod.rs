//! A stand-in for the sign-in service, as strict as the real one.
//!
//! | address | |
//! |---|---|
//! | `GET /oauth/authorize` | the sign-in page, which consents at once and goes back to the client |
//! | `POST /oauth/token` | codes and refresh tokens for tokens (JSON or form), an API key for an id token |
//! | `POST /oauth/revoke` | ends a login |
//! | `POST /api/accounts/deviceauth/usercode` | a code for a device without browser |
//! | `POST /api/accounts/deviceauth/token` | 403 or 404 until the code has been entered |
//! | `GET /codex/device?user_code=…` | enters it |
//! | `GET /api/accounts/v1/user-auth-credential/whoami` | whose a personal access token is |
//! | `GET /simulator/issuer` | `{"calls": […]}`, see [`Call`] |
//! | `POST /simulator/issuer` | sets `token_life_ms`, `consent`, and `fail`, a list of [`Failure`]s |
//!
//! A refresh token can be redeemed once. Codes too, with the proof key that belongs to them and
//! the address they were asked for with. [`SignInService`] is the handle for tests.

mod routes;
mod state;
mod tokens;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub use self::tokens::Tokens;

/// How the service is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long access tokens live.
    pub token_life: Duration,
    /// The ports of this machine that signing in may end at; empty for any. The real service
    /// knows two.
    pub ports: Vec<u16>,
    /// Whether the device flow is on.
    pub device_flow: bool,
    /// The `interval` of the device flow, in seconds; a string, as the real one has it.
    pub device_interval: String,
    /// The account that signs in.
    pub account: Account,
}

/// Who signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's id.
    pub id: String,
    /// The e-mail address.
    pub email: String,
    /// The plan.
    pub plan: String,
}

impl Account {
    /// An account with this id, on the plan "plus".
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), email: format!("{id}@example.com"), plan: "plus".to_owned() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_life: Duration::from_secs(3600),
            ports: vec![1455, 1457],
            device_flow: true,
            device_interval: "1".to_owned(),
            account: Account::new("simulated-account"),
        }
    }
}

/// What the person at the sign-in page does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Agrees.
    #[default]
    Grant,
    /// Declines.
    Deny,
    /// Agrees, but the account may not use Codex.
    NoEntitlement,
    /// Comes back with another state, as an attacker's page would.
    WrongState,
    /// Comes back with the state as some onboarding pages extend it.
    ExtendedState,
    /// Does nothing.
    Ignore,
}

/// How the next token request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// `refresh_token_expired`
    Expired,
    /// `refresh_token_reused`
    Reused,
    /// `refresh_token_invalidated`
    Invalidated,
    /// `invalid_grant`, as OAuth has it
    InvalidGrant,
    /// A 401 without a code
    Unauthorized,
    /// A 429
    RateLimited,
    /// A 429 that asks to wait for a minute and a half
    RateLimitedFor90s,
    /// A 403 `unsupported_country_region_territory`
    Country,
    /// A 500
    ServerError,
    /// A page of Cloudflare's
    Cloudflare,
    /// A 200 that is not JSON, without anything being redeemed
    Unparseable,
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The path.
    pub path: String,
    /// The `grant_type`, if there is one.
    pub grant: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// The code of the refusal.
    pub code: Option<String>,
}

/// A simulated sign-in service. Clones share their state.
#[derive(Debug, Clone)]
pub struct SignInService {
    state: Arc<state::State>,
}

impl SignInService {
    /// Sets one up.
    pub fn new(settings: Settings) -> Self {
        Self { state: Arc::new(state::State::new(settings)) }
    }

    /// Its addresses.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.state))
    }

    /// Makes a backend refuse the access tokens of this service that have ended.
    pub(super) fn guard(&self, backend: Router) -> Router {
        let state = Arc::clone(&self.state);
        backend.layer(middleware::from_fn_with_state(state, routes::refuse_ended))
    }

    /// Serves HTTP until the process ends.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    /// Signs an account in without any page.
    pub fn sign_in(&self, account: &Account) -> Tokens {
        self.state.change(|inner| inner.issue(account, None))
    }

    /// Gives out a personal access token.
    pub fn personal_access_token(&self, account: &Account) -> String {
        self.state.change(|inner| inner.issue_personal_access_token(account))
    }

    /// Whether an access token is one of those given out, and lives.
    pub fn accepts(&self, access_token: &str) -> bool {
        self.state.change(|inner| inner.is_live(access_token))
    }

    /// Whether a refresh token can be redeemed.
    pub fn is_redeemable(&self, refresh_token: &str) -> bool {
        self.state.change(|inner| inner.is_redeemable(refresh_token))
    }

    /// Takes access tokens back before they end, as when somebody signs out everywhere.
    pub fn expire_access_tokens(&self) {
        self.state.change(state::Inner::expire_access_tokens);
    }

    /// How long access tokens live that are given out from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.state.change(|inner| inner.settings.token_life = life);
    }

    /// Who signs in at the page from now on.
    pub fn set_account(&self, account: Account) {
        self.state.change(|inner| inner.settings.account = account);
    }

    /// How long the service thinks before it redeems a refresh token.
    pub fn set_delay(&self, delay: Duration) {
        self.state.change(|inner| inner.delay = delay);
    }

    /// What the person does from now on.
    pub fn set_consent(&self, consent: Consent) {
        self.state.change(|inner| inner.consent = consent);
    }

    /// Lets the next token request fail; several add up.
    pub fn fail_next(&self, failure: Failure) {
        self.state.change(|inner| inner.failures.push_back(failure));
    }

    /// Enters the code of the device flow that was given out last.
    pub fn enter_device_code(&self) -> bool {
        self.state.change(state::Inner::enter_last_device_code)
    }

    /// What was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.change(|inner| inner.calls.clone())
    }

    /// How many refresh tokens were redeemed.
    pub fn redemptions(&self) -> usize {
        let is_redemption =
            |call: &&Call| call.status == 200 && call.grant.as_deref() == Some("refresh_token");
        self.calls().iter().filter(is_redemption).count()
    }
}

impl Default for SignInService {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}
