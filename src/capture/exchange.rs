//! What is written: one line for the file, then one for each exchange.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of what is written. Another number is another form.
pub(super) const FORM: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heading {
    pub(super) codex_proxy_capture: u32,
    pub(super) version: String,
    pub(super) begun: String,
    pub(super) note: String,
}

/// Names and values, in order.
pub type Headers = Vec<(String, String)>;

/// A client's request, and what became of it. Times are in milliseconds after its head had come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Which request it is, counted from 1.
    pub number: u32,
    /// When the head of the request had come.
    pub at: String,
    /// What the client sent.
    pub request: Message,
    /// The calls to the backend: one for each choice and each try.
    pub calls: Vec<Call>,
    /// What the client got; nothing if it left before.
    pub answer: Option<Answer>,
    /// Whether there was more than could be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its headers.
    pub headers: Headers,
    /// Its body; a string if it is not JSON.
    pub body: Value,
}

/// A call to the backend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// When it began.
    pub at_ms: u64,
    /// What was sent.
    pub request: Message,
    /// The head of the answer; nothing if none came.
    pub response: Option<Response>,
    /// The answer's events.
    pub events: Vec<Event>,
    /// How it ended.
    pub end: End,
}

/// The head of an answer, or the whole if it is a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// When it had come.
    pub at_ms: u64,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it had come.
    pub at_ms: u64,
    /// Its data.
    pub data: String,
}

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Here: the answer was complete, or the client had left.
    #[default]
    Here,
    /// The backend ended it.
    There,
    /// It failed.
    Failed(String),
}

/// What the client got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// When its head went out.
    pub at_ms: u64,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The error object, if it is one, or ends with one.
    pub error: Option<Value>,
}
