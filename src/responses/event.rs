//! Events of a `/responses` stream, borrowed from the text they came in.
//!
//! Every field may be missing and unknown ones are overlooked: hosts differ, and the backend
//! changes without notice. An event is told by `type` in its data; the `event:` line may be
//! missing.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error::BackendError;
use super::lenient::{BoundedVec, LenientStr, LenientU64};
use super::request::Phase;
use super::surrogates;

/// What happened, so far as a chat client can be told of it.
#[derive(Debug)]
pub enum Event<'a> {
    /// `response.created` and `response.in_progress`: the backend has begun.
    Begun(Box<Response<'a>>),
    /// `response.output_item.added`
    ItemAdded(Place<'a>, Box<Item<'a>>),
    /// `response.output_item.done`
    ItemDone(Place<'a>, Box<Item<'a>>),
    /// More of a text.
    Delta(TextKind, Place<'a>, Cow<'a, str>),
    /// The whole of a text, which deltas may or may not have given already.
    Done(TextKind, Place<'a>, Cow<'a, str>),
    /// `response.content_part.done` and `response.reasoning_summary_part.done`
    PartDone(Place<'a>, Part<'a>),
    /// `response.output_text.annotation.added`
    Annotation(Place<'a>, Annotation<'a>),
    /// `response.completed`, `response.incomplete`, `response.done`
    Ended(Box<Response<'a>>, Ending),
    /// `response.failed`, `response.cancelled`, `error`, and an end by any name that says of itself
    /// that it failed or was cancelled
    Failed(Box<BackendError>),
    /// Everything else: progress of hosted tools, metadata, kinds not known yet.
    Other,
}

/// How a response ended, by the event's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// To its end.
    Complete,
    /// Cut short; the reason stands in the response.
    Incomplete,
}

/// What a delta is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// The answer.
    Output,
    /// A refusal.
    Refusal,
    /// A summary of reasoning.
    Summary,
    /// Reasoning itself, which open models show.
    Reasoning,
    /// A function call's arguments.
    Arguments,
    /// A custom tool call's input.
    Input,
}

/// Where an event belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The item's position in the output: the best key there is.
    pub output_index: Option<u64>,
    /// The item's id, which some hosts change between events of one item.
    pub item_id: Option<Cow<'a, str>>,
    /// The content part or the summary within the item.
    pub part: u64,
}

/// An output item. Which fields there are depends on its kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Item<'a> {
    /// `message`, `reasoning`, `function_call`, …
    #[serde(rename = "type", borrow)]
    pub kind: LenientStr<'a>,
    /// The item's own id.
    #[serde(borrow)]
    pub id: LenientStr<'a>,
    /// The id that a call's outcome refers to.
    #[serde(borrow)]
    pub call_id: LenientStr<'a>,
    /// What is called.
    #[serde(borrow)]
    pub name: LenientStr<'a>,
    /// A function call's arguments.
    #[serde(borrow)]
    pub arguments: LenientStr<'a>,
    /// A custom tool call's input.
    #[serde(borrow)]
    pub input: LenientStr<'a>,
    /// Whether a message is a preamble or the answer.
    #[serde(borrow)]
    phase: LenientStr<'a>,
    /// A message's parts, or raw reasoning.
    #[serde(borrow)]
    content: Parts<'a>,
    /// Summaries of reasoning.
    #[serde(borrow)]
    summary: Parts<'a>,
    /// Reasoning, sealed. What stands here before the item is done cannot be opened.
    #[serde(borrow)]
    pub encrypted_content: LenientStr<'a>,
    /// A generated image: base64.
    #[serde(borrow)]
    pub result: LenientStr<'a>,
    /// A generated image's format: `png`, `webp` or `jpeg`.
    #[serde(borrow)]
    pub output_format: LenientStr<'a>,
    /// What a search did, as it came.
    #[serde(borrow)]
    pub action: Option<&'a RawValue>,
}

impl<'a> Item<'a> {
    /// Whether a message is a preamble or the answer, where the backend says so.
    pub fn phase(&self) -> Option<Phase> {
        match self.phase.as_deref()? {
            "commentary" => Some(Phase::Commentary),
            "final_answer" => Some(Phase::FinalAnswer),
            _ => None,
        }
    }

