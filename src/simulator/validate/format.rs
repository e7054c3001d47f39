//! `text`: the format of the answer.

use serde_json::Value;

use super::settings::given;
use super::{Checked, Object, name, object, one_of, only, required, strict};
use crate::simulator::refusal::Refusal;

pub(super) fn check(body: &Object, items: &[Value]) -> Checked {
    let Some(text) = given(body, "text") else {
        return Ok(());
    };
    let text = object(text, "text")?;
    only(text, "text", &["format", "verbosity"])?;
    if let Some(verbosity) = given(text, "verbosity") {
        one_of(verbosity, "text.verbosity", &["low", "medium", "high"])?;
    }
    let Some(format) = given(text, "format") else {
        return Ok(());
    };
    let path = "text.format";
    let format = object(format, path)?;
    let kind = required(format, path, "type")?;
    one_of(kind, "text.format.type", &["json_object", "json_schema", "text"])?;
    match kind.as_str() {
        Some("json_schema") => check_schema(format),
        Some("json_object") => {
            only(format, path, &["type"])?;
            check_json_word(items)
        }
        _ => only(format, path, &["type"]),
    }
}

/// The word counts in messages only: `instructions` are not among them.
fn check_json_word(items: &[Value]) -> Checked {
    let says_json = |text: &str| text.to_ascii_lowercase().contains("json");
    let found = items.iter().any(|item| match &item["content"] {
        Value::String(text) => says_json(text),
        Value::Array(parts) => parts.iter().any(|p| p["text"].as_str().is_some_and(says_json)),
        _ => false,
    });
    if found {
        return Ok(());
    }
    Err(Refusal::invalid(
        "Response input messages must contain the word 'json' in some form to use 'text.format' \
         of type 'json_object'.",
        Some("input"),
        None,
    ))
}

fn check_schema(format: &Object) -> Checked {
    let path = "text.format";
    name(required(format, path, "name")?, "text.format.name", 64)?;
    only(format, path, &["type", "name", "schema", "strict", "description"])?;
    let schema = required(format, path, "schema")?;
    object(schema, "text.format.schema")?;
    let is_strict = match given(format, "strict") {
        None => false,
        Some(Value::Bool(strict)) => *strict,
        Some(other) => return Err(Refusal::mistyped("text.format.strict", "a boolean", other)),
    };
    if !is_strict {
        return Ok(());
    }
    let fault = if schema["type"] == "object" {
        strict::check(schema).err()
    } else {
        let got = schema.get("type").and_then(Value::as_str).unwrap_or("None");
        Some(format!("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{got}\"'."))
    };
    match fault {
        None => Ok(()),
        Some(fault) => {
            let title = format["name"].as_str().unwrap_or_default();
            let message = format!("Invalid schema for response_format '{title}': {fault}");
            Err(Refusal::invalid(&message, Some("text.format.schema"), Some("invalid_json_schema")))
        }
    }
}
