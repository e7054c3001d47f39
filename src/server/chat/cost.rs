//! An estimate of the time and memory to translate a request, from its raw body.

use memchr::memchr2;

/// Smaller bodies are always quick.
const ALWAYS_INLINE: usize = 16 << 10;

/// So many bytes of text take about a millisecond. For less work, moving to another thread costs
/// more than it saves.
const OFFLOAD_AT: usize = 256 << 10;

/// A JSON value takes as long as so many bytes of text: it is parsed, checked, converted, written
/// and hashed.
const VALUE_COST: usize = 64;

/// The memory of a value while it is translated. Measured on bodies of 20 MiB: 70 bytes for
/// forwarded numbers, 170 for parts of a message, 370 for messages.
const VALUE_IN_MEMORY: usize = 256;

/// Whether the translation would block other answers on this thread.
pub(super) fn is_offloaded(body: &[u8]) -> bool {
    match body.len() {
        ..ALWAYS_INLINE => false,
        length @ ALWAYS_INLINE..OFFLOAD_AT => {
            let most = (OFFLOAD_AT - length) / VALUE_COST;
            values_up_to(body, most) > most
        }
        _ => true,
    }
}

/// The approximate memory of the values that the translation makes from a body, besides its text
/// and the text that is sent.
pub(super) fn memory(body: &[u8]) -> usize {
    values_up_to(body, usize::MAX).saturating_mul(VALUE_IN_MEMORY)
}

/// How many values there are in the JSON text; the count stops after `most`. For invalid JSON any
/// number will do: parsing ends at the first error.
fn values_up_to(body: &[u8], most: usize) -> usize {
    let mut values = 0;
    let mut rest = body;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => after_string(after),
            _ => after,
        };
        if matches!(byte, b',' | b'{' | b'[') {
            values += 1;
            if values > most {
                break;
            }
        }
    }
    values
}

/// What follows the string whose first quote stands before `text`.
fn after_string(mut text: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', text) {
        if text[at] == b'"' {
            return &text[at + 1..];
        }
        text = text.get(at + 2..).unwrap_or_default();
    }
    &[]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn work_is_measured_by_values_and_not_by_bytes_alone() {
        let over = |name: &str, value: serde_json::Value| {
            let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
            body[name] = value;
            body.to_string().into_bytes()
        };
        let text = |length: usize| over("a", json!("{\"a\",[\\ ".repeat(length / 8)));
        let tools = |count: usize| {
            let tool = json!({"type": "function", "function": {"name": "f", "parameters": {
                "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}});
            over("tools", json!(vec![tool; count]))
        };
        let fields = |count: usize| {
            let fields: serde_json::Map<_, _> =
                (0..count).map(|number| (format!("x{number}"), json!(1))).collect();
            over("a", json!(fields))
        };
        for (name, body, expected) in [
            ("nothing", Vec::new(), false),
            ("a question", text(100), false),
            ("100 KB of text", text(100_000), false),
            ("300 KB of text", text(300_000), true),
            ("a hundred tools", tools(100), false),
            ("a thousand tools", tools(1000), true),
            ("a hundred fields", fields(100), false),
            ("8,000 fields in 80 KB", fields(8000), true),
            ("no JSON at all", b"\"\\".repeat(20_000), false),
        ] {
            assert_eq!(is_offloaded(&body), expected, "{name}, {} bytes", body.len());
        }
    }
}
