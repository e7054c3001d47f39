//! Failures of the backend, as clients of the OpenAI API expect to see them.
//!
//! The types decide what SDKs do: `insufficient_quota` is not tried again, `rate_limit_error` is.
//! Codes are the backend's own wherever it gives one.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::credentials;
use crate::responses::error::{Class, Report};
use crate::upstream::{Crowded, Failed, Failure, Refusal};

use super::ApiError;

/// What to wait when the backend is overloaded and does not say how long.
const OVERLOAD_DELAY: Duration = Duration::from_secs(5);

/// What to wait when too many requests wait here. Some call or other ends all the time.
const CROWDED_DELAY: Duration = Duration::from_secs(1);

/// What to wait for an attempt to connect that is under way.
const CONNECT_DELAY: Duration = Duration::from_secs(1);

/// The longest wait that the official SDKs take from `retry-after`; after a longer one they try
/// again at once.
const LONGEST_SDK_WAIT: Duration = Duration::from_secs(60);

const NO_DETAILS: &str = "The upstream reported an error without details.";

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self::of(&failure, &Clock { now: Timestamp::now(), zone: TimeZone::system() })
    }
}

impl From<Failed> for ApiError {
    fn from(Failed { failure, tries }: Failed) -> Self {
        // What the backend says is passed on as it is, and attempts that were not made do not count.
        let is_ours = !matches!(
            failure,
            Failure::Refused(_) | Failure::Reported(_) | Failure::NotTried { .. }
        );
        let mut error = Self::from(failure);
        if is_ours && tries > 1 {
            let message = sentence(&error.error.message);
            error.error.message = format!("{message} It was tried {tries} times.");
        }
        error
    }
}

impl From<Crowded> for ApiError {
    fn from(crowded: Crowded) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", crowded.to_string())
            .code("too_many_requests")
            .retry_after(CROWDED_DELAY)
    }
}

/// What "in two hours" and "at ten" mean.
struct Clock {
    now: Timestamp,
    zone: TimeZone,
}

