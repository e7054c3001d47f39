//! What tokens look like. They are made up, and say so.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Account;

/// A set of tokens.
#[derive(Clone, Serialize)]
pub struct Tokens {
    /// About the account.
    pub id_token: String,
    /// The bearer.
    pub access_token: String,
    /// What the next set is got with, once.
    pub refresh_token: String,
}

/// Fake as they are, they stand for secrets: tests look for them in all output.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(account: &Account, life: Duration) -> Self {
        let end = SystemTime::now() + life;
        let end = end.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = |kind: &str| {
            json!({
                "exp": end,
                "jti": format!("{kind}-{}", Uuid::new_v4()),
                "email": account.email,
                "https://api.openai.com/auth": {
                    "chatgpt_account_id": account.id,
                    "chatgpt_plan_type": account.plan,
                    "chatgpt_user_id": format!("user-of-{}", account.id),
                },
            })
        };
        Self {
            id_token: jwt(&claims("id")),
            access_token: jwt(&claims("access")),
            refresh_token: secret("rt_simulated"),
        }
    }
}

/// A JWT whose signature nobody could check.
fn jwt(claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let head = json!({ "alg": "none", "typ": "JWT" });
    format!("{}.{}.{}", part(&head.to_string()), part(&claims.to_string()), part("simulated"))
}

/// Something nobody guesses.
pub(super) fn secret(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::new_v4().simple())
}
