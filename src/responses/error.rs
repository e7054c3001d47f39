//! Error reports of the backend, in all of their forms.

mod class;
mod text;

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

pub use class::Class;
pub use text::is_of_sealed_content;

/// The most bytes of a message that are kept.
const MAX_MESSAGE: usize = 2048;
/// The largest report that is read: the values of JSON take up far more room than their text.
const MAX_REPORT: usize = 1 << 20;
/// The most bytes of a name (`code`, `param`, …) that are kept.
const MAX_NAME: usize = 256;

/// An error report of the backend. Every part may be missing.
///
/// Two layers of the backend use two kinds of bodies, `{"detail": …}` and `{"error": {…}}`; in
/// streams the same fields are flat or nested. All of them are read here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendError {
    /// The `type`: a class such as `invalid_request_error`, and for plan limits what others put
    /// into `code`.
    pub kind: Option<String>,
    /// The code.
    pub code: Option<String>,
    /// The message; truncated after 2 KiB.
    pub message: Option<String>,
    /// The JSON path of the request field at fault.
    pub param: Option<String>,
    /// The HTTP status that the body itself names.
    pub status: Option<u16>,
    /// The plan whose limit was reached.
    pub plan_type: Option<String>,
    /// When the limit ends, in seconds since 1970.
    pub resets_at: Option<i64>,
    /// How long until the limit ends.
    pub resets_in: Option<Duration>,
}

/// The body of an HTTP answer that reports a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A report of the backend.
    Report(BackendError),
    /// An HTML page of a proxy in front of the backend.
    Html,
}

impl BackendError {
    /// Reads an error event, a failed response, an error object or an error body.
    ///
    /// Never fails: unknown parts are ignored.
    pub fn from_json(json: &str) -> Self {
        if json.len() > MAX_REPORT {
            return Self::default();
        }
        serde_json::from_str(json).map(|value| Self::from_value(&value)).unwrap_or_default()
    }

    /// Reads an error body that came with success, where a stream or an event belongs. The layer
    /// that answers with `detail` checks requests before anything is done: without a status of its
    /// own such a report is a 400.
    pub fn from_document(json: &str) -> Self {
        #[derive(Deserialize)]
        struct Document {
            error: Option<IgnoredAny>,
            detail: Option<IgnoredAny>,
        }
        let mut report = Self::from_json(json);
        let document: Option<Document> = serde_json::from_str(json).ok();
        let is_detail = document.is_some_and(|it| it.detail.is_some() && it.error.is_none());
        if is_detail && !report.is_empty() {
            report.status.get_or_insert(400);
        }
        report
    }

    /// Reads the body of an HTTP answer: JSON, a page, a line of plain text, nothing, or junk.
    pub fn from_body(body: &[u8]) -> Body {
        let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
        match text.first() {
            Some(b'<') => Body::Html,
            Some(b'{' | b'[' | b'"') => {
                Body::Report(std::str::from_utf8(text).map(Self::from_json).unwrap_or_default())
            }
            _ => Body::Report(Self { message: plain_text(text), ..Self::default() }),
        }
    }

    /// What programs match on: the code, or for plan limits the type.
    pub fn name(&self) -> Option<&str> {
        self.code.as_deref().or(self.kind.as_deref())
    }

    /// Whether nothing at all was reported.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn from_value(value: &Value) -> Self {
        // `error` and `detail` hold a text, an object, or a list of objects; `response` is that of
        // `response.failed`.
        let report =
            ["response", "error", "detail"].iter().find_map(|key| match value.get(key)? {
                inner @ Value::Object(_) => Some(Self::from_value(inner)),
                Value::Array(items) => items.first().map(Self::from_value),
                text @ Value::String(_) => Some(Self::from_value(text)),
                _ => None,
            });
        let status = ["status", "status_code"]
            .iter()
            .find_map(|key| u16::try_from(value.get(key)?.as_u64()?).ok());
        let mut report = report.unwrap_or_else(|| Self::from_fields(value));
        report.status = report.status.or(status);
        report
    }

    fn from_fields(value: &Value) -> Self {
        let name = |key| clipped(value.get(key)?, MAX_NAME);
        Self {
            // The `type` of an event is not that of an error.
            kind: name("type").filter(|kind| kind != "error" && !kind.starts_with("response.")),
            code: name("code"),
            message: [Some(value), value.get("message"), value.get("msg")]
                .into_iter()
                .flatten()
                .filter(|message| message.is_string())
                .find_map(|message| clipped(message, MAX_MESSAGE)),
            param: name("param"),
            status: None,
            plan_type: name("plan_type"),
            resets_at: value.get("resets_at").and_then(time),
            resets_in: value
                .get("resets_in_seconds")
                .and_then(number)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }
}

/// A number, or a text that is one.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A time in seconds since 1970, or written as a date.
fn time(value: &Value) -> Option<i64> {
    let date = || value.as_str()?.trim().parse::<Timestamp>().ok();
    match number(value) {
        // What does not fit is no time.
        Some(seconds) => {
            let since = Duration::try_from_secs_f64(seconds).ok()?;
            i64::try_from(since.as_secs()).ok()
        }
        None => date().map(Timestamp::as_second),
    }
}

/// A text, or a number as a text, unless it is blank.
fn clipped(value: &Value, max: usize) -> Option<String> {
    match value {
        Value::String(text) => clip(text, max),
        Value::Number(number) => clip(&number.to_string(), max),
        _ => None,
    }
}

fn clip(text: &str, max: usize) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        None
    } else if text.len() <= max {
        Some(text.to_owned())
    } else {
        let end = (0..=max).rev().find(|&end| text.is_char_boundary(end))?;
        Some(format!("{}…", &text[..end]))
    }
}

/// A body that is a message by itself, as gateways send it; not one that is binary.
fn plain_text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let readable = text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace());
    if readable { clip(text, MAX_MESSAGE) } else { None }
}

#[cfg(test)]
mod tests;
