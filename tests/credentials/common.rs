//! The sign-in service, and homes with its logins.

use std::time::Duration;

use codex_proxy::credentials::{Issuer, Location, Store};
use codex_proxy::simulator::issuer::{Account, Settings, SignInService, Tokens};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::home::Home;

/// The service on a port of its own.
pub(crate) struct Service {
    pub(crate) handle: SignInService,
    pub(crate) base: String,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(Settings {
            ports: Vec::new(),
            device_interval: "0.02".to_owned(),
            ..Settings::default()
        })
        .await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let handle = SignInService::new(settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(handle.clone().serve(listener));
        Self { handle, base }
    }

    pub(crate) fn client(&self) -> Issuer {
        issuer(&self.base)
    }

    /// The login in a home, which this service renews.
    pub(crate) fn store(&self, home: &Home) -> Store {
        Store::new(location(home), self.client())
    }
}

pub(crate) fn issuer(base: &str) -> Issuer {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    Issuer::new(http, &base.parse().unwrap(), "codex-proxy", "codex-proxy/test")
}

pub(crate) fn account() -> Account {
    Account::new("account-1")
}

/// A home in which `tokens` were written a while ago.
pub(crate) fn signed_in(tokens: &Tokens) -> Home {
    let home = Home::new();
    home.write(&document(tokens, "2026-01-01T00:00:00Z"));
    home
}

pub(crate) fn location(home: &Home) -> Location {
    Location::shared(home.path())
}

/// Waits until a renewal is on its way.
pub(crate) async fn renewal_begins(home: &Home) {
    let spare = home.path().join(".auth.json.new");
    while !spare.exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// `auth.json` as the Codex CLI writes it, with members that nobody here knows.
pub(crate) fn document(tokens: &Tokens, last_refresh: &str) -> Value {
    json!({
        "zeta": {"b": 1, "a": 2},
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": tokens.id_token,
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "account_id": "account-1",
            "novelty": [1, 2, 3],
        },
        "last_refresh": last_refresh,
        "alpha": "kept",
    })
}

/// A number that the environment may set.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) const EXPIRED: Duration = Duration::ZERO;
