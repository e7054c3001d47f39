//! One answer: its headers and its events.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use http_body_util::BodyDataStream;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Response};

use crate::capture::CallRecording;
use crate::limits::{Reporter, Source, document};
use crate::sse::{self, Limits};

use super::UpstreamError;
use super::body::{EventTimeout, SseBody};
use super::pool::Lease;

/// How long the stream of a complete answer may take to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an answer may consist of comments only. Much longer than any known model thinks without
/// an event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Generated images come in one event, and again in the last event.
const LIMITS: Limits = Limits { event: 64 << 20, body: 256 << 20 };

/// The headers of an answer.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The backend's id of the request: `x-oai-request-id`, or `x-request-id`.
    pub request_id: Option<String>,
    /// The version of the model catalogue (`x-models-etag`): if it is new, the catalogue has
    /// changed.
    pub models_etag: Option<String>,
    /// The model that answers (`openai-model`).
    pub model: Option<String>,
    /// The token that pins the rest of a turn to a machine (`x-codex-turn-state`).
    pub turn_state: Option<String>,
    /// The [`RATE_LIMITS`] among them, as they came, if they are from the public API.
    pub rate_limits: HeaderMap,
}

/// The rate limits of the public API. The Codex backend has no such headers.
pub const RATE_LIMITS: [HeaderName; 6] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

impl Head {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let rate_limits = RATE_LIMITS
            .into_iter()
            .filter_map(|name| {
                let value = headers.get(&name).filter(|value| is_figure(value))?.clone();
                Some((name, value))
            })
            .collect();
        Self {
            request_id: text(headers, "x-oai-request-id").or_else(|| text(headers, "x-request-id")),
            models_etag: text(headers, "x-models-etag"),
            model: text(headers, "openai-model"),
            turn_state: text(headers, "x-codex-turn-state"),
            rate_limits,
        }
    }
}

/// Whether a value is a number or a time, such as `4999` and `6m0.5s`: nothing else is forwarded.
fn is_figure(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    value.first().is_some_and(u8::is_ascii_digit)
        && value.len() <= 32
        && value.iter().all(|b| b.is_ascii_digit() || b"dhmsun.".contains(b))
}

/// The header's text, unless it is empty.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// The events of one answer: the `data` of each, in order.
///
/// The first failure is the last item. The end without a failure says nothing about whether the
/// answer is complete; its events do. Dropping this cancels the call.
///
/// As a stream it returns owned texts; [`Events::poll_event`] borrows them.
pub struct Events {
    head: Head,
    events: sse::Events<SseBody<BodyDataStream<Body>>>,
    since_event: EventTimeout,
    is_over: bool,
    reporter: Reporter,
    /// The call's lease of a connection.
    _lease: Lease,
    /// `None` unless exchanges are captured.
    recording: Option<CallRecording>,
}

impl Events {
    pub(super) fn new(
        response: Response,
        reporter: Reporter,
        idle_timeout: Duration,
        lease: Lease,
        recording: Option<CallRecording>,
    ) -> Self {
        let head = Head::new(response.headers());
        let body = BodyDataStream::new(Body::from(response));
        let events = sse::events(SseBody::new(body, idle_timeout), LIMITS);
        let since_event = EventTimeout::new(idle_timeout.max(EVENT_TIMEOUT));
        Self { head, events, since_event, is_over: false, reporter, _lease: lease, recording }
    }

    /// What the headers of the answer say.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Reads a complete answer to the end of its stream, so that its connection can be reused.
    /// Nothing waits for it, and it has a short timeout.
    pub fn finish(mut self) {
        // Usually the end arrives together with the last event.
        if let Some(None) = self.next().now_or_never() {
            return;
        }
        tokio::spawn(tokio::time::timeout(DRAIN_TIMEOUT, async move {
            while let Some(Ok(_)) = self.next().await {}
        }));
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Events {
    /// The data of the next event, borrowed until the next call.
    pub fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<&str, UpstreamError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let event = match self.events.poll_event(cx) {
            Poll::Ready(event) => event,
            Poll::Pending => {
                let failure = ready!(self.since_event.poll(cx));
                self.is_over = true;
                Some(Err(sse::Error::Body(failure)))
            }
        };
        let event = match event {
            Some(Ok(data)) => {
                self.since_event.note();
                if document::may_be_event(data) {
                    let now = Timestamp::now().as_second();
                    if let Some(update) = document::event(data, now) {
                        self.reporter.note(update, Source::Event, now);
                    }
                }
                Some(Ok(data))
            }
            Some(Err(sse::Error::Body(failure))) => Some(Err(failure)),
            Some(Err(sse::Error::NotUtf8)) => {
                Some(Err(UpstreamError::Damaged("an event is not valid UTF-8")))
            }
            Some(Err(error)) => Some(Err(UpstreamError::Malformed(error.to_string()))),
            None => None,
        };
        if let Some(recording) = &self.recording {
            match &event {
                Some(Ok(data)) => recording.event(data),
                Some(Err(failure)) => recording.failed(failure.log_reason()),
                None => recording.ended(),
            }
        }
        Poll::Ready(event)
    }
}

impl Stream for Events {
    type Item = Result<String, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx).map(|event| event.map(|data| data.map(str::to_owned)))
    }
}
