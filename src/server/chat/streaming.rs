//! A streamed answer: chunks as they come.
//!
//! The calls are polled by the client's connection: there is no task and no channel in between, a
//! slow client slows its calls, and a disconnect cancels them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, Stream};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::answer::{Identity, describe, reasoning_field, total_usage};
use super::coalesce::WriteCoalescer;
use super::prepare::Call;
use super::reader::Choice;
use crate::chat::chunk::ChunkWriter;
use crate::chat::delta::{Delta, Sink};
use crate::exchange::{CallSpec, Delivery};
use crate::server::App;
use crate::server::error::ApiError;
use crate::server::listen::Shutdown;
use crate::server::record::Record;
use crate::sse::encode::{DONE, KEEPALIVE};
use crate::translate::plan::Plan;
use crate::translate::request::ClientPaths;
use crate::translate::response::{Progress, Reader};
use crate::upstream::CallError;

/// The keepalive interval: after so long without data the client gets a comment.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The size of one write; more waits until the client has read it.
const MAX_WRITE: usize = 16 << 10;

/// How long the status of a streamed answer waits for the answer to begin. Until then a failure
/// has a status of its own.
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// Answers with a stream.
pub(super) async fn respond(
    app: &App,
    call: Call,
    identity: Identity,
    record: Record,
    shutdown: &Shutdown,
) -> Result<Response, ApiError> {
    let mut answer = ChatStream::new(call, identity, record, shutdown);
    let begun = poll_fn(|cx| answer.poll_ready_to_commit(cx));
    // After the deadline the answer is sent as it is, with comments as keepalive.
    if let Ok(Err(failure)) = timeout(COMMIT_DEADLINE, begun).await {
        let error = ApiError::of_call(failure, answer.paths());
        answer.record().failed(&error);
        return Err(error);
    }
    let upstream_request_id =
        answer.choices().first().and_then(|choice| choice.head().request_id.clone());
    answer.record().upstream_request_id(upstream_request_id.as_deref());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    describe(app, answer.choices().first(), &mut headers);
    Ok((headers, Body::from_stream(answer)).into_response())
}

/// The body of a streamed answer.
pub(super) struct ChatStream {
    spec: Arc<CallSpec>,
    plan: Arc<Plan>,
    choices: Vec<Choice>,
    out: Output,
    /// The keepalive timer.
    keepalive: Pin<Box<Sleep>>,
    /// When to write.
    coalescer: WriteCoalescer,
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
        Call { spec, plan, body, permits }: Call,
        identity: Identity,
        record: Record,
        shutdown: &Shutdown,
    ) -> Self {
        let choice = |_| Choice::new(&spec, &body, &permits, Reader::new(Arc::clone(&plan)));
        let choices: Vec<_> = (0..plan.choices).map(choice).collect();
        let out = Output {
            identity,
            include_usage: plan.include_usage,
            choices: choices.len(),
            reasoning_field: reasoning_field(&plan),
            writer: None,
            buffer: Vec::new(),
            size: 0,
        };
        let keepalive = Box::pin(sleep(KEEPALIVE_INTERVAL));
        let cut = shutdown.cut().boxed();
        let coalescer = WriteCoalescer::default();
        let failure = None;
        Self {
            spec,
            plan,
            choices,
            out,
            keepalive,
            coalescer,
            failure,
            record,
            cut,
            is_over: false,
        }
    }

    /// Waits until every choice in progress has begun. Until then nothing was sent, and a failure
    /// still gets its own status.
    ///
    /// Deltas that arrive with the beginning are sent with the head; on a busy thread they are
    /// waited for, see [`WriteCoalescer`].
    pub(super) fn poll_ready_to_commit(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CallError>> {
        let outcome = self.poll_choices(cx);
        let is_beginning = self.choices.iter().any(Choice::is_beginning);
        let made_progress = match outcome {
            Err(failure) if is_beginning => return Poll::Ready(Err(failure)),
            Err(failure) => {
                self.failure = Some(failure);
                return Poll::Ready(Ok(()));
            }
            Ok(_) if is_beginning => return Poll::Pending,
            Ok(made_progress) => made_progress,
        };
        let is_whole = self.choices.iter().all(Choice::has_ended);
        let has_room = self.out.buffer.len() < MAX_WRITE;
        if !is_whole && has_room && self.coalescer.should_defer(made_progress, Instant::now()) {
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
        &self.plan.paths
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
        choice
            .poll_step(cx, Delivery::Streaming, &mut chunks)
            .map_ok(|_| choice.reader().progress())
    }

    /// Reads the available events of all choices; false if there are none.
    fn poll_choices(&mut self, cx: &mut Context<'_>) -> Result<bool, CallError> {
        let mut made_progress = false;
        for index in 0..self.choices.len() {
            while !self.choices[index].has_ended() && self.out.buffer.len() < MAX_WRITE {
                match self.poll_choice(index, cx) {
                    Poll::Ready(Ok(_)) => made_progress = true,
                    Poll::Ready(Err(failure)) => return Err(failure),
                    Poll::Pending => break,
                }
            }
        }
        Ok(made_progress)
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
    fn finish_with_error(&mut self, error: &ApiError) {
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
    fn should_defer(&mut self, made_progress: bool, now: Instant) -> bool {
        let is_first = self.coalescer.wrote_at().is_none();
        let has_room = self.out.buffer.len() < MAX_WRITE;
        !self.is_over && !is_first && has_room && self.coalescer.should_defer(made_progress, now)
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
        let mut made_progress = false;
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
                    this.finish_with_error(&error);
                }
                Ok(_) if this.choices.iter().all(Choice::has_ended) => this.finish(),
                // Checked when there is nothing to write, which is so after every write.
                Ok(_) if this.out.buffer.is_empty() && this.cut.poll_unpin(cx).is_ready() => {
                    this.finish_with_error(&ApiError::stopping());
                }
                Ok(news) => made_progress = news,
            }
        }
        if !this.out.buffer.is_empty() {
            let now = Instant::now();
            if this.should_defer(made_progress, now) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.coalescer.wrote(now);
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
            let due = this.coalescer.wrote_at().map_or(now, |at| at + KEEPALIVE_INTERVAL);
            if now < due {
                this.keepalive.as_mut().reset(due);
                continue;
            }
            this.coalescer.wrote(now);
            this.keepalive.as_mut().reset(now + KEEPALIVE_INTERVAL);
            return Poll::Ready(Some(Ok(Bytes::from_static(KEEPALIVE.as_bytes()))));
        }
        Poll::Pending
    }
}
