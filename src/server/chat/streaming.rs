//! An answer as a stream of chunks.
//!
//! The calls are polled by the client's connection: there is no task and no channel in between, a
//! slow client slows its calls, and a disconnect cancels them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream};
use tokio::time::{Instant, Sleep, sleep};

use super::choice::{CallSpec, Choice, RetryableBody, Shown};
use super::coalesce::WriteCoalescer;
use super::{Identity, reasoning_field, total_usage};
use crate::chat::chunk::ChunkWriter;
use crate::chat::delta::{Delta, Sink};
use crate::server::error::ApiError;
use crate::server::listen::Shutdown;
use crate::server::record::Record;
use crate::sse::encode::{DONE, KEEPALIVE};
use crate::translate::request::ClientPaths;
use crate::translate::response::Progress;
use crate::upstream::{CallError, Permits};

/// The keepalive interval: after so long without data the client gets a comment.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The size of one write; more waits until the client has read it.
const MAX_WRITE: usize = 16 << 10;

/// The body of a streamed answer.
pub(super) struct ChatStream {
    spec: Arc<CallSpec>,
    choices: Vec<Choice>,
    out: Output,
    /// The keepalive timer.
    keepalive: Pin<Box<Sleep>>,
    /// When to write.
    pace: WriteCoalescer,
    /// A failure right after the beginning.
    failure: Option<CallError>,
    record: Record,
    /// Ready once requests must end for a shutdown.
    cut: BoxFuture<'static, ()>,
    is_over: bool,
}

/// The chunks to be written.
struct Output {
    identity: Identity,
    include_usage: bool,
    choices: usize,
    reasoning_field: crate::chat::delta::ReasoningField,
    /// Made with the first chunk: by then the backend has reported the service tier.
    writer: Option<ChunkWriter>,
    buffer: Vec<u8>,
    /// The size of the last write, an estimate for the next one.
    size: usize,
}

/// Writes the chunks of one choice.
struct Chunks<'o> {
    out: &'o mut Output,
    choice: usize,
    tier: crate::chat::delta::ServiceTier,
}

impl Sink for Chunks<'_> {
    fn delta(&mut self, delta: Delta<'_>) {
        let out = &mut *self.out;
        if out.buffer.is_empty() {
            out.buffer.reserve(out.size);
        }
        let writer = out.writer.get_or_insert_with(|| {
            let heading = out.identity.heading(self.tier);
            ChunkWriter::new(&heading, out.choices, out.include_usage, out.reasoning_field)
        });
        writer.delta(self.choice, &delta, &mut out.buffer);
    }
}

impl ChatStream {
    pub(super) fn new(
        spec: Arc<CallSpec>,
        retryable: &RetryableBody,
        permits: &Arc<Permits>,
        identity: Identity,
        record: Record,
        closing: &Shutdown,
    ) -> Self {
        let plan = &spec.plan;
        let choices: Vec<_> =
            (0..plan.choices).map(|_| Choice::new(&spec, retryable, permits)).collect();
        let out = Output {
            identity,
            include_usage: plan.include_usage,
            choices: choices.len(),
            reasoning_field: reasoning_field(plan),
            writer: None,
            buffer: Vec::new(),
            size: 0,
        };
        let keepalive = Box::pin(sleep(KEEPALIVE_INTERVAL));
        let cut = closing.cut().boxed();
        let pace = WriteCoalescer::default();
        let failure = None;
        Self { spec, choices, out, keepalive, pace, failure, record, cut, is_over: false }
    }

    /// Waits until every choice in progress has begun. Until then nothing was sent, and a failure
    /// still gets its own status.
    ///
    /// Deltas that arrive with the beginning are sent with the head; on a busy thread they are
    /// waited for, see [`WriteCoalescer`].
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let outcome = self.poll_choices(cx);
        let is_beginning = self.choices.iter().any(Choice::is_beginning);
        let is_news = match outcome {
            Err(failure) if is_beginning => return Poll::Ready(Err(failure)),
            Err(failure) => {
                self.failure = Some(failure);
                return Poll::Ready(Ok(()));
            }
            Ok(_) if is_beginning => return Poll::Pending,
            Ok(is_news) => is_news,
        };
        let is_whole = self.choices.iter().all(Choice::has_ended);
        let has_room = self.out.buffer.len() < MAX_WRITE;
        if !is_whole && has_room && self.pace.waits(is_news, Instant::now()) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// The choices, for the headers of the answer.
    pub(super) fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The client's names for the fields of its request.
    pub(super) fn paths(&self) -> &ClientPaths {
        &self.spec.plan.paths
    }

