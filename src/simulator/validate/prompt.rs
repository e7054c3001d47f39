//! Control tokens of the model's own prompt format, which no text may contain.

use serde_json::Value;

const CONTROL_TOKENS: &[&str] = &[
    "<|start|>",
    "<|end|>",
    "<|channel|>",
    "<|message|>",
    "<|constrain|>",
    "<|return|>",
    "<|call|>",
];

/// Whether any text of the prompt contains a control token. Zero-width characters do not hide
/// it: the backend removes them before it looks.
pub(in crate::simulator) fn is_blocked(body: &Value) -> bool {
    contains(&body["instructions"]) || contains(&body["input"]) || contains(&body["tools"])
}

fn contains(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let seen: String = text.chars().filter(|c| !is_zero_width(*c)).collect();
            CONTROL_TOKENS.iter().any(|token| seen.contains(token))
        }
        Value::Array(values) => values.iter().any(contains),
        Value::Object(object) => object.values().any(contains),
        _ => false,
    }
}

fn is_zero_width(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}
