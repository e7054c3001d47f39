//! `tools` and `tool_choice`.

use serde_json::Value;

use super::settings::given;
use super::{Checked, Object, name, object, one_of, only, required, strict, string};
use crate::simulator::refusal::Refusal;

const NAME_LIMIT: usize = 128;

/// The keys of each type of tool that the backend has.
const TOOLS: &[(&str, &[&str])] = &[
    ("function", &["type", "name", "description", "strict", "parameters", "defer_loading"]),
    ("custom", &["type", "name", "description", "format", "defer_loading"]),
    (
        "web_search",
        &[
            "type",
            "external_web_access",
            "indexed_web_access",
            "filters",
            "user_location",
            "search_context_size",
            "search_content_types",
        ],
    ),
    (
        "image_generation",
        &[
            "type",
            "action",
            "background",
            "input_fidelity",
            "model",
            "moderation",
            "output_compression",
            "output_format",
            "partial_images",
            "quality",
            "size",
        ],
    ),
    ("tool_search", &["type", "execution", "description", "parameters"]),
    ("namespace", &["type", "name", "description", "tools"]),
    ("local_shell", &["type"]),
];

/// What may not stand at the top of a function's parameters.
const TOP_LEVEL: &[&str] = &["oneOf", "anyOf", "allOf", "enum", "not"];

/// The gateway's part: types of tools that it does not have.
pub(super) fn check_types(body: &Object) -> Checked {
    for tool in body.get("tools").and_then(Value::as_array).into_iter().flatten() {
        if let Some(kind) = tool["type"].as_str()
            && !TOOLS.iter().any(|(known, _)| *known == kind)
        {
            return Err(Refusal::detail(format!("Unsupported tool type: {kind}")));
        }
    }
    Ok(())
}

pub(super) fn check(body: &Object) -> Checked {
    let empty = Vec::new();
    let tools = match given(body, "tools") {
        None => &empty,
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(Refusal::mistyped("tools", "an array", other)),
    };
    for (index, tool) in tools.iter().enumerate() {
        let path = format!("tools[{index}]");
        check_tool(object(tool, &path)?, &path)?;
    }
    match given(body, "tool_choice") {
        None => Ok(()),
        Some(choice) => check_choice(choice, tools),
    }
}

fn check_tool(tool: &Object, path: &str) -> Checked {
    let kind = string(required(tool, path, "type")?, &format!("{path}.type"), None)?;
    if matches!(kind, "function" | "custom" | "namespace") {
        name(required(tool, path, "name")?, &format!("{path}.name"), NAME_LIMIT)?;
    }
    let known = TOOLS.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, keys)| keys);
    only(tool, path, known)?;
    if let Some(description) = given(tool, "description") {
        string(description, &format!("{path}.description"), None)?;
    }
    match kind {
        "function" => check_function(tool, path),
        "custom" => check_custom(tool, path),
        _ => Ok(()),
    }
}

fn check_function(tool: &Object, path: &str) -> Checked {
    let function = tool["name"].as_str().unwrap_or_default();
    let is_strict = match given(tool, "strict") {
        None => false,
        Some(Value::Bool(strict)) => *strict,
        Some(other) => {
            return Err(Refusal::mistyped(&format!("{path}.strict"), "a boolean", other));
        }
    };
    let path = format!("{path}.parameters");
    let parameters = tool.get("parameters").ok_or_else(|| Refusal::missing(&path))?;
    let refuse = |text: &str| {
        let message = format!("Invalid schema for function '{function}': {text}");
        Refusal::invalid(&message, Some(&path), Some("invalid_function_parameters"))
    };
    if parameters["type"] != "object" || TOP_LEVEL.iter().any(|key| parameters.get(key).is_some()) {
        return Err(refuse(
            "schema must have type 'object' and not have \
             'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.",
        ));
    }
    if let Some(properties) = parameters.get("properties")
        && !properties.is_object()
    {
        return Err(refuse(&format!("{properties} is not of type 'object'.")));
    }
    if is_strict {
        strict::check(parameters).map_err(|fault| refuse(&fault))?;
    }
    Ok(())
}

fn check_custom(tool: &Object, path: &str) -> Checked {
    let Some(format) = given(tool, "format") else {
        return Ok(());
    };
    let path = format!("{path}.format");
    let format = object(format, &path)?;
    let kind = required(format, &path, "type")?;
    one_of(kind, &format!("{path}.type"), &["text", "grammar"])?;
    if kind == "text" {
        return only(format, &path, &["type"]);
    }
    only(format, &path, &["type", "syntax", "definition"])?;
    one_of(required(format, &path, "syntax")?, &format!("{path}.syntax"), &["lark", "regex"])?;
    string(required(format, &path, "definition")?, &format!("{path}.definition"), None).map(drop)
}

fn check_choice(choice: &Value, tools: &[Value]) -> Checked {
    match choice {
        Value::String(mode) => {
            one_of(choice, "tool_choice", &["none", "auto", "required"])?;
            if mode == "required" && tools.is_empty() {
                return Err(refuse_choice(
                    "Tool choice 'required' must be specified with 'tools' parameter.",
                ));
            }
            Ok(())
        }
        Value::Object(choice) if choice.get("type").is_some_and(|kind| kind == "allowed_tools") => {
            only(choice, "tool_choice", &["type", "mode", "tools"])?;
            let mode = required(choice, "tool_choice", "mode")?;
            one_of(mode, "tool_choice.mode", &["auto", "required"])?;
            let allowed = required(choice, "tool_choice", "tools")?;
            let Value::Array(allowed) = allowed else {
                return Err(Refusal::mistyped("tool_choice.tools", "an array", allowed));
            };
            for (index, tool) in allowed.iter().enumerate() {
                let path = format!("tool_choice.tools[{index}]");
                check_named(object(tool, &path)?, &path, tools)?;
            }
            Ok(())
        }
        Value::Object(choice) => check_named(choice, "tool_choice", tools),
        other => Err(Refusal::mistyped("tool_choice", "a string or an object", other)),
    }
}

/// `{type, name}` of a tool that is declared.
fn check_named(choice: &Object, path: &str, tools: &[Value]) -> Checked {
    let kind = required(choice, path, "type")?;
    let kinds = ["function", "custom", "web_search", "image_generation"];
    one_of(kind, &format!("{path}.type"), &kinds)?;
    only(choice, path, &["type", "name"])?;
    let wanted = if kind == "function" || kind == "custom" {
        Some(required(choice, path, "name")?)
    } else {
        None
    };
    let declared = tools.iter().any(|tool| {
        tool["type"] == *kind && wanted.is_none_or(|name| tool.get("name") == Some(name))
    });
    if declared {
        return Ok(());
    }
    let name = wanted.unwrap_or(kind).as_str().unwrap_or_default();
    Err(refuse_choice(&format!("Tool choice '{name}' not found in 'tools' parameter.")))
}

fn refuse_choice(message: &str) -> Refusal {
    Refusal::invalid(message, Some("tool_choice"), None)
}
