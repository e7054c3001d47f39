//! A chat completion request, read leniently into types that say what it means.
//!
//! Reading checks types and ranges and normalizes spellings (several clients have their own); what
//! is supported upstream is decided by the translation. Texts, images and schemas stay borrowed
//! from the client's body.

mod call;
mod choice;
mod content;
mod format;
mod media;
mod message;
mod platform;
mod reasoning;
mod search;
mod tool;
mod unsupported;

use self::unsupported::UnsupportedFields;
use super::invalid_request::{Code, InvalidRequest};
use super::json::Node;
use crate::json::Value;

pub use call::{Call, CallKind, LegacyCall};
pub use choice::{AllowedMode, ToolChoice, ToolName};
pub use content::Part;
pub use format::{JsonSchema, ResponseFormat};
pub use media::{Detail, File, FileSource, Image};
pub use message::{Assistant, Message, ReasoningDetail, Said, ToolContent, ToolResult};
pub use platform::PlatformOnly;
pub use reasoning::{EffortRequest, Reasoning, Summary};
pub use search::{UserLocation, WebSearch};
pub use tool::{Custom, CustomFormat, Form, Function, HostedTool, Tool};

/// A `POST /v1/chat/completions` body.
#[derive(Debug)]
pub struct Request<'v> {
    /// The model, as the client spells it.
    pub model: &'v str,
    /// The conversation; at least one message.
    pub messages: Vec<Message<'v>>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether a streamed answer ends with a usage chunk.
    pub include_usage: bool,
    /// How many choices are requested; at least 1.
    pub n: u32,
    /// The cap on generated tokens.
    pub max_tokens: Option<Limit>,
    /// Stop sequences, none of them empty.
    pub stop: Vec<&'v str>,
    /// The shape of the answer.
    pub response_format: Option<ResponseFormat<'v>>,
    /// The verbosity of the answer.
    pub verbosity: Option<Verbosity>,
    /// How much to think and whether to show it.
    pub reasoning: Reasoning,
    /// The tools.
    pub tools: Vec<Tool<'v>>,
    /// Whether `functions` was used in place of `tools`: the answer has the old shape too.
    pub legacy_functions: bool,
    /// Whether and what the model must call.
    pub tool_choice: Option<ToolChoice<'v>>,
    /// The field that `tool_choice` was read from: itself or the deprecated `function_call`.
    pub tool_choice_field: &'static str,
    /// Whether `modalities` asks for images.
    pub pictures: bool,
    /// Whether several calls may come in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// `web_search_options`.
    pub web_search: Option<WebSearch<'v>>,
    /// The client's key for prompt caching.
    pub prompt_cache_key: Option<&'v str>,
    /// The end user, if given as a string.
    pub user: Option<&'v str>,
    /// The service tier, if not `auto`.
    pub service_tier: Option<ServiceTier>,
    /// Whether the encrypted reasoning was asked for, as in the Responses protocol.
    pub include_encrypted_reasoning: bool,
    /// What only the platform's public API takes.
    pub public: PlatformOnly<'v>,
    /// The paths of fields without a counterpart in the Codex backend; there may be more than are
    /// listed.
    pub unsupported_fields: Vec<String>,
}

/// A cap on generated tokens and the field that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At least 1.
    pub tokens: usize,
    /// `max_completion_tokens`, `max_tokens` or `max_output_tokens`.
    pub field: &'static str,
}

/// The verbosity of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
}

/// A `service_tier` other than `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceTier {
    /// `default`
    Default,
    /// `priority`, also spelled `fast`.
    Priority,
    /// `flex`
    Flex,
    /// `scale`
    Scale,
}

/// The most stop sequences, as the public API has it.
const MAX_STOPS: usize = 4;

/// The most pairs of `metadata`, as the public API has it.
const MAX_METADATA: usize = 16;

