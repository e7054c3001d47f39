//! An answer in one piece.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::choice::{CallSpec, Choice, RetryableBody, Shown, Step};
use crate::chat::completion::CompletionBuilder;
use crate::chat::delta::{Delta, Sink};
use crate::server::budget::{Alone, Budget, Exhausted, Reservation};
use crate::upstream::{CallError, Permits};

/// How much of an answer is held without being counted: nearly all answers are smaller.
const MIN_COUNTED: usize = 256 << 10;

/// How often a text is in memory before it goes out: as it is read, as it is gathered, and as JSON.
const COPIES: usize = 3;

/// What was gathered, and the memory that it takes up.
pub(super) struct Gathered {
    pub(super) choices: Vec<(Choice, CompletionBuilder)>,
    /// How many bytes of text it has.
    pub(super) size: usize,
    pub(super) reservation: Reservation,
}

/// Why there is no whole answer.
pub(super) enum Ended {
    Failed(CallError),
    /// There is no memory to gather it in.
    Exhausted(Exhausted),
}

impl From<CallError> for Ended {
    fn from(failed: CallError) -> Self {
        Self::Failed(failed)
    }
}

/// One choice and what was gathered of it.
struct Part {
    choice: Choice,
    gathered: Counted,
}

/// A gatherer that knows how much it holds.
#[derive(Default)]
struct Counted {
    gatherer: CompletionBuilder,
    size: usize,
}

impl Sink for Counted {
    fn delta(&mut self, delta: Delta<'_>) {
        self.size += match delta {
            Delta::Content(text)
            | Delta::Reasoning(text)
            | Delta::Refusal(text)
            | Delta::Arguments { text, .. }
            | Delta::Image { url: text, .. } => text.len(),
            Delta::Call { id, name, .. } => id.len() + name.len(),
            // They repeat what the backend has said in its last event, whose size has a limit.
            Delta::ReasoningDetails(_) | Delta::Annotations(_) | Delta::Finish(_) => 0,
        };
        self.gatherer.delta(delta);
    }

    fn can_take_back(&self) -> bool {
        self.gatherer.can_take_back()
    }

    fn take_back(&mut self) {
        self.gatherer.take_back();
        self.size = 0;
    }
}

/// How far gathering has come.
enum Progress {
    Whole,
    /// It goes on when there is memory for what there is.
    Full,
}

/// Reads all choices to their ends, side by side. Dropping the future cancels the calls.
pub(super) async fn collect(
    spec: &Arc<CallSpec>,
    retryable: &RetryableBody,
    permits: &Arc<Permits>,
    budget: &Budget,
) -> Result<Gathered, Ended> {
    let count = spec.plan.choices;
    let part =
        |_| Part { choice: Choice::new(spec, retryable, permits), gathered: Counted::default() };
    let mut parts: Vec<_> = (0..count).map(part).collect();
    let mut reservation = budget.nothing();
    loop {
        let room = MIN_COUNTED.max(reservation.bytes() / COPIES);
        match poll_fn(|cx| poll_parts(cx, &mut parts, room)).await? {
            Progress::Whole => break,
            Progress::Full => {
                // As with a vector: twice as much each time, so that it is asked for rarely.
                let wanted = COPIES * 2 * size(&parts).max(room);
                reservation.grow(wanted, Alone::Refused).await.map_err(Ended::Exhausted)?;
            }
        }
    }
    let size = size(&parts);
    let choices = parts.into_iter().map(|part| (part.choice, part.gathered.gatherer)).collect();
    Ok(Gathered { choices, size, reservation })
}

fn size(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.gathered.size).sum()
}

fn poll_parts(
    cx: &mut Context<'_>,
    parts: &mut [Part],
    room: usize,
) -> Poll<Result<Progress, CallError>> {
    let mut is_pending = false;
    let mut total = size(parts);
    for Part { choice, gathered } in parts {
        while !choice.has_ended() {
            if total > room {
                return Poll::Ready(Ok(Progress::Full));
            }
            let before = gathered.size;
            match choice.poll_step(cx, Shown::AtTheEnd, gathered) {
                Poll::Ready(Ok(Step::Read(_))) => total = total - before + gathered.size,
                Poll::Ready(Ok(Step::Restarted)) => {
                    *gathered = Counted::default();
                    total -= before;
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => {
                    is_pending = true;
                    break;
                }
            }
        }
    }
    if is_pending { Poll::Pending } else { Poll::Ready(Ok(Progress::Whole)) }
}
