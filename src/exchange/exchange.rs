//! The state machine of a call.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::{JoinHandle, spawn_blocking};

use super::reader::{AnswerReader, ReadInto};
use super::spec::{CallSpec, RetryableBody, WithoutReplay};
use crate::printable::is_plain_name;
use crate::translate::response::Progress;
use crate::upstream::{
    CallError, CallPermit, Events, Head, Permits, RequestBody, RetryState, UpstreamError,
};

/// One call under way, whatever its answer is read into. See the [module](super) for its states.
pub(crate) struct Exchange<R: AnswerReader> {
    spec: Arc<CallSpec>,
    /// `None` once the call can no longer be retried.
    body: Option<RetryableBody>,
    call: CallState<R>,
    reader: R,
    retries: RetryState,
    head: Head,
    /// The permit for the call; `None` before it begins and after it has ended.
    permit: Option<CallPermit>,
    /// How much work was done since the last yield to the scheduler.
    work: usize,
}

enum CallState<R: AnswerReader> {
    /// Waiting for a permit: other choices of the same request must end first.
    Waiting(BoxFuture<'static, CallPermit>),
    Opening(BoxFuture<'static, Result<Events, UpstreamError>>),
    Open(Box<Events>),
    /// The request is being rebuilt without remembered turns, after this failure.
    Rebuilding(BoxFuture<'static, (Option<RequestBody>, UpstreamError)>),
    /// An event is being read on another thread, since that takes long.
    Reading(JoinHandle<Read<R>>, Box<Events>),
    Closed,
}

/// An event that was read on another thread: the reader for the next one, its deltas, and the
/// outcome.
type Read<R> = (R, <R as AnswerReader>::Buffer, Result<Progress, UpstreamError>);

/// How much work, as counted by [`AnswerReader::work`], is done at a time. It takes a few milliseconds
/// and blocks the thread.
const YIELD_AFTER: usize = 1 << 20;

/// What one step brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The progress of the answer.
    Read(Progress),
    /// The call failed and is retried: the answer so far is discarded.
    Retrying,
}

/// Whether the answer so far can still be discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is sent as it arrives.
    Streaming,
    /// Nothing is sent before the end.
    Buffered,
}

impl<R: AnswerReader> Exchange<R> {
    /// Begins the call, or waits for a permit to.
    pub(crate) fn new(
        spec: &Arc<CallSpec>,
        body: &RetryableBody,
        permits: &Arc<Permits>,
        reader: R,
    ) -> Self {
        let permit = permits.try_acquire();
        let call = match permit {
            Some(_) => CallState::Opening(spec.send(body.body.clone(), Duration::ZERO)),
            None => CallState::Waiting(Arc::clone(permits).acquire().boxed()),
        };
        Self {
            body: Some(body.clone()),
            call,
            reader,
            retries: spec.client.retry_state(),
            head: Head::default(),
            work: 0,
            permit,
            spec: Arc::clone(spec),
        }
    }

    /// Whether the call is in progress without any part of the answer so far.
    pub(crate) fn is_beginning(&self) -> bool {
        !matches!(self.call, CallState::Waiting(_)) && !self.reader.has_begun()
    }

    /// The header of the answer from its first event.
    pub(crate) fn reader(&self) -> &R {
        &self.reader
    }

    /// The headers of the backend's answer; empty until they arrive.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.reader.progress() == Progress::Ended
    }

    /// Delivers held-back text before an error ends the answer.
    pub(crate) fn abandon<O>(&mut self, out: &mut O)
    where
        R: ReadInto<O>,
    {
        self.end();
        self.reader.abandon(out);
    }

