//! A login, and its displayable summary.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::platform::Platform;

/// A usable login.
#[derive(Debug, Clone)]
pub struct Login {
    /// Which API the bearer is for.
    pub platform: Platform,
    /// The bearer token for the backend.
    pub access_token: SecretString,
    /// The `chatgpt-account-id` header.
    pub account_id: Option<String>,
    /// The plan's name, as the sign-in service spells it.
    pub plan: Option<String>,
    /// The account's e-mail address, for display only.
    pub email: Option<String>,
    /// Whether the account lives in the `FedRAMP` environment.
    pub fedramp: bool,
    /// The region that requests must be processed in; `None` if any is allowed.
    pub residency: Option<String>,
    /// When the access token expires, in seconds since 1970. It may have expired already: then the
    /// backend rejects it.
    pub expires_at: Option<i64>,
    /// When the access token was issued, in seconds since 1970.
    pub issued_at: Option<i64>,
}

impl Login {
    /// A key of the OpenAI platform, which says nothing about itself.
    pub fn api_key(key: SecretString) -> Self {
        Self {
            platform: Platform::OpenAiApi,
            access_token: key,
            account_id: None,
            plan: None,
            email: None,
            fedramp: false,
            residency: None,
            expires_at: None,
            issued_at: None,
        }
    }

    /// The identity of the account, the same for all of its tokens: data of one account must not be
    /// sent with another account's login. It is never empty and contains no secret.
    pub fn owner(&self) -> String {
        let digest = || {
            let digest = Sha256::digest(self.access_token.expose_secret());
            digest.iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        };
        match (self.platform, &self.account_id, &self.email) {
            (Platform::Codex, Some(id), _) => format!("account {id}"),
            // Tokens without an account are identified by the user.
            (Platform::Codex, None, Some(email)) => format!("person {email}"),
            (Platform::Codex, None, None) => "unnamed account".to_owned(),
            // A key has no identity, and another key may belong to another organization.
            (Platform::OpenAiApi, ..) => format!("key {}", digest()),
        }
    }

    /// Whether both have the same bearer token.
    pub fn has_same_token(&self, other: &Self) -> bool {
        self.access_token.expose_secret() == other.access_token.expose_secret()
    }

    /// Whether data of one may be sent with the other.
    pub fn is_same_account(&self, other: &Self) -> bool {
        self.owner() == other.owner()
    }
}

/// The displayable summary of the login, for banners and health answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether there is a usable login.
    pub signed_in: bool,
    /// The plan's name.
    pub plan: Option<String>,
    /// The account's e-mail address, masked.
    pub email: Option<String>,
    /// When the access token ends, in seconds since 1970.
    pub expires_at: Option<i64>,
    /// Why the login can no longer be used, with a hint, if that is known.
    pub ended: Option<String>,
}

impl From<&Login> for Summary {
    fn from(login: &Login) -> Self {
        Self {
            signed_in: true,
            plan: login.plan.clone(),
            email: login.email.as_deref().map(masked),
            expires_at: login.expires_at,
            ended: None,
        }
    }
}

/// `j***@example.com`: enough to tell one's accounts apart.
fn masked(email: &str) -> String {
    let (name, domain) = email.split_once('@').unwrap_or((email, ""));
    let first = name.chars().next().map(String::from).unwrap_or_default();
    let at = if domain.is_empty() { "" } else { "@" };
    format!("{first}***{at}{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_keeps_its_first_letter_and_domain() {
        let cases = [
            ("jo@example.com", "j***@example.com"),
            ("j@example.com", "j***@example.com"),
            ("änne@example.com", "ä***@example.com"),
            ("no address", "n***"),
            ("@example.com", "***@example.com"),
            ("", "***"),
        ];
        for (email, expected) in cases {
            assert_eq!(masked(email), expected);
        }
    }

    #[test]
    fn owners_differ_by_account_and_by_key_and_not_by_token() {
        let plan = |token: &str, id: Option<&str>, email: Option<&str>| Login {
            platform: Platform::Codex,
            account_id: id.map(str::to_owned),
            email: email.map(str::to_owned),
            ..Login::api_key(token.into())
        };
        let logins = [
            plan("a", Some("1"), Some("jo@example.com")),
            plan("a", Some("2"), Some("jo@example.com")),
            plan("a", None, Some("jo@example.com")),
            plan("a", None, None),
            Login::api_key("a".into()),
            Login::api_key("b".into()),
        ];
        for (i, one) in logins.iter().enumerate() {
            for (j, other) in logins.iter().enumerate() {
                assert_eq!(one.is_same_account(other), i == j, "{one:?} {other:?}");
            }
        }
        assert!(plan("b", Some("1"), None).is_same_account(&logins[0]));
        assert!(!Login::api_key("hush".into()).owner().contains("hush"));
    }
}
