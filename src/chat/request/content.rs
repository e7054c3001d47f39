//! Content parts.

use std::borrow::Cow;

use super::super::json::Node;
use super::super::reject::{Code, Reject};

/// One part of a message's content. A plain string is read as one text part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'v> {
    /// Text.
    Text(&'v str),
    /// A picture.
    Image(Image<'v>),
    /// A document.
    File(File<'v>),
    /// What the assistant said in refusing.
    Refusal(&'v str),
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image<'v> {
    /// An `http(s)` or `data:` address.
    pub url: Cow<'v, str>,
    /// How closely to look.
    pub detail: Option<Detail>,
}

/// How closely to look at a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// `auto`
    Auto,
    /// `low`
    Low,
    /// `high`
    High,
}

impl Detail {
    /// The value as both protocols spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'v> {
    /// Its name, if the client gave one.
    pub name: Option<&'v str>,
    /// Where its content is.
    pub source: FileSource<'v>,
}

/// Where a document's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource<'v> {
    /// A `data:` address with the content.
    Data(Cow<'v, str>),
    /// An `http(s)` address.
    Url(&'v str),
}

/// The part types that OpenAI documents, as its own refusals list them.
const DOCUMENTED: &[&str] = &["text", "image_url", "input_audio", "refusal", "audio", "file"];

/// Reads `content`: absent, a string, or parts.
pub(super) fn read<'v>(message: &Node<'_, 'v>) -> Result<Vec<Part<'v>>, Reject> {
    let Some(content) = message.get("content") else { return Ok(Vec::new()) };
    if let Some(text) = content.value().as_str() {
        return Ok(vec![Part::Text(text)]);
    }
    if !content.value().is_array() {
        return Err(content.wrong_type("a string or an array of content parts"));
    }
    read_parts(&content)
}

/// Reads an array of parts.
pub(super) fn read_parts<'v>(content: &Node<'_, 'v>) -> Result<Vec<Part<'v>>, Reject> {
    let mut parts = Vec::new();
    for item in content.items()? {
        if let Some(text) = item.value().as_str() {
            parts.push(Part::Text(text));
        } else {
            parts.extend(read_part(&item)?);
        }
    }
    Ok(parts)
}

/// Reads one part; `None` for kinds that carry nothing for the model.
fn read_part<'v>(part: &Node<'_, 'v>) -> Result<Option<Part<'v>>, Reject> {
    part.object()?;
    let kind = part.require("type")?;
    Ok(Some(match kind.str()? {
        // The `input_` and `output_` spellings come from clients that mix the two protocols.
        "text" | "input_text" | "output_text" => Part::Text(part.require("text")?.str()?),
        "refusal" => Part::Refusal(part.require("refusal")?.str()?),
        "image_url" | "input_image" => Part::Image(read_image(part)?),
        "file" => Part::File(read_file(&part.require("file")?.object()?)?),
        "input_file" => Part::File(read_file(part)?),
        "input_audio" | "audio" => {
            let message = format!(
                "Unsupported value: '{kind}' is audio, which this backend does not take. \
                 Transcribe it first, for example with POST /v1/audio/transcriptions of another \
                 provider, and send the text."
            );
            return Err(Reject::new(kind, Code::UnsupportedValue, message));
        }
        // Left in histories by clients of other providers; the text stands beside them.
        "thinking" | "redacted_thinking" | "reasoning" => return Ok(None),
        other => return Err(Reject::one_of(kind, other, DOCUMENTED)),
    }))
}

fn read_image<'v>(part: &Node<'_, 'v>) -> Result<Image<'v>, Reject> {
    let node = part.require("image_url")?;
    let (url, detail) = if node.value().is_object() {
        (node.require("url")?.str()?, read_detail(&node)?)
    } else {
        (node.str()?, read_detail(part)?)
    };
    let at = if node.value().is_object() { node.child("url") } else { node.to_string() };
    Ok(Image { url: read_image_url(url, &at)?, detail })
}

fn read_detail(node: &Node<'_, '_>) -> Result<Option<Detail>, Reject> {
    let Some(detail) = node.get("detail") else { return Ok(None) };
    detail.choice(&[("auto", Detail::Auto), ("low", Detail::Low), ("high", Detail::High)]).map(Some)
}

/// Checks an image's address and mends what clients commonly get wrong in `data:` addresses.
fn read_image_url<'v>(url: &'v str, at: &str) -> Result<Cow<'v, str>, Reject> {
    let invalid = |why: &str| {
        let message = format!("Invalid '{at}'. {why}");
        Reject::new(at, Code::InvalidImageUrl, message)
    };
    let url = url.trim();
    for scheme in ["http://", "https://"] {
        if starts_with_ignoring_case(url, scheme) {
            return Ok(match url.strip_prefix(scheme) {
                Some(_) => Cow::Borrowed(url),
                None => Cow::Owned([scheme, &url[scheme.len()..]].concat()),
            });
        }
    }
    if !starts_with_ignoring_case(url, "data:") {
        return Err(invalid(
            "Expected a valid URL: http(s), or data:image/…;base64,… with the image itself. \
             Local paths cannot be read by the backend.",
        ));
    }
    let (head, data) = url.split_once(',').ok_or_else(|| invalid("Expected base64 data."))?;
    let head = head["data:".len()..].to_ascii_lowercase();
    let Some(mime) = head.strip_suffix(";base64") else {
        return Err(invalid("Expected a base64-encoded data URL: data:image/…;base64,…"));
    };
    if !mime.starts_with("image/") {
        return Err(invalid("Expected a data URL with an image MIME type (e.g. image/png)."));
    }
    if data.trim().is_empty() {
        return Err(invalid(
            "Expected a base64-encoded image, but got empty base64-encoded bytes.",
        ));
    }
    let mime = if mime == "image/jpg" { "image/jpeg" } else { mime };
    Ok(rebuild_data_url(url, mime, data))
}

/// The data URL with this MIME type and without white space in its data; borrowed if it already
/// is so.
fn rebuild_data_url<'v>(url: &'v str, mime: &str, data: &str) -> Cow<'v, str> {
    let has_space = data.bytes().any(|byte| byte.is_ascii_whitespace());
    let head = &url[..url.len() - data.len()];
    let wanted_head = format!("data:{mime};base64,");
    if !has_space && head == wanted_head {
        return Cow::Borrowed(url);
    }
    let mut out = wanted_head;
    out.reserve(data.len());
    out.extend(data.chars().filter(|c| !c.is_ascii_whitespace()));
    Cow::Owned(out)
}