    pub(super) fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    fn poll_choice(
        &mut self,
        index: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Progress, CallError>> {
        let choice = &mut self.choices[index];
        let tier = choice.reader().service_tier();
        let mut chunks = Chunks { out: &mut self.out, choice: index, tier };
        choice.poll_step(cx, Shown::AsItComes, &mut chunks).map_ok(|_| choice.reader().progress())
    }

    /// Reads the available events of all choices; false if there are none.
    fn poll_choices(&mut self, cx: &mut Context<'_>) -> Result<bool, CallError> {
        let mut is_news = false;
        for index in 0..self.choices.len() {
            while !self.choices[index].has_ended() && self.out.buffer.len() < MAX_WRITE {
                match self.poll_choice(index, cx) {
                    Poll::Ready(Ok(_)) => is_news = true,
                    Poll::Ready(Err(failure)) => return Err(failure),
                    Poll::Pending => break,
                }
            }
        }
        Ok(is_news)
    }

    /// Ends the stream with usage and `[DONE]`.
    fn finish(&mut self) {
        let usage = total_usage(self.choices.iter().map(Choice::reader), self.spec.prompt_bytes);
        if self.out.include_usage
            && let Some(writer) = &self.out.writer
        {
            writer.usage(&usage, &mut self.out.buffer);
        }
        self.note_upstream_request_id();
        self.record.answered(usage);
        self.close();
    }

    /// Ends the stream with an error: nothing else tells a client that the answer is incomplete.
    fn fail(&mut self, error: &ApiError) {
        for index in 0..self.choices.len() {
            let tier = self.choices[index].reader().service_tier();
            let mut chunks = Chunks { out: &mut self.out, choice: index, tier };
            self.choices[index].abandon(&mut chunks);
        }
        self.note_upstream_request_id();
        self.record.failed(error);
        if let Some(recording) = &self.spec.recording {
            recording.error(error.json());
        }
        self.out.buffer.extend_from_slice(error.into_sse().as_bytes());
        self.close();
    }

    /// Whether to defer the write, since more is likely to follow at once. The first write was
    /// deferred before the head, if needed.
    fn should_defer(&mut self, is_news: bool, now: Instant) -> bool {
        let is_first = self.pace.wrote_at().is_none();
        let has_room = self.out.buffer.len() < MAX_WRITE;
        !self.is_over && !is_first && has_room && self.pace.waits(is_news, now)
    }

    /// If the backend's head arrives after ours was sent, its id is only logged.
    fn note_upstream_request_id(&mut self) {
        let id = self.choices.first().and_then(|choice| choice.head().request_id.as_deref());
        self.record.upstream_request_id(id);
    }

    fn close(&mut self) {
        self.out.buffer.extend_from_slice(DONE.as_bytes());
        self.choices.clear();
        self.is_over = true;
    }
}

impl Stream for ChatStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut is_news = false;
        if !this.is_over {
            let failure = this.failure.take();
            match failure.map_or_else(|| this.poll_choices(cx), Err) {
                Err(failure) => {
                    let request_id = &this.record.request_id;
                    let reason = failure.failure.log_reason();
                    let upstream_request_id = failure.upstream_request_id.as_deref();
                    tracing::warn!(
                        request_id,
                        reason,
                        upstream_request_id,
                        "the answer was interrupted"
                    );
                    let error = ApiError::of_call(failure, this.paths());
                    this.fail(&error);
                }
                Ok(_) if this.choices.iter().all(Choice::has_ended) => this.finish(),
                // Checked when there is nothing to write, which is so after every write.
                Ok(_) if this.out.buffer.is_empty() && this.cut.poll_unpin(cx).is_ready() => {
                    this.fail(&ApiError::stopping());
                }
                Ok(news) => is_news = news,
            }
        }
        if !this.out.buffer.is_empty() {
            let now = Instant::now();
            if this.should_defer(is_news, now) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.pace.wrote(now);
            // Without a writer only an error can be sent.
            if this.out.writer.is_some() {
                this.record.first_token();
                this.note_upstream_request_id();
            }
            let bytes = std::mem::take(&mut this.out.buffer);
            this.out.size = bytes.len();
            return Poll::Ready(Some(Ok(bytes.into())));
        }
        if this.is_over {
            return Poll::Ready(None);
        }
        // The timer is reset when it fires, and not with every write.
        while this.keepalive.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let due = this.pace.wrote_at().map_or(now, |at| at + KEEPALIVE_INTERVAL);
            if now < due {
                this.keepalive.as_mut().reset(due);
                continue;
            }
            this.pace.wrote(now);
            this.keepalive.as_mut().reset(now + KEEPALIVE_INTERVAL);
            return Poll::Ready(Some(Ok(Bytes::from_static(KEEPALIVE.as_bytes()))));
        }
        Poll::Pending
    }
}
