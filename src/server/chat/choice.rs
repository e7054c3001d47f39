//! One choice of an answer: a call to the backend, read as it arrives, and retried if it fails
//! before anything was delivered.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::{JoinHandle, spawn_blocking};
use uuid::Uuid;

use crate::capture::Recording;
use crate::chat::delta::{Kept, Sink};
use crate::continuity::TurnMemory;
use crate::credentials::Login;
use crate::server::error::is_printable;
use crate::server::figures::Metrics;
use crate::translate::memory::{Key, Scope};
use crate::translate::plan::Plan;
use crate::translate::response::{Progress, ReadError, Reader};
use crate::upstream::{
    CallError, CallPermit, Client, Events, Head, Permits, RequestBody, RetryState, UpstreamError,
};

/// How to send the call, and how to read its answer.
#[derive(Debug)]
pub(super) struct CallSpec {
    pub(super) client: Client,
    /// The login that the request was made for.
    pub(super) login: Arc<Login>,
    pub(super) figures: Metrics,
    /// The size of the request that is sent.
    pub(super) prompt_bytes: usize,
    pub(super) conversation: Uuid,
    /// The token that pins a tool loop to a machine of the backend.
    pub(super) turn_state: Option<String>,
    pub(super) plan: Arc<Plan>,
    /// How the answer is remembered; `None` if it is not.
    pub(super) continuation: Option<ReplayContext>,
    /// `None` unless exchanges are captured.
    pub(super) recording: Option<Recording>,
}

impl CallSpec {
    /// Makes the call with this body, after a pause.
    fn send(
        self: &Arc<Self>,
        body: RequestBody,
        pause: Duration,
    ) -> BoxFuture<'static, Result<Events, UpstreamError>> {
        let spec = Arc::clone(self);
        async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let (turn_state, recording) = (spec.turn_state.as_deref(), spec.recording.as_ref());
            let CallSpec { client, login, conversation, .. } = &*spec;
            client.respond_recorded(login, &body, *conversation, turn_state, recording).await
        }
        .boxed()
    }
}

/// The request body, kept for as long as it may be retried.
#[derive(Clone)]
pub(super) struct RetryableBody {
    pub(super) body: RequestBody,
    /// Rebuilds it without remembered turns; `None` if it has none.
    pub(super) plainly: Option<WithoutReplay>,
}

/// Builds a request without remembered turns, if possible. Long work is done on another thread.
pub(super) type WithoutReplay = Arc<dyn Fn() -> BoxFuture<'static, Option<Bytes>> + Send + Sync>;

/// How an answer is remembered.
#[derive(Debug)]
pub(super) struct ReplayContext {
    pub(super) memory: TurnMemory,
    pub(super) scope: Scope,
    /// The conversation that the answer continues.
    pub(super) history: u128,
    /// The remembered turns in the request.
    pub(super) recalled: Vec<Key>,
}

/// One choice in progress.
pub(super) struct Choice {
    spec: Arc<CallSpec>,
    /// `None` once the call can no longer be retried.
    retryable: Option<RetryableBody>,
    call: CallState,
    reader: Reader,
    retry: RetryState,
    head: Head,
    /// The permit for the call; `None` before it begins and after it has ended.
    turn: Option<CallPermit>,
    /// How much work was done since the last yield to the scheduler.
    work: usize,
}

enum CallState {
    /// Waiting for a permit: other choices of the same request must end first.
    Waiting(BoxFuture<'static, CallPermit>),
    Opening(BoxFuture<'static, Result<Events, UpstreamError>>),
    Open(Box<Events>),
    /// The request is being rebuilt without remembered turns, after this failure.
    Remaking(BoxFuture<'static, (Option<RequestBody>, UpstreamError)>),
    /// An event is being read on another thread, since that takes long.
    Reading(JoinHandle<Read>, Box<Events>),
    Closed,
}

/// An event that was read on another thread: the reader for the next one, its deltas, and the
/// outcome.
type Read = (Reader, Kept, Result<Progress, ReadError>);

/// How much work, as counted by [`Reader::work`], is done at a time. It takes a few milliseconds
/// and blocks the thread.
const YIELD_AFTER: usize = 1 << 20;

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The progress of the answer.
    Read(Progress),
    /// The call failed and is retried: the answer so far is discarded.
    Restarted,
}

/// Whether the answer so far can still be discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is sent as it arrives.
    AsItComes,
    /// Nothing is sent before the end.
    AtTheEnd,
}

impl Choice {
    pub(super) fn new(
        spec: &Arc<CallSpec>,
        retryable: &RetryableBody,
        permits: &Arc<Permits>,
    ) -> Self {
        let turn = permits.try_acquire();
        let call = match turn {
            Some(_) => CallState::Opening(spec.send(retryable.body.clone(), Duration::ZERO)),
            None => CallState::Waiting(Arc::clone(permits).acquire().boxed()),
        };
        Self {
            retryable: Some(retryable.clone()),
            call,
            reader: Reader::new(Arc::clone(&spec.plan)),
            retry: spec.client.retry_state(),
            head: Head::default(),
            work: 0,
            turn,
            spec: Arc::clone(spec),
        }
    }

