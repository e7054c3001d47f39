//! Tools and which of them to call.

use serde_json_borrow::Value;

use super::super::json::Node;
use super::super::reject::{Code, Reject};

/// Something the model may call.
#[derive(Debug)]
pub enum Tool<'v> {
    /// A function with JSON arguments.
    Function(Function<'v>),
    /// A tool with free-form input.
    Custom {
        /// Its name.
        name: &'v str,
        /// What it is for.
        description: Option<&'v str>,
        /// The form of its input.
        format: Option<CustomFormat<'v>>,
    },
    /// A tool that runs on the backend, from clients that know of it.
    Hosted(HostedTool<'v>),
}

/// A function with JSON arguments.
#[derive(Debug)]
pub struct Function<'v> {
    /// Its name.
    pub name: &'v str,
    /// What it is for.
    pub description: Option<&'v str>,
    /// The JSON schema of its arguments; an object.
    pub parameters: Option<&'v Value<'v>>,
    /// Whether arguments must follow the schema exactly; false unless asked for.
    pub strict: bool,
}

/// The form of a custom tool's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomFormat<'v> {
    /// Any text.
    Text,
    /// Text of a grammar.
    Grammar {
        /// `lark` or `regex`.
        syntax: &'v str,
        /// The grammar.
        definition: &'v str,
    },
}

/// A tool that runs on the backend.
#[derive(Debug)]
pub enum HostedTool<'v> {
    /// `web_search`, also spelled `web_search_preview`.
    WebSearch(WebSearch<'v>),
    /// `image_generation`, with its options as the client gave them.
    ImageGeneration(&'v Value<'v>),
}

/// Options of a web search.
#[derive(Debug, Default)]
pub struct WebSearch<'v> {
    /// `low`, `medium` or `high`.
    pub context_size: Option<&'static str>,
    /// Where the user is.
    pub location: Option<UserLocation<'v>>,
    /// The domains to search, if only some.
    pub allowed_domains: Option<Vec<&'v str>>,
}

/// Roughly where the user is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct UserLocation<'v> {
    /// Two-letter code.
    pub country: Option<&'v str>,
    /// Free text.
    pub region: Option<&'v str>,
    /// Free text.
    pub city: Option<&'v str>,
    /// IANA name.
    pub timezone: Option<&'v str>,
}

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
}

/// `tools`, or the deprecated `functions`; the flag tells which.
pub(super) fn read_tools<'v>(root: &Node<'_, 'v>) -> Result<(Vec<Tool<'v>>, bool), Reject> {
    let tools = root.get("tools");
    let functions = root.get("functions");
    match (tools, functions) {
        (Some(_), Some(_)) => {
            let message = "'functions' and 'tools' cannot both be given; use 'tools'.";
            Err(Reject::new("functions", Code::InvalidValue, message))
        }
        (Some(tools), None) => {
            let tools = tools.items()?.map(|tool| read_tool(&tool)).collect::<Result<_, _>>()?;
            Ok((tools, false))
        }
        (None, Some(functions)) => {
            let tools = functions
                .items()?
                .map(|function| read_function(&function).map(Tool::Function))
                .collect::<Result<Vec<_>, _>>()?;
            let legacy = !tools.is_empty();
            Ok((tools, legacy))
        }
        (None, None) => Ok((Vec::new(), false)),
    }
}

fn read_tool<'v>(node: &Node<'_, 'v>) -> Result<Tool<'v>, Reject> {
    node.object()?;
    let kind = match node.get("type") {
        Some(kind) => kind.str()?,
        None if node.get("function").is_some() => "function",
        None => return Err(Reject::missing(node.child("type"))),
    };
    match kind {
        "function" => match node.get("function") {
            Some(function) => read_function(&function).map(Tool::Function),
            // The flat form of the Responses protocol.
            None => read_function(node).map(Tool::Function),
        },
        "custom" => match node.get("custom") {
            Some(custom) => read_custom(&custom),
            None => read_custom(node),
        },
        "web_search" | "web_search_preview" => {
            Ok(Tool::Hosted(HostedTool::WebSearch(WebSearch::read(node)?)))
        }
        "image_generation" => Ok(Tool::Hosted(HostedTool::ImageGeneration(node.value()))),
        other => {
            let at = node.child("type");
            Err(Reject::one_of(
                at,
                other,
                &["function", "custom", "web_search", "image_generation"],
            ))
        }
    }
}

fn read_name<'v>(node: &Node<'_, 'v>) -> Result<&'v str, Reject> {
    let name = node.require("name")?;
    match name.str()? {
        "" => {
            let message = format!("Invalid '{name}': empty string. Expected a name.");
            Err(Reject::new(name, Code::InvalidValue, message))
        }
        name => Ok(name),
    }
}

fn read_function<'v>(node: &Node<'_, 'v>) -> Result<Function<'v>, Reject> {
    node.object()?;
    Ok(Function {
        name: read_name(node)?,
        description: node.get("description").map(|text| text.str()).transpose()?,
        parameters: match node.get("parameters") {
            Some(parameters) => Some(parameters.object()?.value()),
            None => None,
        },
        strict: node.get("strict").map(|strict| strict.bool()).transpose()?.unwrap_or(false),
    })
}

