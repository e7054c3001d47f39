//! Tokens, cheaply: four bytes each, and the cache as the longest common beginning.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::ids::digest;

/// Prompts remembered per key, and keys in all; more would only cost memory.
const PROMPTS: usize = 8;
const KEYS: usize = 64;

/// The prompt as one text: instructions, tools, then the items. Embedded data stands as its
/// digest, so that a picture does not count as a book.
pub(super) fn render(body: &Value) -> String {
    let mut text = String::new();
    for part in [&body["instructions"], &body["tools"]] {
        write(part, &mut text);
        text.push('\n');
    }
    for item in body["input"].as_array().into_iter().flatten() {
        write(item, &mut text);
        text.push('\n');
    }
    text
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => {}
        Value::String(text) if text.starts_with("data:") => {
            out.push_str(&digest(text));
        }
        Value::Array(values) => {
            for value in values {
                write(value, out);
                out.push(',');
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                out.push_str(key);
                out.push(':');
                write(value, out);
                out.push(',');
            }
        }
        Value::String(text) => out.push_str(text),
        other => out.push_str(&other.to_string()),
    }
}

/// Tokens of a text that is not empty: at least one.
pub(super) fn tokens(text: &str) -> u64 {
    text.len().div_ceil(4) as u64
}

/// The prompts seen before, by `prompt_cache_key`.
#[derive(Debug, Default)]
pub(super) struct PromptCache(Mutex<HashMap<String, VecDeque<String>>>);

impl PromptCache {
    /// How many tokens of a prompt were there before; remembers the prompt. Without a key the
    /// backend makes one up for each request, so nothing is found.
    pub(super) fn lookup(&self, key: Option<&str>, prompt: &str) -> u64 {
        let Some(key) = key else {
            return 0;
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS && !known.contains_key(key) {
            known.clear();
        }
        let prompts = known.entry(key.to_owned()).or_default();
        let common = prompts.iter().map(|earlier| common_prefix(earlier, prompt)).max();
        prompts.push_back(prompt.to_owned());
        if prompts.len() > PROMPTS {
            prompts.pop_front();
        }
        common.unwrap_or(0) as u64 / 4
    }

    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// Token counts of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: u64,
    pub(super) cached: u64,
    /// With the reasoning.
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

impl Usage {
    pub(super) fn to_json(self) -> Value {
        json!({
            "input_tokens": self.input,
            "input_tokens_details": { "cached_tokens": self.cached },
            "output_tokens": self.output,
            "output_tokens_details": { "reasoning_tokens": self.reasoning },
            "total_tokens": self.input + self.output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(texts: &[&str]) -> String {
        render(&json!({ "instructions": "Be brief.", "input": texts }))
    }

    #[test]
    fn a_longer_conversation_finds_its_beginning() {
        let cache = PromptCache::default();
        let first = prompt(&["one"]);
        assert_eq!(cache.lookup(Some("k"), &first), 0);
        assert_eq!(cache.lookup(Some("k"), &prompt(&["one", "two"])), first.len() as u64 / 4);
        assert_eq!(cache.lookup(Some("other"), &first), 0);
        assert_eq!(cache.lookup(None, &first), 0);
    }

    #[test]
    fn embedded_data_counts_little_but_tells_pictures_apart() {
        let image = |data: &str| prompt(&[&format!("data:image/png;base64,{}", data.repeat(9999))]);
        assert!(tokens(&image("A")) < 20);
        assert_ne!(image("A"), image("B"));
    }
}
