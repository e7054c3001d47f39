//! One log line per model request, and its metrics: ids and counts, never content.

use std::time::{Duration, Instant, SystemTime};

use super::error::ApiError;
use super::listen::Shutdown;
use crate::chat::usage::Usage;
use crate::metrics::{Continuity, Outcome, RequestMetrics, RequestOutcome, millis};
use crate::upstream::is_code;

/// What is known of a request. It is logged and counted on drop, however the request ends.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) request_id: String,
    pub(super) asked: RequestInfo,
    metrics: RequestMetrics,
    at: SystemTime,
    started: Instant,
    first_token: Option<Duration>,
    upstream_request_id: Option<String>,
    usage: Usage,
    end: End,
    closing: Shutdown,
}

/// What the request says, so far as it has been read.
#[derive(Debug, Default)]
pub(super) struct RequestInfo {
    pub(super) model: String,
    /// The model's own name, once it is known.
    pub(super) slug: Option<String>,
    pub(super) stream: bool,
    /// How many turns of the request were remembered, of how many; `None` if turns are not looked
    /// up.
    pub(super) recalled: Option<(usize, usize)>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// In progress; on drop this means that the client has disconnected or the request was
    /// cancelled.
    Open,
    Answered,
    Failed {
        status: u16,
        code: String,
        /// The reason for the log; `None` if the code is enough.
        reason: Option<String>,
    },
}

impl Record {
    pub(super) fn new(request_id: String, metrics: RequestMetrics, closing: Shutdown) -> Self {
        metrics.begun();
        Self {
            request_id,
            asked: RequestInfo::default(),
            metrics,
            at: SystemTime::now(),
            started: Instant::now(),
            first_token: None,
            upstream_request_id: None,
            usage: Usage::default(),
            end: End::Open,
            closing,
        }
    }

    /// The time since the request began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The first part of the answer is sent to the client. Headers and comments do not count.
    pub(super) fn first_token(&mut self) {
        if self.first_token.is_none() {
            self.first_token = Some(self.started.elapsed());
        }
    }

    /// The backend's id of the request, once it is known.
    pub(super) fn upstream_request_id(&mut self, id: Option<&str>) {
        if self.upstream_request_id.is_none() {
            self.upstream_request_id = id.map(str::to_owned);
        }
    }

    /// The whole answer was sent.
    pub(super) fn answered(&mut self, usage: Usage) {
        self.usage = usage;
        self.end = End::Answered;
    }

    /// The request failed, with what the client got or would have got.
    pub(super) fn failed(&mut self, error: &ApiError) {
        // The backend's code may be any text.
        let code = error.error.code.as_deref().filter(|code| is_code(code));
        let code = code.unwrap_or(error.error.kind).to_owned();
        let cause = error.cause.as_deref();
        let reason = match cause {
            Some(cause) => Some(cause.reason.clone()),
            None => error.error.param.as_deref().and_then(refused_here),
        };
        self.end = End::Failed { status: error.status.as_u16(), code, reason };
        // Of several calls the failed one is the one to report.
        if let Some(id) = cause.and_then(|cause| cause.upstream_request_id.clone()) {
            self.upstream_request_id = Some(id);
        }
    }

    /// The record for log and metrics.
    fn ended(&mut self) -> RequestOutcome {
        let mut why = None;
        let (outcome, status, error) = match std::mem::replace(&mut self.end, End::Open) {
            End::Open if std::thread::panicking() => {
                (Outcome::Failed, 500, Some("internal_error".to_owned()))
            }
            End::Open if self.closing.is_cut() => {
                (Outcome::Failed, 503, Some("server_shutting_down".to_owned()))
            }
            End::Open => (Outcome::Cancelled, 499, None),
            End::Answered => (Outcome::Answered, 200, None),
            End::Failed { status, code, reason } => {
                why = reason;
                (Outcome::Failed, status, Some(code))
            }
        };
        let RequestInfo { model, slug, stream, recalled } = std::mem::take(&mut self.asked);
        RequestOutcome {
            request_id: std::mem::take(&mut self.request_id),
            at: self.at,
            asked: model,
            slug,
            stream,
            status,
            outcome,
            error,
            reason: why,
            first_token: self.first_token,
            total: self.started.elapsed(),
            usage: self.usage,
            continuity: match recalled {
                None => Continuity::Off,
                Some((0, _)) => Continuity::Miss,
                Some(_) => Continuity::Hit,
            },
        }
    }
}

/// Why a request was rejected before it reached the backend: the top-level field at fault, since
/// nested names are the client's own.
fn refused_here(param: &str) -> Option<String> {
    let field = param.split('.').next().filter(|field| {
        let is_of_field = |byte: u8| byte.is_ascii_alphanumeric() || b"_[]".contains(&byte);
        field.len() <= 64 && field.bytes().all(is_of_field)
    })?;
    Some(format!("refused here: {field}"))
}

impl Drop for Record {
    fn drop(&mut self) {
        let (recalled, turns) = self.asked.recalled.unwrap_or_default();
        let ended = self.ended();
        let usage = &ended.usage;
        let cached = usage.prompt_tokens_details.cached_tokens;
        tracing::info!(
            request_id = ended.request_id,
            model = ended.asked,
            stream = ended.stream,
            status = ended.status,
            code = ended.error,
            reason = ended.reason,
            first_chunk_ms = ended.first_token.map(millis),
            total_ms = millis(ended.total),
            tokens_in = usage.prompt_tokens,
            tokens_cached = cached,
            tokens_out = usage.completion_tokens,
            tokens_reasoning = usage.completion_tokens_details.reasoning_tokens,
            cached_percent = (cached * 100).checked_div(usage.prompt_tokens),
            continuity = ended.continuity.as_str(),
            turns,
            turns_recalled = recalled,
            upstream_request_id = self.upstream_request_id,
            "{}",
            ended.outcome.as_str()
        );
        self.metrics.ended(&ended);
    }
}
