//! The sign-in service: tokens that end soon, and now and then a failure.

use std::time::Duration;

use codex_proxy::simulator::SignInService;
use codex_proxy::simulator::issuer::{Account, Failure, Settings};
use serde_json::json;

use crate::site::Site;

/// How long the tokens live that follow one another. The first one outlives the rest that a new
/// login is given, so that a refusal by the backend is what renews it.
const LIVES: [u64; 5] = [3600, 3, 2, 4, 3];

/// The service, on a port of its own.
pub(crate) struct SignIn {
    pub(crate) base: String,
    service: SignInService,
    site: Site,
}

impl SignIn {
    pub(crate) async fn start() -> Self {
        let service = SignInService::new(Settings {
            token_life: Duration::from_secs(LIVES[0]),
            ..Settings::default()
        });
        let site = Site::of(service.router()).await;
        Self { base: site.base.clone(), service, site }
    }

    /// An `auth.json` whose tokens are not new.
    pub(crate) fn document(&self) -> String {
        let tokens = self.service.sign_in(&Account::new("account-1"));
        let tokens = json!({"id_token": tokens.id_token, "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token, "account_id": "account-1"});
        json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null, "tokens": tokens,
            "last_refresh": "2026-01-01T00:00:00Z"})
        .to_string()
    }

    /// Whether a bearer lives.
    pub(crate) fn accepts(&self, bearer: &str) -> bool {
        self.service.accepts(bearer)
    }

    /// Lets tokens end soon, and every fourth renewal fail at first; for ever.
    pub(crate) async fn trouble(&self) {
        self.service.set_delay(Duration::from_millis(30));
        for renewal in 1.. {
            self.service.set_token_life(Duration::from_secs(LIVES[renewal % LIVES.len()]));
            if renewal % 4 == 0 {
                self.service.fail_next(Failure::ServerError);
            }
            while self.renewals() < renewal {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// How often the login was renewed.
    pub(crate) fn renewals(&self) -> usize {
        self.service.redemptions()
    }

    /// The renewals that failed by the fault of the daemon: tokens redeemed twice, or unknown.
    pub(crate) fn misuses(&self) -> Vec<String> {
        let calls = self.service.calls();
        let wrong = calls.iter().filter(|call| call.status != 200 && call.status != 500);
        wrong.map(|call| format!("the sign-in service refused {call:?}")).collect()
    }

    pub(crate) fn hang_up(&self) {
        self.site.hang_up();
    }
}
