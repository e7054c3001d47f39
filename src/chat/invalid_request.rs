//! Errors of a client's request, which is never sent upstream.

use std::fmt;

use crate::excerpt::{excerpt, excerpt_of};

/// The longest path in a message, in bytes: clients choose the names in it.
const MAX_PATH: usize = 512;

/// Why a request is rejected with 400 (or 404 for an unknown model, 413 for a large body).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidRequest {
    /// What is wrong and what would be accepted.
    pub message: String,
    /// The JSON path of the field at fault, such as `messages[0].content[1].type`.
    pub param: Option<String>,
    /// OpenAI's code for this kind of error.
    pub code: Option<Code>,
}

/// OpenAI's codes for errors in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// `array_above_max_length`
    ArrayTooLong,
    /// `empty_array`
    EmptyArray,
    /// `integer_above_max_value`
    AboveMaximum,
    /// `integer_below_min_value`
    BelowMinimum,
    /// `decimal_above_max_value`
    DecimalAboveMaximum,
    /// `decimal_below_min_value`
    DecimalBelowMinimum,
    /// `invalid_image_url`
    InvalidImageUrl,
    /// `invalid_type`
    InvalidType,
    /// `invalid_value`
    InvalidValue,
    /// `missing_required_parameter`
    Missing,
    /// `object_above_max_properties`
    TooManyProperties,
    /// `unsupported_parameter`
    UnsupportedParameter,
    /// `unsupported_value`
    UnsupportedValue,
}

impl Code {
    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ArrayTooLong => "array_above_max_length",
            Self::EmptyArray => "empty_array",
            Self::AboveMaximum => "integer_above_max_value",
            Self::BelowMinimum => "integer_below_min_value",
            Self::DecimalAboveMaximum => "decimal_above_max_value",
            Self::DecimalBelowMinimum => "decimal_below_min_value",
            Self::InvalidImageUrl => "invalid_image_url",
            Self::InvalidType => "invalid_type",
            Self::InvalidValue => "invalid_value",
            Self::Missing => "missing_required_parameter",
            Self::TooManyProperties => "object_above_max_properties",
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::UnsupportedValue => "unsupported_value",
        }
    }
}

impl InvalidRequest {
    /// An error of the field at `param`.
    pub fn new(param: impl fmt::Display, code: Code, message: impl Into<String>) -> Self {
        let param = excerpt_of(&param.to_string(), MAX_PATH).into_owned();
        Self { message: message.into(), param: Some(param), code: Some(code) }
    }

    /// An error of the body as a whole.
    pub fn body(message: impl Into<String>) -> Self {
        Self { message: message.into(), param: None, code: None }
    }

    /// The field is required and absent.
    pub fn missing(param: impl fmt::Display) -> Self {
        let param = param.to_string();
        let message = format!("Missing required parameter: '{}'.", excerpt(&param));
        Self::new(param, Code::Missing, message)
    }

    /// The same error with a hint at the end of its message.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.message.push(' ');
        self.message.push_str(hint);
        self
    }

    /// The field has a value outside a closed set.
    pub fn one_of(param: impl fmt::Display, got: &str, allowed: &[&str]) -> Self {
        let listed = list(allowed);
        let got = excerpt(got);
        let message = format!("Invalid value: '{got}'. Supported values are: {listed}.");
        Self::new(param, Code::InvalidValue, message)
    }

    /// An array with too many elements.
    pub fn too_long(param: impl fmt::Display, most: usize, length: usize) -> Self {
        let message = format!(
            "Invalid '{param}': array too long. Expected an array with maximum length {most}, but \
             got an array with length {length} instead."
        );
        Self::new(param, Code::ArrayTooLong, message)
    }

    /// The field is known but not supported.
    pub fn unsupported(param: impl fmt::Display, why: &str) -> Self {
        let shown = param.to_string();
        let shown = excerpt_of(&shown, MAX_PATH);
        let message = format!("Unsupported parameter: '{shown}'. {why}");
        Self::new(param, Code::UnsupportedParameter, message)
    }
}

/// `'a', 'b', and 'c'`, as OpenAI lists values.
fn list(values: &[&str]) -> String {
    match values {
        [] => String::new(),
        [one] => format!("'{one}'"),
        [a, b] => format!("'{a}' and '{b}'"),
        [init @ .., last] => {
            let mut out = String::new();
            for value in init {
                out.push('\'');
                out.push_str(value);
                out.push_str("', ");
            }
            out.push_str("and '");
            out.push_str(last);
            out.push('\'');
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_listed_as_openai_does() {
        assert_eq!(list(&["a"]), "'a'");
        assert_eq!(list(&["a", "b"]), "'a' and 'b'");
        assert_eq!(list(&["a", "b", "c"]), "'a', 'b', and 'c'");
    }

    #[test]
    fn a_missing_field_is_named() {
        let reject = InvalidRequest::missing("messages");
        assert_eq!(reject.to_string(), "Missing required parameter: 'messages'.");
        assert_eq!(reject.param.as_deref(), Some("messages"));
        assert_eq!(reject.code.map(Code::as_str), Some("missing_required_parameter"));
    }
}
