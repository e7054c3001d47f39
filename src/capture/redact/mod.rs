//! Redaction of exchanges. Pure.
//!
//! Prompts and answers are kept: they are the purpose of a capture. Secrets and the account's
//! identity are removed: headers unless they are known to be harmless; encrypted values, and ids of
//! users and sessions, except for their length and a digest; and anything that looks like a key.
//! Redaction is idempotent.

mod events;
mod secrets;

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub(super) use self::events::events;
pub use self::secrets::Secrets;
use self::secrets::without;
use super::exchange::Headers;

/// Longer texts are shortened if they are only encoded bytes.
const LONGEST_BLOB: usize = 4 << 10;
/// How much of such a text is kept.
const START_OF_BLOB: usize = 48;

/// Members whose texts are always redacted.
const SEALED: [&str; 11] = [
    "encrypted_content",
    "safety_identifier",
    "prompt_cache_key",
    "access_token",
    "refresh_token",
    "id_token",
    "api_key",
    "apiKey",
    "authorization",
    "Authorization",
    "chatgpt_account_id",
];

/// Headers whose values may be shown.
const HARMLESS: [&str; 24] = [
    "accept",
    "accept-encoding",
    "cache-control",
    "cf-ray",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "host",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "origin",
    "originator",
    "retry-after",
    "retry-after-ms",
    "server",
    "transfer-encoding",
    "user-agent",
    "version",
    "x-models-etag",
    "x-should-retry",
    "x-oai-request-id",
];

/// Prefixes of further harmless headers.
const HARMLESS_STARTS: [&str; 4] =
    ["x-codex-proxy-", "x-stainless-", "x-ratelimit-", "x-codex-primary-"];

/// Headers: only the names are kept of most.
pub fn headers(headers: &HeaderMap, secrets: &Secrets) -> Headers {
    let shown = |name: &str| {
        HARMLESS.contains(&name)
            || name == "x-request-id"
            || name.starts_with("x-codex-secondary-")
            || HARMLESS_STARTS.iter().any(|start| name.starts_with(start))
    };
    headers
        .iter()
        .map(|(name, value)| {
            let name = name.as_str();
            let value = match value.to_str() {
                Ok(text) if shown(name) && !value.is_sensitive() => plain(text, secrets),
                _ => "[redacted]".to_owned(),
            };
            (name.to_owned(), value)
        })
        .collect()
}

/// A body: JSON as such, anything else as a string.
pub fn body(bytes: &[u8], secrets: &Secrets) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(mut json) => {
            value(&mut json, secrets);
            json
        }
        Err(_) => Value::String(unreadable(&String::from_utf8_lossy(bytes), secrets)),
    }
}

/// The text of a body or an event, unchanged if nothing is redacted.
pub fn text(text: &str, secrets: &Secrets) -> String {
    match serde_json::from_str(text) {
        Ok(mut json) => {
            if value(&mut json, secrets) {
                json.to_string()
            } else {
                text.to_owned()
            }
        }
        Err(_) => unreadable(text, secrets),
    }
}

/// Invalid JSON cannot be searched for members. If it contains the name of an encrypted one, all of
/// it is removed.
fn unreadable(text: &str, secrets: &Secrets) -> String {
    if SEALED.iter().any(|name| text.contains(name)) {
        return marker(text);
    }
    plain(text, secrets)
}

