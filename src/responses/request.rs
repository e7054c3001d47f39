//! A request to `/responses`, in the subset that the backend accepts.
//!
//! The backend refuses unknown fields, at every depth, so there is nothing here that it does not
//! know. The order of fields is the order on the wire: the parts that stay the same over a
//! conversation come first.

use std::borrow::Cow;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use super::schema::{Fill, Schema};
use crate::effort::Effort;
use crate::json::Value;

/// The body of `POST /responses`.
#[derive(Debug, Serialize)]
pub struct Request<'v> {
    /// The model's slug.
    pub model: Cow<'v, str>,
    /// The system text; never empty, since a missing one is refused.
    pub instructions: Cow<'v, str>,
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool<'v>>,
    /// Whether and what it must call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice<'v>>,
    /// Whether several calls may come in one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// How much to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Reasoning>,
    /// The form of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text<'v>>,
    /// How fast and dear the processing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
    /// What the Codex backend refuses; nothing but where the public API answers.
    #[serde(flatten)]
    pub public: Option<PlatformOnly<'v>>,
    /// The conversation's key for prompt caching; at most 64 characters.
    pub prompt_cache_key: Cow<'v, str>,
    /// Extra parts of the answer.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub include: &'static [Include],
    /// The backend accepts nothing but `false`.
    pub store: False,
    /// The backend accepts nothing but `true`.
    pub stream: True,
    /// The conversation; never empty.
    pub input: Vec<Item<'v>>,
}

/// Always `false` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct False;

/// Always `true` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct True;

impl Serialize for False {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(false)
    }
}

impl Serialize for True {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

/// Extra parts of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Include {
    /// The reasoning in encrypted form, for later turns.
    #[serde(rename = "reasoning.encrypted_content")]
    EncryptedReasoning,
}

/// What the platform's public API takes and the Codex backend refuses.
#[derive(Debug, Default, Serialize)]
pub struct PlatformOnly<'v> {
    /// The cap on generated tokens, reasoning included; at least 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<usize>,
    /// From 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// From 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The client's own notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'v Value<'v>>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'v str>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_identifier: Option<&'v str>,
    /// How long prompts are kept for caching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_cache_retention: Option<&'v str>,
}

/// `service_tier`; the Codex backend refuses all values but `priority`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// As usual.
    Default,
    /// Slower, at a lower cost.
    Flex,
    /// Bought in advance.
    Scale,
    /// Faster, at a higher cost to the plan.
    Priority,
}

/// One item of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Item<'v> {
    /// Something said.
    Message {
        /// By whom.
        role: Role,
        /// Whether it is a preamble or the answer, where the backend has told.
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<Phase>,
        /// What.
        content: Vec<Part<'v>>,
    },
    /// What the model thought, sealed. Something that it led to must follow.
    Reasoning {
        /// Summaries of it; required, though there may be none.
        summary: Vec<Summary<'v>>,
        /// The encrypted reasoning.
        encrypted_content: Cow<'v, str>,
    },
    /// A search that the backend has made.
    WebSearchCall {
        /// The backend's own id, which it wants back.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'v, str>>,
        /// `completed`
        status: Cow<'v, str>,
        /// What it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<Json>,
    },
    /// A call of a function.
    FunctionCall {
        /// At most 64 characters; unique within a request.
        call_id: Cow<'v, str>,
        /// The function.
        name: Cow<'v, str>,
        /// JSON text.
        arguments: Cow<'v, str>,
    },
    /// The outcome of a function call.
    FunctionCallOutput {
        /// The call's id.
        call_id: Cow<'v, str>,
        /// The outcome.
        output: Output<'v>,
    },
    /// A call of a custom tool.
    CustomToolCall {
        /// At most 64 characters; unique within a request.
        call_id: Cow<'v, str>,
        /// The tool.
        name: Cow<'v, str>,
        /// Free text.
        input: Cow<'v, str>,
    },
    /// The outcome of a custom tool's call.
    CustomToolCallOutput {
        /// The call's id.
        call_id: Cow<'v, str>,
        /// The outcome.
        output: Output<'v>,
    },
}

/// A JSON text that is sent as it came.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Json(pub Box<RawValue>);

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Json {}

/// A summary of what the model thought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "summary_text")]
pub struct Summary<'v> {
    /// The text.
    pub text: Cow<'v, str>,
}