    /// Whether the call is in progress without any part of the answer so far.
    pub(super) fn is_beginning(&self) -> bool {
        !matches!(self.call, CallState::Waiting(_)) && !self.reader.has_begun()
    }

    /// The reader of the answer.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The headers of the backend's answer; empty until they arrive.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn has_ended(&self) -> bool {
        self.reader.progress() == Progress::Ended
    }

    /// Delivers held-back text before an error ends the answer.
    pub(super) fn abandon(&mut self, sink: &mut impl Sink) {
        self.end();
        self.reader.abandon(sink);
    }

    /// Reads the next event.
    pub(super) fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        shown: Shown,
        sink: &mut impl Sink,
    ) -> Poll<Result<Step, CallError>> {
        let outcome = match &mut self.call {
            CallState::Waiting(waiting) => {
                self.turn = Some(ready!(waiting.poll_unpin(cx)));
                self.retry = self.spec.client.retry_state();
                self.call = self.opening(Duration::ZERO);
                Ok(self.reader.progress())
            }
            CallState::Opening(opening) => match ready!(opening.poll_unpin(cx)) {
                Ok(events) => {
                    self.head = events.head().clone();
                    self.call = CallState::Open(Box::new(events));
                    Ok(self.reader.progress())
                }
                Err(failure) => Err(failure),
            },
            CallState::Open(_) | CallState::Reading(..) if self.work > YIELD_AFTER => {
                self.work = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            CallState::Open(events) => match events.poll_event(cx) {
                Poll::Pending => {
                    self.work = 0;
                    return Poll::Pending;
                }
                Poll::Ready(event) => match event {
                    Some(Ok(data)) => {
                        let work = self.reader.work(data);
                        if work > YIELD_AFTER {
                            let data = data.to_owned();
                            return self.read_elsewhere(data, cx, shown, sink);
                        }
                        self.work += work;
                        self.reader.event(data, sink).map_err(of_fault)
                    }
                    Some(Err(failure)) => Err(failure),
                    // A complete answer ends with its last event.
                    None => Err(UpstreamError::Disconnected { cause: "end of stream".to_owned() }),
                },
            },
            CallState::Remaking(remaking) => {
                let (body, failure) = ready!(remaking.poll_unpin(cx));
                return Poll::Ready(self.send_remade(body, failure));
            }
            CallState::Reading(reading, _) => {
                let read = ready!(reading.poll_unpin(cx));
                let CallState::Reading(_, events) =
                    std::mem::replace(&mut self.call, CallState::Closed)
                else {
                    return Poll::Ready(Ok(Step::Read(self.reader.progress())));
                };
                self.call = CallState::Open(events);
                match read {
                    Ok((reader, kept, outcome)) => {
                        self.reader = reader;
                        kept.give(sink);
                        outcome.map_err(of_fault)
                    }
                    Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                    // The runtime is shutting down.
                    Err(_) => Err(UpstreamError::Disconnected {
                        cause: "the daemon is shutting down".to_owned(),
                    }),
                }
            }
            CallState::Closed => Ok(Progress::Ended),
        };
        Poll::Ready(match outcome {
            Ok(progress) => {
                if progress != Progress::Waiting && shown == Shown::AsItComes {
                    self.retryable = None;
                }
                if progress == Progress::Ended && !matches!(self.call, CallState::Closed) {
                    self.remember();
                    self.close();
                }
                Ok(Step::Read(progress))
            }
            Err(failure) => {
                let code = failure.code().into_owned();
                let outcome = self.fail(failure, shown);
                self.spec.figures.call_failed(&code, outcome.is_ok());
                outcome
            }
        })
    }

    /// Reads an event that takes long on a blocking thread.
    fn read_elsewhere(
        &mut self,
        data: String,
        cx: &mut Context<'_>,
        shown: Shown,
        sink: &mut impl Sink,
    ) -> Poll<Result<Step, CallError>> {
        let stand_in = self.reader.stand_in();
        let mut reader = std::mem::replace(&mut self.reader, stand_in);
        let mut kept = Kept::new(sink.can_take_back());
        let reading = spawn_blocking(move || {
            let outcome = reader.event(&data, &mut kept);
            (reader, kept, outcome)
        });
        self.call = match std::mem::replace(&mut self.call, CallState::Closed) {
            CallState::Open(events) => CallState::Reading(reading, events),
            call => call,
        };
        self.poll_step(cx, shown, sink)
    }

    /// Retries the call if that may help and is still possible.
    fn fail(&mut self, failure: UpstreamError, shown: Shown) -> Result<Step, CallError> {
        let is_untouched = match shown {
            Shown::AtTheEnd => true,
            // A reader that has begun, or was abandoned, has delivered something.
            Shown::AsItComes => !self.reader.has_begun(),
        };
        if !is_untouched {
            self.end();
            // What was sent belongs to the last attempt.
            return Err(self.failed(failure, 1));
        }
        if let Some(plainly) = self.take_plainly(&failure) {
            let remaking = async move { (plainly().await.map(RequestBody::from), failure) };
            // The previous call is dropped here.
            self.call = CallState::Remaking(remaking.boxed());
            self.reader = Reader::new(Arc::clone(&self.spec.plan));
            return Ok(Step::Restarted);
        }
        self.send_again(failure)
    }

    /// If the backend rejects replayed items, forgets them and continues without. That happens at
    /// most once: the new request has none.
    fn take_plainly(&mut self, failure: &UpstreamError) -> Option<WithoutReplay> {
        let continuation = self.spec.continuation.as_ref()?;
        let retryable = self.retryable.as_mut()?;
        let plainly = retryable.plainly.take_if(|_| failure.rejects_replayed_items())?;
        continuation.memory.forget(&continuation.recalled);
        Some(plainly)
    }

    /// Sends the rebuilt request, if it differs from the failed one.
    fn send_remade(
        &mut self,
        body: Option<RequestBody>,
        failure: UpstreamError,
    ) -> Result<Step, CallError> {
        let retryable = self.retryable.as_mut();
        match (body, retryable) {
            (Some(body), Some(retryable)) if body != retryable.body => retryable.body = body,
            _ => return self.send_again(failure),
        }
        let (reason, upstream_request_id) = (failure.log_reason(), self.request_id_of(&failure));
        tracing::info!(reason, upstream_request_id, "retrying without remembered turns");
        self.head = Head::default();
        self.call = self.opening(Duration::ZERO);
        Ok(Step::Restarted)
    }

    /// Retries the call after a pause, if that may help.
    fn send_again(&mut self, failure: UpstreamError) -> Result<Step, CallError> {
        let Some(pause) = self.retry.next(&failure) else {
            self.end();
            return Err(self.failed(failure, self.retry.attempts()));
        };
        let (attempt, pause_ms) = (self.retry.attempts(), pause.as_secs_f64() * 1000.0);
        let (reason, upstream_request_id) = (failure.log_reason(), self.request_id_of(&failure));
        tracing::info!(attempt, pause_ms, reason, upstream_request_id, "the call failed; retrying");
        // The previous call is dropped here, and not after the pause.
        self.head = Head::default();
        self.call = self.opening(pause);
        self.reader = Reader::new(Arc::clone(&self.spec.plan));
        Ok(Step::Restarted)
    }

    /// The end of the call.
    fn failed(&self, failure: UpstreamError, attempts: u32) -> CallError {
        let upstream_request_id = self.request_id_of(&failure).map(str::to_owned);
        CallError { failure, attempts, upstream_request_id }
    }

    /// The backend's id of the failed attempt: of the error response, or of the answer that
    /// reported the failure. Invalid ids are dropped, since this is logged.
    fn request_id_of<'f>(&'f self, failure: &'f UpstreamError) -> Option<&'f str> {
        let id = failure.request_id().or(self.head.request_id.as_deref());
        id.filter(|id| is_printable(id))
    }

    /// The call, after a pause. A call that the client has seen parts of is not repeated.
    fn opening(&self, pause: Duration) -> CallState {
        match &self.retryable {
            Some(retryable) => CallState::Opening(self.spec.send(retryable.body.clone(), pause)),
            None => CallState::Closed,
        }
    }

    /// Remembers the answer, if it is complete.
    fn remember(&self) {
        if let Some(continuation) = &self.spec.continuation
            && let Some(mut turn) = self.reader.turn()
        {
            turn.turn_state.clone_from(&self.head.turn_state);
            let scope = &continuation.scope;
            let key = match turn.first_call() {
                Some(id) => scope.key_of_call(id),
                None => scope.key_of_text(continuation.history, &turn.text),
            };
            continuation.memory.remember(key, turn);
        }
    }

    fn close(&mut self) {
        if let CallState::Open(events) = self.end()
            && !self.reader.was_cut()
        {
            events.finish();
        }
        // Dropping the events of an unfinished answer cancels the call.
    }

    /// Releases the permit.
    fn end(&mut self) -> CallState {
        self.turn = None;
        std::mem::replace(&mut self.call, CallState::Closed)
    }
}

/// The error of the call for an error of the reader.
fn of_fault(fault: ReadError) -> UpstreamError {
    match fault {
        ReadError::Reported(report) => UpstreamError::Reported(report),
        ReadError::InvalidEvent => UpstreamError::Damaged("an event is not valid JSON"),
        ReadError::UnfinishedCall => {
            UpstreamError::Damaged("the arguments of a tool call are incomplete")
        }
        ReadError::Contradicted => {
            UpstreamError::Malformed("it contradicts earlier events".to_owned())
        }
        ReadError::TooManyItems => UpstreamError::Malformed("too many output items".to_owned()),
    }
}