/// Redacts JSON, and tells whether there was anything to redact.
fn value(json: &mut Value, secrets: &Secrets) -> bool {
    match json {
        Value::String(text) => {
            let redacted = string(text, secrets);
            let is_changed = redacted != *text;
            *text = redacted;
            is_changed
        }
        Value::Array(items) => {
            items.iter_mut().fold(false, |changed, item| value(item, secrets) | changed)
        }
        Value::Object(members) => object(members, secrets),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn object(members: &mut Map<String, Value>, secrets: &Secrets) -> bool {
    // The encrypted reasoning that clients carry.
    let holds_seal = members.get("type").is_some_and(|kind| kind == "reasoning.encrypted");
    let mut is_changed = false;
    for (name, member) in &mut *members {
        let is_sealed = SEALED.contains(&name.as_str()) || (holds_seal && name == "data");
        is_changed |= match member {
            Value::String(text) if is_sealed => {
                let sealed = marker(text);
                std::mem::replace(text, sealed) != *text
            }
            member => value(member, secrets),
        };
    }
    if members.keys().any(|name| plain(name, secrets) != *name) {
        let all = std::mem::take(members);
        *members = all.into_iter().map(|(name, member)| (plain(&name, secrets), member)).collect();
        is_changed = true;
    }
    is_changed
}

fn string(text: &str, secrets: &Secrets) -> String {
    if text.len() > LONGEST_BLOB && is_blob(text) {
        // All of it is ASCII, or the part that is left.
        let start: String = text.chars().take(START_OF_BLOB).collect();
        return format!("{start}{}", marker(text));
    }
    plain(text, secrets)
}

/// Whether a text is encoded bytes, as images and files are.
fn is_blob(text: &str) -> bool {
    text.starts_with("data:")
        || text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
}

/// A text without secrets, whether known or only looking like one.
fn plain(text: &str, secrets: &Secrets) -> String {
    without(text, &secrets.find(text)).into_owned()
}

/// The replacement of a text: its length, and a digest to recognize equal ones.
fn marker(text: &str) -> String {
    if is_marker(text) {
        return text.to_owned();
    }
    let digest = Sha256::digest(text);
    let start = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("[redacted: {} bytes, sha256 {start:016x}]", text.len())
}

fn is_marker(text: &str) -> bool {
    let inside = text.strip_prefix("[redacted: ").and_then(|text| text.strip_suffix(']'));
    inside
        .and_then(|text| text.split_once(" bytes, sha256 "))
        .is_some_and(|(length, digest)| length.parse::<usize>().is_ok() && digest.len() == 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    fn secrets() -> Secrets {
        Secrets::default()
            .with(Some("account-1234"), "account id")
            .with(Some("Jo@Example.com"), "e-mail address")
            .with(Some("abc"), "too short")
            .with(None, "nothing")
    }

    #[test]
    fn sealed_members_leave_their_length_and_digest() {
        let sealed = json!({
            "input": [
                {"type": "reasoning", "encrypted_content": "gAAA", "summary": []},
                {"role": "assistant", "reasoning_details":
                    [{"type": "reasoning.encrypted", "data": "gAAA"}, {"type": "x", "data": "y"}]},
            ],
            "prompt_cache_key": "5b1c", "safety_identifier": null,
            "text": {"encrypted_content": ["stays"]},
            "jo@example.com": 1,
        });
        let redacted = body(sealed.to_string().as_bytes(), &secrets());
        let mark = "[redacted: 4 bytes, sha256 1b6da4cf5ef1b4a0]";
        let found = redacted["input"][0]["encrypted_content"].as_str().unwrap();
        assert_eq!(found.len(), mark.len());
        assert!(found.starts_with("[redacted: 4 bytes, sha256 "), "{found}");
        assert_eq!(redacted["input"][1]["reasoning_details"][0]["data"], found);
        assert_eq!(redacted["input"][1]["reasoning_details"][1]["data"], "y");
        assert_ne!(redacted["prompt_cache_key"], found);
        assert_eq!(redacted["safety_identifier"], Value::Null);
        assert_eq!(redacted["text"]["encrypted_content"][0], "stays");
        assert_eq!(redacted["[redacted: e-mail address]"], 1);
    }

    #[test]
    fn events_stay_as_they_came_unless_something_has_to_go() {
        let odd = r#"{ "type" : "x",  "b":1.0, "a":[ ] }"#;
        assert_eq!(text(odd, &secrets()), odd);
        for broken in
            [r#"{"encrypted_content":"gAAA"#, r#"{"encrypted_content":"gAAA","text":"\ud800"}"#]
        {
            let left = text(broken, &secrets());
            assert!(is_marker(&left), "{left}");
        }
        assert_eq!(text("upstream is down", &secrets()), "upstream is down");
        let changed = text(r#"{"encrypted_content": "gAAA", "n": 1}"#, &secrets());
        assert!(!changed.contains("gAAA") && changed.contains("\"n\":1"), "{changed}");
    }

    #[test]
    fn pictures_are_shortened_and_long_texts_are_not() {
        let picture = format!("data:image/png;base64,{}", "iVBORw0K".repeat(2000));
        let text = "word ".repeat(5000);
        let json = json!({ "image_url": picture, "text": text, "b64": "A".repeat(5000) });
        let redacted = body(json.to_string().as_bytes(), &secrets());
        let left = redacted["image_url"].as_str().unwrap();
        assert!(left.starts_with("data:image/png;base64,iVBORw0K"), "{left}");
        assert!(left.len() < 200 && left.contains("16022 bytes"), "{left}");
        assert!(redacted["b64"].as_str().unwrap().len() < 200);
        assert_eq!(redacted["text"], text);
    }

    #[test]
    fn of_headers_only_harmless_values_are_left() {
        let mut map = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer abcdefgh"),
            ("cookie", "session=1"),
            ("x-api-key", "k"),
            ("session-id", "0199"),
            ("x-codex-turn-state", "opaque"),
            ("chatgpt-account-id", "account-1234"),
            ("content-type", "application/json"),
            ("user-agent", "of account-1234"),
            ("x-stainless-lang", "python"),
            ("x-codex-primary-used-percent", "12"),
            ("x-request-id", "req_1"),
            ("anything-else", "secret"),
        ] {
            map.insert(name, HeaderValue::from_static(value));
        }
        let mut sensitive = HeaderValue::from_static("quiet");
        sensitive.set_sensitive(true);
        map.insert("accept", sensitive);
        let shown: Vec<_> = headers(&map, &secrets())
            .into_iter()
            .filter(|(_, value)| value != "[redacted]")
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "content-type: application/json",
                "user-agent: of [redacted: account id]",
                "x-stainless-lang: python",
                "x-codex-primary-used-percent: 12",
                "x-request-id: req_1",
            ]
        );
    }

    /// JSON with secrets in all kinds of places.
    fn anything() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(vec![
            "Hello",
            "jo@example.com",
            "account-1234",
            "sk-ABCDEFGHIJKLMNOPQRSTUVWX",
            "gAAAsealed",
            "Bearer abcdefghijklmnopqr",
            "",
            "ä",
        ]);
        let text = prop::collection::vec(word, 0..4).prop_map(|words| words.join(" "));
        let leaf = prop_oneof![
            text.clone().prop_map(Value::from),
            Just(Value::from("B".repeat(LONGEST_BLOB + 1))),
            any::<i32>().prop_map(Value::from),
            Just(Value::Null),
        ];
        let name = prop::sample::select(vec!["text", "data", "type", "jo@example.com"]);
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..4).prop_map(|members| {
                    let members = members.into_iter().map(|(name, v)| (name.to_owned(), v));
                    Value::Object(members.collect())
                }),
                text.clone().prop_map(|seal| json!({ "encrypted_content": format!("X1{seal}") })),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_secret_is_left_and_twice_is_once(json in anything()) {
            let once = body(json.to_string().as_bytes(), &secrets());
            let written = once.to_string();
            for secret in ["jo@example.com", "account-1234", "sk-ABC", "ghijklmnopqr", "X1"] {
                prop_assert!(!written.contains(secret), "{secret} in {written}");
            }
            prop_assert!(written.len() <= json.to_string().len() * 6 + 200);
            prop_assert_eq!(&body(written.as_bytes(), &secrets()), &once);
            prop_assert_eq!(text(&written, &secrets()), written);
        }

        #[test]
        fn any_bytes_will_do(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let once = body(&bytes, &secrets());
            if let Value::String(once) = once {
                prop_assert_eq!(plain(&once, &secrets()), once);
            }
        }
    }
}
