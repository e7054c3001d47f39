//! The backend's events, in the shapes that were recorded of the real one.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::mark::Mark;

/// One event as it goes over the wire.
pub(crate) fn wire(event: &Value) -> Bytes {
    let kind = event["type"].as_str().unwrap();
    format!("event: {kind}\ndata: {event}\n\n").into()
}

/// How every answer begins.
pub(crate) fn beginning(mark: Mark) -> Vec<Value> {
    let response = json!({"id": format!("resp_{mark}"), "object": "response",
        "created_at": 1_780_000_000, "status": "in_progress", "error": null, "model": "gpt-5.5",
        "output": [], "service_tier": "auto", "usage": null});
    vec![
        json!({"type": "response.created", "response": response, "sequence_number": 0}),
        json!({"type": "response.in_progress", "response": response, "sequence_number": 1}),
    ]
}

/// A thought, sealed and summarised, at this place of the output.
pub(crate) fn thought(mark: Mark, index: usize) -> Vec<Value> {
    let (id, text) = (format!("rs_{index}_{mark}"), format!("Thinking of {mark}"));
    let part = |text: &str| json!({"type": "summary_text", "text": text});
    let at = |event: Value| with(event, json!({"output_index": index, "summary_index": 0}));
    vec![
        json!({"type": "response.output_item.added", "output_index": index,
            "item": {"id": id, "type": "reasoning", "summary": []}}),
        at(json!({"type": "response.reasoning_summary_part.added", "item_id": id,
            "part": part("")})),
        at(json!({"type": "response.reasoning_summary_text.delta", "item_id": id, "delta": text})),
        at(json!({"type": "response.reasoning_summary_text.done", "item_id": id, "text": text})),
        at(json!({"type": "response.reasoning_summary_part.done", "item_id": id,
            "part": part(&text)})),
        json!({"type": "response.output_item.done", "output_index": index, "item": {"id": id,
            "type": "reasoning", "summary": [part(&text)],
            "encrypted_content": format!("gAAAAA{mark}")}}),
    ]
}

/// The message up to its text.
pub(crate) fn message(mark: Mark, index: usize) -> Vec<Value> {
    let id = format!("msg_{index}_{mark}");
    vec![
        json!({"type": "response.output_item.added", "output_index": index, "item": {"id": id,
            "type": "message", "status": "in_progress", "role": "assistant", "content": []}}),
        json!({"type": "response.content_part.added", "output_index": index, "item_id": id,
            "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}),
    ]
}

/// A piece of its text.
pub(crate) fn delta(mark: Mark, index: usize, text: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": index, "content_index": 0,
        "item_id": format!("msg_{index}_{mark}"), "delta": text, "obfuscation": "x9"})
}

/// The end of the message.
pub(crate) fn message_done(mark: Mark, index: usize, text: &str) -> Vec<Value> {
    let id = format!("msg_{index}_{mark}");
    let part = json!({"type": "output_text", "text": text, "annotations": []});
    let at = |event: Value| {
        with(event, json!({"output_index": index, "content_index": 0, "item_id": id}))
    };
    vec![
        at(json!({"type": "response.output_text.done", "text": text})),
        at(json!({"type": "response.content_part.done", "part": part})),
        json!({"type": "response.output_item.done", "output_index": index, "item": {"id": id,
            "type": "message", "status": "completed", "role": "assistant", "content": [part]}}),
    ]
}

/// Tool calls side by side from this place of the output on: a piece of the arguments of each in
/// turn, and their ends in the opposite order.
pub(crate) fn calls(mark: Mark, index: usize, calls: &[(String, Vec<String>)]) -> Vec<Value> {
    let item = |number: usize, arguments: &str, status: &str| {
        json!({"id": format!("fc_{number}_{mark}"), "type": "function_call", "status": status,
            "call_id": format!("call_{number}_{mark}"), "name": calls[number].0,
            "arguments": arguments})
    };
    let mut events = Vec::new();
    for number in 0..calls.len() {
        events.push(json!({"type": "response.output_item.added", "output_index": index + number,
            "item": item(number, "", "in_progress")}));
    }
    let longest = calls.iter().map(|(_, pieces)| pieces.len()).max().unwrap_or_default();
    for piece in 0..longest {
        for (number, (_, pieces)) in calls.iter().enumerate() {
            if let Some(text) = pieces.get(piece) {
                events.push(json!({"type": "response.function_call_arguments.delta",
                    "output_index": index + number, "item_id": format!("fc_{number}_{mark}"),
                    "delta": text}));
            }
        }
    }
    for (number, (_, pieces)) in calls.iter().enumerate().rev() {
        let arguments = pieces.concat();
        events.push(json!({"type": "response.function_call_arguments.done",
            "output_index": index + number, "item_id": format!("fc_{number}_{mark}"),
            "arguments": arguments}));
        events.push(json!({"type": "response.output_item.done", "output_index": index + number,
            "item": item(number, &arguments, "completed")}));
    }
    events
}

/// The end, with what was used.
pub(crate) fn end(mark: Mark, reason: Option<&str>) -> Value {
    let status = if reason.is_some() { "incomplete" } else { "completed" };
    let details = reason.map(|reason| json!({ "reason": reason }));
    json!({"type": format!("response.{status}"), "response": {"id": format!("resp_{mark}"),
        "object": "response", "status": status, "error": null, "incomplete_details": details,
        "model": "gpt-5.5", "output": [], "service_tier": "default", "usage": {
            "input_tokens": 20, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 10,
            "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 30}}})
}

/// The end of an answer that failed.
pub(crate) fn failed(mark: Mark, code: &str) -> Value {
    json!({"type": "response.failed", "response": {"id": format!("resp_{mark}"),
        "object": "response", "status": "failed",
        "error": {"code": code, "message": format!("It failed for {mark}.")}}})
}

/// The n-th piece of a long text, in whose order nothing can be missing unnoticed.
pub(crate) fn piece(mark: Mark, number: usize, length: usize) -> String {
    let mut text = format!("{mark} piece {number} ");
    let _ = write!(text, "{:·<1$}", "", length.saturating_sub(text.len()) / "·".len());
    text
}

/// An event with more members.
fn with(mut event: Value, more: Value) -> Value {
    let Value::Object(more) = more else { unreachable!("an object") };
    event.as_object_mut().unwrap().extend(more);
    event
}
