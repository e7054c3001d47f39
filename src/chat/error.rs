//! The OpenAI error object.

use serde::Serialize;

/// What clients get instead of an answer: `{"error": {…}}` with all four keys, always.
///
/// `code` is a string or null, never a number: strict clients fail on anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorObject {
    /// The message, with a hint.
    pub message: String,
    /// The class: `invalid_request_error`, `server_error`, `rate_limit_error`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The JSON path of the request field at fault.
    pub param: Option<String>,
    /// The code.
    pub code: Option<String>,
}

/// The envelope of [`ErrorObject`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorObject,
}
