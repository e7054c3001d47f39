//! A buffered answer: one JSON object, sent when it is complete.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use super::answer::{Identity, describe, insert, reasoning_field, total_usage};
use super::prepare::Call;
use super::reader::Choice;
use crate::chat::completion::{Completion, CompletionBuilder};
use crate::chat::delta::{Delta, Sink};
use crate::exchange::{Delivery, Step};
use crate::server::App;
use crate::server::budget::{Alone, Budget, Exhausted, Reservation};
use crate::server::error::ApiError;
use crate::server::record::Record;
use crate::service_tier::ServiceTier;
use crate::translate::response::Reader;
use crate::upstream::CallError;

/// How much of an answer is held without being counted in the budget: nearly all answers are
/// smaller.
const MIN_COUNTED: usize = 256 << 10;

/// How often a text is in memory before it goes out: as read, as collected, and as JSON.
const COPIES: usize = 3;

/// Answers with one JSON object.
pub(super) async fn respond(
    app: &App,
    call: &Call,
    identity: &Identity,
    mut record: Record,
) -> Result<Response, ApiError> {
    let answer = collect(call, &app.0.budget).await.map_err(|ended| {
        let error = match ended {
            Ended::Failed(failure) => ApiError::of_call(failure, &call.plan.paths),
            Ended::Exhausted(exhausted) => exhausted.into(),
        };
        record.failed(&error);
        error
    })?;
    let Gathered { choices, size, reservation } = answer;
    let (choices, gathered): (Vec<Choice>, Vec<CompletionBuilder>) = choices.into_iter().unzip();
    let usage = total_usage(choices.iter().map(Choice::reader), call.spec.prompt_bytes);
    let tier = choices.first().map_or(ServiceTier::Default, |c| c.reader().service_tier());
    let heading = identity.heading(tier);
    let completion = Completion::new(&heading, &gathered, usage, reasoning_field(&call.plan));
    // For most texts this is enough.
    let mut json = Vec::with_capacity(size + size / 16 + 1024);
    serde_json::to_writer(&mut json, &completion).map_err(ApiError::internal)?;
    json.push(b'\n');
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    insert(&mut headers, "openai-processing-ms", &record.elapsed().as_millis().to_string());
    describe(app, choices.first(), &mut headers);
    let head = choices.first().map(Choice::head);
    record.upstream_request_id(head.and_then(|head| head.request_id.as_deref()));
    record.first_token();
    record.answered(usage);
    drop(gathered);
    Ok((headers, reservation.hold_fitting(json)).into_response())
}

/// The collected answer and its reserved memory.
struct Gathered {
    choices: Vec<(Choice, CompletionBuilder)>,
    /// How many bytes of text it has.
    size: usize,
    reservation: Reservation,
}

/// Why there is no whole answer.
enum Ended {
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
    builder: CompletionBuilder,
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
        self.builder.delta(delta);
    }

    fn can_take_back(&self) -> bool {
        self.builder.can_take_back()
    }

    fn take_back(&mut self) {
        self.builder.take_back();
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
async fn collect(
    Call { spec, plan, body, permits }: &Call,
    budget: &Budget,
) -> Result<Gathered, Ended> {
    let part = |_| {
        let reader = Reader::new(Arc::clone(plan));
        Part { choice: Choice::new(spec, body, permits, reader), gathered: Counted::default() }
    };
    let mut parts: Vec<_> = (0..plan.choices).map(part).collect();
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
    let choices = parts.into_iter().map(|part| (part.choice, part.gathered.builder)).collect();
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
            match choice.poll_step(cx, Delivery::Buffered, gathered) {
                Poll::Ready(Ok(Step::Read(_))) => total = total - before + gathered.size,
                Poll::Ready(Ok(Step::Retrying)) => {
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