fn read_file<'v>(file: &Node<'_, 'v>) -> Result<File<'v>, Reject> {
    let name = file.get("filename").map(|name| name.str()).transpose()?;
    if let Some(data) = file.get("file_data") {
        let text = data.str()?;
        let source = FileSource::Data(read_file_data(&data, text, name)?);
        return Ok(File { name, source });
    }
    if let Some(url) = file.get("file_url") {
        let text = url.str()?;
        if !text.starts_with("https://") && !text.starts_with("http://") {
            let message = format!("Invalid '{url}'. Expected an http(s) URL.");
            return Err(Reject::new(url, Code::InvalidValue, message));
        }
        return Ok(File { name, source: FileSource::Url(text) });
    }
    if let Some(id) = file.get("file_id") {
        let message = format!(
            "Unsupported value: '{id}'. Files uploaded to the platform are not visible to a \
             ChatGPT account; send the content as 'file_data'."
        );
        return Err(Reject::new(id, Code::UnsupportedValue, message));
    }
    Err(Reject::missing(file.child("file_data")))
}

/// The backend wants a data URL; clients often send the bare base64.
fn read_file_data<'v>(
    node: &Node<'_, 'v>,
    data: &'v str,
    name: Option<&str>,
) -> Result<Cow<'v, str>, Reject> {
    let invalid = |why: &str| {
        let message = format!("Invalid '{node}': {why}");
        Reject::new(node, Code::InvalidValue, message)
    };
    let (mime, payload) = match data.strip_prefix("data:") {
        None => (mime_of(name), data),
        Some(rest) => rest
            .split_once(',')
            .and_then(|(head, payload)| Some((head.strip_suffix(";base64")?, payload)))
            .ok_or_else(|| {
                invalid("expected a base64-encoded data URL, data:application/pdf;base64,…")
            })?,
    };
    if payload.trim().is_empty() {
        return Err(invalid("the file is empty."));
    }
    Ok(rebuild_data_url(data, mime, payload))
}

/// The MIME type that a file's name suggests; PDF where it suggests none.
fn mime_of(name: Option<&str>) -> &'static str {
    let extension = name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("html" | "htm") => "text/html",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Some("xlsx") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Some("pptx") => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => "application/pdf",
    }
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
