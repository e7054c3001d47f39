//! Content parts.

use std::borrow::Cow;

use super::super::invalid_request::{Code, InvalidRequest};
use super::super::json::Node;
use super::call::{self, Call};
use super::media::{self, File, Image};
use super::message::{ToolContent, ToolResult};
use super::unsupported::UnsupportedFields;

/// One part of a message's content. A plain string is read as one text part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'v> {
    /// Text.
    Text(Cow<'v, str>),
    /// An image.
    Image(Image<'v>),
    /// A document.
    File(File<'v>),
    /// What the assistant said in refusing.
    Refusal(&'v str),
    /// The output of a call, within a user's message as Anthropic's API has it.
    ToolResult(Box<ToolResult<'v>>),
}

/// The part types that OpenAI documents, as its own refusals list them.
const DOCUMENTED: &[&str] = &["text", "image_url", "input_audio", "refusal", "audio", "file"];

/// Fields of parts that are read, or that say nothing to the model: what `cache_control` asks for
/// is what the backend does by itself.
const OF_TEXT: &[&str] = &["type", "text", "annotations", "cache_control"];
const OF_REFUSAL: &[&str] = &["type", "refusal", "cache_control"];
const OF_IMAGE: &[&str] = &["type", "image_url", "detail", "cache_control"];
const OF_FILE: &[&str] = &["type", "file", "cache_control"];

/// Reads `content`: absent, a string, one part, or a list of parts.
pub(super) fn read<'v>(
    message: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Vec<Part<'v>>, InvalidRequest> {
    let Some(content) = message.get("content") else { return Ok(Vec::new()) };
    let is_assistant =
        message.get("role").is_some_and(|role| role.value().as_str() == Some("assistant"));
    if let Some(text) = content.value().as_str() {
        return Ok(vec![Part::Text(text.into())]);
    }
    let read = |part: &Node<'_, 'v>, unused: &mut UnsupportedFields| {
        if let Some(text) = part.value().as_str() {
            return Ok(Some(Part::Text(text.into())));
        }
        read_part(part, is_assistant, unused)
    };
    if content.value().is_object() {
        return Ok(read(&content, unused)?.into_iter().collect());
    }
    if !content.value().is_array() {
        return Err(content.wrong_type("a string or an array of content parts"));
    }
    let parts = content.items()?.filter_map(|part| read(&part, unused).transpose());
    parts.collect()
}

/// Reads one part; `None` for kinds that carry nothing for the model.
fn read_part<'v>(
    part: &Node<'_, 'v>,
    is_assistant: bool,
    unused: &mut UnsupportedFields,
) -> Result<Option<Part<'v>>, InvalidRequest> {
    part.object()?;
    let kind = match part.get("type") {
        Some(kind) => kind,
        // Some hosts leave it out where there is only one meaning.
        None if part.get("text").is_some() => return text(part, unused).map(Some),
        None => return Err(InvalidRequest::missing(part.child("type"))),
    };
    let name = kind.str()?;
    if let Some(known) = read_known(name, part, unused)? {
        return Ok(Some(known));
    }
    match name {
        // Left in histories by clients of other providers: thoughts come back in their encrypted
        // form only, and the calls are read by `calls`.
        "thinking" | "redacted_thinking" | "reasoning" | "reasoning_content" => Ok(None),
        "tool_use" if is_assistant => {
            unused.add_others(part, &["type", "cache_control", "id", "name", "input"]);
            Ok(None)
        }
        "tool_result" => {
            unused.add_others(part, &["type", "cache_control", "tool_use_id", "content"]);
            let id = part.get("tool_use_id").map(|id| call::read_id(&id)).transpose()?;
            let content = ToolContent::read(part.get("content").as_ref(), unused)?;
            let result = ToolResult { call_id: id.unwrap_or_default(), name: None, content };
            Ok(Some(Part::ToolResult(Box::new(result))))
        }
        "input_audio" | "audio" => Err(audio(&kind, name)),
        // A model said it, and nobody can mend it any more.
        _ if is_assistant => {
            unused.add(part);
            Ok(None)
        }
        other => Err(InvalidRequest::one_of(kind, other, DOCUMENTED)),
    }
}

/// Reads a part of a kind that is sent: of this API, or of another one that is known.
fn read_known<'v>(
    kind: &str,
    part: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Option<Part<'v>>, InvalidRequest> {
    Ok(Some(match kind {
        // The `input_` and `output_` spellings come from clients that mix the two protocols.
        "text" | "input_text" | "output_text" => text(part, unused)?,
        "refusal" => {
            unused.add_others(part, OF_REFUSAL);
            Part::Refusal(part.require("refusal")?.str()?)
        }
        "image_url" | "input_image" => {
            unused.add_others(part, OF_IMAGE);
            Part::Image(media::read_image(part, unused)?)
        }
        // Anthropic's, MCP's and the AI SDK's.
        "image" => Part::Image(media::read_foreign_image(part, unused)?),
        "file" if part.get("file").is_some_and(|file| file.value().is_object()) => {
            unused.add_others(part, OF_FILE);
            Part::File(media::read_file(&part.require("file")?, unused)?)
        }
        "file" => Part::File(media::read_flat_file(part, unused)?),
        "input_file" => Part::File(media::read_file(part, unused)?),
        // Anthropic's.
        "document" => media::read_document(part, unused)?,
        _ => return Ok(None),
    }))
}

