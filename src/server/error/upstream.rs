//! Failures of the backend, as clients of the OpenAI API expect to see them.
//!
//! The types decide what SDKs do: `insufficient_quota` is not tried again, `rate_limit_error` is.
//! Codes are the backend's own wherever it gives one.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::credentials;
use crate::limits::Credits;
use crate::limits::reached::Reason;
use crate::printable::is_plain_name;
use crate::responses::error::{BackendError, Class};
use crate::upstream::{AdmissionError, CallError, ErrorResponse, UpstreamError};

use super::{ApiError, Cause};

/// What to wait when the backend is overloaded and does not say how long.
const OVERLOAD_DELAY: Duration = Duration::from_secs(5);

/// What to wait when too many requests wait here. Some call or other ends all the time.
const CROWDED_DELAY: Duration = Duration::from_secs(1);

/// What to wait for an attempt to connect that is in progress.
const CONNECT_DELAY: Duration = Duration::from_secs(1);

/// The longest wait that the official SDKs take from `retry-after`; after a longer one they try
/// again at once.
const LONGEST_SDK_WAIT: Duration = Duration::from_secs(60);

/// No limit of a plan lasts longer.
const LONGEST_LIMIT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

const NO_DETAILS: &str = "The upstream reported an error without details.";

impl From<UpstreamError> for ApiError {
    fn from(failure: UpstreamError) -> Self {
        let error = Self::of(&failure, &Clock { now: Timestamp::now(), zone: TimeZone::system() });
        let upstream_request_id = failure.request_id().map(str::to_owned);
        let rate_limits = error.cause.map(|cause| cause.rate_limits).unwrap_or_default();
        let cause = Cause {
            reason: failure.log_reason(),
            upstream_request_id: upstream_request_id.filter(|id| is_plain_name(id)),
            rate_limits,
        };
        Self { cause: Some(Box::new(cause)), ..error }
    }
}

impl From<CallError> for ApiError {
    fn from(CallError { failure, attempts, upstream_request_id }: CallError) -> Self {
        // What the backend says is passed on as it is, and attempts that were not made do not count.
        let is_ours = !matches!(
            failure,
            UpstreamError::Refused(_) | UpstreamError::Reported(_) | UpstreamError::NotTried { .. }
        );
        let mut error = Self::from(failure);
        if let Some(cause) = &mut error.cause {
            cause.upstream_request_id = upstream_request_id.filter(|id| is_plain_name(id));
        }
        if is_ours && attempts > 1 {
            let message = sentence(&error.error.message);
            error.error.message = format!("{message} Gave up after {attempts} attempts.");
        }
        error
    }
}

