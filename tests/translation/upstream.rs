//! What a request to the backend may look like, at every level.
//!
//! Written down a second time, apart from the types that make it, so that a change of those is
//! noticed. Schemas are the client's own and are not looked into.

use std::collections::{HashMap, HashSet};

use codex_proxy::platform::Platform;
use serde_json::{Map, Value};

type Object = Map<String, Value>;
type Checked = Result<(), String>;

/// What the Codex backend takes besides what it needs.
const OPTIONAL: [&str; 7] =
    ["tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "service_tier", "include"];

/// What the public API takes besides that.
const PUBLIC: [&str; 7] = [
    "max_output_tokens",
    "temperature",
    "top_p",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_retention",
];

/// Checks a whole request to the API that answers.
pub(crate) fn check(request: &Value, platform: Platform) -> Checked {
    let request = object(request, "the request")?;
    let (more, tiers): (&[&str], &[&str]) = match platform {
        Platform::Codex => (&[], &["priority"]),
        Platform::OpenAiApi => (&PUBLIC, &["default", "flex", "scale", "priority"]),
    };
    keys(
        request,
        "the request",
        &["model", "instructions", "prompt_cache_key", "store", "stream", "input"],
        &[&OPTIONAL, more].concat(),
    )?;
    if let Some(limit) = request.get("max_output_tokens") {
        ensure(limit.as_u64().is_some_and(|limit| limit >= 16), "max_output_tokens")?;
    }
    for name in ["user", "safety_identifier", "prompt_cache_retention"] {
        request.get(name).map_or(Ok(()), |value| text(value, name, 0, usize::MAX).map(drop))?;
    }
    for (name, most) in [("temperature", 2.0), ("top_p", 1.0)] {
        let is_within = |value: &Value| value.as_f64().is_some_and(|x| (0.0..=most).contains(&x));
        ensure(request.get(name).is_none_or(is_within), name)?;
    }
    request.get("metadata").map_or(Ok(()), |value| object(value, "metadata").map(drop))?;
    text(&request["model"], "model", 1, usize::MAX)?;
    text(&request["instructions"], "instructions", 1, usize::MAX)?;
    text(&request["prompt_cache_key"], "prompt_cache_key", 1, 64)?;
    ensure(request["store"] == false && request["stream"] == true, "store or stream is wrong")?;
    let items = list(&request["input"], "input")?;
    ensure(!items.is_empty(), "the input is empty")?;
    for item in items {
        check_item(item)?;
    }
    check_pairs(items)?;
    if let Some(tools) = request.get("tools") {
        let tools = list(tools, "tools")?;
        ensure(!tools.is_empty(), "tools are empty")?;
        for tool in tools {
            check_tool(tool)?;
        }
    } else {
        ensure(!request.contains_key("tool_choice"), "a choice without tools")?;
        ensure(!request.contains_key("parallel_tool_calls"), "parallel without tools")?;
    }
    request.get("tool_choice").map_or(Ok(()), check_choice)?;
    if let Some(reasoning) = request.get("reasoning") {
        let reasoning = object(reasoning, "reasoning")?;
        keys(reasoning, "reasoning", &[], &["effort", "summary"])?;
        ensure(!reasoning.is_empty(), "reasoning is empty")?;
    }
    if let Some(text) = request.get("text") {
        check_text(object(text, "text")?)?;
    }
    if let Some(tier) = request.get("service_tier") {
        let is_known = tier.as_str().is_some_and(|tier| tiers.contains(&tier));
        ensure(is_known, "an unknown service tier")?;
    }
    if let Some(include) = request.get("include") {
        let expected = Value::from(vec!["reasoning.encrypted_content"]);
        ensure(*include == expected, "something unknown is included")?;
    }
    Ok(())
}

fn check_item(item: &Value) -> Checked {
    let item = object(item, "an item")?;
    let kind = text(item.get("type").unwrap_or(&Value::Null), "an item's type", 1, 64)?;
    match kind {
        "message" => {
            keys(item, kind, &["type", "role", "content"], &[])?;
            let role = text(&item["role"], "role", 1, 64)?;
            let allowed: &[&str] = match role {
                "user" | "developer" => &["input_text", "input_image", "input_file"],
                "assistant" => &["output_text", "refusal"],
                other => return Err(format!("the role {other}")),
            };
            let parts = list(&item["content"], "content")?;
            ensure(!parts.is_empty(), "a message without content")?;
            parts.iter().try_for_each(|part| check_part(part, allowed))
        }
        "function_call" => {
            keys(item, kind, &["type", "call_id", "name", "arguments"], &[])?;
            name(&item["name"])?;
            text(&item["arguments"], "arguments", 1, usize::MAX).map(drop)
        }
        "custom_tool_call" => {
            keys(item, kind, &["type", "call_id", "name", "input"], &[])?;
            name(&item["name"])?;
            text(&item["input"], "input", 0, usize::MAX).map(drop)
        }
        "function_call_output" | "custom_tool_call_output" => {
            keys(item, kind, &["type", "call_id", "output"], &[])?;
            match &item["output"] {
                Value::String(_) => Ok(()),
                output => list(output, "output")?.iter().try_for_each(|part| {
                    check_part(part, &["input_text", "input_image", "input_file"])
                }),
            }
        }
        other => Err(format!("an item of type {other}")),
    }
}

fn check_part(part: &Value, allowed: &[&str]) -> Checked {
    let part = object(part, "a part")?;
    let kind = text(part.get("type").unwrap_or(&Value::Null), "a part's type", 1, 64)?;
    ensure(allowed.contains(&kind), &format!("a part of type {kind}"))?;
    match kind {
        "input_text" | "output_text" => keys(part, kind, &["type", "text"], &[]),
        "refusal" => keys(part, kind, &["type", "refusal"], &[]),
        "input_image" => {
            keys(part, kind, &["type", "image_url"], &["detail"])?;
            let url = text(&part["image_url"], "image_url", 1, usize::MAX)?.to_ascii_lowercase();
            let known = ["http://", "https://", "data:image/"];
            ensure(known.iter().any(|start| url.starts_with(start)), "an image's address")
        }
        _ if part.contains_key("file_url") => keys(part, kind, &["type", "file_url"], &[]),
        _ => {
            keys(part, kind, &["type", "filename", "file_data"], &[])?;
            let data = text(&part["file_data"], "file_data", 1, usize::MAX)?;
            ensure(data.starts_with("data:"), "a file's data")
        }
    }?;
    part.values().try_for_each(|value| text(value, "a part's field", 0, usize::MAX).map(drop))
}

/// Every call has exactly one output, of its kind, somewhere behind it.
fn check_pairs(items: &[Value]) -> Checked {
    let mut open: HashMap<&str, &str> = HashMap::new();
    let mut seen = HashSet::new();
    for item in items {
        let kind = item["type"].as_str().unwrap_or_default();
        if kind == "message" {
            continue;
        }
        let id = text(&item["call_id"], "call_id", 1, 64)?;
        if let Some(call) = kind.strip_suffix("_output") {
            let answered = open.remove(id);
            ensure(answered == Some(call), &format!("an output for {id} without such a call"))?;
        } else {
            ensure(seen.insert(id), &format!("the id {id} twice"))?;
            open.insert(id, kind);
        }
    }
    ensure(open.is_empty(), &format!("calls without output: {open:?}"))
}

fn check_tool(tool: &Value) -> Checked {
    let tool = object(tool, "a tool")?;
    let kind = text(tool.get("type").unwrap_or(&Value::Null), "a tool's type", 1, 64)?;
    match kind {
        "function" => {
            keys(tool, kind, &["type", "name", "parameters", "strict"], &["description"])?;
            name(&tool["name"])?;
            ensure(tool["strict"].is_boolean(), "strict is not a boolean")?;
            let parameters = object(&tool["parameters"], "parameters")?;
            ensure(parameters.contains_key("type"), "parameters without a type")?;
            ensure(parameters.contains_key("properties"), "parameters without properties")
        }
        "custom" => {
            keys(tool, kind, &["type", "name"], &["description", "format"])?;
            name(&tool["name"])?;
            let Some(format) = tool.get("format") else { return Ok(()) };
            let format = object(format, "format")?;
            match format.get("type").and_then(Value::as_str) {
                Some("text") => keys(format, "format", &["type"], &[]),
                _ => keys(format, "format", &["type", "syntax", "definition"], &[]),
            }
        }
        "web_search" => {
            keys(tool, kind, &["type"], &["search_context_size", "user_location", "filters"])?;
            if let Some(place) = tool.get("user_location") {
                let place = object(place, "user_location")?;
                keys(place, "place", &["type"], &["country", "region", "city", "timezone"])?;
                without_null(&tool["user_location"])?;
            }
            if let Some(filters) = tool.get("filters") {
                keys(object(filters, "filters")?, "filters", &[], &["allowed_domains"])?;
                without_null(filters)?;
            }
            Ok(())
        }
        "image_generation" => {
            keys(
                tool,
                kind,
                &["type"],
                &[
                    "background",
                    "input_fidelity",
                    "model",
                    "moderation",
                    "output_compression",
                    "output_format",
                    "quality",
                    "size",
                ],
            )?;
            tool.values().try_for_each(|value| ensure(!value.is_null(), "null in a tool"))
        }
        other => Err(format!("a tool of type {other}")),
    }
}

fn check_choice(choice: &Value) -> Checked {
    let check_name = |tool: &Value| {
        let tool = object(tool, "a chosen tool")?;
        match tool.get("type").and_then(Value::as_str) {
            Some("web_search" | "image_generation") => keys(tool, "a chosen tool", &["type"], &[]),
            Some("function" | "custom") => {
                keys(tool, "a chosen tool", &["type", "name"], &[])?;
                name(&tool["name"])
            }
            _ => Err(format!("a chosen tool's type: {tool:?}")),
        }
    };
    match choice {
        Value::String(word) => {
            ensure(["none", "auto", "required"].contains(&word.as_str()), "a choice's word")
        }
        Value::Object(choice) if choice.get("type") == Some(&"allowed_tools".into()) => {
            keys(choice, "tool_choice", &["type", "mode", "tools"], &[])?;
            list(&choice["tools"], "allowed tools")?.iter().try_for_each(check_name)
        }
        other => check_name(other),
    }
}

fn check_text(text: &Object) -> Checked {
    keys(text, "text", &[], &["format", "verbosity"])?;
    ensure(!text.is_empty(), "text is empty")?;
    let Some(format) = text.get("format") else { return Ok(()) };
    let format = object(format, "format")?;
    if format.get("type") == Some(&"json_object".into()) {
        return keys(format, "format", &["type"], &[]);
    }
    keys(format, "format", &["type", "name", "schema", "strict"], &["description"])?;
    ensure(format["type"] == "json_schema", "a format's type")?;
    ensure(format["strict"].is_boolean(), "strict is not a boolean")?;
    object(&format["schema"], "schema")?;
    name(&format["name"])
}

fn without_null(value: &Value) -> Checked {
    match value {
        Value::Null => Err("null".to_owned()),
        Value::Array(values) => values.iter().try_for_each(without_null),
        Value::Object(fields) => fields.values().try_for_each(without_null),
        _ => Ok(()),
    }
}

/// All of the required keys and none but these and the optional ones; none of them null.
fn keys(object: &Object, what: &str, required: &[&str], optional: &[&str]) -> Checked {
    for (key, value) in object {
        let is_known = required.contains(&key.as_str()) || optional.contains(&key.as_str());
        ensure(is_known, &format!("{what} has {key}"))?;
        ensure(!value.is_null(), &format!("{what} has {key}: null"))?;
    }
    let missing = required.iter().find(|key| !object.contains_key(**key));
    missing.map_or(Ok(()), |key| Err(format!("{what} lacks {key}")))
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Object, String> {
    value.as_object().ok_or_else(|| format!("{what} is no object: {value}"))
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], String> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{what} is no array: {value}"))
}

fn text<'a>(value: &'a Value, what: &str, min: usize, max: usize) -> Result<&'a str, String> {
    let text = value.as_str().ok_or_else(|| format!("{what} is no string: {value}"))?;
    let length = text.chars().count();
    ensure((min..=max).contains(&length), &format!("{what} has {length} characters"))?;
    Ok(text)
}

fn name(value: &Value) -> Checked {
    let name = text(value, "a name", 1, 64)?;
    let is_legal = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    ensure(is_legal, &format!("the name {name}"))
}

fn ensure(holds: bool, otherwise: &str) -> Checked {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
