//! Images and documents in content parts.

use std::borrow::Cow;

use super::super::invalid_request::{Code, InvalidRequest};
use super::super::json::Node;
use super::content::Part;
use super::unsupported::UnsupportedFields;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image<'v> {
    /// An `http(s)` or `data:` address.
    pub url: Cow<'v, str>,
    /// How closely to look.
    pub detail: Option<Detail>,
}

/// How closely to look at an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// `auto`
    Auto,
    /// `low`
    Low,
    /// `high`
    High,
    /// `original`: not scaled down; in the Responses API since GPT-5.4.
    Original,
}

impl Detail {
    /// The value as both protocols spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Low => "low",
            Self::High => "high",
            Self::Original => "original",
        }
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'v> {
    /// Its name: the client's, or one that suits its type.
    pub name: Cow<'v, str>,
    /// Where its content is.
    pub source: FileSource<'v>,
}

/// Where a document's content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource<'v> {
    /// A `data:` address with the content.
    Data(Cow<'v, str>),
    /// An `http(s)` address.
    Url(Cow<'v, str>),
}

/// The type of a document about which nothing is known.
const PDF: &str = "application/pdf";

/// Reads an image part of this API or of the Responses API.
pub(super) fn read_image<'v>(
    part: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Image<'v>, InvalidRequest> {
    let node = part.require("image_url")?;
    if !node.value().is_object() {
        let url = read_image_url(node.str()?, &node.to_string())?;
        return Ok(Image { url, detail: read_detail(part)? });
    }
    unused.add_others(&node, &["url", "detail"]);
    let url = read_image_url(node.require("url")?.str()?, &node.child("url"))?;
    let detail =
        read_detail(&node)?.map_or_else(|| read_detail(part), |detail| Ok(Some(detail)))?;
    Ok(Image { url, detail })
}

/// Reads an image part of another API: `source` is Anthropic's, `data` MCP's, `image` the AI SDK's.
pub(super) fn read_foreign_image<'v>(
    part: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Image<'v>, InvalidRequest> {
    if part.get("image_url").is_some() {
        unused.add_others(part, &["type", "image_url", "detail", "cache_control"]);
        return read_image(part, unused);
    }
    let mime = || mime_given(part).unwrap_or("image/png");
    let (url, at) = if let Some(source) = part.get("source") {
        unused.add_others(part, &["type", "source", "cache_control"]);
        (read_source(&source, "image/png", unused)?, source.to_string())
    } else if let Some(data) = part.get("data") {
        unused.add_others(part, &["type", "data", "mimeType", "annotations"]);
        let is_sendable = data
            .value()
            .as_str()
            .is_some_and(|text| is_base64(text) || starts_with_ignoring_case(text, "data:"));
        if !is_sendable {
            let message = format!("Invalid '{data}'. Expected a base64-encoded image.");
            return Err(InvalidRequest::new(data, Code::InvalidImageUrl, message));
        }
        (data_url(data.str()?, mime()), data.to_string())
    } else {
        let image = part.require("image")?;
        unused.add_others(part, &["type", "image", "mediaType", "mimeType"]);
        (data_url(image.str()?, mime()), image.to_string())
    };
    Ok(Image { url: read_image_url(&url, &at)?.into_owned().into(), detail: None })
}

/// The type that a part of another API gives.
fn mime_given<'v>(part: &Node<'_, 'v>) -> Option<&'v str> {
    ["mimeType", "mediaType", "media_type"].into_iter().find_map(|name| {
        let text = part.get(name)?.value().as_str()?;
        (!text.trim().is_empty()).then_some(text)
    })
}

/// An address, or bare base64 as a `data:` address.
fn data_url<'v>(text: &'v str, mime: &str) -> Cow<'v, str> {
    let is_address = ["data:", "http://", "https://"]
        .into_iter()
        .any(|scheme| starts_with_ignoring_case(text.trim_start(), scheme));
    if is_address { text.into() } else { format!("data:{mime};base64,{text}").into() }
}

/// Reads Anthropic's `source` as an address.
fn read_source<'v>(
    source: &Node<'_, 'v>,
    default_mime: &str,
    unused: &mut UnsupportedFields,
) -> Result<Cow<'v, str>, InvalidRequest> {
    unused.add_others(source, &["type", "media_type", "data", "url"]);
    if let Some(url) = source.get("url") {
        return url.str().map(Cow::Borrowed);
    }
    let data = source.require("data")?.str()?;
    Ok(data_url(data, mime_given(source).unwrap_or(default_mime)))
}