impl From<AdmissionError> for ApiError {
    fn from(crowded: AdmissionError) -> Self {
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

impl Clock {
    /// How long it is until then, in seconds since 1970; nothing if that has passed, or is too far
    /// away to be meant.
    fn wait_until(&self, then: i64) -> Option<Duration> {
        let then = Timestamp::from_second(then).ok()?;
        Duration::try_from(then.duration_since(self.now)).ok().filter(is_meant)
    }
}

impl ApiError {
    fn of(failure: &UpstreamError, clock: &Clock) -> Self {
        let text = failure.to_string();
        match failure {
            UpstreamError::Login(error) => Self::no_login(error, text),
            UpstreamError::UnusableLogin => Self::login(text),
            UpstreamError::NoPlan => Self::invalid_request(text),
            UpstreamError::Refused(refusal) => {
                Self::of_report(&refusal.report, Some(refusal), failure.retry_after(), clock)
                    .rate_limits(&refusal.head.rate_limits)
            }
            UpstreamError::Reported(report) => {
                Self::of_report(report, None, failure.retry_after(), clock)
            }
            UpstreamError::Blocked { .. } => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_blocked")
            }
            UpstreamError::Unreachable { .. } | UpstreamError::Untrusted { .. } => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_unreachable")
            }
            UpstreamError::NotTried { wait, .. } => Self::server(StatusCode::BAD_GATEWAY, text)
                .code("upstream_unreachable")
                .retry_after(wait.unwrap_or(CONNECT_DELAY)),
            UpstreamError::TimedOut { .. } => {
                Self::server(StatusCode::GATEWAY_TIMEOUT, text).code("upstream_timeout")
            }
            UpstreamError::Disconnected { .. } => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_disconnected")
            }
            UpstreamError::Damaged(_) | UpstreamError::Malformed(_) => {
                Self::server(StatusCode::BAD_GATEWAY, text).code("upstream_error")
            }
        }
    }

    /// What the backend reports, in the HTTP answer `refusal` or in a stream.
    fn of_report(
        report: &BackendError,
        refusal: Option<&ErrorResponse>,
        told_delay: Option<Duration>,
        clock: &Clock,
    ) -> Self {
        let status = refusal.map(|refusal| refusal.status);
        let class = refusal.map_or_else(|| report.class(None), ErrorResponse::class);
        let message = message(report, status);
        let code = report.code_or_implied();
        // What the backend names; limits of plans are named by the type.
        let name = code.or(report.kind.as_deref());

        let mut error = match class {
            Class::Quota => Self::quota(report, message, refusal, clock)
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
                "The upstream rejected the API key: {} Set another one, or sign in with \
                 `codex-proxy login`.",
                sentence(&message)
            )),
            Class::Auth => Self::login(format!(
                "The upstream rejected the login: {} Run `codex-proxy login` or `codex login` \
                 and try again.",
                sentence(&message)
            )),
            Class::Account => {
                let hint = match name {
                    Some("invalid_workspace_selected") => {
                        " The account must use another workspace: sign in with that one."
                    }
                    _ => "",
                };
                Self::new(StatusCode::FORBIDDEN, "permission_error", message + hint)
                    .maybe_code(name)
            }
            Class::Region => Self::new(
                StatusCode::FORBIDDEN,
                "permission_error",
                format!(
                    "{} The account's workspace is bound to a region, and the call came from \
                     another one. The login is valid. Call from that region, or ask the \
                     workspace's administrator.",
                    sentence(&message)
                ),
            )
            .code("workspace_region"),
            Class::PolicyCapacity => {
                Self::server(StatusCode::SERVICE_UNAVAILABLE, message).maybe_code(name).no_retry()
            }
            Class::Model => {
                let status = StatusCode::NOT_FOUND;
                let hint = if message.contains("newer version") {
                    " (`[upstream] client_version` sets the version that this daemon reports.)"
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
                // Those that clients know what to do about.
                let status = status.filter(|s| matches!(s.as_u16(), 408 | 409 | 425 | 503 | 504));
                Self::server(status.unwrap_or(StatusCode::BAD_GATEWAY), message)
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
    /// request not to retry. What there is to know is added to the message of HTTP answers only; a
    /// stream gives the backend's words alone.
    fn quota(
        report: &BackendError,
        mut message: String,
        refusal: Option<&ErrorResponse>,
        clock: &Clock,
    ) -> Self {
        let reached = refusal.map(|refusal| &refusal.reached);
        let window = reached.and_then(|reached| reached.window.as_ref());
        let by_header = || clock.wait_until(window?.window.resets_at?);
        let by_time = report.resets_at.and_then(|at| clock.wait_until(at));
        let wait = report.resets_in.filter(is_meant).or(by_time).or_else(by_header);
        if let Some(reached) = reached {
            let mut add = |words: &str| message = format!("{} {words}", sentence(&message));
            if let Some(window) = window {
                add(&format!("The {} is used up.", window.title()));
            }
            if let Some(advice) = reached.reason.and_then(Reason::advice) {
                add(advice);
            }
            if let Some(balance) = reached.credits.as_ref().and_then(left) {
                add(&format!("Credits left: {balance}."));
            }
            if let Some(until) = by_time.or(wait).and_then(|wait| clock.now.checked_add(wait).ok())
            {
                let local = until.to_zoned(clock.zone.clone()).strftime("%Y-%m-%d %H:%M %Z");
                add(&format!("It resets at {local}."));
            }
        }
        Self::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", message)
            .maybe_retry_after(wait)
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

/// Whether it is a time to wait: not nothing, and not too far away to be meant.
fn is_meant(wait: &Duration) -> bool {
    !wait.is_zero() && *wait <= LONGEST_LIMIT
}

/// The balance of credits that can be used.
fn left(credits: &Credits) -> Option<&str> {
    credits.balance.as_deref().filter(|_| credits.has_credits)
}

/// The backend's own words, or what is known without them.
fn message(report: &BackendError, status: Option<StatusCode>) -> String {
    let name = report.code.as_ref().or(report.kind.as_ref());
    match (&report.message, name, status) {
        (Some(message), ..) => message.clone(),
        (None, Some(name), _) => format!("The upstream reported an error: {name}."),
        (None, None, Some(status)) if status.is_redirection() => format!(
            "The upstream answered HTTP {}, and redirects are not followed; check `[upstream] \
             base_url`.",
            status.as_u16()
        ),
        (None, None, Some(StatusCode::PAYLOAD_TOO_LARGE)) => {
            "The request is too large for the upstream (HTTP 413). Send fewer or smaller images, or \
             shorten the conversation."
                .to_owned()
        }
        // The edge answers so to addresses that it does not know.
        (None, None, Some(StatusCode::NOT_FOUND)) => {
            "The upstream answered HTTP 404 without details; check `[upstream] base_url`.".to_owned()
        }
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