    /// Whether the backend tells a call's id.
    pub fn has_call_id(&self) -> bool {
        self.call_id.as_deref().is_some_and(|id| !id.is_empty())
    }

    /// A message's parts, or raw reasoning.
    pub fn content(&self) -> &[Part<'a>] {
        &self.content.0
    }

    /// Summaries of reasoning.
    pub fn summary(&self) -> &[Part<'a>] {
        &self.summary.0
    }
}

/// A content part or a summary.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Part<'a> {
    /// `output_text`, `refusal`, `reasoning_text`, `summary_text`
    #[serde(rename = "type", borrow)]
    pub kind: LenientStr<'a>,
    /// The text.
    #[serde(borrow)]
    pub text: LenientStr<'a>,
    /// A refusal's text.
    #[serde(borrow)]
    pub refusal: LenientStr<'a>,
    /// Citations.
    #[serde(borrow)]
    annotations: Annotations<'a>,
}

impl<'a> Part<'a> {
    /// Citations.
    pub fn annotations(&self) -> &[Annotation<'a>] {
        self.annotations.0.as_ref().map_or(&[], |annotations| &annotations.0)
    }
}

/// The parts of an item. Some hosts give one part, or nothing but its text, where a list belongs.
#[derive(Debug, Default)]
struct Parts<'a>(Vec<Part<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Parts<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let raw: &'de RawValue = Deserialize::deserialize(input)?;
        let parts = if raw.get().starts_with('[') {
            serde_json::from_str(raw.get()).map(|BoundedVec::<LaxPart<'a>>(parts)| {
                parts.into_iter().map(|part| part.0).collect()
            })
        } else {
            serde_json::from_str(raw.get()).map(|LaxPart(part)| {
                if part.kind.0.is_some() || part.text.0.is_some() { vec![part] } else { Vec::new() }
            })
        };
        Ok(Self(parts.unwrap_or_default()))
    }
}

/// A part, or a text that stands for one; anything else is a part that says nothing.
#[derive(Debug, Default)]
struct LaxPart<'a>(Part<'a>);

impl<'a> LaxPart<'a> {
    fn of_text(text: Cow<'a, str>) -> Self {
        let kind = LenientStr(Some(Cow::Borrowed("output_text")));
        Self(Part { kind, text: LenientStr(Some(text)), ..Part::default() })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for LaxPart<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let raw: &'de RawValue = Deserialize::deserialize(input)?;
        Ok(match raw.get().as_bytes().first() {
            Some(b'{') => Self(serde_json::from_str(raw.get()).unwrap_or_default()),
            Some(b'"') => match serde_json::from_str(raw.get()) {
                Ok(LenientStr(Some(text))) => Self::of_text(text),
                _ => Self::default(),
            },
            _ => Self::default(),
        })
    }
}

/// A citation. Offsets count Unicode code points of the part's text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Annotation<'a> {
    /// `url_citation` and others.
    #[serde(rename = "type", borrow)]
    pub kind: LenientStr<'a>,
    /// What is cited.
    #[serde(borrow)]
    pub url: LenientStr<'a>,
    /// Its title.
    #[serde(borrow)]
    pub title: LenientStr<'a>,
    /// Where the citation begins.
    pub start_index: LenientU64,
    /// Where it ends.
    pub end_index: LenientU64,
}

