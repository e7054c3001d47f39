//! An answer that is not streamed.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::choice::{CallSpec, Choice, RetryableBody, Shown, Step};
use crate::chat::completion::CompletionBuilder;
use crate::chat::delta::{Delta, Sink};
use crate::server::budget::{Alone, Budget, Exhausted, Reservation};
use crate::upstream::{CallError, Permits};

/// How much of an answer is held without being counted in the budget: nearly all answers are
/// smaller.
const MIN_COUNTED: usize = 256 << 10;

/// How often a text is in memory before it goes out: as read, as collected, and as JSON.
const COPIES: usize = 3;

/// The collected answer and its reserved memory.
pub(super) struct Gathered {
    pub(super) choices: Vec<(Choice, CompletionBuilder)>,
    /// How many bytes of text it has.
    pub(super) size: usize,
    pub(super) reservation: Reservation,
}

/// Why there is no whole answer.
pub(super) enum Ended {
    Failed(CallError),
    /// There is no memory for it.
    Exhausted(Exhausted),
}

impl From<CallError> for Ended {
    fn from(failed: CallError) -> Self {
        Self::Failed(failed)
    }
}

/// One choice and its collected answer.
struct Part {
    choice: Choice,
    gathered: Counted,
}

/// A sink that counts what it holds.
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
            // They repeat the backend's last event, whose size is limited.
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

/// The progress of collecting.
enum Progress {
    Whole,
    /// Collecting continues when there is memory for it.
    Full,
}

/// Reads all choices to their ends, concurrently. Dropping the future cancels the calls.
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
                // Doubled each time, as by a vector, so that the budget is used rarely.
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