/// Fields that are read here. All others are without counterpart.
const UNDERSTOOD: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stop",
    "response_format",
    "verbosity",
    "text",
    "reasoning_effort",
    "reasoning",
    "include_reasoning",
    "thinking",
    "enable_thinking",
    "chat_template_kwargs",
    "modalities",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "web_search_options",
    "prompt_cache_key",
    "service_tier",
    "include",
    "usage",
    // Only meaningful for audio output, which is refused under `modalities`.
    "audio",
];

impl<'v> Request<'v> {
    /// Reads a parsed body.
    pub fn read(body: &'v Value<'v>) -> Result<Self, InvalidRequest> {
        let root = Node::root(body);
        if !body.is_object() {
            return Err(InvalidRequest::body(
                "Invalid body: expected a JSON object with at least 'model' and 'messages'.",
            ));
        }
        let model = match root.get("model") {
            Some(model) => model.str()?,
            None => "",
        };
        if model.trim().is_empty() {
            let message = "you must provide a model parameter";
            return Err(InvalidRequest::new("model", Code::Missing, message));
        }
        let mut unused = UnsupportedFields::default();
        let messages = read_messages(&root, &mut unused)?;
        let stream = flag(&root, "stream")?.unwrap_or(false);
        refuse_logprobs(&root)?;
        let given = read_rest(&root, &mut unused)?;
        let (tools, legacy_functions) = tool::read_tools(&root, &mut unused)?;
        let choice = choice::read_choice(&root, legacy_functions, &mut unused)?;
        let (tool_choice, tool_choice_field) = match choice {
            Some((choice, field)) => (Some(choice), field),
            None => (None, "tool_choice"),
        };
        Ok(Self {
            model,
            messages,
            stream,
            include_usage: read_include_usage(&root, stream, &mut unused)?,
            n: read_n(&root)?,
            max_tokens: read_limit(&root)?,
            stop: read_stop(&root)?,
            response_format: format::read(&root, &mut unused)?,
            verbosity: read_verbosity(&root, &mut unused)?,
            reasoning: reasoning::read(&root, &mut unused)?,
            tools,
            legacy_functions,
            tool_choice,
            tool_choice_field,
            pictures: read_modalities(&root)?,
            parallel_tool_calls: flag(&root, "parallel_tool_calls")?,
            web_search: root
                .get("web_search_options")
                .map(|options| WebSearch::read(&options, &mut unused))
                .transpose()?,
            prompt_cache_key: root.get("prompt_cache_key").map(|key| key.str()).transpose()?,
            // Any JSON type passes: pipelines of some chat UIs send an object.
            user: root.get("user").and_then(|user| user.value().as_str()),
            service_tier: read_service_tier(&root)?,
            include_encrypted_reasoning: includes_encrypted_reasoning(&root, &mut unused),
            public: PlatformOnly::read(&root, &given),
            unsupported_fields: unused.into_paths(),
        })
    }
}

fn flag<'v>(root: &Node<'_, 'v>, name: &'v str) -> Result<Option<bool>, InvalidRequest> {
    root.get(name).map(|node| node.bool()).transpose()
}

fn read_messages<'v>(
    root: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Vec<Message<'v>>, InvalidRequest> {
    let Some(node) = root.get("messages") else {
        if root.get("input").is_some() {
            return Err(InvalidRequest::missing("messages").with_hint(
                "The body has 'input', which belongs to POST /v1/responses; this endpoint is \
                 POST /v1/chat/completions and expects 'messages'.",
            ));
        }
        return Err(InvalidRequest::missing("messages"));
    };
    let items = node.items()?;
    if items.len() == 0 {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, \
                       but got an empty array instead.";
        return Err(InvalidRequest::new("messages", Code::EmptyArray, message));
    }
    items.map(|item| Message::read(&item, unused)).collect()
}

