//! A chat completion request, read leniently into types that say what it means.
//!
//! Reading checks types and ranges and settles spellings (several clients have their own); it
//! does not decide what can be honoured upstream, which is the translation's business. Texts,
//! images and schemas stay borrowed from the client's body.

mod content;
mod format;
mod message;
mod public;
mod tool;

use serde_json_borrow::Value;

use super::json::Node;
use super::reject::{Code, Reject};
use crate::effort::Effort;

pub use content::{Detail, File, FileSource, Image, Part};
pub use format::{JsonSchema, ResponseFormat};
pub use message::{Assistant, Call, CallKind, LegacyCall, Message, ReasoningDetail, ToolContent};
pub use public::PublicOnly;
pub use tool::{
    AllowedMode, CustomFormat, Function, HostedTool, Tool, ToolChoice, ToolName, UserLocation,
    WebSearch,
};

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
    /// How many choices are wanted; at least 1.
    pub n: u32,
    /// The cap on generated tokens.
    pub max_tokens: Option<Limit>,
    /// Stop sequences, none of them empty.
    pub stop: Vec<&'v str>,
    /// The shape of the answer.
    pub response_format: Option<ResponseFormat<'v>>,
    /// How wordy the answer is.
    pub verbosity: Option<Verbosity>,
    /// How much to think and whether to show it.
    pub reasoning: Reasoning,
    /// What the model may call.
    pub tools: Vec<Tool<'v>>,
    /// Whether `functions` was used in place of `tools`: the answer has the old shape too.
    pub legacy_functions: bool,
    /// Whether and what the model must call.
    pub tool_choice: Option<ToolChoice<'v>>,
    /// Whether several calls may come in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// `web_search_options`.
    pub web_search: Option<WebSearch<'v>>,
    /// The client's key for prompt caching.
    pub prompt_cache_key: Option<&'v str>,
    /// The end user, if given as a string.
    pub user: Option<&'v str>,
    /// How fast and dear the processing is, if not left to the service.
    pub service_tier: Option<ServiceTier>,
    /// Whether the sealed reasoning was asked for, as in the Responses protocol.
    pub include_encrypted_reasoning: bool,
    /// What only the platform's public API takes.
    pub public: PublicOnly<'v>,
    /// The names of fields that were given a value and have no counterpart in the Codex backend.
    pub without_counterpart: Vec<&'v str>,
}

/// A cap on generated tokens and the field that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At least 1.
    pub tokens: usize,
    /// `max_completion_tokens`, `max_tokens` or `max_output_tokens`.
    pub field: &'static str,
}

/// How wordy the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
}

/// How much to think and whether to show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// `reasoning_effort` or one of its other spellings.
    pub effort: Option<Wish>,
    /// How the summaries are written.
    pub summary: Option<Summary>,
    /// Whether the client asked not to see any reasoning.
    pub hidden: bool,
}

/// An effort as wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// This one.
    Effort(Effort),
    /// As little as the model offers.
    Least,
}

/// How reasoning summaries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// `auto`
    Auto,
    /// `concise`
    Concise,
    /// `detailed`
    Detailed,
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
    pub fn read(body: &'v Value<'v>) -> Result<Self, Reject> {
        let root = Node::root(body);
        if !body.is_object() {
            return Err(Reject::body(
                "Invalid body: expected a JSON object with at least 'model' and 'messages'.",
            ));
        }
        let model = match root.get("model") {
            Some(model) => model.str()?,
            None => "",
        };
        if model.trim().is_empty() {
            let message = "you must provide a model parameter";
            return Err(Reject::new("model", Code::Missing, message));
        }
        let messages = read_messages(&root)?;
        let stream = flag(&root, "stream")?.unwrap_or(false);
        refuse_audio(&root)?;
        refuse_logprobs(&root)?;
        let (tools, legacy_functions) = tool::read_tools(&root)?;
        let tool_choice = if legacy_functions {
            tool::read_function_call(&root)?
        } else {
            tool::read_tool_choice(&root)?
        };
        let without_counterpart = read_rest(&root)?;
        Ok(Self {
            model,
            messages,
            stream,
            include_usage: stream && read_include_usage(&root)?,
            n: read_n(&root)?,
            max_tokens: read_limit(&root)?,
            stop: read_stop(&root)?,
            response_format: root.get("response_format").map(format::read).transpose()?.flatten(),
            verbosity: read_verbosity(&root)?,
            reasoning: read_reasoning(&root)?,
            tools,
            legacy_functions,
            tool_choice,
            parallel_tool_calls: flag(&root, "parallel_tool_calls")?,
            web_search: root
                .get("web_search_options")
                .map(|options| WebSearch::read(&options))
                .transpose()?,
            prompt_cache_key: root.get("prompt_cache_key").map(|key| key.str()).transpose()?,
            // Any JSON type passes: pipelines of some chat UIs send an object.
            user: root.get("user").and_then(|user| user.value().as_str()),
            service_tier: read_service_tier(&root)?,
            include_encrypted_reasoning: includes_encrypted_reasoning(&root),
            public: PublicOnly::read(&root, &without_counterpart),
            without_counterpart,
        })
    }
}

