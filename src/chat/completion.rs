//! A whole answer, built from its deltas.

use serde::Serialize;
use serde_json::value::RawValue;

use super::chunk::Image;
use super::delta::{
    Annotation, CallKind, Delta, FinishReason, Heading, ReasoningDetail, ReasoningField,
    ServiceTier, Sink,
};
use super::usage::Usage;

/// Collects one choice.
#[derive(Debug, Default)]
pub struct CompletionBuilder {
    content: String,
    reasoning: String,
    refusal: String,
    calls: Vec<PartialCall>,
    images: Vec<String>,
    annotations: Vec<Annotation>,
    reasoning_details: Vec<ReasoningDetail>,
    finish: Option<FinishReason>,
}

#[derive(Debug)]
struct PartialCall {
    id: String,
    name: String,
    text: String,
    kind: CallKind,
}

impl Sink for CompletionBuilder {
    fn delta(&mut self, delta: Delta<'_>) {
        match delta {
            Delta::Content(text) => self.content.push_str(text),
            Delta::Reasoning(text) => self.reasoning.push_str(text),
            Delta::Refusal(text) => self.refusal.push_str(text),
            Delta::Call { id, name, kind, .. } => self.calls.push(PartialCall {
                id: id.to_owned(),
                name: name.to_owned(),
                text: String::new(),
                kind,
            }),
            Delta::Arguments { index, text, .. } => {
                if let Some(call) = self.calls.get_mut(index) {
                    call.text.push_str(text);
                }
            }
            Delta::Image { url, .. } => self.images.push(url.to_owned()),
            Delta::Annotations(annotations) => self.annotations = annotations.to_vec(),
            Delta::ReasoningDetails(details) => self.reasoning_details = details.to_vec(),
            Delta::Finish(reason) => self.finish = Some(reason),
        }
    }

    fn can_take_back(&self) -> bool {
        true
    }

    fn take_back(&mut self) {
        *self = Self::default();
    }
}

/// A `chat.completion` object.
#[derive(Debug, Serialize)]
pub struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    usage: Usage,
    service_tier: ServiceTier,
    system_fingerprint: Option<&'a str>,
}

impl<'a> Completion<'a> {
    /// The answer with these choices. `reasoning_field` is where
    /// reasoning goes.
    pub fn new(
        heading: &'a Heading,
        choices: &'a [CompletionBuilder],
        usage: Usage,
        reasoning_field: ReasoningField,
    ) -> Self {
        Self {
            id: &heading.id,
            object: "chat.completion",
            created: heading.created,
            model: &heading.model,
            choices: choices
                .iter()
                .enumerate()
                .map(|(index, gathered)| Choice::new(index, gathered, reasoning_field))
                .collect(),
            usage,
            service_tier: heading.service_tier,
            system_fingerprint: None,
        }
    }
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<&'a RawValue>,
    finish_reason: FinishReason,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    annotations: &'a [Annotation],
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reasoning_details: &'a [ReasoningDetail],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image<'a>>,
}

#[derive(Debug, Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Custom<'a>>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Debug, Serialize)]
struct Custom<'a> {
    name: &'a str,
    input: &'a str,
}

impl<'a> Choice<'a> {
    fn new(index: usize, gathered: &'a CompletionBuilder, reasoning_field: ReasoningField) -> Self {
        let refusal = some(&gathered.refusal);
        // An empty string stands for an empty answer only.
        let content = match some(&gathered.content) {
            None if gathered.calls.is_empty() && refusal.is_none() => Some(""),
            content => content,
        };
        let reasoning = some(&gathered.reasoning);
        let is_legacy = |call: &&PartialCall| call.kind == CallKind::Legacy;
        let calls = gathered.calls.iter();
        Self {
            index,
            message: Message {
                role: "assistant",
                content,
                refusal,
                annotations: &gathered.annotations,
                reasoning_content: reasoning
                    .filter(|_| reasoning_field == ReasoningField::ReasoningContent),
                reasoning: reasoning.filter(|_| reasoning_field == ReasoningField::Reasoning),
                reasoning_details: &gathered.reasoning_details,
                tool_calls: calls
                    .clone()
                    .filter(|call| !is_legacy(call))
                    .map(ToolCall::new)
                    .collect(),
                function_call: calls
                    .clone()
                    .find(is_legacy)
                    .map(|call| Function { name: &call.name, arguments: &call.text }),
                images: gathered
                    .images
                    .iter()
                    .enumerate()
                    .map(|(index, url)| Image::new(index, url))
                    .collect(),
            },
            logprobs: None,
            finish_reason: gathered.finish.unwrap_or(FinishReason::Stop),
        }
    }
}

impl<'a> ToolCall<'a> {
    fn new(call: &'a PartialCall) -> Self {
        let is_custom = call.kind == CallKind::Custom;
        Self {
            id: &call.id,
            kind: if is_custom { "custom" } else { "function" },
            function: (!is_custom).then_some(Function { name: &call.name, arguments: &call.text }),
            custom: is_custom.then_some(Custom { name: &call.name, input: &call.text }),
        }
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