/// Who said it. There is no `system`: the backend refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The application.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A part of a message or of a tool's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part<'v> {
    /// Text of a user, a developer or a tool.
    InputText {
        /// The text.
        text: Cow<'v, str>,
    },
    /// Text of the assistant.
    OutputText {
        /// The text.
        text: Cow<'v, str>,
    },
    /// A refusal of the assistant.
    Refusal {
        /// Its text.
        refusal: Cow<'v, str>,
    },
    /// An image.
    InputImage {
        /// An `http(s)` or `data:` address.
        image_url: Cow<'v, str>,
        /// How closely to look.
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'static str>,
    },
    /// A document.
    InputFile {
        /// Its name; required beside `file_data`.
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<Cow<'v, str>>,
        /// A `data:` address.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<Cow<'v, str>>,
        /// An `http(s)` address.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<Cow<'v, str>>,
    },
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Output<'v> {
    /// Plain text.
    Text(Cow<'v, str>),
    /// Input parts.
    Parts(Vec<Part<'v>>),
}

/// Something the model may call.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Tool<'v> {
    /// A function.
    Function {
        /// `^[a-zA-Z0-9_-]{1,64}$`
        name: Cow<'v, str>,
        /// What it is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'v str>,
        /// A JSON schema of type object.
        parameters: Schema<'v>,
        /// Always explicit: where it is missing, the backend turns strictness on and rewrites
        /// the schema.
        strict: bool,
    },
    /// A custom tool.
    Custom {
        /// `^[a-zA-Z0-9_-]{1,64}$`
        name: Cow<'v, str>,
        /// What it is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'v str>,
        /// The form of its input.
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<CustomFormat<'v>>,
    },
    /// A search of the web, done by the backend.
    WebSearch {
        /// Whether pages may be fetched.
        #[serde(skip_serializing_if = "Option::is_none")]
        external_web_access: Option<bool>,
        /// Whether the index may be used.
        #[serde(skip_serializing_if = "Option::is_none")]
        indexed_web_access: Option<bool>,
        /// `low`, `medium` or `high`.
        #[serde(skip_serializing_if = "Option::is_none")]
        search_context_size: Option<&'static str>,
        /// Roughly where the user is.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_location: Option<UserLocation<'v>>,
        /// Which pages.
        #[serde(skip_serializing_if = "Option::is_none")]
        filters: Option<Filters<'v>>,
        /// Such as `text` and `image`.
        #[serde(skip_serializing_if = "Option::is_none")]
        search_content_types: Option<Vec<&'v str>>,
    },
    /// Drawing, done by the backend; its options follow the type.
    ImageGeneration {
        /// `output_format`, `size` and the like.
        #[serde(flatten)]
        options: Options<'v>,
    },
}

/// Fields of an object, in order.
#[derive(Debug, Default)]
pub struct Options<'v>(pub Vec<(&'v str, &'v Value<'v>)>);

impl Serialize for Options<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The form of a custom tool's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
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

/// Which pages a search may find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filters<'v> {
    /// Nothing but these domains and what is below them.
    pub allowed_domains: Vec<&'v str>,
}

/// Roughly where the user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "approximate")]
pub struct UserLocation<'v> {
    /// Two-letter code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<&'v str>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'v str>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<&'v str>,
    /// IANA name.
    #[serde(skip_serializing_if = "Option::is_none")]
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
    /// Only some of the tools; `required` tells whether it must call one.
    Allowed {
        /// Whether one must be called.
        required: bool,
        /// Which.
        tools: Vec<ToolName<'v>>,
    },
}

/// A tool by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolName<'v> {
    /// A function.
    Function {
        /// Its name.
        name: Cow<'v, str>,
    },
    /// A custom tool.
    Custom {
        /// Its name.
        name: Cow<'v, str>,
    },
    /// The web search.
    WebSearch,
    /// Drawing.
    ImageGeneration,
}

impl Serialize for ToolChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Required => serializer.serialize_str("required"),
            Self::Named(name) => name.serialize(serializer),
            Self::Allowed { required, tools } => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("type", "allowed_tools")?;
                map.serialize_entry("mode", if *required { "required" } else { "auto" })?;
                map.serialize_entry("tools", tools)?;
                map.end()
            }
        }
    }
}

/// How much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reasoning {
    /// The effort; the model's default if absent.
    pub effort: Option<Effort>,
    /// How summaries are written; none if absent.
    pub summary: Option<&'static str>,
}

impl Serialize for Reasoning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(effort) = self.effort {
            map.serialize_entry("effort", effort.as_str())?;
        }
        if let Some(summary) = self.summary {
            map.serialize_entry("summary", summary)?;
        }
        map.end()
    }
}

/// The form of the text.
#[derive(Debug, Serialize)]
pub struct Text<'v> {
    /// JSON, and of which shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format<'v>>,
    /// `low`, `medium` or `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<&'static str>,
}

/// The shape of the text.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Format<'v> {
    /// Some JSON; the backend wants the word in an input message.
    JsonObject,
    /// JSON that satisfies a schema.
    JsonSchema {
        /// `^[a-zA-Z0-9_-]{1,64}$`
        name: Cow<'v, str>,
        /// What the answer is for.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'v str>,
        /// The schema.
        schema: Schema<'v>,
        /// Whether it must be followed exactly.
        strict: bool,
    },
}

/// Whether a message is a preamble to tool calls or the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A preamble.
    Commentary,
    /// The answer.
    FinalAnswer,
}
