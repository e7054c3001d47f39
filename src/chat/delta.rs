//! The deltas of an answer.

use serde::Serialize;

/// One delta of a choice.
///
/// Deltas have an order that every client supports: a tool call begins before its arguments, and
/// [`Finish`](Delta::Finish) is the last.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta<'a> {
    /// Text of the answer.
    Content(&'a str),
    /// Text of the reasoning.
    Reasoning(&'a str),
    /// Text of a refusal.
    Refusal(&'a str),
    /// A tool call begins.
    Call {
        /// 0, 1, 2… in the order in which calls begin.
        index: usize,
        /// The call's id.
        id: &'a str,
        /// The tool, by the client's name.
        name: &'a str,
        /// The form of the call.
        kind: CallKind,
    },
    /// More of a tool call's arguments or input.
    Arguments {
        /// The call's index.
        index: usize,
        /// The text.
        text: &'a str,
        /// The form of the call.
        kind: CallKind,
    },
    /// A generated image.
    Image {
        /// 0, 1, 2…
        index: usize,
        /// A `data:` address with the image.
        url: &'a str,
    },
    /// All encrypted reasoning of the answer, for clients that carry it.
    ReasoningDetails(&'a [ReasoningDetail]),
    /// All citations of the answer.
    Annotations(&'a [Annotation]),
    /// The finish reason.
    Finish(FinishReason),
}

/// The `format` of encrypted reasoning.
pub const DETAILS_FORMAT: &str = "openai-responses-v1";

/// What the `id` of encrypted reasoning begins with; its place among the turn's items follows.
pub const DETAILS_ID: &str = "rs_";

/// Encrypted reasoning, in the form that `OpenRouter` introduced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasoningDetail {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    format: &'static str,
    /// Keeps accumulators of SDKs from failing on a list.
    index: usize,
    data: String,
}

impl ReasoningDetail {
    /// The encrypted reasoning `data`, which stood at `position` among the turn's items and is the
    /// `index`-th of its kind.
    pub fn new(index: usize, position: usize, data: &str) -> Self {
        Self {
            kind: "reasoning.encrypted",
            id: format!("{DETAILS_ID}{position}"),
            format: DETAILS_FORMAT,
            index,
            data: data.to_owned(),
        }
    }
}

/// The form of a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// An entry of `tool_calls` with a function.
    Function,
    /// An entry of `tool_calls` with a custom tool.
    Custom,
    /// `function_call`, deprecated; one at most.
    Legacy,
}

/// Why an answer ended. There are no other values: strict clients fail on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was complete, or a stop sequence was found.
    Stop,
    /// A token limit was reached.
    Length,
    /// There are tool calls.
    ToolCalls,
    /// There is a function call, in the deprecated form.
    FunctionCall,
    /// The content filter has withheld it.
    ContentFilter,
}

/// A citation, in the nested form of chat completions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Annotation {
    /// A web page.
    UrlCitation {
        /// Which, and for which part of the content.
        url_citation: UrlCitation,
    },
}

/// A citation of a web page.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct UrlCitation {
    /// Where the citation begins in the content, in Unicode code points.
    pub start_index: u64,
    /// Where it ends.
    pub end_index: u64,
    /// The page.
    pub url: String,
    /// Its title.
    pub title: String,
}

/// The name of the field for reasoning; clients differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningField {
    /// `reasoning_content`, as `DeepSeek` has it.
    ReasoningContent,
    /// `reasoning`, as `OpenRouter` has it.
    Reasoning,
}

impl ReasoningField {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReasoningContent => "reasoning_content",
            Self::Reasoning => "reasoning",
        }
    }
}

