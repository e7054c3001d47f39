//! One choice of an answer: a call to the backend, read as it comes, and sent once more if it
//! fails before anything of it was shown.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use uuid::Uuid;

use crate::chat::delta::Sink;
use crate::translate::plan::Plan;
use crate::translate::response::{Progress, Reader};
use crate::upstream::{Client, Events, Failure, Head};

/// How often a call is sent again.
const RETRIES: u32 = 1;

/// What to wait before a call is sent again: a moment for the backend to come to itself.
const PAUSE: Duration = Duration::from_millis(200);

/// What to send, and how to read the answer.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) client: Client,
    pub(super) body: Bytes,
    pub(super) conversation: Uuid,
    pub(super) plan: Arc<Plan>,
}

impl Order {
    fn send(self: &Arc<Self>) -> BoxFuture<'static, Result<Events, Failure>> {
        let order = Arc::clone(self);
        async move { order.client.respond(order.body.clone(), order.conversation).await }.boxed()
    }
}

/// One choice under way.
pub(super) struct Choice {
    order: Arc<Order>,
    call: Call,
    reader: Reader,
    retries: u32,
    head: Head,
}

enum Call {
    Opening(BoxFuture<'static, Result<Events, Failure>>),
    Open(Box<Events>),
    Closed,
}

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
    pub(super) fn new(order: &Arc<Order>) -> Self {
        Self {
            call: Call::Opening(order.send()),
            reader: Reader::new(Arc::clone(&order.plan)),
            retries: RETRIES,
            head: Head::default(),
            order: Arc::clone(order),
        }
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
        self.call = Call::Closed;
        self.reader.abandon(sink);
    }

    /// Reads the next event.
    pub(super) fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        shown: Shown,
        sink: &mut impl Sink,
    ) -> Poll<Result<Step, Failure>> {
        let outcome = match &mut self.call {
            Call::Opening(opening) => match ready!(opening.poll_unpin(cx)) {
                Ok(events) => {
                    self.head = events.head().clone();
                    self.call = Call::Open(Box::new(events));
                    Ok(self.reader.progress())
                }
                Err(failure) => Err(failure),
            },
            Call::Open(events) => match ready!(events.poll_next_unpin(cx)) {
                Some(Ok(data)) => self.reader.event(&data, sink).map_err(Failure::Reported),
                Some(Err(failure)) => Err(failure),
                // The last event of a complete answer would have ended the reading.
                None => Err(Failure::Disconnected { cause: "end of stream".to_owned() }),
            },
            Call::Closed => Ok(Progress::Ended),
        };
        Poll::Ready(match outcome {
            Ok(progress) => {
                if progress == Progress::Ended {
                    self.close();
                }
                Ok(Step::Read(progress))
            }
            Err(failure) => self.fail(failure, shown),
        })
    }

    /// Sends the call again if that may help and is still possible.
    fn fail(&mut self, failure: Failure, shown: Shown) -> Result<Step, Failure> {
        let is_untouched = match shown {
            Shown::AtTheEnd => true,
            // A reader that has begun, or that was given up, has shown something.
            Shown::AsItComes => !self.reader.has_begun(),
        };
        if self.retries == 0 || !is_untouched || !failure.is_retryable() {
            self.call = Call::Closed;
            return Err(failure);
        }
        self.retries -= 1;
        tracing::info!(%failure, "the call failed and is sent again");
        let order = Arc::clone(&self.order);
        self.call = Call::Opening(
            async move {
                tokio::time::sleep(PAUSE).await;
                order.send().await
            }
            .boxed(),
        );
        self.reader = Reader::new(Arc::clone(&self.order.plan));
        Ok(Step::Restarted)
    }

    fn close(&mut self) {
        if let Call::Open(events) = std::mem::replace(&mut self.call, Call::Closed)
            && !self.reader.was_cut()
        {
            events.finish();
        }
        // Dropping the events of an answer that was cut here cancels the call.
    }
}