/// The response as a whole, as the first and the last events show it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Response<'a> {
    /// The response's id.
    #[serde(borrow)]
    pub id: LenientStr<'a>,
    /// The model that answers.
    #[serde(borrow)]
    pub model: LenientStr<'a>,
    /// `completed`, `incomplete`, …
    #[serde(borrow)]
    pub status: LenientStr<'a>,
    /// How it is processed.
    #[serde(borrow)]
    pub service_tier: LenientStr<'a>,
    /// Why it was cut short.
    #[serde(borrow)]
    incomplete_details: Details<'a>,
    /// What it cost.
    usage: Usage,
    /// The output, which the backend often leaves empty.
    #[serde(borrow)]
    output: Items<'a>,
    /// What went wrong.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Response<'a> {
    /// Why it was cut short, if it was.
    pub fn incomplete_reason(&self) -> Option<&str> {
        self.incomplete_details.0.as_ref()?.reason.as_deref()
    }

    /// What went wrong, if the response says itself that it failed or was cancelled.
    fn failure(&self) -> Option<BackendError> {
        let report = self
            .error
            .map_or_else(BackendError::default, |error| BackendError::from_json(error.get()));
        match self.status.as_deref() {
            _ if !report.is_empty() => Some(report),
            Some("failed") => Some(report),
            Some("cancelled" | "canceled") => Some(cancelled()),
            _ => None,
        }
    }

    /// Whether the response says itself that it was cut short.
    pub fn is_incomplete(&self) -> bool {
        self.status.as_deref() == Some("incomplete") || self.incomplete_reason().is_some()
    }

    /// What it cost, if the backend says so.
    pub fn usage(&self) -> Option<TokenUsage> {
        self.usage.0
    }

    /// The output items, which the backend often leaves out.
    pub fn output(&self) -> &[Item<'a>] {
        self.output.0.as_ref().map_or(&[], |items| &items.0)
    }
}

/// Why a response was cut short.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Incomplete<'a> {
    #[serde(borrow)]
    reason: LenientStr<'a>,
}

/// What a response cost, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// All of the input.
    pub input: u64,
    /// The part of the input that came from the cache.
    pub cached: u64,
    /// The part of the input that was written to the cache, if told.
    pub cache_write: Option<u64>,
    /// All of the output, reasoning included.
    pub output: u64,
    /// The part of the output that was reasoning.
    pub reasoning: u64,
    /// The sum, if told.
    pub total: Option<u64>,
}

/// Reads a field that is of this shape, or overlooks it.
macro_rules! lax_field {
    ($name:ident, $inner:ty) => {
        #[derive(Debug, Default)]
        struct $name<'a>(Option<$inner>);

        impl<'de: 'a, 'a> Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let raw: &'de RawValue = Deserialize::deserialize(input)?;
                Ok(Self(serde_json::from_str(raw.get()).ok()))
            }
        }
    };
}

lax_field!(Annotations, BoundedVec<Annotation<'a>>);
lax_field!(Items, BoundedVec<Item<'a>>);
lax_field!(Details, Incomplete<'a>);

#[derive(Debug, Default)]
struct Usage(Option<TokenUsage>);

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Wire {
            input_tokens: LenientU64,
            input_tokens_details: Option<Details>,
            output_tokens: LenientU64,
            output_tokens_details: Option<Details>,
            total_tokens: LenientU64,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Details {
            cached_tokens: LenientU64,
            cache_write_tokens: LenientU64,
            reasoning_tokens: LenientU64,
        }
        let raw: &'de RawValue = Deserialize::deserialize(input)?;
        let wire: Option<Wire> = serde_json::from_str(raw.get()).unwrap_or_default();
        Ok(Self(wire.map(|wire| {
            let input = wire.input_tokens_details.unwrap_or_default();
            let output = wire.output_tokens_details.unwrap_or_default();
            TokenUsage {
                input: wire.input_tokens.0.unwrap_or(0),
                cached: input.cached_tokens.0.unwrap_or(0),
                cache_write: input.cache_write_tokens.0,
                output: wire.output_tokens.0.unwrap_or(0),
                reasoning: output.reasoning_tokens.0.unwrap_or(0),
                total: wire.total_tokens.0,
            }
        })))
    }
}

/// The fields of a delta: most events are of this kind, and have far fewer than all of them do.
#[derive(Deserialize)]
struct DeltaWire<'a> {
    /// What it is was read before. That it is there once only is checked here.
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    output_index: Option<LenientU64>,
    #[serde(borrow, default)]
    item_id: LenientStr<'a>,
    content_index: Option<LenientU64>,
    summary_index: Option<LenientU64>,
    #[serde(borrow, default)]
    delta: LenientStr<'a>,
}

/// All fields that any other event of interest has.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: LenientStr<'a>,
    output_index: Option<LenientU64>,
    #[serde(borrow, default)]
    item_id: LenientStr<'a>,
    content_index: Option<LenientU64>,
    summary_index: Option<LenientU64>,
    #[serde(borrow, default)]
    text: LenientStr<'a>,
    #[serde(borrow, default)]
    refusal: LenientStr<'a>,
    #[serde(borrow, default)]
    arguments: LenientStr<'a>,
    #[serde(borrow, default)]
    input: LenientStr<'a>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    part: Option<&'a RawValue>,
    #[serde(borrow)]
    annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

/// The halves of characters, as escapes of surrogates, that the text of a delta begins and ends
/// with: an answer may be cut between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Halves {
    /// The second half of a character whose first half ended the delta before.
    pub leading: Option<u16>,
    /// The first half of a character.
    pub trailing: Option<u16>,
}

