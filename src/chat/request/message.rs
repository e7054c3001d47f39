//! Messages.

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::invalid_request::{Code, InvalidRequest};
use super::super::json::Node;
use super::call::{self, Call, LegacyCall};
use super::content::{self, Part};
use super::unsupported::UnsupportedFields;
use crate::chat::delta::{DETAILS_FORMAT, DETAILS_ID};
use crate::excerpt::excerpt;

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'v> {
    /// `system` or `developer`.
    System(Said<'v>),
    /// `user`
    User(Said<'v>),
    /// `assistant`
    Assistant(Assistant<'v>),
    /// `tool`: the output of a call.
    Tool(ToolResult<'v>),
    /// `function`, deprecated: the output of a legacy call.
    Function {
        /// The function that was called.
        name: &'v str,
        /// The output.
        content: ToolContent<'v>,
    },
}

/// What was said by somebody other than the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said<'v> {
    /// Who of several people or agents of the same role it was.
    pub name: Option<&'v str>,
    /// What was said.
    pub content: Vec<Part<'v>>,
}

/// The output of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult<'v> {
    /// The call it answers; empty if the client left it out.
    pub call_id: Cow<'v, str>,
    /// The tool that was called, if the client says so.
    pub name: Option<&'v str>,
    /// The output.
    pub content: ToolContent<'v>,
}

/// What the assistant said and called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assistant<'v> {
    /// Text, refusals and images, in order.
    pub content: Vec<Part<'v>>,
    /// Its tool calls, in order.
    pub calls: Vec<Call<'v>>,
    /// Its call in the deprecated form.
    pub legacy_call: Option<LegacyCall<'v>>,
    /// Encrypted reasoning that the client got with the answer and sends back, by position.
    pub reasoning_details: Vec<ReasoningDetail<'v>>,
}

/// Encrypted reasoning, in the form that `OpenRouter` introduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasoningDetail<'v> {
    /// At which place among the turn's items it stood.
    pub position: usize,
    /// The encrypted reasoning.
    pub data: &'v str,
}

/// The output of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolContent<'v> {
    /// Text, or JSON text where the client sent something other than text.
    Text(Cow<'v, str>),
    /// Several parts, or parts other than text.
    Parts(Vec<Part<'v>>),
}

const ROLES: &str = "Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and \
                     'developer'.";

/// Fields of an assistant's message that are read, or that say nothing to the model: the thoughts
/// come back in their encrypted form, and only so.
const OF_ASSISTANT: &[&str] = &[
    "role",
    "content",
    "refusal",
    "tool_calls",
    "function_call",
    "images",
    "audio",
    "annotations",
    "reasoning_details",
    "thinking_blocks",
    "provider_specific_fields",
    "reasoning_content",
    "reasoning",
];

impl<'v> Message<'v> {
    pub(super) fn read(
        node: &Node<'_, 'v>,
        unused: &mut UnsupportedFields,
    ) -> Result<Self, InvalidRequest> {
        node.object()?;
        let role = node.require("role")?;
        Ok(match role.str()? {
            "system" | "developer" => Self::System(Said::read(node, unused)?),
            "user" => Self::User(Said::read(node, unused)?),
            "assistant" => Self::Assistant(read_assistant(node, unused)?),
            "tool" => {
                unused.add_others(node, &["role", "content", "tool_call_id", "name"]);
                let id = node.get("tool_call_id").map(|id| call::read_id(&id)).transpose()?;
                Self::Tool(ToolResult {
                    call_id: id.unwrap_or_default(),
                    name: name(node, unused),
                    content: ToolContent::read(node.get("content").as_ref(), unused)?,
                })
            }
            "function" => {
                unused.add_others(node, &["role", "content", "name"]);
                Self::Function {
                    name: name(node, unused).unwrap_or_default(),
                    content: ToolContent::read(node.get("content").as_ref(), unused)?,
                }
            }
            other => {
                let message = format!("Invalid value: '{}'. {ROLES}", excerpt(other));
                return Err(InvalidRequest::new(role, Code::InvalidValue, message));
            }
        })
    }
}

impl<'v> Said<'v> {
    fn read(node: &Node<'_, 'v>, unused: &mut UnsupportedFields) -> Result<Self, InvalidRequest> {
        unused.add_others(node, &["role", "content", "name"]);
        Ok(Self { name: name(node, unused), content: content::read(node, unused)? })
    }
}

/// The name in a message. One that is no text, or empty, names nobody.
fn name<'v>(node: &Node<'_, 'v>, unused: &mut UnsupportedFields) -> Option<&'v str> {
    let name = node.get("name")?;
    match name.value().as_str() {
        Some(text) if text.trim().is_empty() => None,
        Some(text) => Some(text.trim()),
        None => {
            unused.add(name);
            None
        }
    }
}

fn read_assistant<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Assistant<'v>, InvalidRequest> {
    unused.add_others(node, OF_ASSISTANT);
    let mut assistant = Assistant {
        content: content::read(node, unused)?,
        reasoning_details: read_reasoning_details(node),
        ..Assistant::default()
    };
    if let Some(refusal) = node.get("refusal") {
        assistant.content.push(Part::Refusal(refusal.str()?));
    }
    if let Some(images) = node.get("images") {
        content::read_answer_images(&images, &mut assistant.content, unused);
    }
    if let Some(calls) = node.get("tool_calls") {
        assistant.calls = call::read_all(&calls, unused)?;
    }
    // Some hosts give each call twice, in their own form and in this one.
    let known: HashSet<_> = assistant.calls.iter().map(|call| call.id.clone()).collect();
    let others = content::calls(node).filter(|call| !known.contains(&call.id));
    assistant.calls.extend(others);
    if let Some(legacy) = node.get("function_call") {
        assistant.legacy_call = call::read_legacy(&legacy, unused)?;
    }
    if let Some(audio) = node.get("audio")
        && assistant.content.is_empty()
        && assistant.calls.is_empty()
    {
        let message = format!("Unsupported value: '{audio}' refers to audio; send its transcript.");
        return Err(InvalidRequest::new(audio, Code::UnsupportedValue, message));
    }
    Ok(assistant)
}

