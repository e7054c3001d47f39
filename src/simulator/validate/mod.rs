//! Refuses what the backend refuses, with its texts.
//!
//! Two layers answer: a gateway (`{"detail": …}`) that knows a closed list of top-level
//! parameters, and the Responses layer behind it (`{"error": {…}}`) that looks into items, tools
//! and formats. Which of several faults is named first is not known for the real backend; here it
//! is the gateway's before the others, then the order of this file.

mod format;
mod images;
mod input;
mod pairing;
mod prompt;
mod settings;
mod shapes;
mod strict;
mod tools;

pub(super) use prompt::is_blocked;
pub(super) use strict::is_object;

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::catalogue::{Catalogue, Model, Version};
use super::encrypted_content::Owner;
use super::refusal::Refusal;

type Checked = Result<(), Refusal>;
type Object = Map<String, Value>;

/// What the gateway lets through; anything else is refused by name.
const PARAMETERS: &[&str] = &[
    "client_metadata",
    "include",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "text",
    "tool_choice",
    "tools",
];

/// A client without a `version` header is taken for one of this age: the backend answers it for
/// older models and refuses it for newer ones.
const ASSUMED_VERSION: Version = Version(0, 130, 0);

/// The bearer of a request. Any will do, except those that say themselves that they are bad.
pub(super) fn authorize(headers: &HeaderMap) -> Checked {
    let unauthorized = |text: &str| Refusal::gateway(StatusCode::UNAUTHORIZED, text);
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(unauthorized("Unauthorized"));
    };
    let unparseable = "Could not parse your authentication token. Please try signing in again.";
    let token = value.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    match token.map(str::trim) {
        None | Some("") => Err(unauthorized(unparseable)),
        Some(token) if token.contains(char::is_whitespace) => Err(unauthorized(unparseable)),
        Some(token) if token.contains("simulate-expired") => {
            Err(super::failure::http(StatusCode::UNAUTHORIZED, Some("token_expired")))
        }
        Some(token) if token.contains("simulate-invalidated") => {
            Err(super::failure::http(StatusCode::UNAUTHORIZED, Some("token_invalidated")))
        }
        Some(_) => Ok(()),
    }
}

/// The account that a request is for.
pub(super) fn account(headers: &HeaderMap) -> String {
    let account = headers.get("chatgpt-account-id").and_then(|value| value.to_str().ok());
    account.unwrap_or("default").to_owned()
}

/// Checks a request and finds its model.
pub(super) fn check<'a>(
    body: &Value,
    headers: &HeaderMap,
    catalogue: &'a Catalogue,
) -> Result<&'a Model, Refusal> {
    let Value::Object(body) = body else {
        return Err(Refusal::detail("Input should be a valid dictionary"));
    };
    let model = model(body, headers, catalogue)?;
    let items = gateway(body)?;

    input::check(items)?;
    pairing::check(items)?;
    let owner = Owner { account: account(headers), family: model.family() };
    pairing::check_reasoning(items, &owner)?;
    tools::check(body)?;
    settings::check(body, model)?;
    format::check(body, items)?;
    Ok(model)
}

fn model<'a>(
    body: &Object,
    headers: &HeaderMap,
    catalogue: &'a Catalogue,
) -> Result<&'a Model, Refusal> {
    let slug = match body.get("model") {
        None | Some(Value::Null) => return Err(Refusal::missing("model")),
        Some(Value::String(slug)) => slug,
        Some(other) => return Err(Refusal::mistyped("model", "a string", other)),
    };
    let Some(model) = catalogue.find(slug) else {
        return Err(Refusal::detail(format!(
            "The '{slug}' model is not supported when using Codex with a ChatGPT account."
        )));
    };
    let version = match headers.get("version").map(|value| value.to_str()) {
        None => ASSUMED_VERSION,
        Some(text) => text.ok().and_then(|text| text.parse().ok()).unwrap_or(Version(0, 0, 0)),
    };
    if version < model.minimal_client_version {
        return Err(Refusal::detail(format!(
            "The '{slug}' model requires a newer version of Codex. Please upgrade to the latest \
             app or CLI and try again."
        )));
    }
    Ok(model)
}

/// The gateway's own checks. An empty `instructions` was accepted in recordings, a missing one
/// never.
fn gateway(body: &Object) -> Result<&[Value], Refusal> {
    if let Some(name) = body.keys().find(|key| !PARAMETERS.contains(&key.as_str())) {
        return Err(Refusal::detail(format!("Unsupported parameter: {name}")));
    }
    if !body.get("instructions").is_some_and(Value::is_string) {
        return Err(Refusal::detail("Instructions are required"));
    }
    if body.get("store") != Some(&Value::Bool(false)) {
        return Err(Refusal::detail("Store must be set to false"));
    }
    if body.get("stream") != Some(&Value::Bool(true)) {
        return Err(Refusal::detail("Stream must be set to true"));
    }
    let Some(Value::Array(items)) = body.get("input") else {
        return Err(Refusal::detail("Input must be a list"));
    };
    if items.iter().any(|item| item["role"] == "system") {
        return Err(Refusal::detail("System messages are not allowed"));
    }
    if let Some(Value::Object(options)) = body.get("stream_options")
        && options.keys().any(|key| key != "reasoning_summary_delivery")
    {
        return Err(Refusal::detail("Unsupported parameter: stream_options"));
    }
    tools::check_types(body)?;
    Ok(items)
}

/// A string within a limit of characters.
fn string<'a>(value: &'a Value, path: &str, limit: Option<usize>) -> Result<&'a str, Refusal> {
    let Value::String(text) = value else {
        return Err(Refusal::mistyped(path, "a string", value));
    };
    match limit {
        Some(limit) if text.chars().count() > limit => {
            Err(Refusal::too_long(path, limit, text.chars().count()))
        }
        _ => Ok(text),
    }
}

/// One of a closed set of strings.
fn one_of(value: &Value, path: &str, supported: &[&str]) -> Checked {
    let text = string(value, path, None)?;
    if supported.contains(&text) {
        return Ok(());
    }
    Err(Refusal::unlisted(path, text, supported))
}

/// A name: letters, digits, `_` and `-`.
fn name(value: &Value, path: &str, limit: usize) -> Checked {
    let text = string(value, path, Some(limit))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if text.is_empty() || !text.chars().all(allowed) {
        return Err(Refusal::pattern(path));
    }
    Ok(())
}

/// Nothing but the known keys.
fn only(object: &Object, path: &str, known: &[&str]) -> Checked {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Refusal::unknown(&format!("{path}.{key}"))),
        None => Ok(()),
    }
}

/// The value of a key that has to be there.
fn required<'a>(object: &'a Object, path: &str, key: &str) -> Result<&'a Value, Refusal> {
    object.get(key).ok_or_else(|| Refusal::missing(&format!("{path}.{key}")))
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Object, Refusal> {
    value.as_object().ok_or_else(|| Refusal::mistyped(path, "an object", value))
}