fn read_include_usage(
    root: &Node<'_, '_>,
    stream: bool,
    unused: &mut UnsupportedFields,
) -> Result<bool, InvalidRequest> {
    let mut wanted = None;
    if let Some(options) = root.get("stream_options") {
        // Without a stream they mean nothing, whatever they are.
        if !stream && !options.value().is_object() {
            return Ok(false);
        }
        let options = options.object()?;
        for option in options.fields()? {
            match option.name() {
                "include_usage" => {}
                // What pads chunks against eavesdroppers, which there is nothing of here.
                "include_obfuscation" if option.value().as_bool() == Some(false) => {}
                _ => unused.add(option),
            }
        }
        if stream {
            wanted = flag(&options, "include_usage")?;
        }
    }
    // OpenRouter's spelling.
    let usage = root.get("usage");
    if let Some(usage) = &usage {
        unused.add_others(usage, &["include"]);
    }
    let included = || usage.as_ref().and_then(|usage| usage.get("include")?.value().as_bool());
    Ok(stream && wanted.or_else(included).unwrap_or(false))
}

fn read_n(root: &Node<'_, '_>) -> Result<u32, InvalidRequest> {
    let Some(node) = root.get("n") else { return Ok(1) };
    let n = node.integer(1)?;
    u32::try_from(n).map_err(|_| node.wrong_type("a small integer"))
}

/// From here to 0 is how clients of other hosts say that there is no limit: LM Studio has -1 and 0,
/// llama.cpp has -2 as well.
const NO_LIMIT: i64 = -2;

fn read_limit(root: &Node<'_, '_>) -> Result<Option<Limit>, InvalidRequest> {
    let mut limit = None;
    for field in ["max_output_tokens", "max_tokens", "max_completion_tokens"] {
        if let Some(node) = root.get(field) {
            let tokens = node.integer(NO_LIMIT)?;
            if tokens <= 0 {
                continue;
            }
            let tokens = usize::try_from(tokens).unwrap_or(usize::MAX);
            limit = Some(Limit { tokens, field });
        }
    }
    Ok(limit)
}

fn read_stop<'v>(root: &Node<'_, 'v>) -> Result<Vec<&'v str>, InvalidRequest> {
    let Some(node) = root.get("stop") else { return Ok(Vec::new()) };
    if let Some(stop) = node.value().as_str() {
        return Ok(if stop.is_empty() { Vec::new() } else { vec![stop] });
    }
    if !node.value().is_array() {
        return Err(node.wrong_type("a string or an array"));
    }
    let mut stops = Vec::new();
    let mut count = 0;
    for item in node.items()?.filter(|item| !item.value().is_null()) {
        let stop = item.str()?;
        if stop.is_empty() {
            continue;
        }
        count += 1;
        if count <= MAX_STOPS {
            stops.push(stop);
        }
    }
    if count > MAX_STOPS {
        return Err(InvalidRequest::too_long(node, MAX_STOPS, count));
    }
    Ok(stops)
}

const VERBOSITIES: &[(&str, Verbosity)] =
    &[("low", Verbosity::Low), ("medium", Verbosity::Medium), ("high", Verbosity::High)];