/// Details of other makers, and what is not understood of ours, are overlooked.
fn read_reasoning_details<'v>(node: &Node<'_, 'v>) -> Vec<ReasoningDetail<'v>> {
    let Some(list) = node.get("reasoning_details") else { return Vec::new() };
    let Ok(items) = list.items() else { return Vec::new() };
    let mut details: Vec<_> = items
        .filter_map(|item| {
            let text = |name| item.get(name).and_then(|node| node.value().as_str());
            if text("type")? != "reasoning.encrypted" || text("format")? != DETAILS_FORMAT {
                return None;
            }
            let position = text("id")?.strip_prefix(DETAILS_ID)?.parse().ok()?;
            Some(ReasoningDetail { position, data: text("data").filter(|data| !data.is_empty())? })
        })
        .collect();
    details.sort_by_key(|detail| detail.position);
    details
}

impl<'v> ToolContent<'v> {
    /// Reads an output. Whatever a tool gives is its output: what are no parts is JSON text.
    pub(super) fn read(
        content: Option<&Node<'_, 'v>>,
        unused: &mut UnsupportedFields,
    ) -> Result<Self, InvalidRequest> {
        let Some(content) = content else { return Ok(Self::Text(Cow::Borrowed(""))) };
        let json = || Ok(Self::Text(Cow::Owned(content.value().to_string())));
        if let Some(text) = content.value().as_str() {
            return Ok(Self::Text(Cow::Borrowed(text)));
        }
        let Ok(items) = content.items() else {
            return match content::read_outcome_part(content, unused)? {
                Some(Part::Text(text)) => Ok(Self::Text(text)),
                Some(part) => Ok(Self::Parts(vec![part])),
                None => json(),
            };
        };
        let mut parts = Vec::new();
        let mut has_parts = false;
        for item in items {
            let part = content::read_outcome_part(&item, unused)?;
            has_parts |= part.is_some();
            parts.push(part.unwrap_or_else(|| Part::Text(item.value().to_string().into())));
        }
        if !has_parts && !parts.is_empty() {
            return json();
        }
        Ok(match parts.as_mut_slice() {
            [] => Self::Text(Cow::Borrowed("")),
            [Part::Text(text)] => Self::Text(std::mem::take(text)),
            _ => Self::Parts(parts),
        })
    }
}
