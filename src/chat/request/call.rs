//! Calls of tools in the history. They were made by some model and are not the client's to mend, so
//! that shapes of other hosts and what is missing are taken as far as they can be understood.

use std::borrow::Cow;

use super::super::invalid_request::InvalidRequest;
use super::super::json::Node;
use super::unsupported::UnsupportedFields;

/// A tool call in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'v> {
    /// Its id; empty if the client left it out.
    pub id: Cow<'v, str>,
    /// What was called.
    pub kind: CallKind<'v>,
}

/// What was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallKind<'v> {
    /// A function.
    Function {
        /// Its name; empty if the client left it out.
        name: &'v str,
        /// Its arguments: JSON text, as the model wrote it.
        arguments: Cow<'v, str>,
    },
    /// A custom tool.
    Custom {
        /// Its name; empty if the client left it out.
        name: &'v str,
        /// Its input: free text.
        input: Cow<'v, str>,
    },
}

/// A call in the deprecated `function_call` form, which has no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyCall<'v> {
    /// The function's name; empty if the client left it out.
    pub name: &'v str,
    /// Its arguments: JSON text.
    pub arguments: Cow<'v, str>,
}

/// Reads an id: text, or a number that is written as text.
pub(super) fn read_id<'v>(node: &Node<'_, 'v>) -> Result<Cow<'v, str>, InvalidRequest> {
    match node.value() {
        value if value.is_number() => Ok(Cow::Owned(value.to_string())),
        _ => node.str().map(Cow::Borrowed),
    }
}

/// Reads `tool_calls`: a list, or one call that is not in a list. Nothing in any other shape is no
/// call.
pub(super) fn read_all<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Vec<Call<'v>>, InvalidRequest> {
    if node.value().is_object() {
        let is_empty = node.fields()?.next().is_none();
        return if is_empty { Ok(Vec::new()) } else { Ok(vec![read(node, unused)?]) };
    }
    if node.is_blank() {
        return Ok(Vec::new());
    }
    let calls = node.items()?.filter(|call| !call.value().is_null());
    calls.map(|call| read(&call, unused)).collect()
}

/// Fields of calls that are read, or that say nothing: `index` is left by programs that collect
/// streams.
const OF_NESTED: &[&str] = &["id", "call_id", "type", "index", "function", "custom"];
const OF_FLAT: &[&str] = &["id", "call_id", "type", "index", "name", "arguments", "input"];

/// Reads a call: nested under `function` or `custom` as documented, or flat as in the Responses
/// API. What is there decides, and the word in `type` only where there is nothing.
fn read<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Call<'v>, InvalidRequest> {
    node.object()?;
    let id = ["id", "call_id"].into_iter().find_map(|name| node.get(name));
    let id = id.map(|id| read_id(&id)).transpose()?.unwrap_or_default();
    let kind = node.get("type").and_then(|kind| kind.value().as_str());
    if let Some(custom) = node.get("custom").filter(|custom| custom.value().is_object()) {
        unused.add_others(node, OF_NESTED);
        unused.add_others(&custom, &["name", "input"]);
        return Ok(Call { id, kind: custom_call(&custom) });
    }
    if let Some(function) = node.get("function").filter(|function| function.value().is_object()) {
        unused.add_others(node, OF_NESTED);
        unused.add_others(&function, &["name", "arguments"]);
        return Ok(Call { id, kind: function_call(&function) });
    }
    let has = |name| node.get(name).is_some();
    let is_custom = matches!(kind, Some("custom" | "custom_tool_call")) || has("input");
    if is_custom && (has("name") || has("input")) {
        unused.add_others(node, OF_FLAT);
        return Ok(Call { id, kind: custom_call(node) });
    }
    if has("name") || has("arguments") {
        unused.add_others(node, OF_FLAT);
        return Ok(Call { id, kind: function_call(node) });
    }
    match kind {
        None | Some("function" | "custom") => {
            let wanted = if kind == Some("custom") { "custom" } else { "function" };
            Err(InvalidRequest::missing(node.child(wanted)))
        }
        Some(other) => {
            Err(InvalidRequest::one_of(node.child("type"), other, &["function", "custom"]))
        }
    }
}

fn function_call<'v>(node: &Node<'_, 'v>) -> CallKind<'v> {
    let arguments = read_arguments(node.get("arguments").as_ref());
    CallKind::Function { name: read_name(node), arguments }
}

fn custom_call<'v>(node: &Node<'_, 'v>) -> CallKind<'v> {
    let input = match node.get("input") {
        None => Cow::Borrowed(""),
        Some(input) => match input.value().as_str() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(input.value().to_string()),
        },
    };
    CallKind::Custom { name: read_name(node), input }
}

/// A call of Anthropic's shape, which some hosts leave in the content: `tool_use`.
pub(super) fn read_tool_use<'v>(node: &Node<'_, 'v>) -> Call<'v> {
    let id = node.get("id").and_then(|id| read_id(&id).ok()).unwrap_or_default();
    let arguments = read_arguments(node.get("input").as_ref());
    Call { id, kind: CallKind::Function { name: read_name(node), arguments } }
}

/// Reads `function_call`; nothing if it is empty.
pub(super) fn read_legacy<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Option<LegacyCall<'v>>, InvalidRequest> {
    if node.is_blank() || node.object()?.fields()?.next().is_none() {
        return Ok(None);
    }
    unused.add_others(node, &["name", "arguments"]);
    let arguments = read_arguments(node.get("arguments").as_ref());
    Ok(Some(LegacyCall { name: read_name(node), arguments }))
}

/// The name of what was called. The backend is given some name for one that is missing.
fn read_name<'v>(node: &Node<'_, 'v>) -> &'v str {
    node.get("name").and_then(|name| name.value().as_str()).unwrap_or_default()
}

/// Arguments are JSON text and kept to the byte; objects are written compactly and nothing at
/// all means no arguments.
fn read_arguments<'v>(node: Option<&Node<'_, 'v>>) -> Cow<'v, str> {
    match node {
        None => Cow::Borrowed("{}"),
        Some(node) => match node.value().as_str() {
            Some("") => Cow::Borrowed("{}"),
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(node.value().to_string()),
        },
    }
}