fn flag<'v>(root: &Node<'_, 'v>, name: &'v str) -> Result<Option<bool>, Reject> {
    root.get(name).map(|node| node.bool()).transpose()
}

fn read_messages<'v>(root: &Node<'_, 'v>) -> Result<Vec<Message<'v>>, Reject> {
    let Some(node) = root.get("messages") else {
        if root.get("input").is_some() {
            return Err(Reject::missing("messages").with_hint(
                "The body has 'input', which belongs to POST /v1/responses; this endpoint is \
                 POST /v1/chat/completions and expects 'messages'.",
            ));
        }
        return Err(Reject::missing("messages"));
    };
    let items = node.items()?;
    if items.len() == 0 {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, \
                       but got an empty array instead.";
        return Err(Reject::new("messages", Code::EmptyArray, message));
    }
    items.map(|item| Message::read(&item)).collect()
}

fn read_include_usage(root: &Node<'_, '_>) -> Result<bool, Reject> {
    if let Some(options) = root.get("stream_options") {
        let options = options.object()?;
        if let Some(wanted) = flag(&options, "include_usage")? {
            return Ok(wanted);
        }
    }
    // OpenRouter's spelling.
    let usage = root.get("usage");
    Ok(usage.as_ref().and_then(|usage| usage.get("include")?.value().as_bool()).unwrap_or(false))
}

fn read_n(root: &Node<'_, '_>) -> Result<u32, Reject> {
    let Some(node) = root.get("n") else { return Ok(1) };
    let n = node.integer(1)?;
    u32::try_from(n).map_err(|_| node.wrong_type("a small integer"))
}

fn read_limit(root: &Node<'_, '_>) -> Result<Option<Limit>, Reject> {
    let mut limit = None;
    for field in ["max_output_tokens", "max_tokens", "max_completion_tokens"] {
        if let Some(node) = root.get(field) {
            let tokens = usize::try_from(node.integer(1)?).unwrap_or(usize::MAX);
            limit = Some(Limit { tokens, field });
        }
    }
    Ok(limit)
}