impl ApiError {
    fn of(failure: &Failure, clock: &Clock) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::Login(error) => Self::no_login(error, text),
            Failure::UnusableLogin => Self::login(text),
            Failure::NoPlan => Self::invalid_request(text),
            Failure::Refused(refusal) => {
                Self::of_report(&refusal.report, Some(refusal), failure.told_delay(), clock)
                    .rate_limits(&refusal.head.rate_limits)
            }
            Failure::Reported(report) => Self::of_report(report, None, failure.told_delay(), clock),
            Failure::Blocked { .. } => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_blocked")
            }
            Failure::Unreachable { .. } | Failure::Untrusted { .. } => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_unreachable")
            }
            Failure::NotTried { wait, .. } => Self::server(StatusCode::BAD_GATEWAY, text)
                .code("upstream_unreachable")
                .retry_after(wait.unwrap_or(CONNECT_DELAY)),
            Failure::TimedOut { .. } => {
                Self::server(StatusCode::GATEWAY_TIMEOUT, text).code("upstream_timeout")
            }
            Failure::Disconnected { .. } => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_disconnected")
            }
            Failure::Damaged(_) | Failure::Malformed(_) => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_error")
            }
        }
    }

    /// What the backend reports, in the HTTP answer `refusal` or in a stream.
    fn of_report(
        report: &Report,
        refusal: Option<&Refusal>,
        told_delay: Option<Duration>,
        clock: &Clock,
    ) -> Self {
        let status = refusal.map(|refusal| refusal.status);
        let class = report.class(status.map(|status| status.as_u16()));
        let message = message(report, status);
        let code = report.code_or_implied();
        // What the backend names; limits of plans are named by the type.
        let name = code.or(report.kind.as_deref());

        let mut error = match class {
            Class::Quota => Self::quota(report, message, refusal.is_some(), clock)
                .code(name.unwrap_or("usage_limit_reached")),
            Class::RateLimit => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
                    .code("rate_limit_exceeded")
                    .maybe_retry_after(told_delay)
            }
            Class::Overloaded => Self::server(StatusCode::SERVICE_UNAVAILABLE, message)
                .code("server_is_overloaded")
                .retry_after(told_delay.unwrap_or(OVERLOAD_DELAY)),
            Class::Auth if code == Some("invalid_api_key") => Self::login(format!(
                "The upstream does not accept the API key: {} Set another one, or sign in with \
                 `codex-proxy login`.",
                sentence(&message)
            )),
            Class::Auth => Self::login(format!(
                "The upstream does not accept the login: {} Run `codex-proxy login` or \
                 `codex login` and try again.",
                sentence(&message)
            )),
            Class::Account => {
                Self::new(StatusCode::FORBIDDEN, "permission_error", message).maybe_code(name)
            }
            Class::Model => {
                let status = StatusCode::NOT_FOUND;
                let hint = if message.contains("newer version") {
                    " (The version that this daemon names is `[upstream] client_version`.)"
                } else {
                    ""
                };
                Self::new(status, "invalid_request_error", message + hint)
                    .param("model")
                    .code("model_not_found")
            }
            Class::ContextLength => Self::invalid_request(message).code("context_length_exceeded"),
            Class::Policy => Self::invalid_request(message).maybe_code(name),
            Class::Image => {
                let invalid_url = report.message.as_deref().is_some_and(|m| m.contains("URL"));
                let implied = if invalid_url { "invalid_image_url" } else { "image_parse_error" };
                Self::invalid_request(message)
                    .code(code.filter(|code| *code != "invalid_value").unwrap_or(implied))
            }
            Class::Invalid => {
                let status = status.filter(StatusCode::is_client_error);
                let status = status.unwrap_or(StatusCode::BAD_REQUEST);
                Self::new(status, "invalid_request_error", message).maybe_code(code)
            }
            Class::Server | Class::Unexpected => {
                let fallback = refusal.map(|_| "upstream_error");
                Self::server(StatusCode::BAD_GATEWAY, message)
                    .maybe_code(code.or(fallback))
                    .maybe_retry_after(told_delay)
            }
        };
        if let Some(field) = report.field() {
            error = error.param(clients_name(field));
        }
        error
    }

    fn no_login(error: &credentials::Error, message: String) -> Self {
        if matches!(error, credentials::Error::RefusedCountry { .. }) {
            return Self::new(StatusCode::FORBIDDEN, "permission_error", message)
                .code("unsupported_country_region_territory")
                .no_retry();
        }
        if !error.is_transient() {
            return Self::login(message);
        }
        // Nothing is wrong with the login itself: SDKs try again, and so may people.
        let wait = error.retry_in();
        let error = Self::server(StatusCode::SERVICE_UNAVAILABLE, message)
            .code("login_not_renewed")
            .maybe_retry_after(wait);
        if wait > Some(LONGEST_SDK_WAIT) { error.no_retry() } else { error }
    }

    fn login(message: String) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message).code("upstream_auth")
    }

    /// A used-up plan. Waiting takes hours, and one SDK would really sleep that long: hence the
    /// request not to retry. The time is added to the message of HTTP answers only; a stream gives
    /// the backend's words alone.
    fn quota(report: &Report, mut message: String, with_time: bool, clock: &Clock) -> Self {
        let until = report.resets_at.and_then(|at| Timestamp::from_second(at).ok());
        let delay = report.resets_in.or_else(|| {
            Some(Duration::try_from(until?.duration_since(clock.now)).unwrap_or(Duration::ZERO))
        });
        let until = until.or_else(|| clock.now.checked_add(delay?).ok());
        if let Some(until) = until.filter(|_| with_time) {
            let local = until.to_zoned(clock.zone.clone()).strftime("%Y-%m-%d %H:%M %Z");
            message = format!("{} It resets at {local}.", sentence(&message));
        }
        Self::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", message)
            .maybe_retry_after(delay)
            .no_retry()
    }

    fn maybe_code(mut self, code: Option<&str>) -> Self {
        self.error.code = code.map(str::to_owned);
        self
    }

    fn maybe_retry_after(mut self, delay: Option<Duration>) -> Self {
        self.retry_after = delay;
        self
    }
}

/// The backend's own words, or what is known without them.
fn message(report: &Report, status: Option<StatusCode>) -> String {
    let name = report.code.as_ref().or(report.kind.as_ref());
    match (&report.message, name, status) {
        (Some(message), ..) => message.clone(),
        (None, Some(name), _) => format!("The upstream reported an error: {name}."),
        (None, None, Some(status)) if status.is_redirection() => format!(
            "The upstream answered HTTP {}, and redirects are not followed; check `[upstream] \
             base_url`.",
            status.as_u16()
        ),
        (None, None, Some(status)) => {
            format!("The upstream answered HTTP {} without details.", status.as_u16())
        }
        (None, None, None) => NO_DETAILS.to_owned(),
    }
}

/// The client's name of a field of the upstream request, where it has another one.
fn clients_name(field: &str) -> &str {
    const NAMES: [(&str, &str); 5] = [
        ("text.format", "response_format"),
        ("text.verbosity", "verbosity"),
        ("reasoning.effort", "reasoning_effort"),
        ("instructions", "messages"),
        ("input", "messages"),
    ];
    let known = NAMES.iter().find(|(upstream, _)| {
        field
            .strip_prefix(upstream)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    known.map_or(field, |(_, name)| name)
}

/// The text with the full stop that another sentence needs in front of it.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