/// A sink for the deltas of one choice.
pub trait Sink {
    /// The next delta.
    fn delta(&mut self, delta: Delta<'_>);

    /// Whether nothing is sent before the end, so that all deltas can be discarded.
    fn can_take_back(&self) -> bool {
        false
    }

    /// Discards all deltas so far: the answer is emitted again. Only called if that is possible.
    fn take_back(&mut self) {}
}

/// Buffered deltas for a sink on another thread.
#[derive(Debug, Default)]
pub struct Kept {
    pieces: Vec<Piece>,
    can_take_back: bool,
    /// Deltas before these are discarded.
    is_anew: bool,
}

/// An owned [`Delta`].
#[derive(Debug)]
enum Piece {
    Content(String),
    Reasoning(String),
    Refusal(String),
    Call { index: usize, id: String, name: String, kind: CallKind },
    Arguments { index: usize, text: String, kind: CallKind },
    Image { index: usize, url: String },
    ReasoningDetails(Vec<ReasoningDetail>),
    Annotations(Vec<Annotation>),
    Finish(FinishReason),
}

impl Kept {
    /// An empty buffer, for a sink that can discard deltas, or not.
    pub fn new(can_take_back: bool) -> Self {
        Self { can_take_back, ..Self::default() }
    }

    /// Sends the deltas to their sink.
    pub fn give(self, sink: &mut impl Sink) {
        if self.is_anew {
            sink.take_back();
        }
        for piece in &self.pieces {
            sink.delta(match piece {
                Piece::Content(text) => Delta::Content(text),
                Piece::Reasoning(text) => Delta::Reasoning(text),
                Piece::Refusal(text) => Delta::Refusal(text),
                Piece::Call { index, id, name, kind } => {
                    Delta::Call { index: *index, id, name, kind: *kind }
                }
                Piece::Arguments { index, text, kind } => {
                    Delta::Arguments { index: *index, text, kind: *kind }
                }
                Piece::Image { index, url } => Delta::Image { index: *index, url },
                Piece::ReasoningDetails(details) => Delta::ReasoningDetails(details),
                Piece::Annotations(annotations) => Delta::Annotations(annotations),
                Piece::Finish(reason) => Delta::Finish(*reason),
            });
        }
    }
}

impl Sink for Kept {
    fn delta(&mut self, delta: Delta<'_>) {
        self.pieces.push(match delta {
            Delta::Content(text) => Piece::Content(text.to_owned()),
            Delta::Reasoning(text) => Piece::Reasoning(text.to_owned()),
            Delta::Refusal(text) => Piece::Refusal(text.to_owned()),
            Delta::Call { index, id, name, kind } => {
                Piece::Call { index, id: id.to_owned(), name: name.to_owned(), kind }
            }
            Delta::Arguments { index, text, kind } => {
                Piece::Arguments { index, text: text.to_owned(), kind }
            }
            Delta::Image { index, url } => Piece::Image { index, url: url.to_owned() },
            Delta::ReasoningDetails(details) => Piece::ReasoningDetails(details.to_vec()),
            Delta::Annotations(annotations) => Piece::Annotations(annotations.to_vec()),
            Delta::Finish(reason) => Piece::Finish(reason),
        });
    }

    fn can_take_back(&self) -> bool {
        self.can_take_back
    }

    fn take_back(&mut self) {
        self.pieces.clear();
        self.is_anew = true;
    }
}

/// The service tier of an answer, sent with every chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// `default`
    Default,
    /// `flex`
    Flex,
    /// `scale`
    Scale,
    /// `priority`
    Priority,
}

impl ServiceTier {
    /// The tier of this name. Clients with closed sets fail on names they do not know, so unknown
    /// ones are the default; so is `auto`, which the first events contain before it is decided.
    pub fn from_upstream(name: Option<&str>) -> Self {
        match name {
            Some("priority" | "fast" | "ultrafast") => Self::Priority,
            Some("flex") => Self::Flex,
            Some("scale") => Self::Scale,
            _ => Self::Default,
        }
    }
}

/// The fields shared by all chunks of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// `chatcmpl-…`
    pub id: String,
    /// When the request came, in seconds since 1970.
    pub created: u64,
    /// The model as the client asked for it.
    pub model: String,
    /// The service tier.
    pub service_tier: ServiceTier,
}