impl Halves {
    /// Reads the data of a delta as it came, before [`repair_surrogates`].
    ///
    /// [`repair_surrogates`]: super::surrogates::repair_surrogates
    pub fn of(data: &str) -> Self {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            delta: Option<&'a RawValue>,
        }
        let Ok(Wire { delta: Some(delta) }) = serde_json::from_str(data) else {
            return Self::default();
        };
        let text = delta.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        text.map_or_else(Self::default, |text| Self {
            leading: surrogates::leading_half(text),
            trailing: surrogates::trailing_half(text),
        })
    }
}

/// What is told of a response that was cancelled. The backend gives no error with it. The status is
/// that of a request whose client has gone: sending it again is not asked for.
fn cancelled() -> BackendError {
    BackendError {
        code: Some("response_cancelled".to_owned()),
        message: Some("The response was cancelled before it was complete.".to_owned()),
        status: Some(499),
        ..BackendError::default()
    }
}

/// The `type` of an event whose data begins with it, as that of the backend does.
fn leading_type(data: &str) -> Option<&str> {
    let rest = data.strip_prefix("{\"type\":\"")?;
    Some(&rest[..memchr::memchr(b'"', rest.as_bytes())?])
}

/// Whether the data is that of a delta, if that can be seen at once.
pub fn is_delta(data: &str) -> bool {
    leading_type(data).and_then(TextKind::of_delta).is_some()
}

fn place(
    output_index: Option<LenientU64>,
    item_id: LenientStr<'_>,
    part: Option<LenientU64>,
) -> Place<'_> {
    Place {
        output_index: output_index.and_then(|index| index.0),
        item_id: item_id.0,
        part: part.and_then(|index| index.0).unwrap_or(0),
    }
}

impl TextKind {
    /// The kind of text that events of this type have a piece of.
    fn of_delta(kind: &str) -> Option<Self> {
        Some(match kind {
            "response.output_text.delta" => Self::Output,
            "response.function_call_arguments.delta" => Self::Arguments,
            "response.reasoning_summary_text.delta" => Self::Summary,
            "response.reasoning_text.delta" => Self::Reasoning,
            "response.custom_tool_call_input.delta" => Self::Input,
            "response.refusal.delta" => Self::Refusal,
            _ => return None,
        })
    }
}

impl<'a> Event<'a> {
    /// The end of a response: what it says of itself counts, and not the name of the event.
    fn ended(response: Response<'a>, ending: Ending) -> Self {
        match response.failure() {
            Some(report) => Self::Failed(Box::new(report)),
            None => Self::Ended(Box::new(response), ending),
        }
    }

    /// Reads the data of an event with a piece of a text.
    fn delta(kind: TextKind, data: &'a str) -> Option<Self> {
        let wire: DeltaWire<'a> = serde_json::from_str(data).ok()?;
        let place =
            place(wire.output_index, wire.item_id, wire.content_index.or(wire.summary_index));
        Some(match wire.delta.0 {
            Some(text) => Self::Delta(kind, place, text),
            None => Self::Other,
        })
    }