fn text<'v>(
    part: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Part<'v>, InvalidRequest> {
    unused.add_others(part, OF_TEXT);
    Ok(Part::Text(part.require("text")?.str()?.into()))
}

fn audio(kind: &Node<'_, '_>, name: &str) -> InvalidRequest {
    let message = format!(
        "Unsupported value: '{kind}' is '{name}', and this backend does not take audio. Transcribe \
         it first, for example with POST /v1/audio/transcriptions of another provider, and send \
         the text."
    );
    InvalidRequest::new(kind, Code::UnsupportedValue, message)
}

/// Reads an element of a tool's output; `None` if it is no part, or none that can be sent: then it
/// is what the tool gave, as JSON. Audio is refused: as text it would be noise.
pub(super) fn read_outcome_part<'v>(
    part: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Option<Part<'v>>, InvalidRequest> {
    if let Some(text) = part.value().as_str() {
        return Ok(Some(Part::Text(text.into())));
    }
    let Some(kind) = part.get("type") else { return Ok(None) };
    let Some(name) = kind.value().as_str() else { return Ok(None) };
    match name {
        "input_audio" => Err(audio(&kind, name)),
        // MCP's; other data may have a type of this name.
        "audio" if part.get("data").is_some() && part.get("mimeType").is_some() => {
            Err(audio(&kind, name))
        }
        "resource" => Ok(media::read_resource(part)),
        _ => {
            // What is not like a part of its kind is data that has a `type`.
            let mut noted = UnsupportedFields::default();
            let Ok(Some(part)) = read_known(name, part, &mut noted) else { return Ok(None) };
            unused.extend(noted);
            Ok(Some(part))
        }
    }
}

/// The calls in the content, as Anthropic's API has them.
pub(super) fn calls<'n, 'v>(message: &'n Node<'_, 'v>) -> impl Iterator<Item = Call<'v>> {
    let content = message.get("content");
    let is_call = |part: &Node<'_, 'v>| {
        part.get("type").is_some_and(|kind| kind.value().as_str() == Some("tool_use"))
    };
    let found: Vec<_> = content
        .iter()
        .filter_map(|content| content.items().ok())
        .flatten()
        .filter(is_call)
        .map(|part| call::read_tool_use(&part))
        .collect();
    found.into_iter()
}

/// Reads `images` of an answer, in which images that the model has drawn are given: what cannot be
/// sent back is left out.
pub(super) fn read_answer_images<'v>(
    images: &Node<'_, 'v>,
    parts: &mut Vec<Part<'v>>,
    unused: &mut UnsupportedFields,
) {
    let Ok(items) = images.items() else { return unused.add(images) };
    for image in items {
        match media::read_image(&image, unused) {
            Ok(image) => parts.push(Part::Image(image)),
            Err(_) => unused.add(image),
        }
    }
}
