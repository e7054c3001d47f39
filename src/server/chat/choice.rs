//! One choice of an answer: a call to the backend, read as it comes, and sent again if it fails
//! before anything of it was shown.

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
use crate::conversation::TurnMemory;
use crate::conversation::{Key, Scope};
use crate::credentials::Login;
use crate::metrics::Metrics;
use crate::server::error::is_printable;
use crate::translate::plan::Plan;
use crate::translate::response::{Progress, ReadError, Reader};
use crate::upstream::{
    CallError, CallPermit, Client, Events, Head, Permits, RequestBody, RetryState, UpstreamError,
};

/// How to send a request, and how to read the answer.
#[derive(Debug)]
pub(super) struct CallSpec {
    pub(super) client: Client,
    /// The login that the request was made for.
    pub(super) login: Arc<Login>,
    pub(super) metrics: Metrics,
    /// How large the request is that is sent.
    pub(super) prompt_bytes: usize,
    pub(super) conversation: Uuid,
    /// What pins the tool loop that goes on to a machine of the backend.
    pub(super) turn_state: Option<String>,
    pub(super) plan: Arc<Plan>,
    /// What the answer is remembered by; nothing if it is not to be.
    pub(super) continuation: Option<ReplayContext>,
    /// Nothing unless exchanges are captured.
    pub(super) tape: Option<Recording>,
}

impl CallSpec {
    /// Makes the call with this body, after a pause.
    fn send(
        self: &Arc<Self>,
        body: RequestBody,
        pause: Duration,
    ) -> BoxFuture<'static, Result<Events, UpstreamError>> {
        let order = Arc::clone(self);
        async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let (turn_state, tape) = (order.turn_state.as_deref(), order.tape.as_ref());
            let CallSpec { client, login, conversation, .. } = &*order;
            client.respond_taped(login, &body, *conversation, turn_state, tape).await
        }
        .boxed()
    }
}

/// What is sent, kept for as long as it may have to be sent again.
#[derive(Clone)]
pub(super) struct RetryableBody {
    pub(super) body: RequestBody,
    /// Makes it anew without the remembered turns in it; nothing if there are none.
    pub(super) plainly: Option<WithoutReplay>,
}

/// Makes a request without remembered turns, unless that is not possible. Long work is done on
/// another thread.
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

/// One choice under way.
pub(super) struct Choice {
    order: Arc<CallSpec>,
    /// Nothing once the call cannot be sent again.
    draft: Option<RetryableBody>,
    call: CallState,
    reader: Reader,
    tries: RetryState,
    head: Head,
    /// The right to make the call; nothing before it begins and after it is over.
    turn: Option<CallPermit>,
    /// How much work was done since others had their turn.
    work: usize,
}

enum CallState {
    /// Other choices of the same request are to end first.
    Waiting(BoxFuture<'static, CallPermit>),
    Opening(BoxFuture<'static, Result<Events, UpstreamError>>),
    Open(Box<Events>),
    /// The request is made anew without remembered turns, after this failure.
    Remaking(BoxFuture<'static, (Option<RequestBody>, UpstreamError)>),
    /// An event is read elsewhere, since that takes long.
    Reading(JoinHandle<Read>, Box<Events>),
    Closed,
}

/// An event that was read elsewhere: what reads the next one, what came of it, and how it went.
type Read = (Reader, Kept, Result<Progress, ReadError>);

/// How much work, as [`Reader::work`] has it, is done at a time. It takes a few milliseconds, in
/// which everything else on the thread waits.
const YIELD_AFTER: usize = 1 << 20;

/// What one step brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The answer is as far as this.
    Read(Progress),
    /// The call failed and is sent again: what came of the answer so far does not count.
    Restarted,
}

/// Whether what came of an answer can still be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It goes out as it comes.
    AsItComes,
    /// Nothing goes out before the end.
    AtTheEnd,
}

impl Choice {
    pub(super) fn new(order: &Arc<CallSpec>, draft: &RetryableBody, places: &Arc<Permits>) -> Self {
        let turn = places.try_acquire();
        let call = match turn {
            Some(_) => CallState::Opening(order.send(draft.body.clone(), Duration::ZERO)),
            None => CallState::Waiting(Arc::clone(places).acquire().boxed()),
        };
        Self {
            draft: Some(draft.clone()),
            call,
            reader: Reader::new(Arc::clone(&order.plan)),
            tries: order.client.retry_state(),
            head: Head::default(),
            work: 0,
            turn,
            order: Arc::clone(order),
        }
    }

    /// Whether the call is under way and nothing of the answer has come yet.
    pub(super) fn is_beginning(&self) -> bool {
        !matches!(self.call, CallState::Waiting(_)) && !self.reader.has_begun()
    }

    /// What the backend's answer says of itself.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What the headers of the backend's answer say; empty until they have come.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn has_ended(&self) -> bool {
        self.reader.progress() == Progress::Ended
    }

