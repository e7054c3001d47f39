//! Errors of calls to the backend.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;

use crate::credentials;
use crate::error_chain::error_chain;
use crate::limits::reached::Reached;
use crate::responses::error::{BackendError, Class, is_of_sealed_content};

use super::Head;
use super::circuit::CircuitOpen;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// There is no usable login; nothing was sent.
    #[error(transparent)]
    Login(#[from] credentials::Error),
    /// The login cannot be sent as it is; nothing was sent.
    #[error(
        "The login contains characters that are not allowed in a header; run `codex-proxy login` \
         or `codex login`."
    )]
    UnusableLogin,
    /// The login is an API key, but the request is for a plan; nothing was sent.
    #[error("An API key has no plan limits.")]
    NoPlan,
    /// The backend answered with another status than success.
    #[error("The upstream answered HTTP {}: {}", .0.status.as_u16(), describe(&.0.report))]
    Refused(Box<ErrorResponse>),
    /// The backend accepted the request and reported a failure in the answer.
    #[error("The upstream reported an error: {}", describe(.0))]
    Reported(Box<BackendError>),
    /// A proxy in front of the backend blocks the request: with a challenge or an HTML page.
    #[error("{}", blocked(*status, ray.as_deref()))]
    Blocked {
        /// The status of that answer.
        status: StatusCode,
        /// The `cf-ray` header, which the operator of the edge can look up.
        ray: Option<String>,
    },
    /// The connection could not be opened.
    #[error(
        "The upstream cannot be reached: {cause}. Check the network, the proxy variables and the \
         extra certificates."
    )]
    Unreachable {
        /// What the layers below say.
        cause: String,
    },
    /// The server's certificate is not trusted.
    #[error(
        "The upstream's certificate is not trusted: {cause}. If a proxy or firewall intercepts \
         TLS, as in company networks, set CODEX_CA_CERTIFICATE or SSL_CERT_FILE to its \
         certificate; otherwise check `[upstream] base_url` and the clock."
    )]
    Untrusted {
        /// What is wrong with the certificate.
        cause: String,
    },
    /// The circuit breaker is open: no connection was attempted, since the last attempts failed.
    #[error(
        "The upstream cannot be reached: the last {failures} attempts to connect failed; last \
         error: {cause}. {}. Check the network, the proxy variables and the extra certificates.",
        next_attempt(*wait)
    )]
    NotTried {
        /// How many attempts failed in a row.
        failures: u32,
        /// The last error.
        cause: String,
        /// How long until the next attempt; `None` if it is in progress.
        wait: Option<Duration>,
    },
    /// A timeout.
    #[error("The upstream did not answer in time: {waiting} took more than {} s.", limit.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        waiting: Waiting,
        /// How long.
        limit: Duration,
    },
    /// The connection ended before the answer did.
    #[error("The upstream stream ended before the response was complete.")]
    Disconnected {
        /// What the layers below say; for logs.
        cause: String,
    },
    /// A part of the answer is damaged.
    #[error("The upstream sent a damaged answer: {0}.")]
    Damaged(&'static str),
    /// The answer is invalid.
    #[error("The upstream sent an invalid answer: {0}.")]
    Malformed(String),
}

/// What a timeout was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// A connection.
    Connect,
    /// The first or the next bytes of an answer.
    Answer,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Answer => "the next part of the answer",
        })
    }
}

/// An answer with another status than success.
#[derive(Debug)]
pub struct ErrorResponse {
    /// The status.
    pub status: StatusCode,
    /// What the body says.
    pub report: BackendError,
    /// What the headers say of the call.
    pub head: Head,
    /// The `cf-ray` header.
    pub ray: Option<String>,
    /// What the headers `retry-after-ms` or `retry-after` say.
    pub retry_after: Option<Duration>,
    /// The used-up limit from the headers.
    pub reached: Reached,
}

/// When a retry may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Never.
    Never,
    /// Soon.
    Soon,
    /// After the time that the backend gives.
    After(Duration),
}

