//! Messages.

use std::borrow::Cow;

use super::super::json::Node;
use super::super::reject::{Code, Reject};
use super::content::{self, Part};
use crate::chat::delta::{DETAILS_FORMAT, DETAILS_ID};
use crate::excerpt::excerpt;

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'v> {
    /// `system` or `developer`.
    System(Vec<Part<'v>>),
    /// `user`
    User(Vec<Part<'v>>),
    /// `assistant`
    Assistant(Assistant<'v>),
    /// `tool`: the outcome of a call.
    Tool {
        /// The call it answers; empty if the client left it out.
        call_id: &'v str,
        /// The outcome.
        content: ToolContent<'v>,
    },
    /// `function`, deprecated: the outcome of a legacy call.
    Function {
        /// The function that was called.
        name: &'v str,
        /// The outcome.
        content: ToolContent<'v>,
    },
}

/// What the assistant said and called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assistant<'v> {
    /// Text and refusals, in order.
    pub content: Vec<Part<'v>>,
    /// Its tool calls, in order.
    pub calls: Vec<Call<'v>>,
    /// Its call in the deprecated form.
    pub legacy_call: Option<LegacyCall<'v>>,
    /// Sealed reasoning that the client got with the answer and sends back, by position.
    pub reasoning_details: Vec<ReasoningDetail<'v>>,
}

/// Sealed reasoning, in the form that `OpenRouter` introduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasoningDetail<'v> {
    /// At which place among the turn's items it stood.
    pub position: usize,
    /// The sealed thoughts.
    pub data: &'v str,
}

/// A tool call in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'v> {
    /// Its id; empty if the client left it out.
    pub id: &'v str,
    /// What was called.
    pub kind: CallKind<'v>,
}

/// What was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallKind<'v> {
    /// A function.
    Function {
        /// Its name.
        name: &'v str,
        /// Its arguments: JSON text, as the model wrote it.
        arguments: Cow<'v, str>,
    },
    /// A custom tool.
    Custom {
        /// Its name.
        name: &'v str,
        /// Its input: free text.
        input: &'v str,
    },
}

/// A call in the deprecated `function_call` form, which has no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyCall<'v> {
    /// The function's name.
    pub name: &'v str,
    /// Its arguments: JSON text.
    pub arguments: Cow<'v, str>,
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolContent<'v> {
    /// Text, or JSON text where the client sent something other than text.
    Text(Cow<'v, str>),
    /// Several parts, or parts other than text.
    Parts(Vec<Part<'v>>),
}

const ROLES: &str = "Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and \
                     'developer'.";

impl<'v> Message<'v> {
    pub(super) fn read(node: &Node<'_, 'v>) -> Result<Self, Reject> {
        node.object()?;
        let role = node.require("role")?;
        Ok(match role.str()? {
            "system" | "developer" => Self::System(content::read(node)?),
            "user" => Self::User(content::read(node)?),
            "assistant" => Self::Assistant(read_assistant(node)?),
            "tool" => {
                let id = node.get("tool_call_id").map(|id| id.str()).transpose()?;
                Self::Tool { call_id: id.unwrap_or_default(), content: ToolContent::read(node)? }
            }
            "function" => Self::Function {
                name: node.require("name")?.str()?,
                content: ToolContent::read(node)?,
            },
            other => {
                let message = format!("Invalid value: '{}'. {ROLES}", excerpt(other));
                return Err(Reject::new(role, Code::InvalidValue, message));
            }
        })
    }
}

fn read_assistant<'v>(node: &Node<'_, 'v>) -> Result<Assistant<'v>, Reject> {
    let mut content = content::read(node)?;
    if let Some(refusal) = node.get("refusal") {
        content.push(Part::Refusal(refusal.str()?));
    }
    let calls = match node.get("tool_calls") {
        Some(calls) => calls.items()?.map(|call| read_call(&call)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let legacy_call = match node.get("function_call") {
        Some(call) => {
            let call = call.object()?;
            Some(LegacyCall {
                name: call.require("name")?.str()?,
                arguments: read_arguments(call.get("arguments").as_ref()),
            })
        }
        None => None,
    };
    if let Some(audio) = node.get("audio")
        && content.is_empty()
        && calls.is_empty()
    {
        let message = format!("Unsupported value: '{audio}' refers to audio; send its transcript.");
        return Err(Reject::new(audio, Code::UnsupportedValue, message));
    }
    let reasoning_details = read_reasoning_details(node);
    Ok(Assistant { content, calls, legacy_call, reasoning_details })
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

fn read_call<'v>(node: &Node<'_, 'v>) -> Result<Call<'v>, Reject> {
    node.object()?;
    let id = node.get("id").map(|id| id.str()).transpose()?.unwrap_or_default();
    let kind = node.get("type").map(|kind| kind.str()).transpose()?;
    if let Some(custom) = node.get("custom") {
        let custom = custom.object()?;
        let input = custom.get("input").map(|input| input.str()).transpose()?.unwrap_or_default();
        let kind = CallKind::Custom { name: custom.require("name")?.str()?, input };
        return Ok(Call { id, kind });
    }
    match kind {
        None | Some("function") => {}
        Some(other) => {
            return Err(Reject::one_of(node.child("type"), other, &["function", "custom"]));
        }
    }
    let function = node.require("function")?.object()?;
    let kind = CallKind::Function {
        name: function.require("name")?.str()?,
        arguments: read_arguments(function.get("arguments").as_ref()),
    };
    Ok(Call { id, kind })
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

impl<'v> ToolContent<'v> {
    fn read(message: &Node<'_, 'v>) -> Result<Self, Reject> {
        let Some(content) = message.get("content") else {
            return Ok(Self::Text(Cow::Borrowed("")));
        };
        if let Some(text) = content.value().as_str() {
            return Ok(Self::Text(Cow::Borrowed(text)));
        }
        if !content.value().is_array() {
            return Ok(Self::Text(Cow::Owned(content.value().to_string())));
        }
        let mut parts = content::read_parts(&content)?;
        Ok(match parts.as_mut_slice() {
            [] => Self::Text(Cow::Borrowed("")),
            [Part::Text(text)] => Self::Text(Cow::Borrowed(text)),
            _ => Self::Parts(parts),
        })
    }
}