impl Verbosity {
    /// The value as both protocols spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

fn read_verbosity(
    root: &Node<'_, '_>,
    unused: &mut UnsupportedFields,
) -> Result<Option<Verbosity>, InvalidRequest> {
    let text = root.get("text");
    if let Some(text) = &text {
        // `text.format` is read with `response_format`.
        unused.add_others(text, &["verbosity", "format"]);
    }
    if let Some(node) = root.get("verbosity").filter(|node| !node.is_blank()) {
        return node.choice(VERBOSITIES).map(Some);
    }
    // Some clients send the Responses spelling, `text.verbosity`.
    let Some(text) = text else { return Ok(None) };
    text.get("verbosity").map(|node| node.choice(VERBOSITIES)).transpose()
}

fn read_service_tier(root: &Node<'_, '_>) -> Result<Option<ServiceTier>, InvalidRequest> {
    let Some(node) = root.get("service_tier").filter(|node| !node.is_blank()) else {
        return Ok(None);
    };
    node.choice(&[
        ("auto", None),
        ("default", Some(ServiceTier::Default)),
        ("flex", Some(ServiceTier::Flex)),
        ("scale", Some(ServiceTier::Scale)),
        ("priority", Some(ServiceTier::Priority)),
        ("fast", Some(ServiceTier::Priority)),
    ])
}

fn includes_encrypted_reasoning(root: &Node<'_, '_>, unused: &mut UnsupportedFields) -> bool {
    let Some(include) = root.get("include") else { return false };
    let Ok(items) = include.items() else {
        unused.add(include);
        return false;
    };
    let mut is_included = false;
    for item in items {
        if item.value().as_str() == Some("reasoning.encrypted_content") {
            is_included = true;
        } else {
            unused.add(item);
        }
    }
    is_included
}

/// `modalities`: whether images are asked for. Text always comes, audio never.
fn read_modalities(root: &Node<'_, '_>) -> Result<bool, InvalidRequest> {
    let mut pictures = false;
    let Some(node) = root.get("modalities") else { return Ok(pictures) };
    for item in node.items()? {
        match item.str()? {
            "text" => {}
            "image" => pictures = true,
            "audio" => {
                let message = "Unsupported value: 'modalities' does not support 'audio' with this \
                               backend. Use [\"text\"].";
                return Err(InvalidRequest::new("modalities", Code::UnsupportedValue, message));
            }
            other => return Err(InvalidRequest::one_of(item, other, &["text", "image", "audio"])),
        }
    }
    Ok(pictures)
}

/// Log probabilities are refused rather than dropped: callers index into them.
fn refuse_logprobs(root: &Node<'_, '_>) -> Result<(), InvalidRequest> {
    const WHY: &str = "The backend does not return log probabilities.";
    if flag(root, "logprobs")? == Some(true) {
        return Err(InvalidRequest::unsupported("logprobs", WHY));
    }
    if let Some(node) = root.get("top_logprobs")
        && node.integer(0)? > 0
    {
        return Err(InvalidRequest::unsupported("top_logprobs", WHY));
    }
    Ok(())
}

/// What is left: checked where the documentation gives a range, and noted unless the value is
/// what happens anyway. The names of [`PlatformOnly`] that have an effect are returned.
fn read_rest<'v>(
    root: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Vec<&'v str>, InvalidRequest> {
    let mut given = Vec::new();
    for node in root.fields()? {
        let name = node.name();
        if UNDERSTOOD.contains(&name) {
            continue;
        }
        let has_no_effect = match name {
            "temperature" => is(node.number(0.0, 2.0)?, 1.0),
            "top_p" => is(node.number(0.0, 1.0)?, 1.0),
            "presence_penalty" | "frequency_penalty" => is(node.number(-2.0, 2.0)?, 0.0),
            "store" => !node.bool()?,
            // Read before; whatever is left of them asks for nothing.
            "logprobs" | "top_logprobs" => true,
            "metadata" => count_metadata(&node)? == 0,
            "logit_bias" => node.object()?.fields()?.next().is_none(),
            _ => false,
        };
        if has_no_effect {
            continue;
        }
        if PlatformOnly::NAMES.contains(&name) && !given.contains(&name) {
            given.push(name);
        }
        unused.add(node);
    }
    Ok(given)
}

fn count_metadata(node: &Node<'_, '_>) -> Result<usize, InvalidRequest> {
    let count = node.object()?.fields()?.count();
    if count > MAX_METADATA {
        let message = format!(
            "Invalid '{node}': object with too many properties. Expected at most {MAX_METADATA}, \
             but got {count} instead."
        );
        return Err(InvalidRequest::new(node, Code::TooManyProperties, message));
    }
    Ok(count)
}

fn is(value: f64, default: f64) -> bool {
    (value - default).abs() < f64::EPSILON
}

#[cfg(test)]
mod tests;