impl UpstreamError {
    /// When a retry of the same request may help: soon, if the backend is overloaded or failed or
    /// the connection did; never for plans, logins and invalid requests.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused(_) | Self::Reported(_) => match self.class() {
                Some(Class::Overloaded | Class::Server) => {
                    self.asked_delay().map_or(Retry::Soon, Retry::After)
                }
                // Without a time from the backend a retry would only be one more request.
                Some(Class::RateLimit) => self.asked_delay().map_or(Retry::Never, Retry::After),
                _ => Retry::Never,
            },
            Self::Blocked { status, .. } if status.is_server_error() => Retry::Soon,
            Self::Unreachable { .. }
            | Self::Disconnected { .. }
            | Self::Damaged(_)
            | Self::TimedOut { waiting: Waiting::Connect, .. } => Retry::Soon,
            // A timeout of minutes is not repeated.
            Self::TimedOut { waiting: Waiting::Answer, .. }
            | Self::Login(_)
            | Self::UnusableLogin
            | Self::NoPlan
            | Self::Blocked { .. }
            | Self::Untrusted { .. }
            | Self::NotTried { .. }
            | Self::Malformed(_) => Retry::Never,
        }
    }

    /// The class of the failure that the backend reports; `None` for other failures.
    fn class(&self) -> Option<Class> {
        match self {
            Self::Refused(refusal) => Some(refusal.class()),
            Self::Reported(report) => Some(report.class(None)),
            _ => None,
        }
    }

    /// How long to wait by what the backend says. A delay of zero is ignored: clients would retry
    /// at once.
    pub fn retry_after(&self) -> Option<Duration> {
        self.asked_delay().filter(|delay| !delay.is_zero())
    }

    /// How long the backend asks to wait, in its message or in a header.
    fn asked_delay(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.report.delay().or(refusal.retry_after),
            Self::Reported(report) => report.delay(),
            _ => None,
        }
    }

    /// A short description for the log, without the backend's message, which may quote the
    /// conversation.
    pub fn log_reason(&self) -> String {
        match self {
            Self::Refused(refusal) => {
                let status = refusal.status.as_u16();
                name(&refusal.report).map_or_else(
                    || format!("HTTP {status}"),
                    |name| format!("HTTP {status} {name}"),
                )
            }
            Self::Reported(report) => {
                format!("reported {}", name(report).unwrap_or("without a name"))
            }
            Self::Blocked { status, .. } => format!("blocked, HTTP {}", status.as_u16()),
            Self::Unreachable { cause } => format!("unreachable: {cause}"),
            Self::Untrusted { cause } => format!("not trusted: {cause}"),
            Self::NotTried { .. } => "unreachable, not tried".to_owned(),
            Self::TimedOut { waiting, .. } => format!("timeout: {waiting}"),
            Self::Disconnected { cause } => format!("disconnected: {cause}"),
            Self::Login(_) | Self::UnusableLogin => "no usable login".to_owned(),
            Self::NoPlan => "no plan".to_owned(),
            Self::Damaged(what) => format!("damaged: {what}"),
            Self::Malformed(what) => format!("unreadable: {what}"),
        }
    }

    /// The backend's id of the request that it has refused.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.head.request_id.as_deref(),
            _ => None,
        }
    }

    /// The code for metrics: the backend's own code, or one for the kind of failure.
    pub fn code(&self) -> Cow<'_, str> {
        match self {
            Self::Refused(refusal) => name(&refusal.report).map_or_else(
                || Cow::Owned(format!("http_{}", refusal.status.as_u16())),
                Cow::Borrowed,
            ),
            Self::Reported(report) => Cow::Borrowed(name(report).unwrap_or("unnamed")),
            Self::Blocked { .. } => Cow::Borrowed("blocked"),
            Self::Unreachable { .. } | Self::NotTried { .. } => Cow::Borrowed("unreachable"),
            Self::Untrusted { .. } => Cow::Borrowed("untrusted"),
            Self::TimedOut { .. } => Cow::Borrowed("timeout"),
            Self::Disconnected { .. } => Cow::Borrowed("disconnected"),
            Self::Login(_) | Self::UnusableLogin | Self::NoPlan => Cow::Borrowed("login"),
            Self::Damaged(_) => Cow::Borrowed("damaged"),
            Self::Malformed(_) => Cow::Borrowed("unreadable"),
        }
    }

    /// Whether the backend rejects a replayed item of an earlier answer: encrypted reasoning of
    /// another account or model, or an item at the wrong position.
    pub fn rejects_replayed_items(&self) -> bool {
        let report = match self {
            Self::Refused(refusal) => &refusal.report,
            Self::Reported(report) => report,
            _ => return false,
        };
        let message = report.message.as_deref().unwrap_or_default();
        report.code.as_deref() == Some("invalid_encrypted_content")
            || is_of_sealed_content(message)
            || message.contains("could not be verified")
            || message.contains("without its required following item")
            || message.contains("without its required 'reasoning' item")
            || (message.starts_with("Item ") && message.contains(" not found"))
    }

    /// The failure behind an error of the HTTP client while a request was sent.
    pub(super) fn sending(error: reqwest::Error, connect_timeout: Duration) -> Self {
        if let Some(CircuitOpen { failures, cause, wait }) = circuit_open(&error) {
            Self::NotTried { failures: *failures, cause: cause.clone(), wait: *wait }
        } else if error.is_connect() && error.is_timeout() {
            Self::TimedOut { waiting: Waiting::Connect, limit: connect_timeout }
        } else if let Some(cause) = distrust(&error) {
            Self::Untrusted { cause }
        } else if error.is_connect() {
            Self::Unreachable { cause: causes(error) }
        } else if is_protocol_error(&error) {
            Self::Malformed(format!("it is not HTTP ({})", causes(error)))
        } else {
            Self::Disconnected { cause: causes(error) }
        }
    }

    /// The failure behind an error of the HTTP client while an answer was read.
    pub(super) fn reading(error: reqwest::Error) -> Self {
        Self::Disconnected { cause: causes(error) }
    }
}

