//! Whether and which tool the model must call: `tool_choice`, or the deprecated `function_call`.

use super::super::invalid_request::{Code, InvalidRequest};
use super::super::json::Node;
use super::tool::{MAX_TOOLS, hosted, read_name};
use super::unsupported::UnsupportedFields;

/// Whether and what the model must call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'v> {
    /// Nothing.
    None,
    /// What it sees fit.
    Auto,
    /// At least one tool.
    Required,
    /// This one.
    Named(ToolName<'v>),
    /// Only some of the tools.
    Allowed {
        /// Whether it must call one of them.
        mode: AllowedMode,
        /// Which.
        tools: Vec<ToolName<'v>>,
    },
}

/// Whether one of the allowed tools must be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowedMode {
    /// As the model sees fit.
    Auto,
    /// At least one.
    Required,
}

/// A tool by kind and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolName<'v> {
    /// A function.
    Function(&'v str),
    /// A custom tool.
    Custom(&'v str),
    /// The web search.
    WebSearch,
    /// Drawing.
    ImageGeneration,
}

/// The choice of a tool, and the field that it stands in: `tool_choice`, or the deprecated
/// `function_call`. Either goes with either form of the tools.
pub(super) fn read_choice<'v>(
    root: &Node<'_, 'v>,
    legacy_functions: bool,
    unused: &mut UnsupportedFields,
) -> Result<Option<(ToolChoice<'v>, &'static str)>, InvalidRequest> {
    let new = read_tool_choice(root, unused)?;
    let old = read_function_call(root, unused)?;
    Ok(match (new, old) {
        (Some(new), Some(old)) if new != old => {
            let message = "'function_call' and 'tool_choice' contradict each other; use \
                           'tool_choice'.";
            return Err(InvalidRequest::new("function_call", Code::InvalidValue, message));
        }
        (Some(_), Some(old)) if legacy_functions => Some((old, "function_call")),
        (Some(new), _) => Some((new, "tool_choice")),
        (None, old) => old.map(|old| (old, "function_call")),
    })
}

/// `tool_choice`, with the spellings of Mistral (`any`) and Anthropic (`{"type":"tool",…}`).
fn read_tool_choice<'v>(
    root: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Option<ToolChoice<'v>>, InvalidRequest> {
    let Some(node) = root.get("tool_choice") else { return Ok(None) };
    if let Some(word) = node.value().as_str() {
        return Ok(Some(match word {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" | "any" => ToolChoice::Required,
            other => {
                return Err(InvalidRequest::one_of(node, other, &["none", "auto", "required"]));
            }
        }));
    }
    let node = node.object()?;
    let kind = node.require("type")?;
    let word = |choice, unused: &mut UnsupportedFields| {
        unused.add_others(&node, &["type"]);
        choice
    };
    Ok(Some(match kind.str()? {
        "none" => word(ToolChoice::None, unused),
        "auto" => word(ToolChoice::Auto, unused),
        "any" | "required" => word(ToolChoice::Required, unused),
        "tool" => {
            unused.add_others(&node, &["type", "name"]);
            ToolChoice::Named(ToolName::Function(read_name(&node)?))
        }
        "allowed_tools" => {
            let inner = node.get("allowed_tools");
            let allowed = inner.as_ref().unwrap_or(&node);
            if inner.is_some() {
                unused.add_others(&node, &["type", "allowed_tools"]);
            }
            unused.add_others(allowed, &["type", "mode", "tools"]);
            let mode = match allowed.get("mode") {
                None => AllowedMode::Auto,
                Some(mode) => mode
                    .choice(&[("auto", AllowedMode::Auto), ("required", AllowedMode::Required)])?,
            };
            let tools = allowed.require("tools")?;
            let length = tools.items()?.len();
            if length > MAX_TOOLS {
                return Err(InvalidRequest::too_long(tools, MAX_TOOLS, length));
            }
            let tools = tools.items()?.map(|tool| read_tool_name(&tool, unused));
            ToolChoice::Allowed { mode, tools: tools.collect::<Result<_, _>>()? }
        }
        word if names_a_tool(word) => ToolChoice::Named(read_tool_name(&node, unused)?),
        other => {
            return Err(InvalidRequest::one_of(
                kind,
                other,
                &["function", "custom", "web_search", "image_generation", "allowed_tools"],
            ));
        }
    }))
}

fn names_a_tool(kind: &str) -> bool {
    matches!(kind, "function" | "custom") || hosted(kind).is_some()
}

fn read_tool_name<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<ToolName<'v>, InvalidRequest> {
    let kind = node.require("type")?;
    let mut name = |field: &'static str| {
        let inner = node.get(field);
        if let Some(inner) = &inner {
            unused.add_others(node, &["type", field]);
            unused.add_others(inner, &["name"]);
        } else {
            unused.add_others(node, &["type", "name"]);
        }
        read_name(inner.as_ref().unwrap_or(node))
    };
    match kind.str()? {
        "function" => Ok(ToolName::Function(name("function")?)),
        "custom" => Ok(ToolName::Custom(name("custom")?)),
        other => {
            let Some(hosted) = hosted(other) else {
                let kinds = ["function", "custom", "web_search", "image_generation"];
                return Err(InvalidRequest::one_of(kind, other, &kinds));
            };
            unused.add_others(node, &["type"]);
            Ok(hosted)
        }
    }
}

/// The deprecated `function_call`.
fn read_function_call<'v>(
    root: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Option<ToolChoice<'v>>, InvalidRequest> {
    let Some(node) = root.get("function_call") else { return Ok(None) };
    if let Some(word) = node.value().as_str() {
        return Ok(Some(match word {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            other => return Err(InvalidRequest::one_of(node, other, &["none", "auto"])),
        }));
    }
    let node = node.object()?;
    unused.add_others(&node, &["name"]);
    Ok(Some(ToolChoice::Named(ToolName::Function(read_name(&node)?))))
}
