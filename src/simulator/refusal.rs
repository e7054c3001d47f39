//! How the backend says no over HTTP: two families of JSON bodies, a page, or nothing at all.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer with an error status.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content: Content,
}

/// What stands in the body of a refusal.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Json(Value),
    Html(&'static str),
    Empty,
}

impl Refusal {
    /// The gateway in front: `{"detail": …}`.
    pub(super) fn gateway(status: StatusCode, detail: impl Into<Value>) -> Self {
        Self::json(status, json!({ "detail": detail.into() }))
    }

    /// The gateway's 400.
    pub(super) fn detail(text: impl Into<String>) -> Self {
        Self::gateway(StatusCode::BAD_REQUEST, text.into())
    }

    /// The Responses layer behind it: `{"error": {message, type, param, code}}`.
    pub(super) fn invalid(message: &str, param: Option<&str>, code: Option<&str>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "invalid_request_error", message, param, code)
    }

    /// An error object with any status and type.
    pub(super) fn error(
        status: StatusCode,
        kind: &str,
        message: &str,
        param: Option<&str>,
        code: Option<&str>,
    ) -> Self {
        let error = json!({ "message": message, "type": kind, "param": param, "code": code });
        Self::json(status, json!({ "error": error }))
    }

    /// Any JSON body.
    pub(super) fn json(status: StatusCode, body: Value) -> Self {
        Self { status, headers: Vec::new(), content: Content::Json(body) }
    }

    /// A value outside a closed set.
    pub(super) fn unlisted(path: &str, value: &str, supported: &[&str]) -> Self {
        let message =
            format!("Invalid value: '{value}'. Supported values are: {}.", listing(supported));
        Self::invalid(&message, Some(path), Some("invalid_value"))
    }

    /// A key that the Responses layer does not know.
    pub(super) fn unknown(path: &str) -> Self {
        let message = format!("Unknown parameter: '{path}'.");
        Self::invalid(&message, Some(path), Some("unknown_parameter"))
    }

    /// A key that has to be there.
    pub(super) fn missing(path: &str) -> Self {
        let message = format!("Missing required parameter: '{path}'.");
        Self::invalid(&message, Some(path), Some("missing_required_parameter"))
    }

    /// A value of another JSON type.
    pub(super) fn mistyped(path: &str, expected: &str, value: &Value) -> Self {
        let got = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(number) if number.is_f64() => "a decimal",
            Value::Number(_) => "an integer",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        let message =
            format!("Invalid type for '{path}': expected {expected}, but got {got} instead.");
        Self::invalid(&message, Some(path), Some("invalid_type"))
    }

    /// A string over its limit, counted in characters.
    pub(super) fn too_long(path: &str, limit: usize, length: usize) -> Self {
        let message = format!(
            "Invalid '{path}': string too long. Expected a string with maximum length {limit}, \
             but got a string with length {length} instead."
        );
        Self::invalid(&message, Some(path), Some("string_above_max_length"))
    }

    /// A name outside its alphabet.
    pub(super) fn pattern(path: &str) -> Self {
        let message = format!(
            "Invalid '{path}': string does not match pattern. Expected a string that matches the \
             pattern '^[a-zA-Z0-9_-]+$'."
        );
        Self::invalid(&message, Some(path), Some("invalid_value"))
    }

    /// Adds a header.
    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (kind, body) = match self.content {
            Content::Json(value) => (Some("application/json"), Body::from(value.to_string())),
            Content::Html(page) => (Some("text/html; charset=UTF-8"), Body::from(page)),
            Content::Empty => (None, Body::empty()),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        if let Some(kind) = kind {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// `'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`.
pub(super) fn listing(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first, second] => format!("{first} and {second}"),
        [init @ .., last] => format!("{}, and {last}", init.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::listing;

    #[test]
    fn values_are_listed_as_the_backend_lists_them() {
        assert_eq!(listing(&["a"]), "'a'");
        assert_eq!(listing(&["a", "b"]), "'a' and 'b'");
        assert_eq!(listing(&["a", "b", "c"]), "'a', 'b', and 'c'");
    }
}