fn read_custom<'v>(node: &Node<'_, 'v>) -> Result<Tool<'v>, Reject> {
    node.object()?;
    let format = match node.get("format") {
        None => None,
        Some(format) => Some(read_custom_format(&format.object()?)?),
    };
    Ok(Tool::Custom {
        name: read_name(node)?,
        description: node.get("description").map(|text| text.str()).transpose()?,
        format,
    })
}

fn read_custom_format<'v>(node: &Node<'_, 'v>) -> Result<CustomFormat<'v>, Reject> {
    let kind = node.require("type")?;
    match kind.str()? {
        "text" => Ok(CustomFormat::Text),
        "grammar" => {
            // Nested in chat completions, flat in the Responses protocol.
            let inner = node.get("grammar");
            let grammar = inner.as_ref().unwrap_or(node);
            Ok(CustomFormat::Grammar {
                syntax: grammar
                    .require("syntax")?
                    .choice(&[("lark", "lark"), ("regex", "regex")])?,
                definition: grammar.require("definition")?.str()?,
            })
        }
        other => Err(Reject::one_of(kind, other, &["text", "grammar"])),
    }
}

impl<'v> WebSearch<'v> {
    /// Reads `web_search_options`, or a `web_search` tool.
    pub(super) fn read(node: &Node<'_, 'v>) -> Result<Self, Reject> {
        node.object()?;
        let context_size = match node.get("search_context_size") {
            None => None,
            Some(size) => {
                Some(size.choice(&[("low", "low"), ("medium", "medium"), ("high", "high")])?)
            }
        };
        let location = match node.get("user_location") {
            None => None,
            Some(location) => Some(read_location(&location.object()?)?),
        };
        let allowed_domains = match node.get("filters") {
            None => None,
            Some(filters) => read_domains(&filters.object()?)?,
        };
        Ok(Self { context_size, location, allowed_domains })
    }
}

fn read_domains<'v>(filters: &Node<'_, 'v>) -> Result<Option<Vec<&'v str>>, Reject> {
    let Some(domains) = filters.get("allowed_domains") else { return Ok(None) };
    domains.items()?.map(|domain| domain.str()).collect::<Result<_, _>>().map(Some)
}

/// The location's fields stand in `approximate` in chat completions, beside `type` otherwise.
fn read_location<'v>(node: &Node<'_, 'v>) -> Result<UserLocation<'v>, Reject> {
    let inner = node.get("approximate");
    let place = inner.as_ref().unwrap_or(node);
    let text = |name| place.get(name).map(|node| node.str()).transpose();
    Ok(UserLocation {
        country: text("country")?,
        region: text("region")?,
        city: text("city")?,
        timezone: text("timezone")?,
    })
}

/// `tool_choice`, with the spellings of Mistral (`any`) and Anthropic (`{"type":"tool",…}`).
pub(super) fn read_tool_choice<'v>(root: &Node<'_, 'v>) -> Result<Option<ToolChoice<'v>>, Reject> {
    let Some(node) = root.get("tool_choice") else { return Ok(None) };
    if let Some(word) = node.value().as_str() {
        return Ok(Some(match word {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" | "any" => ToolChoice::Required,
            other => return Err(Reject::one_of(node, other, &["none", "auto", "required"])),
        }));
    }
    let node = node.object()?;
    let kind = node.require("type")?;
    Ok(Some(match kind.str()? {
        "none" => ToolChoice::None,
        "auto" => ToolChoice::Auto,
        "any" | "required" => ToolChoice::Required,
        "tool" => ToolChoice::Named(ToolName::Function(read_name(&node)?)),
        "function" | "custom" => ToolChoice::Named(read_tool_name(&node)?),
        "allowed_tools" => {
            let inner = node.get("allowed_tools");
            let allowed = inner.as_ref().unwrap_or(&node);
            let mode = match allowed.get("mode") {
                None => AllowedMode::Auto,
                Some(mode) => mode
                    .choice(&[("auto", AllowedMode::Auto), ("required", AllowedMode::Required)])?,
            };
            let tools = allowed.require("tools")?;
            let tools =
                tools.items()?.map(|tool| read_tool_name(&tool)).collect::<Result<_, _>>()?;
            ToolChoice::Allowed { mode, tools }
        }
        other => {
            return Err(Reject::one_of(kind, other, &["function", "custom", "allowed_tools"]));
        }
    }))
}

fn read_tool_name<'v>(node: &Node<'_, 'v>) -> Result<ToolName<'v>, Reject> {
    let kind = node.require("type")?;
    match kind.str()? {
        "function" => {
            let inner = node.get("function");
            Ok(ToolName::Function(read_name(inner.as_ref().unwrap_or(node))?))
        }
        "custom" => {
            let inner = node.get("custom");
            Ok(ToolName::Custom(read_name(inner.as_ref().unwrap_or(node))?))
        }
        other => Err(Reject::one_of(kind, other, &["function", "custom"])),
    }
}

/// The deprecated `function_call`.
pub(super) fn read_function_call<'v>(
    root: &Node<'_, 'v>,
) -> Result<Option<ToolChoice<'v>>, Reject> {
    let Some(node) = root.get("function_call") else { return Ok(None) };
    if let Some(word) = node.value().as_str() {
        return Ok(Some(match word {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            other => return Err(Reject::one_of(node, other, &["none", "auto"])),
        }));
    }
    let node = node.object()?;
    Ok(Some(ToolChoice::Named(ToolName::Function(read_name(&node)?))))
}