    /// Reads the data of one event; `None` if it begins like one and cannot be read, so that
    /// nobody knows what it was to tell.
    pub fn parse(data: &'a str) -> Option<Self> {
        if !data.trim_start().starts_with('{') {
            // Hosts send signs of life and a `[DONE]`.
            return Some(Self::Other);
        }
        if let Some(kind) = leading_type(data).and_then(TextKind::of_delta) {
            return Self::delta(kind, data);
        }
        let wire: Wire<'a> = serde_json::from_str(data).ok()?;
        let Some(kind) = wire.kind.0 else {
            // An error body that came where an event belongs.
            let report = match (wire.error, wire.detail) {
                (None, None) => BackendError::default(),
                _ => BackendError::from_document(data),
            };
            let is_said = !report.is_empty();
            return Some(if is_said { Self::Failed(Box::new(report)) } else { Self::Other });
        };
        if let Some(kind) = TextKind::of_delta(&kind) {
            return Self::delta(kind, data);
        }
        let place =
            place(wire.output_index, wire.item_id, wire.content_index.or(wire.summary_index));
        let done = |kind, place, text: LenientStr<'a>| match text.0 {
            Some(text) => Self::Done(kind, place, text),
            None => Self::Other,
        };
        Some(match &*kind {
            "response.output_text.done" => done(TextKind::Output, place, wire.text),
            "response.function_call_arguments.done" => {
                done(TextKind::Arguments, place, wire.arguments)
            }
            "response.reasoning_summary_text.done" => done(TextKind::Summary, place, wire.text),
            "response.reasoning_text.done" => done(TextKind::Reasoning, place, wire.text),
            "response.custom_tool_call_input.done" => done(TextKind::Input, place, wire.input),
            "response.refusal.done" => done(TextKind::Refusal, place, wire.refusal),
            "response.output_item.added" => Self::ItemAdded(place, Box::new(nested(wire.item))),
            "response.output_item.done" => Self::ItemDone(place, Box::new(nested(wire.item))),
            "response.content_part.done" => Self::PartDone(place, nested(wire.part)),
            "response.reasoning_summary_part.done" => {
                let mut part: Part<'a> = nested(wire.part);
                part.kind = LenientStr(Some(Cow::Borrowed("summary_text")));
                Self::PartDone(place, part)
            }
            "response.output_text.annotation.added" => {
                Self::Annotation(place, nested(wire.annotation))
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                Self::Begun(Box::new(nested(wire.response)))
            }
            "response.completed" | "response.done" => {
                Self::ended(nested(wire.response), Ending::Complete)
            }
            "response.incomplete" => Self::ended(nested(wire.response), Ending::Incomplete),
            "response.failed" => {
                let response: Response<'a> = nested(wire.response);
                Self::Failed(Box::new(response.failure().unwrap_or_default()))
            }
            "response.cancelled" | "response.canceled" => {
                let response: Response<'a> = nested(wire.response);
                Self::Failed(Box::new(response.failure().unwrap_or_else(cancelled)))
            }
            "error" => Self::Failed(Box::new(BackendError::from_json(data))),
            _ => Self::Other,
        })
    }
}