const DETAILS: &[(&str, Detail)] = &[
    ("auto", Detail::Auto),
    ("low", Detail::Low),
    ("high", Detail::High),
    ("original", Detail::Original),
];

fn read_detail(node: &Node<'_, '_>) -> Result<Option<Detail>, InvalidRequest> {
    let Some(detail) = node.get("detail").filter(|detail| !detail.is_blank()) else {
        return Ok(None);
    };
    detail.choice(DETAILS).map(Some)
}

/// Checks an image's address and mends what clients commonly get wrong in `data:` addresses.
fn read_image_url<'v>(url: &'v str, at: &str) -> Result<Cow<'v, str>, InvalidRequest> {
    let invalid = |why: &str| {
        let message = format!("Invalid '{at}'. {why}");
        InvalidRequest::new(at, Code::InvalidImageUrl, message)
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
    let Some(mime) = mime_of_base64(&head["data:".len()..]) else {
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
    let mime = if mime == "image/jpg" { "image/jpeg" } else { &mime };
    Ok(rebuild_data_url(url, mime, data))
}

/// The type in the head of a `data:` address whose content is base64, without the parameters that
/// the backend does not take.
fn mime_of_base64(head: &str) -> Option<String> {
    let (kind, encoding) = head.rsplit_once(';')?;
    let is_base64 = encoding.trim().eq_ignore_ascii_case("base64");
    let mime = kind.split(';').next().unwrap_or_default().trim();
    is_base64.then(|| mime.to_ascii_lowercase())
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

/// Reads a document: `file` of this API, or a part of the Responses API.
pub(super) fn read_file<'v>(
    file: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<File<'v>, InvalidRequest> {
    const KNOWN: &[&str] =
        &["type", "filename", "file_data", "file_url", "file_id", "cache_control"];
    unused.add_others(file, KNOWN);
    let name = file.get("filename").map(|name| name.str()).transpose()?;
    let name = name.filter(|name| !name.trim().is_empty());
    if let Some(data) = file.get("file_data") {
        return read_file_data(&data, data.str()?, name, None);
    }
    if let Some(url) = file.get("file_url") {
        return read_file_url(&url, url.str()?, name);
    }
    if let Some(id) = file.get("file_id") {
        let message = format!(
            "Unsupported value: '{id}'. Files uploaded to the platform are not visible to a \
             ChatGPT account; send the content as 'file_data'."
        );
        return Err(InvalidRequest::new(id, Code::UnsupportedValue, message));
    }
    Err(InvalidRequest::missing(file.child("file_data")))
}

/// Reads the AI SDK's document, which is flat: `data`, `mediaType`, `filename`.
pub(super) fn read_flat_file<'v>(
    part: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<File<'v>, InvalidRequest> {
    let Some(data) = part.get("data") else { return read_file(part, unused) };
    unused.add_others(part, &["type", "data", "mediaType", "mimeType", "filename"]);
    let name = part.get("filename").and_then(|name| name.value().as_str());
    read_file_data(&data, data.str()?, name, mime_given(part))
}

/// Reads Anthropic's document, whose content may be text.
pub(super) fn read_document<'v>(
    part: &Node<'_, 'v>,
    unused: &mut UnsupportedFields,
) -> Result<Part<'v>, InvalidRequest> {
    let source = part.require("source")?;
    unused.add_others(part, &["type", "source", "title", "cache_control"]);
    let name = part.get("title").and_then(|title| title.value().as_str());
    let is_text = source.get("type").is_some_and(|kind| kind.value().as_str() == Some("text"));
    if is_text {
        return Ok(Part::Text(source.require("data")?.str()?.into()));
    }
    let at = if source.get("url").is_some() { source.child("url") } else { source.child("data") };
    let url = read_source(&source, PDF, unused)?;
    let file = if url.starts_with("data:") {
        let invalid = |why: &str| {
            InvalidRequest::new(&at, Code::InvalidValue, format!("Invalid '{at}': {why}"))
        };
        read_data(&url, name, None, &invalid)?
    } else {
        File { name: file_name(name, PDF), source: FileSource::Url(url) }
    };
    Ok(Part::File(file))
}

