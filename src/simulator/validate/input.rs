//! The items of `input`, one by one.

use serde_json::Value;

use super::shapes::{ASSISTANT_PARTS, INPUT_PARTS, ITEMS, SUMMARY_PARTS, Shape, TOOL_PARTS};
use super::{Checked, Object, images, name, object, one_of, string};
use crate::simulator::refusal::Refusal;

/// Ids and call ids.
const ID_LIMIT: usize = 64;
const NAME_LIMIT: usize = 128;

pub(super) fn check(items: &[Value]) -> Checked {
    if items.is_empty() {
        return Err(Refusal::invalid(
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must \
             be provided.",
            Some("input"),
            Some("missing_required_parameter"),
        ));
    }
    for (index, value) in items.iter().enumerate() {
        item(value, &format!("input[{index}]"))?;
    }
    let trigger = items.iter().position(|item| item["type"] == "compaction_trigger");
    if trigger.is_some_and(|at| at + 1 < items.len()) {
        let text = "The 'compaction_trigger' item must be the final input item.";
        return Err(Refusal::invalid(text, Some("input"), None));
    }
    Ok(())
}

fn item(value: &Value, path: &str) -> Checked {
    let item = object(value, path)?;
    // An item without a type but with a role is a message.
    let kind = match item.get("type") {
        None if item.contains_key("role") => "message",
        None => return Err(Refusal::missing(&format!("{path}.type"))),
        Some(kind) => string(kind, &format!("{path}.type"), None)?,
    };
    let shape = shape(ITEMS, kind, path)?;
    keys(item, shape, path)?;
    id(item, shape, path)?;
    if let Some(call_id) = item.get("call_id") {
        let path = format!("{path}.call_id");
        if string(call_id, &path, Some(ID_LIMIT))?.is_empty() {
            let message = format!(
                "Invalid '{path}': empty string. Expected a string with minimum length 1, but \
                 got an empty string instead."
            );
            return Err(Refusal::invalid(&message, Some(&path), Some("empty_string")));
        }
    }
    match kind {
        "message" => message(item, path),
        "reasoning" => parts(&item["summary"], &format!("{path}.summary"), SUMMARY_PARTS),
        "function_call" => {
            name(&item["name"], &format!("{path}.name"), NAME_LIMIT)?;
            string(&item["arguments"], &format!("{path}.arguments"), None).map(drop)
        }
        "custom_tool_call" => {
            name(&item["name"], &format!("{path}.name"), NAME_LIMIT)?;
            string(&item["input"], &format!("{path}.input"), None).map(drop)
        }
        "function_call_output" | "custom_tool_call_output" => {
            content(&item["output"], &format!("{path}.output"), TOOL_PARTS)
        }
        "web_search_call" => match item.get("action") {
            None => Ok(()),
            Some(action) => one_of(
                &action["type"],
                &format!("{path}.action.type"),
                &["search", "open_page", "find_in_page"],
            ),
        },
        _ => Ok(()),
    }
}

fn message(item: &Object, path: &str) -> Checked {
    let role = format!("{path}.role");
    one_of(&item["role"], &role, &["assistant", "system", "developer", "user"])?;
    let assistant = item["role"] == "assistant";
    if let Some(phase) = item.get("phase").filter(|phase| !phase.is_null()) {
        one_of(phase, &format!("{path}.phase"), &["commentary", "final_answer"])?;
    }
    let allowed = if assistant { ASSISTANT_PARTS } else { INPUT_PARTS };
    content(&item["content"], &format!("{path}.content"), allowed)
}

/// A string or a list of parts.
fn content(value: &Value, path: &str, allowed: &[Shape]) -> Checked {
    match value {
        Value::String(_) => Ok(()),
        Value::Array(_) => parts(value, path, allowed),
        other => Err(Refusal::mistyped(path, "a string or an array", other)),
    }
}

fn parts(value: &Value, path: &str, allowed: &[Shape]) -> Checked {
    let Value::Array(parts) = value else {
        return Err(Refusal::mistyped(path, "an array", value));
    };
    for (index, value) in parts.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let part = object(value, &path)?;
        let kind = part.get("type").ok_or_else(|| Refusal::missing(&format!("{path}.type")))?;
        let kind = string(kind, &format!("{path}.type"), None)?;
        let shape = shape(allowed, kind, &path)?;
        keys(part, shape, &path)?;
        for key in ["text", "refusal", "filename"] {
            if let Some(text) = part.get(key) {
                string(text, &format!("{path}.{key}"), None)?;
            }
        }
        match kind {
            "input_image" => images::check(part, &path)?,
            "input_file" => images::check_file(part, &path)?,
            _ => {}
        }
    }
    Ok(())
}

fn shape<'a>(shapes: &'a [Shape], kind: &str, path: &str) -> Result<&'a Shape, Refusal> {
    shapes.iter().find(|shape| shape.kind == kind).ok_or_else(|| {
        let supported: Vec<&str> = shapes.iter().map(|shape| shape.kind).collect();
        Refusal::unlisted(&format!("{path}.type"), kind, &supported)
    })
}

fn keys(object: &Object, shape: &Shape, path: &str) -> Checked {
    if let Some(key) = object.keys().find(|key| !shape.knows(key)) {
        return Err(Refusal::unknown(&format!("{path}.{key}")));
    }
    match shape.required.iter().find(|key| !object.contains_key(**key)) {
        Some(key) => Err(Refusal::missing(&format!("{path}.{key}"))),
        None => Ok(()),
    }
}

fn id(item: &Object, shape: &Shape, path: &str) -> Checked {
    let Some(id) = item.get("id").filter(|id| !id.is_null()) else {
        return Ok(());
    };
    let path = format!("{path}.id");
    let id = string(id, &path, Some(ID_LIMIT))?;
    if shape.kind == "item_reference" {
        return Err(not_found(id));
    }
    match shape.id {
        Some(prefix) if !id.starts_with(prefix) => {
            let message =
                format!("Invalid '{path}': '{id}'. Expected an ID that begins with '{prefix}'.");
            Err(Refusal::invalid(&message, Some(&path), Some("invalid_value")))
        }
        _ => Ok(()),
    }
}

/// Nothing is stored, so nothing can be referred to.
pub(super) fn not_found(id: &str) -> Refusal {
    let message = format!(
        "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try \
         again with `store` set to true, or remove this item from your input."
    );
    Refusal::error(
        axum::http::StatusCode::NOT_FOUND,
        "invalid_request_error",
        &message,
        Some("input"),
        None,
    )
}
