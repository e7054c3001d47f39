//! Tools and which of them to call.

use serde_json_borrow::Value;

use super::super::json::Node;
use super::super::reject::{Code, Reject};
use super::unused::Unused;
use crate::dated::without_date;

/// The most tools that a request may declare. The public API takes 128, which agents with many
/// servers exceed.
const MAX_TOOLS: usize = 8192;

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

/// Options of a web search.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct WebSearch<'v> {
    /// Whether pages may be fetched; false restricts the search to what is cached.
    pub external_web_access: Option<bool>,
    /// Whether the index may be used.
    pub indexed_web_access: Option<bool>,
    /// What is searched for, such as `text` and `image`.
    pub content_types: Option<Vec<&'v str>>,
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
    /// The web search.
    WebSearch,
    /// Drawing.
    ImageGeneration,
}

/// Names of hosted tools, without the date that some of them end with.
const HOSTED: &[(&str, ToolName<'static>)] = &[
    ("web_search", ToolName::WebSearch),
    ("web_search_preview", ToolName::WebSearch),
    ("image_generation", ToolName::ImageGeneration),
];

/// The hosted tool of this `type`, such as `web_search_2025_08_26`.
fn hosted(kind: &str) -> Option<ToolName<'static>> {
    let plain = without_date(kind, '_');
    HOSTED.iter().find(|(name, _)| *name == plain).map(|(_, tool)| *tool)
}

/// `tools`, or the deprecated `functions`; the flag tells which. An empty list is none.
pub(super) fn read_tools<'v>(
    root: &Node<'_, 'v>,
    unused: &mut Unused,
) -> Result<(Vec<Tool<'v>>, bool), Reject> {
    let given = |name: &'static str| {
        let Some(node) = root.get(name) else { return Ok(None) };
        let length = node.items()?.len();
        if length > MAX_TOOLS {
            return Err(Reject::too_long(node, MAX_TOOLS, length));
        }
        Ok((length > 0).then_some(node))
    };
    match (given("tools")?, given("functions")?) {
        (Some(_), Some(_)) => {
            let message = "'functions' and 'tools' cannot both be given; use 'tools'.";
            Err(Reject::new("functions", Code::InvalidValue, message))
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

fn read_tool<'v>(node: &Node<'_, 'v>, unused: &mut Unused) -> Result<Tool<'v>, Reject> {
    node.object()?;
    let kind = match node.get("type") {
        Some(kind) => kind.str()?,
        None if node.get("function").is_some() => "function",
        None => return Err(Reject::missing(node.child("type"))),
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
            Err(Reject::one_of(
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
    unused: &mut Unused,
) -> Result<HostedTool<'v>, Reject> {
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

fn read_function<'v>(node: &Node<'_, 'v>, form: Form) -> Result<Function<'v>, Reject> {
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
    unused: &mut Unused,
) -> Result<Custom<'v>, Reject> {
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
    unused: &mut Unused,
) -> Result<CustomFormat<'v>, Reject> {
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
        other => Err(Reject::one_of(kind, other, &["text", "grammar"])),
    }
}

impl<'v> WebSearch<'v> {
    /// Reads `web_search_options`, or a `web_search` tool.
    pub(super) fn read(node: &Node<'_, 'v>, unused: &mut Unused) -> Result<Self, Reject> {
        const KNOWN: &[&str] = &[
            "type",
            "external_web_access",
            "indexed_web_access",
            "search_content_types",
            "search_context_size",
            "user_location",
            "filters",
            "allowed_domains",
        ];
        node.object()?;
        for name in ["blocked_domains", "excluded_domains"] {
            if let Some(node) = node.get(name) {
                return Err(refuse_filter(&node));
            }
        }
        unused.add_others(node, KNOWN);
        let flag = |name| node.get(name).map(|node| node.bool()).transpose();
        let context_size = match node.get("search_context_size").filter(|size| !size.is_blank()) {
            None => None,
            Some(size) => {
                Some(size.choice(&[("low", "low"), ("medium", "medium"), ("high", "high")])?)
            }
        };
        let location = match node.get("user_location") {
            None => None,
            Some(location) => Some(read_location(&location.object()?, unused)?),
        };
        let mut allowed_domains = read_texts(node, "allowed_domains")?;
        if let Some(filters) = node.get("filters") {
            let filters = filters.object()?;
            // Each of them restricts the search: what cannot be honoured must not be left out.
            for filter in filters.fields()? {
                if filter.name() != "allowed_domains" {
                    return Err(refuse_filter(&filter));
                }
            }
            allowed_domains = read_texts(&filters, "allowed_domains")?.or(allowed_domains);
        }
        Ok(Self {
            external_web_access: flag("external_web_access")?,
            indexed_web_access: flag("indexed_web_access")?,
            content_types: read_texts(node, "search_content_types")?,
            context_size,
            location,
            allowed_domains,
        })
    }
}

fn refuse_filter(node: &Node<'_, '_>) -> Reject {
    Reject::unsupported(
        node,
        "The backend can restrict a search to 'filters.allowed_domains' only.",
    )
}

fn read_texts<'v>(node: &Node<'_, 'v>, name: &'static str) -> Result<Option<Vec<&'v str>>, Reject> {
    let Some(texts) = node.get(name) else { return Ok(None) };
    texts.items()?.map(|text| text.str()).collect::<Result<_, _>>().map(Some)
}