    /// Reads the next event.
    pub(crate) fn poll_step<O>(
        &mut self,
        cx: &mut Context<'_>,
        delivery: Delivery,
        out: &mut O,
    ) -> Poll<Result<Step, CallError>>
    where
        R: ReadInto<O>,
    {
        let outcome = match &mut self.call {
            CallState::Waiting(waiting) => {
                self.permit = Some(ready!(waiting.poll_unpin(cx)));
                self.retries = self.spec.client.retry_state();
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
                            return self.read_elsewhere(data, cx, delivery, out);
                        }
                        self.work += work;
                        self.reader.event(data, out)
                    }
                    Some(Err(failure)) => Err(failure),
                    // A complete answer ends with its last event.
                    None => Err(UpstreamError::Disconnected { cause: "end of stream".to_owned() }),
                },
            },
            CallState::Rebuilding(remaking) => {
                let (body, failure) = ready!(remaking.poll_unpin(cx));
                return Poll::Ready(self.send_rebuilt(body, failure));
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
                    Ok((reader, buffer, outcome)) => {
                        self.reader = reader;
                        R::give(buffer, out);
                        outcome
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
                if progress != Progress::Waiting && delivery == Delivery::Streaming {
                    self.body = None;
                }
                if progress == Progress::Ended && !matches!(self.call, CallState::Closed) {
                    self.remember();
                    self.close();
                }
                Ok(Step::Read(progress))
            }
            Err(failure) => {
                let code = failure.code().into_owned();
                let outcome = self.fail(failure, delivery);
                self.spec.metrics.call_failed(&code, outcome.is_ok());
                outcome
            }
        })
    }

    /// Reads an event that takes long on a blocking thread.
    fn read_elsewhere<O>(
        &mut self,
        data: String,
        cx: &mut Context<'_>,
        delivery: Delivery,
        out: &mut O,
    ) -> Poll<Result<Step, CallError>>
    where
        R: ReadInto<O>,
    {
        let stand_in = self.reader.stand_in();
        let mut reader = std::mem::replace(&mut self.reader, stand_in);
        let mut buffer = R::buffer(out);
        let reading = spawn_blocking(move || {
            let outcome = reader.buffered_event(&data, &mut buffer);
            (reader, buffer, outcome)
        });
        self.call = match std::mem::replace(&mut self.call, CallState::Closed) {
            CallState::Open(events) => CallState::Reading(reading, events),
            call => call,
        };
        self.poll_step(cx, delivery, out)
    }

    /// Retries the call if that may help and is still possible.
    fn fail(&mut self, failure: UpstreamError, delivery: Delivery) -> Result<Step, CallError> {
        let can_retry = match delivery {
            Delivery::Buffered => true,
            // A reader that has begun, or was abandoned, has delivered something.
            Delivery::Streaming => !self.reader.has_begun(),
        };
        if !can_retry {
            self.end();
            // What was sent belongs to the last attempt.
            return Err(self.failed(failure, 1));
        }
        if let Some(without_replay) = self.take_without_replay(&failure) {
            let remaking = async move { (without_replay().await.map(RequestBody::from), failure) };
            // The previous call is dropped here.
            self.call = CallState::Rebuilding(remaking.boxed());
            self.reader = self.reader.fresh();
            return Ok(Step::Retrying);
        }
        self.send_again(failure)
    }

    /// If the backend rejects replayed items, forgets them and continues without. That happens at
    /// most once: the new request has none.
    fn take_without_replay(&mut self, failure: &UpstreamError) -> Option<WithoutReplay> {
        let replay = self.spec.replay.as_ref()?;
        let body = self.body.as_mut()?;
        let without_replay = body.without_replay.take_if(|_| failure.rejects_replayed_items())?;
        replay.memory.forget(&replay.recalled);
        Some(without_replay)
    }

    /// Sends the rebuilt request, if it differs from the failed one.
    fn send_rebuilt(
        &mut self,
        body: Option<RequestBody>,
        failure: UpstreamError,
    ) -> Result<Step, CallError> {
        match (body, self.body.as_mut()) {
            (Some(body), Some(sent)) if body != sent.body => sent.body = body,
            _ => return self.send_again(failure),
        }
        let (reason, upstream_request_id) = (failure.log_reason(), self.request_id_of(&failure));
        tracing::info!(reason, upstream_request_id, "retrying without remembered turns");
        self.head = Head::default();
        self.call = self.opening(Duration::ZERO);
        Ok(Step::Retrying)
    }

    /// Retries the call after a pause, if that may help.
    fn send_again(&mut self, failure: UpstreamError) -> Result<Step, CallError> {
        let Some(pause) = self.retries.next(&failure) else {
            self.end();
            return Err(self.failed(failure, self.retries.attempts()));
        };
        let (attempt, pause_ms) = (self.retries.attempts(), pause.as_secs_f64() * 1000.0);
        let (reason, upstream_request_id) = (failure.log_reason(), self.request_id_of(&failure));
        tracing::info!(attempt, pause_ms, reason, upstream_request_id, "the call failed; retrying");
        // The previous call is dropped here, and not after the pause.
        self.head = Head::default();
        self.call = self.opening(pause);
        self.reader = self.reader.fresh();
        Ok(Step::Retrying)
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
        id.filter(|id| is_plain_name(id))
    }

    /// The call, after a pause. A call that the client has seen parts of is not repeated.
    fn opening(&self, pause: Duration) -> CallState<R> {
        match &self.body {
            Some(body) => CallState::Opening(self.spec.send(body.body.clone(), pause)),
            None => CallState::Closed,
        }
    }

    /// Remembers the answer, if it is complete.
    fn remember(&self) {
        if let Some(replay) = &self.spec.replay
            && let Some(mut turn) = self.reader.turn()
        {
            turn.turn_state.clone_from(&self.head.turn_state);
            let scope = &replay.scope;
            let key = match turn.first_call() {
                Some(id) => scope.key_of_call(id),
                None => scope.key_of_text(replay.history, &turn.text),
            };
            replay.memory.remember(key, turn);
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
    fn end(&mut self) -> CallState<R> {
        self.permit = None;
        std::mem::replace(&mut self.call, CallState::Closed)
    }
}