/// Reads MCP's embedded resource: its text, or the image or document in it; nothing if it is
/// something else.
pub(super) fn read_resource<'v>(part: &Node<'_, 'v>) -> Option<Part<'v>> {
    let resource = part.get("resource")?;
    if let Some(text) = resource.get("text") {
        return Some(Part::Text(text.value().as_str()?.into()));
    }
    let (blob, mime) = (resource.get("blob")?.value().as_str()?, mime_given(&resource)?);
    let url = data_url(blob, mime);
    if mime.starts_with("image/") {
        let url = read_image_url(&url, "").ok()?.into_owned().into();
        return Some(Part::Image(Image { url, detail: None }));
    }
    let uri = resource.get("uri").and_then(|uri| uri.value().as_str()).unwrap_or_default();
    let name = uri.rsplit('/').next().filter(|name| !name.is_empty());
    let invalid = |_: &str| InvalidRequest::body("");
    read_data(&url, name, None, &invalid).ok().map(Part::File)
}

fn read_file_url<'v>(
    node: &Node<'_, 'v>,
    url: &'v str,
    name: Option<&'v str>,
) -> Result<File<'v>, InvalidRequest> {
    let url = url.trim();
    let is_http =
        ["https://", "http://"].into_iter().any(|scheme| starts_with_ignoring_case(url, scheme));
    if !is_http {
        let message = format!("Invalid '{node}'. Expected an http(s) URL.");
        return Err(InvalidRequest::new(node, Code::InvalidValue, message));
    }
    Ok(File { name: file_name(name, PDF), source: FileSource::Url(url.into()) })
}

/// Reads the content of a document: a data URL, which the backend wants, or the bare base64, which
/// clients often send. Some clients put the document's address in its place.
fn read_file_data<'v>(
    node: &Node<'_, 'v>,
    data: &'v str,
    name: Option<&'v str>,
    mime: Option<&str>,
) -> Result<File<'v>, InvalidRequest> {
    let is_http = ["https://", "http://"]
        .into_iter()
        .any(|scheme| starts_with_ignoring_case(data.trim_start(), scheme));
    if is_http {
        return read_file_url(node, data, name);
    }
    let invalid = |why: &str| {
        let message = format!("Invalid '{node}': {why}");
        InvalidRequest::new(node, Code::InvalidValue, message)
    };
    read_data(&data.into(), name, mime, &invalid)
}

/// Reads a document's content; `mime` is the type that is given beside it.
fn read_data<'v>(
    content: &Cow<'v, str>,
    name: Option<&'v str>,
    mime: Option<&str>,
    invalid: &dyn Fn(&str) -> InvalidRequest,
) -> Result<File<'v>, InvalidRequest> {
    let data = &**content;
    let (mime, payload) = if starts_with_ignoring_case(data, "data:") {
        data["data:".len()..]
            .split_once(',')
            .and_then(|(head, payload)| Some((mime_of_base64(head)?, payload)))
            .ok_or_else(|| {
                invalid("expected a base64-encoded data URL, data:application/pdf;base64,…")
            })?
    } else {
        (mime.unwrap_or_else(|| mime_of(name)).to_ascii_lowercase(), data)
    };
    if payload.trim().is_empty() {
        return Err(invalid("the file is empty."));
    }
    if !is_base64(payload) {
        return Err(invalid(
            "expected base64, or a base64-encoded data URL, data:application/pdf;base64,…",
        ));
    }
    let name = file_name(name, &mime);
    let url = match content {
        Cow::Borrowed(data) => rebuild_data_url(data, &mime, &data[data.len() - payload.len()..]),
        Cow::Owned(_) => Cow::Owned(rebuild_data_url(data, &mime, payload).into_owned()),
    };
    Ok(File { name, source: FileSource::Data(url) })
}

/// Whether a text is base64, in whichever alphabet.
fn is_base64(text: &str) -> bool {
    let is_of_it = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte) || byte.is_ascii_whitespace()
    };
    text.bytes().all(is_of_it)
}

/// The client's name for a document, or one that suits its type: the backend goes by the name.
fn file_name<'v>(name: Option<&'v str>, mime: &str) -> Cow<'v, str> {
    if let Some(name) = name {
        return name.into();
    }
    let known = EXTENSIONS.iter().find(|(_, known)| *known == mime);
    let extension = known.map_or("pdf", |(extension, _)| extension);
    Cow::Owned(format!("file.{extension}"))
}

/// Types of documents by the ends of their names; the first of several for a type is the usual one.
const EXTENSIONS: &[(&str, &str)] = &[
    ("pdf", PDF),
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("json", "application/json"),
    ("xml", "application/xml"),
    ("xml", "text/xml"),
    ("rtf", "application/rtf"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
];

/// The MIME type that a file's name suggests; PDF where it suggests none.
fn mime_of(name: Option<&str>) -> &'static str {
    let extension = name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    let Some(extension) = extension else { return PDF };
    let known = EXTENSIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
    known.map_or(PDF, |(_, mime)| mime)
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
