//! One log line per request: figures and ids, never content.

use std::time::{Duration, Instant};

use super::listen::Closing;
use crate::chat::usage::Usage;

/// What is known of a request; logged when it is dropped, however the request ends.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) request_id: String,
    pub(super) model: String,
    pub(super) stream: bool,
    started: Instant,
    first_chunk: Option<Duration>,
    upstream_request_id: Option<String>,
    usage: Usage,
    /// How many turns of the request were remembered, of how many; nothing if none is looked for.
    recalled: Option<(usize, usize)>,
    outcome: Outcome,
    closing: Closing,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Not yet; if it stays so, the client has left, or the request was ended from outside.
    Open,
    Answered,
    Failed(u16),
}

impl Record {
    pub(super) fn new(request_id: String, closing: Closing) -> Self {
        Self {
            request_id,
            model: String::new(),
            stream: false,
            started: Instant::now(),
            first_chunk: None,
            upstream_request_id: None,
            usage: Usage::default(),
            recalled: None,
            outcome: Outcome::Open,
            closing,
        }
    }

    /// So many of the model's turns in the request were remembered.
    pub(super) fn recalled(&mut self, recalled: usize, turns: usize) {
        self.recalled = Some((recalled, turns));
    }

    /// How long the request has been going on.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The first piece of the answer has come.
    pub(super) fn begun(&mut self, upstream_request_id: Option<&str>) {
        if self.first_chunk.is_none() {
            self.first_chunk = Some(self.started.elapsed());
        }
        if self.upstream_request_id.is_none() {
            self.upstream_request_id = upstream_request_id.map(str::to_owned);
        }
    }

    /// The whole answer has gone out.
    pub(super) fn answered(&mut self, usage: Usage) {
        self.usage = usage;
        self.outcome = Outcome::Answered;
    }

    /// The request failed, with the status that the client got or would have got.
    pub(super) fn failed(&mut self, status: u16, upstream_request_id: Option<&str>) {
        self.outcome = Outcome::Failed(status);
        if self.upstream_request_id.is_none() {
            self.upstream_request_id = upstream_request_id.map(str::to_owned);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (outcome, status) = match self.outcome {
            Outcome::Open if std::thread::panicking() => ("failed", 500),
            Outcome::Open if self.closing.is_cut() => ("failed", 503),
            Outcome::Open => ("cancelled", 499),
            Outcome::Answered => ("answered", 200),
            Outcome::Failed(status) => ("failed", status),
        };
        let usage = &self.usage;
        let continuity = match self.recalled {
            None => "off",
            Some((0, _)) => "miss",
            Some(_) => "hit",
        };
        let (recalled, turns) = self.recalled.unwrap_or_default();
        let cached = usage.prompt_tokens_details.cached_tokens;
        tracing::info!(
            request_id = self.request_id,
            model = self.model,
            stream = self.stream,
            status,
            first_chunk_ms = self.first_chunk.map(millis),
            total_ms = millis(self.started.elapsed()),
            tokens_in = usage.prompt_tokens,
            tokens_cached = cached,
            tokens_out = usage.completion_tokens,
            tokens_reasoning = usage.completion_tokens_details.reasoning_tokens,
            cached_percent = (cached * 100).checked_div(usage.prompt_tokens),
            continuity,
            turns,
            turns_recalled = recalled,
            upstream_request_id = self.upstream_request_id,
            "{outcome}"
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
