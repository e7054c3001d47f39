//! The claims about the account in the sign-in service's tokens.
//!
//! Pure. Signatures are not checked: the tokens are only sent back to their issuer, and nothing
//! here grants access.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};

/// The region of accounts that are free to use any.
const NO_CONSTRAINT: &str = "no_constraint";

/// No name of a region is longer.
const MAX_REGION: usize = 32;

/// The claims that matter here, of an access token or an id token. Absent or oddly typed ones are
/// `None`: they change over time, and most are for display.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Claims {
    /// When the token expires, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient", rename = "exp")]
    pub expires_at: Option<i64>,
    /// When the token was issued, in seconds since 1970.
    #[serde(default, deserialize_with = "lenient", rename = "iat")]
    pub issued_at: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    email: Option<String>,
    #[serde(default, deserialize_with = "lenient", rename = "https://api.openai.com/profile")]
    profile: Profile,
    #[serde(default, deserialize_with = "lenient", rename = "https://api.openai.com/auth")]
    auth: Auth,
    /// Some clients look for it here.
    #[serde(default, deserialize_with = "lenient")]
    chatgpt_compute_residency: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Profile {
    #[serde(default, deserialize_with = "lenient")]
    email: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Auth {
    #[serde(default, deserialize_with = "lenient")]
    chatgpt_account_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    chatgpt_plan_type: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    chatgpt_account_is_fedramp: bool,
    #[serde(default, deserialize_with = "lenient")]
    chatgpt_compute_residency: Option<String>,
}

impl Claims {
    /// The claims of a token, or `None` if it is not three parts of which the second is an object.
    pub fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        // Some issuers pad although the standard says not to.
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&payload).ok()
    }

    /// The account's e-mail address.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref().or(self.profile.email.as_deref())
    }

    /// The account's id.
    pub fn account_id(&self) -> Option<&str> {
        self.auth.chatgpt_account_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The plan's name, as the sign-in service spells it.
    pub fn plan(&self) -> Option<&str> {
        self.auth.chatgpt_plan_type.as_deref()
    }

    /// The region that requests must be processed in; `None` if any is allowed.
    pub fn residency(&self) -> Option<&str> {
        let residency = [&self.auth.chatgpt_compute_residency, &self.chatgpt_compute_residency];
        let residency = residency.into_iter().flatten().map(|region| region.trim());
        let is_region = |region: &&str| {
            !region.is_empty()
                && region.len() <= MAX_REGION
                && region.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        residency.filter(is_region).find(|region| !region.eq_ignore_ascii_case(NO_CONSTRAINT))
    }

    /// Whether the account lives in the `FedRAMP` environment.
    pub fn is_fedramp(&self) -> bool {
        self.auth.chatgpt_account_is_fedramp
    }
}

/// A value of another type than expected counts as absent.
pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_claims_of_a_usual_token_are_found() {
        let claims = Claims::of(&token(
            r#"{"exp":1790000000,"email":"jo@example.com","https://api.openai.com/auth":
                {"chatgpt_account_id":"acc-1","chatgpt_plan_type":"pro","new":{},
                 "chatgpt_account_is_fedramp":true}}"#,
        ))
        .unwrap();
        assert_eq!(claims.expires_at, Some(1_790_000_000));
        assert_eq!(claims.email(), Some("jo@example.com"));
        assert_eq!(claims.account_id(), Some("acc-1"));
        assert_eq!(claims.plan(), Some("pro"));
        assert!(claims.is_fedramp());
    }

    #[test]
    fn odd_claims_do_not_hide_the_others() {
        let claims = Claims::of(&token(
            r#"{"exp":"soon","email":7,"https://api.openai.com/profile":{"email":"a@b.c"},
                "https://api.openai.com/auth":{"chatgpt_plan_type":null,"chatgpt_account_id":"x",
                "chatgpt_account_is_fedramp":"no"}}"#,
        ))
        .unwrap();
        assert_eq!(claims.expires_at, None);
        assert_eq!(claims.email(), Some("a@b.c"));
        assert_eq!(claims.account_id(), Some("x"));
        assert_eq!((claims.plan(), claims.is_fedramp()), (None, false));
    }

    #[test]
    fn a_region_is_one_that_the_account_is_bound_to() {
        for (auth, root, expected) in [
            (r#""us""#, "null", Some("us")),
            (r#"" eu ""#, "null", Some("eu")),
            ("null", r#""us""#, Some("us")),
            (r#""eu""#, r#""us""#, Some("eu")),
            ("null", "null", None),
            (r#""""#, "null", None),
            (r#""no_constraint""#, "null", None),
            (r#""NO_CONSTRAINT""#, "null", None),
            (r#""no_constraint""#, r#""no_constraint""#, None),
            ("7", "{}", None),
            (r#""us\r\nx: y""#, "null", None),
        ] {
            let claims = Claims::of(&token(&format!(
                r#"{{"chatgpt_compute_residency":{root},"https://api.openai.com/auth":
                    {{"chatgpt_compute_residency":{auth},"chatgpt_data_residency":"jp"}}}}"#
            )));
            assert_eq!(claims.unwrap().residency(), expected, "{auth} {root}");
        }
    }

    #[test]
    fn padding_is_tolerated() {
        assert!(Claims::of("e30.eyJleHAiOjF9.").is_some());
        assert!(Claims::of("e30.e30=.x").is_some());
    }

    #[test]
    fn what_is_not_a_token_has_no_claims() {
        for text in ["", "at-opaque", "a.b", "a.e30.c.d", "a.!!.c", "a.W10x.c", "a..c"] {
            assert_eq!(Claims::of(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Claims::of(&text);
        }

        #[test]
        fn no_payload_makes_it_panic(payload in any::<Vec<u8>>()) {
            let _ = Claims::of(&format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload)));
        }
    }
}
