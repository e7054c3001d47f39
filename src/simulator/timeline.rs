//! The whole of an answer as events, and where it breaks off.

use serde_json::{Value, json};

use super::answer_plan::Item;
use super::directive::{Directives, FaultKind, Shape};
use super::envelope::{Envelope, Status};
use super::failure;
use super::ids::Ids;
use super::item_events::{self, ItemEvents, Style};
use super::limits;
use super::log::Outcome;
use super::request::Request;
use super::usage::Usage;

/// Events in order, and what comes after the last.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) events: Vec<Value>,
    pub(super) ending: Ending,
}

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it should, which says nothing about what was in it.
    Close(Outcome),
    /// The connection breaks.
    Abort,
    /// Silence until the client leaves.
    Stall,
}

/// What the script is made for.
pub(super) struct Scene<'a> {
    pub(super) request: Request<'a>,
    pub(super) directives: &'a Directives,
    pub(super) input_tokens: u64,
    pub(super) cached_tokens: u64,
    /// Whether `response.completed` leaves `output` empty.
    pub(super) complete_output_empty: bool,
}

/// Writes the answer made of `items`.
pub(super) fn write(
    scene: &Scene<'_>,
    items: &[Item],
    fault: Option<&FaultKind>,
    ids: &mut Ids,
) -> Timeline {
    let envelope = Envelope::new(scene.request, &ids.next("resp"), &ids.uuid());
    let pieces = pieces(scene, items, ids);
    let mut usage =
        Usage { input: scene.input_tokens, cached: scene.cached_tokens, ..Usage::default() };
    for piece in &pieces {
        usage.output += piece.output_tokens;
        usage.reasoning += piece.reasoning_tokens;
    }
    let output: Vec<Value> = if scene.complete_output_empty {
        Vec::new()
    } else {
        pieces.iter().map(|piece| piece.item.clone()).collect()
    };

    let mut events = vec![
        envelope.event("response.created", Status::InProgress),
        envelope.event("response.in_progress", Status::InProgress),
    ];
    events.extend(body(pieces, scene.directives));
    events.push(match &scene.directives.incomplete {
        None => envelope.event("response.completed", Status::Completed { output: &output, usage }),
        Some(cut) => envelope.event(
            "response.incomplete",
            Status::Incomplete { reason: cut.reason, output: &output, usage },
        ),
    });

    let ending = fault.map_or(Ending::Close(Outcome::Completed), |fault| {
        break_off(&mut events, fault, &envelope)
    });
    if scene.directives.rate_limits_first {
        events.insert(0, limits::event());
    }
    number(&mut events);
    Timeline { events, ending }
}

/// A stream that fails with its first event.
pub(super) fn blocked(scene: &Scene<'_>, code: &str, ids: &mut Ids) -> Timeline {
    let fault =
        FaultKind::Fail { code: code.to_owned(), shape: Shape::Failed, after: 0, first: true };
    write(scene, &[], Some(&fault), ids)
}

fn pieces(scene: &Scene<'_>, items: &[Item], ids: &mut Ids) -> Vec<ItemEvents> {
    let request = scene.request;
    let seal = |id: &str| request.wants_sealed_reasoning().then(|| request.owner.seal(id));
    let last = items.len().saturating_sub(1);
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let cut = scene.directives.incomplete.as_ref().filter(|_| index == last);
            let style = Style {
                deltas: scene.directives.deltas,
                keep: cut.and_then(|cut| cut.after),
                incomplete: cut.is_some(),
                done_only: scene.directives.done_only,
            };
            item_events::write(item, index, ids, style, seal)
        })
        .collect()
}

/// The pieces one after the other, or with the deltas of calls taking turns.
fn body(pieces: Vec<ItemEvents>, directives: &Directives) -> Vec<Value> {
    let mut events = Vec::new();
    let sprinkle = |events: &mut Vec<Value>| {
        if directives.keepalive {
            events.push(json!({ "type": "keepalive" }));
        }
        if directives.unknown {
            let metadata = json!({ "openai_chatgpt_moderation_metadata": {} });
            events.push(json!({ "type": "response.metadata", "metadata": metadata }));
            events.push(json!({ "type": "response.simulated.news", "delta": "not for clients" }));
        }
    };
    sprinkle(&mut events);
    let mut calls: Vec<ItemEvents> = Vec::new();
    for mut piece in pieces {
        let is_call = piece.item.get("call_id").is_some();
        if directives.interleave && is_call {
            events.append(&mut piece.opening);
            calls.push(piece);
            continue;
        }
        events.append(&mut piece.opening);
        events.append(&mut piece.deltas);
        events.append(&mut piece.closing);
        sprinkle(&mut events);
    }
    let longest = calls.iter().map(|piece| piece.deltas.len()).max().unwrap_or(0);
    for turn in 0..longest {
        events.extend(calls.iter().filter_map(|piece| piece.deltas.get(turn).cloned()));
    }
    events.extend(calls.into_iter().flat_map(|piece| piece.closing));
    events
}

/// Cuts the events where the fault happens, adds those that tell of it, and says how it ends.
fn break_off(events: &mut Vec<Value>, fault: &FaultKind, envelope: &Envelope) -> Ending {
    match fault {
        FaultKind::Cut { after } => {
            events.truncate(position(events, *after));
            Ending::Abort
        }
        FaultKind::Stall { after } => {
            events.truncate(position(events, *after));
            Ending::Stall
        }
        FaultKind::End { after } => {
            events.truncate(position(events, *after));
            Ending::Close(Outcome::Failed)
        }
        FaultKind::Fail { code, shape, after, first } => {
            let at = if *first { 0 } else { position(events, *after) };
            events.truncate(at);
            let failed = |error| envelope.event("response.failed", Status::Failed { error });
            let message = failure::message(code);
            match shape {
                Shape::Pair => {
                    events.push(failure::nested(code));
                    events.push(failed(Some((code, message))));
                }
                Shape::Failed => events.push(failed(Some((code, message)))),
                Shape::Empty => events.push(failed(None)),
                Shape::Flat => events.push(failure::flat(code)),
                Shape::Nested => events.push(failure::nested(code)),
                Shape::Text => events.push(json!({ "type": "error", "error": message })),
            }
            Ending::Close(Outcome::Failed)
        }
        // These never become a stream of events.
        FaultKind::Status { .. } | FaultKind::Html | FaultKind::Json => {
            Ending::Close(Outcome::Failed)
        }
    }
}

/// The place behind so many deltas of text or arguments; behind the opening events for none, and
/// before the last event if there are fewer.
fn position(events: &[Value], after: usize) -> usize {
    if after == 0 {
        return 2.min(events.len());
    }
    let deltas = events.iter().enumerate().filter(|(_, event)| is_delta(event));
    deltas.map(|(at, _)| at + 1).nth(after - 1).unwrap_or(events.len().saturating_sub(1))
}

fn is_delta(event: &Value) -> bool {
    matches!(
        event["type"].as_str(),
        Some(
            "response.output_text.delta"
                | "response.refusal.delta"
                | "response.function_call_arguments.delta"
                | "response.custom_tool_call_input.delta"
        )
    )
}

/// Numbers the events without a gap. `codex.rate_limits` is not counted.
fn number(events: &mut [Value]) {
    let counted = events.iter_mut().filter(|event| event["type"] != "codex.rate_limits");
    for (sequence, event) in counted.enumerate() {
        event["sequence_number"] = json!(sequence);
    }
}
