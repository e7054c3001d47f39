//! What the model may call.

use super::super::invalid_request::{Code, InvalidRequest};
use super::super::json::Node;
use super::choice::ToolName;
use super::search::WebSearch;
use super::unsupported::UnsupportedFields;
use crate::dated::without_date;
use crate::json::Value;

/// The most tools that a request may declare. The public API takes 128, which agents with many
/// servers exceed.
pub(super) const MAX_TOOLS: usize = 8192;

/// Something the model may call.
#[derive(Debug)]
pub enum Tool<'v> {
    /// A function with JSON arguments.
    Function(Function<'v>),
    /// A tool with free-form input.
    Custom(Custom<'v>),
    /// A tool that runs on the backend, from clients that know of it.
    Hosted(HostedTool<'v>),
}

/// A function with JSON arguments.
#[derive(Debug, PartialEq)]
pub struct Function<'v> {
    /// Its name.
    pub name: &'v str,
    /// What it is for.
    pub description: Option<&'v str>,
    /// The JSON schema of its arguments; an object.
    pub parameters: Option<&'v Value<'v>>,
    /// Whether arguments must follow the schema exactly; false unless asked for.
    pub strict: bool,
    /// How it is written.
    pub form: Form,
}

/// A tool with free-form input.
#[derive(Debug, PartialEq)]
pub struct Custom<'v> {
    /// Its name.
    pub name: &'v str,
    /// What it is for.
    pub description: Option<&'v str>,
    /// The form of its input.
    pub format: Option<CustomFormat<'v>>,
    /// How it is written.
    pub form: Form,
}

/// Where the fields of a tool stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In an object of their own, `function` or `custom`, as in chat completions.
    Nested,
    /// Beside `type`, as in the Responses protocol, or in the deprecated `functions`.
    Flat,
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
#[derive(Debug, PartialEq)]
pub enum HostedTool<'v> {
    /// `web_search`, also spelled `web_search_preview`.
    WebSearch(WebSearch<'v>),
    /// `image_generation`, with those of its options that the backend takes, as the client gave
    /// them.
    ImageGeneration(Vec<(&'v str, &'v Value<'v>)>),
}

/// Names of hosted tools, without the date that some of them end with.
const HOSTED: &[(&str, ToolName<'static>)] = &[
    ("web_search", ToolName::WebSearch),
    ("web_search_preview", ToolName::WebSearch),
    ("image_generation", ToolName::ImageGeneration),
];

/// The hosted tool of this `type`, such as `web_search_2025_08_26`.
pub(super) fn hosted(kind: &str) -> Option<ToolName<'static>> {
    let plain = without_date(kind, '_');
    HOSTED.iter().find(|(name, _)| *name == plain).map(|(_, tool)| *tool)
}

/// `tools`, or the deprecated `functions`; the flag tells which. An empty list is none.
pub(super) fn read_tools<'v>(
    root: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<(Vec<Tool<'v>>, bool), InvalidRequest> {
    let given = |name: &'static str| {
        let Some(node) = root.get(name) else { return Ok(None) };
        let length = node.items()?.len();
        if length > MAX_TOOLS {
            return Err(InvalidRequest::too_long(node, MAX_TOOLS, length));
        }
        Ok((length > 0).then_some(node))
    };
    match (given("tools")?, given("functions")?) {
        (Some(_), Some(_)) => {
            let message = "'functions' and 'tools' cannot both be given; use 'tools'.";
            Err(InvalidRequest::new("functions", Code::InvalidValue, message))
        }
        (Some(tools), None) => {
            let tools = tools.items()?.map(|tool| read_tool(&tool, unused));
            Ok((tools.collect::<Result<_, _>>()?, false))
        }
        (None, Some(functions)) => {
            let tools = functions.items()?.map(|function| {
                unused.add_others(&function, FUNCTION);
                read_function(&function, Form::Flat).map(Tool::Function)
            });
            Ok((tools.collect::<Result<_, _>>()?, true))
        }
        (None, None) => Ok((Vec::new(), false)),
    }
}

const FUNCTION: &[&str] = &["name", "description", "parameters", "strict"];
const FLAT_FUNCTION: &[&str] = &["type", "name", "description", "parameters", "strict"];
const CUSTOM: &[&str] = &["name", "description", "format"];
const FLAT_CUSTOM: &[&str] = &["type", "name", "description", "format"];

/// Options of `image_generation` that the backend takes and that matter here. Not among them is
/// `partial_images`: an answer has no place for them.
const IMAGE_OPTIONS: &[&str] = &[
    "action",
    "background",
    "input_fidelity",
    "model",
    "moderation",
    "output_compression",
    "output_format",
    "quality",
    "size",
];

fn read_tool<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Tool<'v>, InvalidRequest> {
    node.object()?;
    let kind = match node.get("type") {
        Some(kind) => kind.str()?,
        None if node.get("function").is_some() => "function",
        None => return Err(InvalidRequest::missing(node.child("type"))),
    };
    if let Some(hosted) = hosted(kind) {
        return read_hosted(hosted, node, unused).map(Tool::Hosted);
    }
    match kind {
        "function" => {
            if let Some(function) = node.get("function") {
                unused.add_others(node, &["type", "function"]);
                unused.add_others(&function, FUNCTION);
                read_function(&function, Form::Nested).map(Tool::Function)
            } else {
                unused.add_others(node, FLAT_FUNCTION);
                read_function(node, Form::Flat).map(Tool::Function)
            }
        }
        "custom" => {
            if let Some(custom) = node.get("custom") {
                unused.add_others(node, &["type", "custom"]);
                unused.add_others(&custom, CUSTOM);
                read_custom(&custom, Form::Nested, unused).map(Tool::Custom)
            } else {
                unused.add_others(node, FLAT_CUSTOM);
                read_custom(node, Form::Flat, unused).map(Tool::Custom)
            }
        }
        other => {
            let at = node.child("type");
            Err(InvalidRequest::one_of(
                at,
                other,
                &["function", "custom", "web_search", "image_generation"],
            ))
        }
    }
}