/// A nested object, or an empty one if it is not as expected.
fn nested<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_borrows_its_text() {
        let data = r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":2,"content_index":1,"delta":"Hel","obfuscation":"x"}"#;
        let Some(Event::Delta(TextKind::Output, place, Cow::Borrowed("Hel"))) = Event::parse(data)
        else {
            panic!("not a borrowed delta");
        };
        assert_eq!(place.output_index, Some(2));
        assert_eq!(place.item_id.as_deref(), Some("msg_1"));
        assert_eq!(place.part, 1);
    }

    #[test]
    fn the_order_of_fields_does_not_matter() {
        let head = r#""type":"response.refusal.delta""#;
        let place = r#""item_id":"msg_1","output_index":2,"content_index":1"#;
        for data in [
            format!(r#"{{{head},{place},"delta":"no\n"}}"#),
            format!(r#"{{ {head} ,{place},"delta":"no\n"}}"#),
            format!(r#"{{{place},"delta":"no\n",{head}}}"#),
        ] {
            let Some(Event::Delta(TextKind::Refusal, place, text)) = Event::parse(&data) else {
                panic!("not a delta: {data}");
            };
            assert_eq!((place.item_id.as_deref(), &*text), (Some("msg_1"), "no\n"));
            assert_eq!((place.output_index, place.part), (Some(2), 1));
        }
        // Said twice, nobody knows what counts.
        for data in [format!("{{{head},{head}}}"), format!(r#"{{"delta":"a",{head},{head}}}"#)] {
            assert!(Event::parse(&data).is_none(), "{data}");
        }
    }

    #[test]
    fn odd_fields_cost_nothing_but_themselves() {
        let data = r#"{"type":"response.completed","response":{"created_at":1.5,"usage":{"input_tokens":3,"input_tokens_details":null,"output_tokens":2.0},"output":"none","incomplete_details":[],"error":null}}"#;
        let Some(Event::Ended(response, Ending::Complete)) = Event::parse(data) else {
            panic!("not an end");
        };
        let usage = response.usage().unwrap();
        assert_eq!((usage.input, usage.output, usage.total), (3, 2, None));
        assert!(response.output().is_empty());
        assert!(!response.is_incomplete());
    }

    #[test]
    fn a_text_or_one_part_in_place_of_a_list_is_the_list() {
        let part = r#"{"type":"output_text","text":"Hi"}"#;
        for (given, wanted) in [
            (r#""Hi""#.to_owned(), &["Hi"] as &[_]),
            (r#""""#.to_owned(), &[""]),
            (part.to_owned(), &["Hi"]),
            (format!("[{part}]"), &["Hi"]),
            (format!(r#"["Hi",{part}]"#), &["Hi", "Hi"]),
            (format!("[7,{part},null]"), &["", "Hi", ""]),
            ("null".to_owned(), &[]),
            ("7".to_owned(), &[]),
            ("{}".to_owned(), &[]),
        ] {
            for field in ["content", "summary"] {
                let item = format!(r#"{{"type":"message","{field}":{given}}}"#);
                let data = format!(r#"{{"type":"response.output_item.done","item":{item}}}"#);
                let Some(Event::ItemDone(_, item)) = Event::parse(&data) else { panic!("{data}") };
                let parts = if field == "content" { item.content() } else { item.summary() };
                let texts: Vec<_> =
                    parts.iter().map(|part| part.text.as_deref().unwrap_or_default()).collect();
                assert_eq!(texts, wanted, "{data}");
            }
        }
    }

    #[test]
    fn a_response_that_failed_is_a_failure_by_any_name() {
        let error = r#""error":{"code":"server_error","message":"No."}"#;
        for (response, code) in [
            (format!(r#"{{"status":"failed",{error}}}"#), Some("server_error")),
            (format!(r#"{{"status":"completed",{error}}}"#), Some("server_error")),
            (format!("{{{error}}}"), Some("server_error")),
            (r#"{"status":"completed","error":"It broke."}"#.to_owned(), None),
            (r#"{"status":"failed","error":null}"#.to_owned(), None),
            (r#"{"status":"failed"}"#.to_owned(), None),
            (r#"{"status":"cancelled"}"#.to_owned(), Some("response_cancelled")),
            (r#"{"status":"canceled","error":{}}"#.to_owned(), Some("response_cancelled")),
            (format!(r#"{{"status":"cancelled",{error}}}"#), Some("server_error")),
        ] {
            for name in ["completed", "done", "incomplete", "failed", "cancelled"] {
                let data = format!(r#"{{"type":"response.{name}","response":{response}}}"#);
                let Some(Event::Failed(report)) = Event::parse(&data) else { panic!("{data}") };
                assert_eq!(report.code.as_deref(), code, "{data}");
            }
        }
        for data in
            [r#"{"type":"response.cancelled"}"#, r#"{"type":"response.canceled","response":null}"#]
        {
            let Some(Event::Failed(report)) = Event::parse(data) else { panic!("{data}") };
            assert_eq!(report.code.as_deref(), Some("response_cancelled"));
        }
        for response in [
            r#"{"status":"completed","error":null}"#,
            r#"{"status":"completed","error":{}}"#,
            r#"{"status":"in_progress"}"#,
            "{}",
        ] {
            let data = format!(r#"{{"type":"response.completed","response":{response}}}"#);
            assert!(matches!(Event::parse(&data), Some(Event::Ended(..))), "{data}");
        }
    }

    #[test]
    fn an_error_body_in_place_of_an_event_is_a_failure() {
        for (data, message, status) in [
            (r#"{"error":{"message":"No."}}"#, "No.", None),
            (r#"{"error":"No."}"#, "No.", None),
            (r#"{"detail":"Unsupported parameter: foo"}"#, "Unsupported parameter: foo", Some(400)),
            (r#"{"detail":"Gone","status":500}"#, "Gone", Some(500)),
        ] {
            let Some(Event::Failed(report)) = Event::parse(data) else { panic!("{data}") };
            assert_eq!((report.message.as_deref(), report.status), (Some(message), status));
        }
        for data in [r#"{"error":null}"#, r#"{"detail":null,"error":{}}"#] {
            assert!(matches!(Event::parse(data), Some(Event::Other)), "{data}");
        }
    }

    #[test]
    fn halves_of_characters_at_the_ends_of_a_delta_are_found() {
        for (text, leading, trailing) in [
            (r"\ud83d", None, Some(0xD83D)),
            (r"a\uD83D", None, Some(0xD83D)),
            (r"\ude00b", Some(0xDE00), None),
            (r"\ude00\ud83d", Some(0xDE00), Some(0xD83D)),
            (r"\ud83d\ude00", None, None),
            (r"\ud83d\ude00\ud83d", None, Some(0xD83D)),
            (r"\ud83dx\ude00", None, None),
            (r"\\ud83d", None, None),
            (r"\\\ud83d", None, Some(0xD83D)),
            ("", None, None),
        ] {
            let data = format!(r#"{{"type":"response.output_text.delta","delta":"{text}"}}"#);
            assert_eq!(Halves::of(&data), Halves { leading, trailing }, "{text}");
        }
        for data in ["", "{", r#"{"delta":7}"#, "{}"] {
            assert_eq!(Halves::of(data), Halves::default());
        }
    }

    #[test]
    fn what_is_of_no_interest_is_other() {
        let limits = r#"{"type":"codex.rate_limits","rate_limits":{}}"#;
        for data in ["", "[DONE]", "1", "[]", "[{", "ping", "{}", r#"{"type":1}"#, limits] {
            assert!(matches!(Event::parse(data), Some(Event::Other)), "{data}");
        }
    }

    #[test]
    fn what_is_damaged_is_no_event() {
        for data in [
            "{",
            r#"{"type":"x""#,
            r#"{"type":"x"}}"#,
            r#" {"type":"x","delta":"a\x"}"#,
            r#"{"type":"x","item":{"a":}}"#,
            r#"{"type":"x","type":"y"}"#,
            "{\"delta\":\"\u{1}\"}",
        ] {
            assert!(Event::parse(data).is_none(), "{data}");
        }
    }

    #[test]
    fn depth_costs_nothing() {
        let deep = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
        for nested in [deep("[", "]"), deep("{\"a\":", "}")] {
            for field in ["item", "novelty", "delta", "output_index", "item_id"] {
                let data = format!(r#"{{"type":"response.output_text.delta","{field}":{nested}}}"#);
                assert!(matches!(Event::parse(&data), Some(Event::Other)), "{field}");
            }
            for field in ["type", "content", "summary", "id", "novelty"] {
                let item = format!(r#"{{"{field}":{nested}}}"#);
                let data = format!(r#"{{"type":"response.output_item.done","item":{item}}}"#);
                assert!(matches!(Event::parse(&data), Some(Event::ItemDone(..))), "{field}");
            }
            for data in [
                format!(r#"{{"type":"response.failed","response":{{"error":{nested}}}}}"#),
                format!(r#"{{"type":"error","error":{nested}}}"#),
            ] {
                let Some(Event::Failed(report)) = Event::parse(&data) else { panic!("not failed") };
                assert!(report.is_empty());
            }
        }
    }

    #[test]
    fn lists_that_go_on_and_on_are_overlooked() {
        let list = |length: usize| format!("[{}]", vec!["{}"; length].join(","));
        let parts = |length: usize| {
            let item = format!(r#"{{"type":"message","content":{}}}"#, list(length));
            let data = format!(r#"{{"type":"response.output_item.done","item":{item}}}"#);
            match Event::parse(&data) {
                Some(Event::ItemDone(_, item)) => item.content().len(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((parts(1000), parts(100_000)), (1000, 0));
    }
}
