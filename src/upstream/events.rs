//! One answer: its headers and its events.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use http_body_util::BodyDataStream;
use reqwest::header::HeaderMap;
use reqwest::{Body, Response};

use crate::capture::CallTape;
use crate::sse::{self, Limits};

use super::Failure;
use super::lanes::Seat;
use super::watch::Watched;

/// How long a complete answer may take to come to its end.
const LINGER: Duration = Duration::from_secs(1);

/// Generated images come in one event, and again in the last one.
const LIMITS: Limits = Limits { event: 64 << 20, body: 256 << 20 };

/// What the headers of an answer say.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The backend's id of the request: `x-oai-request-id`, or `x-request-id`.
    pub request_id: Option<String>,
    /// The version of the model catalogue (`x-models-etag`): another one than known means that
    /// the catalogue has changed.
    pub models_etag: Option<String>,
    /// The model that really serves (`openai-model`).
    pub model: Option<String>,
    /// The token that pins the rest of a turn to a machine (`x-codex-turn-state`).
    pub turn_state: Option<String>,
    /// The plan's limits: all `x-codex-*` headers as they came, without the turn state.
    pub limits: HeaderMap,
}

impl Head {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        const TURN_STATE: &str = "x-codex-turn-state";
        let limits = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-codex-") && *name != TURN_STATE)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self {
            request_id: text(headers, "x-oai-request-id").or_else(|| text(headers, "x-request-id")),
            models_etag: text(headers, "x-models-etag"),
            model: text(headers, "openai-model"),
            turn_state: text(headers, TURN_STATE),
            limits,
        }
    }
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
pub struct Events {
    head: Head,
    events: sse::Events<Watched<BodyDataStream<Body>>>,
    /// The call's place on its connection.
    _seat: Seat,
    /// Nothing unless exchanges are captured.
    tape: Option<CallTape>,
}

impl Events {
    pub(super) fn new(
        response: Response,
        idle_timeout: Duration,
        seat: Seat,
        tape: Option<CallTape>,
    ) -> Self {
        let head = Head::new(response.headers());
        let body = BodyDataStream::new(Body::from(response));
        let events = sse::events(Watched::new(body, idle_timeout), LIMITS);
        Self { head, events, _seat: seat, tape }
    }

    /// What the headers of the answer say.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Lets an answer that is complete come to its end, so that its connection can carry another
    /// call. Nothing waits for it, and it does not wait long.
    pub fn finish(mut self) {
        // Usually the end has come together with the last event.
        if let Some(None) = self.next().now_or_never() {
            return;
        }
        tokio::spawn(tokio::time::timeout(LINGER, async move {
            while let Some(Ok(_)) = self.next().await {}
        }));
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Stream for Events {
    type Item = Result<String, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(Pin::new(&mut self.events).poll_next(cx));
        let event = event.map(|event| {
            event.map_err(|error| match error {
                sse::Error::Body(failure) => failure,
                sse::Error::NotUtf8 => Failure::Damaged("an event is not valid UTF-8"),
                error => Failure::Malformed(error.to_string()),
            })
        });
        if let Some(tape) = &self.tape {
            match &event {
                Some(Ok(data)) => tape.event(data),
                Some(Err(failure)) => tape.failed(failure.reason()),
                None => tape.ended(),
            }
        }
        Poll::Ready(event)
    }
}