fn read_hosted<'v>(
    tool: ToolName<'static>,
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<HostedTool<'v>, InvalidRequest> {
    if tool == ToolName::WebSearch {
        return WebSearch::read(node, unused).map(HostedTool::WebSearch);
    }
    let mut options = Vec::new();
    for field in node.fields()? {
        match field.name() {
            "type" => {}
            name if IMAGE_OPTIONS.contains(&name) => options.push((name, field.value())),
            "partial_images" if field.value().as_i64() == Some(0) => {}
            _ => unused.add(field),
        }
    }
    Ok(HostedTool::ImageGeneration(options))
}

pub(super) fn read_name<'v>(node: &Node<'_, 'v>) -> Result<&'v str, InvalidRequest> {
    let name = node.require("name")?;
    match name.str()? {
        "" => {
            let message = format!("Invalid '{name}': empty string. Expected a name.");
            Err(InvalidRequest::new(name, Code::InvalidValue, message))
        }
        name => Ok(name),
    }
}

fn read_function<'v>(node: &Node<'_, 'v>, form: Form) -> Result<Function<'v>, InvalidRequest> {
    node.object()?;
    let parameters = match node.get("parameters") {
        // What PHP makes of an empty object.
        Some(node) if is_empty_array(node.value()) => None,
        Some(node) => Some(node.object()?.value()),
        None => None,
    };
    Ok(Function {
        name: read_name(node)?,
        description: node.get("description").map(|text| text.str()).transpose()?,
        parameters,
        strict: node.get("strict").map(|strict| strict.bool()).transpose()?.unwrap_or(false),
        form,
    })
}

fn is_empty_array(value: &Value<'_>) -> bool {
    matches!(value, Value::Array(items) if items.is_empty())
}

fn read_custom<'v>(
    node: &Node<'_, 'v>,
    form: Form,
    unused: &mut UnsupportedFields,
) -> Result<Custom<'v>, InvalidRequest> {
    node.object()?;
    let format = match node.get("format") {
        None => None,
        Some(format) => Some(read_custom_format(&format.object()?, unused)?),
    };
    Ok(Custom {
        name: read_name(node)?,
        description: node.get("description").map(|text| text.str()).transpose()?,
        format,
        form,
    })
}

fn read_custom_format<'v>(
    node: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<CustomFormat<'v>, InvalidRequest> {
    let kind = node.require("type")?;
    match kind.str()? {
        "text" => {
            unused.add_others(node, &["type"]);
            Ok(CustomFormat::Text)
        }
        "grammar" => {
            // Nested in chat completions, flat in the Responses protocol.
            let inner = node.get("grammar");
            let grammar = inner.as_ref().unwrap_or(node);
            if inner.is_some() {
                unused.add_others(node, &["type", "grammar"]);
            }
            unused.add_others(grammar, &["type", "syntax", "definition"]);
            Ok(CustomFormat::Grammar {
                syntax: grammar
                    .require("syntax")?
                    .choice(&[("lark", "lark"), ("regex", "regex")])?,
                definition: grammar.require("definition")?.str()?,
            })
        }
        other => Err(InvalidRequest::one_of(kind, other, &["text", "grammar"])),
    }
}