impl ErrorResponse {
    /// What kind of failure this is.
    pub fn class(&self) -> Class {
        match self.report.class(Some(self.status.as_u16())) {
            // A short limit comes without this header: a plan is used up, whatever the body says.
            Class::RateLimit if self.reached.reason.is_some() => Class::Quota,
            class => class,
        }
    }
}

/// What the circuit says, if it is what kept the request from being sent.
fn circuit_open(error: &reqwest::Error) -> Option<&CircuitOpen> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(resting) = error.downcast_ref() {
            return Some(resting);
        }
        cause = error.source();
    }
    None
}

/// What is wrong with the certificate, if that is what kept the request from being sent.
fn distrust(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(wrong)) = error.downcast_ref() {
            return Some(wrong.to_string());
        }
        // What an `io::Error` holds is not its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = held.map(|held| held as &dyn Error).or_else(|| error.source());
    }
    None
}

fn next_attempt(wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("The next attempt is in {:.1} s", wait.as_secs_f32()),
        None => "The next attempt is in progress".to_owned(),
    }
}

/// Whether the answer is not HTTP, or exceeds a limit.
fn is_protocol_error(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_parse();
        }
        cause = error.source();
    }
    false
}

/// The error and its causes, without the address, which is the user's own and may hold a password.
fn causes(error: reqwest::Error) -> String {
    error_chain(&error.without_url())
}

fn describe(report: &BackendError) -> &str {
    let parts = [&report.message, &report.code, &report.kind];
    parts.into_iter().flatten().next().map_or("no details", String::as_str)
}

/// The code, if it is a name at all.
fn name(report: &BackendError) -> Option<&str> {
    let names = [&report.code, &report.kind].into_iter().flatten();
    names.map(String::as_str).find(|name| is_code(name))
}