fn read_stop<'v>(root: &Node<'_, 'v>) -> Result<Vec<&'v str>, Reject> {
    let Some(node) = root.get("stop") else { return Ok(Vec::new()) };
    let mut stops = if node.value().is_array() {
        node.items()?.map(|item| item.str()).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![node.value().as_str().ok_or_else(|| node.wrong_type("a string or an array"))?]
    };
    stops.retain(|stop| !stop.is_empty());
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

fn read_verbosity(root: &Node<'_, '_>) -> Result<Option<Verbosity>, Reject> {
    if let Some(node) = root.get("verbosity") {
        return node.choice(VERBOSITIES).map(Some);
    }
    // Some clients send the Responses spelling, `text.verbosity`.
    let Some(text) = root.get("text") else { return Ok(None) };
    text.get("verbosity").map(|node| node.choice(VERBOSITIES)).transpose()
}

/// `reasoning_effort` and the spellings of OpenRouter (`reasoning`), Anthropic (`thinking`) and
/// Qwen (`enable_thinking`).
fn read_reasoning(root: &Node<'_, '_>) -> Result<Reasoning, Reject> {
    let mut wish = Reasoning::default();
    if let Some(node) = root.get("enable_thinking")
        && node.value().as_bool() == Some(false)
    {
        wish.effort = Some(Wish::Least);
    }
    if let Some(node) = root.get("thinking")
        && let Some(kind) = node.get("type")
        && kind.value().as_str() == Some("disabled")
    {
        wish.effort = Some(Wish::Least);
    }
    if flag(root, "include_reasoning")? == Some(false) {
        wish.hidden = true;
    }
    if let Some(node) = root.get("reasoning") {
        let node = node.object()?;
        if let Some(effort) = node.get("effort") {
            wish.effort = Some(Wish::Effort(read_effort(&effort)?));
        } else if flag(&node, "enabled")? == Some(false) {
            wish.effort = Some(Wish::Least);
        }
        if let Some(summary) = node.get("summary") {
            wish.summary = Some(summary.choice(&[
                ("auto", Summary::Auto),
                ("concise", Summary::Concise),
                ("detailed", Summary::Detailed),
            ])?);
        }
        wish.hidden |= flag(&node, "exclude")? == Some(true);
    }
    if let Some(node) = root.get("reasoning_effort") {
        wish.effort = Some(Wish::Effort(read_effort(&node)?));
    }
    Ok(wish)
}

fn read_effort(node: &Node<'_, '_>) -> Result<Effort, Reject> {
    let got = node.str()?;
    Effort::parse(got).ok_or_else(|| {
        let names: Vec<&str> = Effort::ALL.iter().map(|effort| effort.as_str()).collect();
        Reject::one_of(node, got, &names)
    })
}

fn read_service_tier(root: &Node<'_, '_>) -> Result<Option<ServiceTier>, Reject> {
    let Some(node) = root.get("service_tier") else { return Ok(None) };
    node.choice(&[
        ("auto", None),
        ("default", Some(ServiceTier::Default)),
        ("flex", Some(ServiceTier::Flex)),
        ("scale", Some(ServiceTier::Scale)),
        ("priority", Some(ServiceTier::Priority)),
        ("fast", Some(ServiceTier::Priority)),
    ])
}

fn includes_encrypted_reasoning(root: &Node<'_, '_>) -> bool {
    let Some(include) = root.get("include") else { return false };
    include.items().is_ok_and(|mut items| {
        items.any(|item| item.value().as_str() == Some("reasoning.encrypted_content"))
    })
}

fn refuse_audio(root: &Node<'_, '_>) -> Result<(), Reject> {
    let Some(node) = root.get("modalities") else { return Ok(()) };
    for item in node.items()? {
        match item.str()? {
            "text" => {}
            "audio" => {
                let message = "Unsupported value: 'modalities' does not support 'audio' with this \
                               backend. Use [\"text\"].";
                return Err(Reject::new("modalities", Code::UnsupportedValue, message));
            }
            other => return Err(Reject::one_of(item, other, &["text", "audio"])),
        }
    }
    Ok(())
}

/// Log probabilities are refused rather than dropped: callers index into them.
fn refuse_logprobs(root: &Node<'_, '_>) -> Result<(), Reject> {
    const WHY: &str = "The backend gives no log probabilities.";
    if flag(root, "logprobs")? == Some(true) {
        return Err(Reject::unsupported("logprobs", WHY));
    }
    if let Some(node) = root.get("top_logprobs")
        && node.integer(0)? > 0
    {
        return Err(Reject::unsupported("top_logprobs", WHY));
    }
    Ok(())
}

/// What is left: checked where the documentation gives a range, and named unless the value is
/// what happens anyway.
fn read_rest<'v>(root: &Node<'_, 'v>) -> Result<Vec<&'v str>, Reject> {
    let mut rest = Vec::new();
    for node in root.fields()? {
        let name = node.name();
        if UNDERSTOOD.contains(&name) || rest.contains(&name) {
            continue;
        }
        let has_no_effect = match name {
            "temperature" => is(node.number(0.0, 2.0)?, 1.0),
            "top_p" => is(node.number(0.0, 1.0)?, 1.0),
            "presence_penalty" | "frequency_penalty" => is(node.number(-2.0, 2.0)?, 0.0),
            "store" => !node.bool()?,
            // Read above; whatever is left of them asks for nothing.
            "logprobs" | "top_logprobs" | "modalities" => true,
            "metadata" | "logit_bias" => node.object()?.fields()?.next().is_none(),
            _ => false,
        };
        if !has_no_effect {
            rest.push(name);
        }
    }
    Ok(rest)
}

fn is(value: f64, default: f64) -> bool {
    (value - default).abs() < f64::EPSILON
}

#[cfg(test)]
mod tests;