/// The location's fields stand in `approximate` in chat completions, beside `type` otherwise.
fn read_location<'v>(node: &Node<'_, 'v>, unused: &mut Unused) -> Result<UserLocation<'v>, Reject> {
    const PLACE: &[&str] = &["type", "country", "region", "city", "timezone"];
    let inner = node.get("approximate");
    let place = inner.as_ref().unwrap_or(node);
    if inner.is_some() {
        unused.add_others(node, &["type", "approximate"]);
    }
    unused.add_others(place, PLACE);
    let text = |name| place.get(name).map(|node| node.str()).transpose();
    Ok(UserLocation {
        country: text("country")?,
        region: text("region")?,
        city: text("city")?,
        timezone: text("timezone")?,
    })
}

/// The choice of a tool, and the field that it stands in: `tool_choice`, or the deprecated
/// `function_call`. Either goes with either form of the tools.
pub(super) fn read_choice<'v>(
    root: &Node<'_, 'v>,
    legacy_functions: bool,
    unused: &mut Unused,
) -> Result<Option<(ToolChoice<'v>, &'static str)>, Reject> {
    let new = read_tool_choice(root, unused)?;
    let old = read_function_call(root, unused)?;
    Ok(match (new, old) {
        (Some(new), Some(old)) if new != old => {
            let message = "'function_call' and 'tool_choice' say different things; use \
                           'tool_choice'.";
            return Err(Reject::new("function_call", Code::InvalidValue, message));
        }
        (Some(_), Some(old)) if legacy_functions => Some((old, "function_call")),
        (Some(new), _) => Some((new, "tool_choice")),
        (None, old) => old.map(|old| (old, "function_call")),
    })
}

/// `tool_choice`, with the spellings of Mistral (`any`) and Anthropic (`{"type":"tool",…}`).
fn read_tool_choice<'v>(
    root: &Node<'_, 'v>,
    unused: &mut Unused,
) -> Result<Option<ToolChoice<'v>>, Reject> {
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
    let word = |choice, unused: &mut Unused| {
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
                return Err(Reject::too_long(tools, MAX_TOOLS, length));
            }
            let tools = tools.items()?.map(|tool| read_tool_name(&tool, unused));
            ToolChoice::Allowed { mode, tools: tools.collect::<Result<_, _>>()? }
        }
        word if names_a_tool(word) => ToolChoice::Named(read_tool_name(&node, unused)?),
        other => {
            return Err(Reject::one_of(
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

fn read_tool_name<'v>(node: &Node<'_, 'v>, unused: &mut Unused) -> Result<ToolName<'v>, Reject> {
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
                return Err(Reject::one_of(kind, other, &kinds));
            };
            unused.add_others(node, &["type"]);
            Ok(hosted)
        }
    }
}

/// The deprecated `function_call`.
fn read_function_call<'v>(
    root: &Node<'_, 'v>,
    unused: &mut Unused,
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
    unused.add_others(&node, &["name"]);
    Ok(Some(ToolChoice::Named(ToolName::Function(read_name(&node)?))))
}