/// Whether a code is a name, and not a sentence that may quote the conversation.
pub fn is_code(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

fn blocked(status: StatusCode, ray: Option<&str>) -> String {
    let status = status.as_u16();
    let ray = ray.map(|ray| format!(" (cf-ray {ray})")).unwrap_or_default();
    format!(
        "A proxy or Cloudflare answered HTTP {status} with an HTML page or an empty body{ray}. \
         Try again later or from another network, and check `[upstream] base_url`."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: Option<&str>) -> UpstreamError {
        UpstreamError::Refused(Box::new(ErrorResponse {
            status: StatusCode::from_u16(status).unwrap(),
            report: BackendError { code: code.map(Into::into), ..BackendError::default() },
            head: Head::default(),
            ray: None,
            retry_after: None,
            reached: Reached::default(),
        }))
    }

    fn reported(json: &str) -> UpstreamError {
        UpstreamError::Reported(Box::new(BackendError::from_json(json)))
    }

    fn asked_to_wait(status: u16, seconds: u64) -> UpstreamError {
        let UpstreamError::Refused(mut refusal) = refused(status, None) else { unreachable!() };
        refusal.retry_after = Some(Duration::from_secs(seconds));
        UpstreamError::Refused(refusal)
    }

    fn rate_limit(message: &str) -> UpstreamError {
        reported(&format!(r#"{{"code":"rate_limit_exceeded","message":"{message}"}}"#))
    }

    #[test]
    fn what_may_pass_is_sent_again_soon() {
        for failure in [
            refused(500, None),
            refused(502, None),
            refused(503, None),
            refused(504, None),
            refused(503, Some("server_is_overloaded")),
            refused(400, Some("slow_down")),
            reported(r#"{"code":"server_error"}"#),
            reported(r#"{"message":"Selected model is at capacity."}"#),
            reported("{}"),
            UpstreamError::Unreachable { cause: String::new() },
            UpstreamError::Disconnected { cause: String::new() },
            UpstreamError::TimedOut { waiting: Waiting::Connect, limit: Duration::ZERO },
            UpstreamError::Blocked { status: StatusCode::BAD_GATEWAY, ray: None },
            UpstreamError::Damaged("junk"),
        ] {
            assert_eq!(failure.retry(), Retry::Soon, "{failure:?}");
        }
    }

    #[test]
    fn what_has_a_time_of_its_own_is_sent_again_then() {
        for (failure, millis) in [
            (asked_to_wait(503, 2), 2000),
            (asked_to_wait(429, 7), 7000),
            (asked_to_wait(500, 3600), 3_600_000),
            (rate_limit("Please try again in 350ms."), 350),
            (rate_limit("Please try again in 11.054s."), 11_054),
            (reported(r#"{"code":"slow_down","message":"Try again in 2 seconds."}"#), 2000),
        ] {
            assert_eq!(failure.retry(), Retry::After(Duration::from_millis(millis)), "{failure:?}");
        }
    }

    #[test]
    fn reasons_hold_nothing_of_messages() {
        let said = r#"{"error":{"code":"C","message":"You said: canary","param":"canary"}}"#;
        let report = |code: &str| BackendError::from_json(&said.replace('C', code));
        for (code, reported, refused_as) in [
            ("invalid_value", "reported invalid_value", "HTTP 400 invalid_value"),
            ("gpt-5.5", "reported gpt-5.5", "HTTP 400 gpt-5.5"),
            ("you said canary", "reported without a name", "HTTP 400"),
            ("can\\nary", "reported without a name", "HTTP 400"),
            (&"canary".repeat(11), "reported without a name", "HTTP 400"),
        ] {
            let failure = UpstreamError::Reported(Box::new(report(code)));
            assert_eq!(failure.log_reason(), reported);
            let UpstreamError::Refused(mut refusal) = refused(400, None) else { unreachable!() };
            refusal.report = report(code);
            assert_eq!(UpstreamError::Refused(refusal).log_reason(), refused_as);
        }
    }

    #[test]
    fn what_stays_is_not_sent_again() {
        for failure in [
            refused(400, None),
            refused(401, None),
            refused(403, None),
            refused(404, None),
            refused(429, None),
            refused(302, None),
            refused(500, Some("insufficient_quota")),
            refused(503, Some("rate_limit_exceeded")),
            refused(503, Some("cyber_policy")),
            reported(r#"{"code":"context_length_exceeded"}"#),
            reported(r#"{"code":"rate_limit_exceeded"}"#),
            reported(r#"{"error":{"type":"usage_limit_reached"}}"#),
            reported(r#"{"code":"insufficient_quota","message":"Try again in 1s."}"#),
            reported(r#"{"code":"invalid_prompt","message":"Try again in 1s."}"#),
            asked_to_wait(401, 1),
            asked_to_wait(400, 1),
            UpstreamError::Login(credentials::Error::Missing { path: "auth.json".into() }),
            UpstreamError::TimedOut { waiting: Waiting::Answer, limit: Duration::ZERO },
            UpstreamError::Blocked { status: StatusCode::FORBIDDEN, ray: None },
            UpstreamError::Untrusted { cause: String::new() },
            UpstreamError::NotTried { failures: 5, cause: String::new(), wait: None },
            UpstreamError::Malformed(String::new()),
        ] {
            assert_eq!(failure.retry(), Retry::Never, "{failure:?}");
        }
    }

    #[test]
    fn requests_that_were_refused_are_not_sent_again_but_for_some() {
        for (status, code, wait, expected) in [
            (408, None, None, Retry::Soon),
            (409, None, None, Retry::Soon),
            (425, None, None, Retry::Soon),
            (429, None, None, Retry::Never),
            (429, None, Some(0), Retry::After(Duration::ZERO)),
            (429, None, Some(2), Retry::After(Duration::from_secs(2))),
            (429, Some("slow_down"), None, Retry::Soon),
            (400, Some("invalid_value"), Some(1), Retry::Never),
            (404, None, Some(1), Retry::Never),
            (413, None, Some(1), Retry::Never),
            (418, None, Some(1), Retry::Never),
            (500, None, Some(0), Retry::After(Duration::ZERO)),
            (503, Some("policy_capacity_unavailable"), None, Retry::Never),
        ] {
            let UpstreamError::Refused(mut refusal) = refused(status, code) else { unreachable!() };
            refusal.retry_after = wait.map(Duration::from_secs);
            assert_eq!(UpstreamError::Refused(refusal).retry(), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn an_item_that_is_not_taken_back_leads_to_the_plain_request() {
        for message in [
            "The encrypted content gAAA could not be verified.",
            "The encrypted content for item rs_1 could not be decrypted or parsed.",
            "Encrypted content could not be decrypted or parsed.",
            "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
            "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' \
             item: 'rs_1'.",
            "Item 'msg_1' of type 'message' was provided without its required 'reasoning' item.",
            "Item with id 'rs_1' not found.",
        ] {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            assert!(reported(&body).rejects_replayed_items(), "{message}");
        }
        for message in ["The image could not be decoded.", "Item 3 is wrong."] {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            assert!(!reported(&body).rejects_replayed_items(), "{message}");
        }
    }

    #[test]
    fn reasons_name_the_failure() {
        for (failure, reason) in [
            (refused(503, Some("slow_down")), "HTTP 503 slow_down"),
            (refused(500, None), "HTTP 500"),
            (rate_limit("canary"), "reported rate_limit_exceeded"),
            (
                reported(r#"{"error":{"type":"server_error","message":"canary"}}"#),
                "reported server_error",
            ),
            (reported(r#"{"message":"canary"}"#), "reported without a name"),
            (UpstreamError::Malformed("no events".to_owned()), "unreadable: no events"),
        ] {
            assert_eq!(failure.log_reason(), reason);
        }
    }
}
