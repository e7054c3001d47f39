//! What the sign-in service answers. Pure.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::Error;

/// Tokens. Each may be absent: then the one that there was before stays valid.
#[derive(Debug, Clone, Deserialize)]
pub struct Tokens {
    /// About the account.
    #[serde(default)]
    pub id_token: Option<SecretString>,
    /// The bearer for the backend.
    #[serde(default)]
    pub access_token: Option<SecretString>,
    /// What the next tokens are got with, once.
    #[serde(default)]
    pub refresh_token: Option<SecretString>,
}

/// The beginning of the device flow.
#[derive(Debug, Deserialize)]
pub(in crate::credentials) struct DeviceCode {
    #[serde(rename = "device_auth_id")]
    pub(in crate::credentials) id: SecretString,
    /// What the person types.
    #[serde(alias = "usercode")]
    pub(in crate::credentials) user_code: String,
    /// Seconds; the service writes a string.
    #[serde(default)]
    interval: Option<serde_json::Value>,
}

/// The end of the device flow: a code as in the browser flow, and the proof that goes with it.
#[derive(Debug, Deserialize)]
pub(in crate::credentials) struct Approval {
    #[serde(rename = "authorization_code")]
    pub(in crate::credentials) code: SecretString,
    #[serde(rename = "code_verifier")]
    pub(in crate::credentials) verifier: SecretString,
}

/// Whose a personal access token is. The names are those of the sign-in service.
#[derive(Debug, Deserialize)]
pub(in crate::credentials) struct Whoami {
    #[serde(default)]
    pub(in crate::credentials) email: Option<String>,
    #[serde(rename = "chatgpt_account_id")]
    pub(in crate::credentials) account_id: String,
    #[serde(default, rename = "chatgpt_plan_type")]
    pub(in crate::credentials) plan: Option<String>,
    #[serde(default, rename = "chatgpt_account_is_fedramp")]
    pub(in crate::credentials) fedramp: Option<bool>,
}

impl Whoami {
    pub(super) fn read(body: &SecretString) -> Result<Self, Error> {
        parse(body).and_then(|whoami: Self| {
            if whoami.account_id.trim().is_empty() { Err(Error::Malformed) } else { Ok(whoami) }
        })
    }
}

impl Tokens {
    /// What no header can carry is no token. It must not take the place of one.
    pub(super) fn read(body: &SecretString) -> Result<Self, Error> {
        let tokens: Self = parse(body)?;
        let is_token = |token: &SecretString| {
            let text = token.expose_secret();
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let all = [&tokens.id_token, &tokens.access_token, &tokens.refresh_token];
        if all.into_iter().flatten().all(is_token) { Ok(tokens) } else { Err(Error::Malformed) }
    }
}

impl DeviceCode {
    pub(super) fn read(body: &SecretString) -> Result<Self, Error> {
        parse(body)
    }

    /// How long to wait between questions.
    pub(in crate::credentials) fn interval(&self) -> Duration {
        let seconds = self.interval.as_ref().and_then(|value| match value {
            serde_json::Value::String(text) => text.trim().parse::<f64>().ok(),
            other => other.as_f64(),
        });
        let usual = Duration::from_secs(5);
        seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(usual)
    }
}

impl Approval {
    pub(super) fn read(body: &SecretString) -> Result<Self, Error> {
        parse(body)
    }
}

/// What serde says of a body could quote it.
fn parse<T: serde::de::DeserializeOwned>(body: &SecretString) -> Result<T, Error> {
    serde_json::from_str(body.expose_secret()).map_err(|_| Error::Malformed)
}

/// Whether something in front of the service answered.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    headers.contains_key("cf-mitigated")
        || headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_a_string_or_a_number() {
        for (json, seconds) in [
            (r#""5""#, 5.0),
            (r#"" 7 ""#, 7.0),
            ("3", 3.0),
            ("0.25", 0.25),
            ("null", 5.0),
            (r#""soon""#, 5.0),
            ("-1", 5.0),
        ] {
            let text = format!(r#"{{"device_auth_id":"d","usercode":"AB","interval":{json}}}"#);
            let code = DeviceCode::read(&text.into()).unwrap();
            assert_eq!(code.interval(), Duration::from_secs_f64(seconds), "{json}");
            assert_eq!(code.user_code, "AB");
        }
    }

    #[test]
    fn absent_tokens_are_no_mistake_and_mistakes_do_not_quote_the_body() {
        let tokens = Tokens::read(&r#"{"access_token":"hush","expires_in":1}"#.into()).unwrap();
        assert!(tokens.refresh_token.is_none() && !format!("{tokens:?}").contains("hush"));
        for body in [
            r#"{"access_token":["hush"]}"#,
            r#"{"access_token":"hush\r\nx: y"}"#,
            r#"{"access_token":"a","refresh_token":"hush \u00e9"}"#,
            r#"{"access_token":""}"#,
        ] {
            let error = Tokens::read(&body.into()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{body}");
        }
    }
}
