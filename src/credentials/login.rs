//! A login, and what may be shown of it.

use secrecy::SecretString;

use crate::platform::Platform;

/// A usable login.
#[derive(Debug, Clone)]
pub struct Login {
    /// Which API the bearer is for.
    pub platform: Platform,
    /// The bearer for the backend.
    pub access_token: SecretString,
    /// The `chatgpt-account-id` header.
    pub account_id: Option<String>,
    /// The plan's name, as the sign-in service spells it.
    pub plan: Option<String>,
    /// The account's e-mail address, for display only.
    pub email: Option<String>,
    /// Whether the account lives in the `FedRAMP` environment.
    pub fedramp: bool,
    /// The region that answers have to be worked out in; nothing if any will do.
    pub residency: Option<String>,
    /// When the access token ends, in seconds since 1970. It may have ended already: then it is
    /// the backend that refuses it.
    pub expires_at: Option<i64>,
}

impl Login {
    /// A key of the OpenAI platform, which says nothing about itself.
    pub fn api_key(key: SecretString) -> Self {
        Self {
            platform: Platform::Public,
            access_token: key,
            account_id: None,
            plan: None,
            email: None,
            fedramp: false,
            residency: None,
            expires_at: None,
        }
    }
}

/// What may be shown of the login in banners and health answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether there is a login that can be tried.
    pub signed_in: bool,
    /// The plan's name.
    pub plan: Option<String>,
    /// The account's e-mail address, masked.
    pub email: Option<String>,
    /// When the access token ends, in seconds since 1970.
    pub expires_at: Option<i64>,
}

impl From<&Login> for Summary {
    fn from(login: &Login) -> Self {
        Self {
            signed_in: true,
            plan: login.plan.clone(),
            email: login.email.as_deref().map(masked),
            expires_at: login.expires_at,
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
    use super::masked;

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
}
