//! How asking the sign-in service fails.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;

/// The longest code or message that is repeated.
const MAX_MESSAGE: usize = 300;

/// The longest word that is repeated.
const MAX_WORD: usize = 40;

/// The codes by which OpenAI's services refuse a country or region.
const REFUSED_COUNTRY: [&str; 2] = ["unsupported_country_region_territory", "unsupported_country"];

/// How asking the sign-in service fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came.
    #[error("the sign-in service cannot be reached ({cause}); check the network and try again")]
    Unreachable {
        /// What the layers below say.
        cause: String,
    },
    /// Something in front of the service answered.
    #[error(
        "Cloudflare answered for the sign-in service with HTTP {} and an HTML page{}; try again \
         later or from another network", status.as_u16(), shown_ray(ray.as_ref())
    )]
    Blocked {
        /// The status of that answer.
        status: StatusCode,
        /// The `cf-ray` header.
        ray: Option<String>,
        /// How long the answer asks to wait.
        retry_after: Option<Duration>,
    },
    /// The service refused.
    #[error("the sign-in service answered HTTP {}: {}", status.as_u16(), said(code.as_ref(), message.as_ref()))]
    Refused {
        /// The status.
        status: StatusCode,
        /// The code, such as `invalid_grant`.
        code: Option<String>,
        /// The text for people.
        message: Option<String>,
        /// How long the answer asks to wait.
        retry_after: Option<Duration>,
    },
    /// The answer is invalid.
    #[error("the sign-in service sent an invalid answer; try again")]
    Malformed,
}

/// Why a refresh token is of no more use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is too old.
    Expired,
    /// Somebody else has redeemed it.
    Reused,
    /// It was revoked.
    Invalidated,
    /// Another reason.
    Refused {
        /// The code, if there is one.
        code: Option<String>,
    },
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it was not used for too long"),
            Self::Reused => f.write_str("another program renewed it and did not save the new one"),
            Self::Invalidated => f.write_str("it was signed out elsewhere"),
            Self::Refused { code: Some(code) } => {
                write!(f, "the sign-in service does not renew it ({code})")
            }
            Self::Refused { code: None } => f.write_str("the sign-in service does not renew it"),
        }
    }
}

impl Error {
    /// Why the refresh token that was sent is of no more use, if that is what this says. The
    /// codes are those that the Codex CLI knows; like there, any other 401 is final too.
    pub fn ended(&self) -> Option<Ended> {
        let Self::Refused { status, code, .. } = self else { return None };
        match code.as_deref() {
            Some("refresh_token_expired") => Some(Ended::Expired),
            Some("refresh_token_reused") => Some(Ended::Reused),
            Some("refresh_token_invalidated") => Some(Ended::Invalidated),
            Some("invalid_grant") => Some(Ended::Refused { code: code.clone() }),
            _ if *status == StatusCode::UNAUTHORIZED => Some(Ended::Refused { code: code.clone() }),
            _ => None,
        }
    }

    /// Whether the service refuses the country or region that this network is in: trying again from
    /// here does not help.
    pub fn is_refused_country(&self) -> bool {
        let code = match self {
            Self::Refused { code, .. } => code.as_deref(),
            _ => None,
        };
        code.is_some_and(|code| REFUSED_COUNTRY.contains(&code))
    }

    /// How long the service asks to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } | Self::Blocked { retry_after, .. } => *retry_after,
            Self::Unreachable { .. } | Self::Malformed => None,
        }
    }

    /// The code is looked for where the Codex CLI looks: `error.code`, else `error`, else `code`.
    pub(super) fn refused(
        status: StatusCode,
        body: &SecretString,
        retry_after: Option<Duration>,
    ) -> Self {
        #[derive(Default, Deserialize)]
        struct Body {
            #[serde(default)]
            error: Value,
            #[serde(default)]
            error_description: Value,
            #[serde(default)]
            code: Value,
        }
        let body: Body = serde_json::from_str(body.expose_secret()).unwrap_or_default();
        let first = |values: [&Value; 3]| values.into_iter().find_map(short);
        Self::Refused {
            status,
            code: first([&body.error["code"], &body.error, &body.code]),
            message: first([&body.error_description, &body.error["message"], &Value::Null]),
            retry_after,
        }
    }

    /// Without the address, which is the user's own.
    pub(super) fn of_transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            cause = format!("{cause}: {error}");
            source = error.source();
        }
        Self::Unreachable { cause }
    }
}

/// A string for messages. Words longer than any word are left out: a service that quotes what it
/// was sent quotes tokens.
fn short(value: &Value) -> Option<String> {
    let text: String =
        value.as_str()?.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
    let word = |word: &str| if word.len() > MAX_WORD { "…".to_owned() } else { word.to_owned() };
    let text = text.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

fn said(code: Option<&String>, message: Option<&String>) -> String {
    match (code, message) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(text), None) | (None, Some(text)) => text.clone(),
        (None, None) => "no details".to_owned(),
    }
}

fn shown_ray(ray: Option<&String>) -> String {
    ray.map(|ray| format!(" (cf-ray {ray})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Error {
        Error::refused(StatusCode::from_u16(status).unwrap(), &body.into(), None)
    }

    #[test]
    fn final_failures_are_told_from_passing_ones() {
        let grant = || Some(Ended::Refused { code: Some("invalid_grant".to_owned()) });
        for (status, body, expected) in [
            (400, r#"{"error":{"code":"refresh_token_expired"}}"#, Some(Ended::Expired)),
            (401, r#"{"error":{"code":"refresh_token_reused"}}"#, Some(Ended::Reused)),
            (400, r#"{"error":"refresh_token_reused"}"#, Some(Ended::Reused)),
            (400, r#"{"code":"refresh_token_invalidated"}"#, Some(Ended::Invalidated)),
            (400, r#"{"error":"invalid_grant","error_description":"x"}"#, grant()),
            (401, "{}", Some(Ended::Refused { code: None })),
            (401, "not JSON", Some(Ended::Refused { code: None })),
            (400, r#"{"error":"invalid_request"}"#, None),
            (429, r#"{"error":{"code":"rate_limit_exceeded"}}"#, None),
            (500, "", None),
        ] {
            assert_eq!(refused(status, body).ended(), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_refused_country_is_told_from_other_refusals() {
        for (status, body, expected) in [
            (403, r#"{"error":{"code":"unsupported_country_region_territory"}}"#, true),
            (403, r#"{"error":"unsupported_country_region_territory"}"#, true),
            (403, r#"{"error":{"code":"forbidden"}}"#, false),
            (403, "", false),
        ] {
            assert_eq!(refused(status, body).is_refused_country(), expected, "{status} {body}");
        }
    }

    #[test]
    fn messages_are_told_in_short() {
        let error = refused(400, r#"{"error":{"code":"c","message":"m\u0007\n"}}"#);
        assert_eq!(error.to_string(), "the sign-in service answered HTTP 400: m (c)");
        let quoting = format!(r#"{{"error":"no such token: '{}' here"}}"#, "x".repeat(60));
        let told = refused(400, &quoting).to_string();
        assert_eq!(told, "the sign-in service answered HTTP 400: no such token: … here");
        let long = format!(r#"{{"error":"{}"}}"#, "x".repeat(4000));
        assert!(refused(400, &long).to_string().len() < 400);
        assert!(refused(502, "").to_string().ends_with("no details"));
    }
}