    /// Shows what was held back, before an error ends the answer.
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
                self.tries = self.order.client.retry_state();
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
                    // The last event of a complete answer would have ended the reading.
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
                    // The runtime is about to end.
                    Err(_) => {
                        Err(UpstreamError::Disconnected { cause: "the daemon ends".to_owned() })
                    }
                }
            }
            CallState::Closed => Ok(Progress::Ended),
        };
        Poll::Ready(match outcome {
            Ok(progress) => {
                if progress != Progress::Waiting && shown == Shown::AsItComes {
                    self.draft = None;
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
                self.order.metrics.call_failed(&code, outcome.is_ok());
                outcome
            }
        })
    }

    /// Reads an event that takes long where nobody waits for the thread.
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

    /// Sends the call again if that may help and is still possible.
    fn fail(&mut self, failure: UpstreamError, shown: Shown) -> Result<Step, CallError> {
        let is_untouched = match shown {
            Shown::AtTheEnd => true,
            // A reader that has begun, or that was given up, has shown something.
            Shown::AsItComes => !self.reader.has_begun(),
        };
        if !is_untouched {
            self.end();
            // What has gone out is of the last try, and the client knows of no other.
            return Err(self.failed(failure, 1));
        }
        if let Some(plainly) = self.take_plainly(&failure) {
            let remaking = async move { (plainly().await.map(RequestBody::from), failure) };
            // What is left of the call before ends here.
            self.call = CallState::Remaking(remaking.boxed());
            self.reader = Reader::new(Arc::clone(&self.order.plan));
            return Ok(Step::Restarted);
        }
        self.send_again(failure)
    }

    /// If the backend does not take back what was remembered, forgets it and goes on without it.
    /// That can happen once: there is nothing remembered in the request then.
    fn take_plainly(&mut self, failure: &UpstreamError) -> Option<WithoutReplay> {
        let continuation = self.order.continuation.as_ref()?;
        let draft = self.draft.as_mut()?;
        let plainly = draft.plainly.take_if(|_| failure.rejects_replayed_items())?;
        continuation.memory.forget(&continuation.recalled);
        Some(plainly)
    }

    /// Sends the request that was made anew, if it is another one than that which failed.
    fn send_remade(
        &mut self,
        body: Option<RequestBody>,
        failure: UpstreamError,
    ) -> Result<Step, CallError> {
        let draft = self.draft.as_mut();
        match (body, draft) {
            (Some(body), Some(draft)) if body != draft.body => draft.body = body,
            _ => return self.send_again(failure),
        }
        let (reason, upstream_request_id) = (failure.log_reason(), self.request_id_of(&failure));
        tracing::info!(
            reason,
            upstream_request_id,
            "the call is sent again without remembered turns"
        );
        self.head = Head::default();
        self.call = self.opening(Duration::ZERO);
        Ok(Step::Restarted)
    }

    /// Sends the call again after a pause, if that may help.
    fn send_again(&mut self, failure: UpstreamError) -> Result<Step, CallError> {
        let Some(pause) = self.tries.next(&failure) else {
            self.end();
            return Err(self.failed(failure, self.tries.attempts()));
        };
        let (attempt, pause_ms) = (self.tries.attempts(), pause.as_secs_f64() * 1000.0);
        let (reason, upstream_request_id) = (failure.log_reason(), self.request_id_of(&failure));
        tracing::info!(
            attempt,
            pause_ms,
            reason,
            upstream_request_id,
            "the call failed and is sent again"
        );
        // What is left of the call before ends here, and not after the pause.
        self.head = Head::default();
        self.call = self.opening(pause);
        self.reader = Reader::new(Arc::clone(&self.order.plan));
        Ok(Step::Restarted)
    }

    /// The end of the call.
    fn failed(&self, failure: UpstreamError, tries: u32) -> CallError {
        let upstream_request_id = self.request_id_of(&failure).map(str::to_owned);
        CallError { failure, attempts: tries, upstream_request_id }
    }

    /// The backend's id of the try that failed so: of its refusal, or of the answer in which it
    /// reported the failure. What is no id is not told, since it goes to the log.
    fn request_id_of<'f>(&'f self, failure: &'f UpstreamError) -> Option<&'f str> {
        let id = failure.request_id().or(self.head.request_id.as_deref());
        id.filter(|id| is_printable(id))
    }

    /// The call, after a pause. A call that has begun for the client is not made again.
    fn opening(&self, pause: Duration) -> CallState {
        match &self.draft {
            Some(draft) => CallState::Opening(self.order.send(draft.body.clone(), pause)),
            None => CallState::Closed,
        }
    }

    /// Remembers the answer, if it came to its own end.
    fn remember(&self) {
        if let Some(continuation) = &self.order.continuation
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
        // Dropping the events of an answer that was cut here cancels the call.
    }

    /// Lets another call begin.
    fn end(&mut self) -> CallState {
        self.turn = None;
        std::mem::replace(&mut self.call, CallState::Closed)
    }
}

/// What a fault in the events makes of the call.
fn of_fault(fault: ReadError) -> UpstreamError {
    match fault {
        ReadError::Reported(report) => UpstreamError::Reported(report),
        ReadError::InvalidEvent => UpstreamError::Damaged("an event is not valid JSON"),
        ReadError::UnfinishedCall => {
            UpstreamError::Damaged("the arguments of a call are not complete")
        }
        ReadError::Contradicted => {
            UpstreamError::Malformed("it does not agree with what came of it before".to_owned())
        }
        ReadError::TooManyItems => {
            UpstreamError::Malformed("there is no end of its parts".to_owned())
        }
    }
}
