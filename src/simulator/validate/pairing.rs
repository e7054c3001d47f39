//! What has to stand together: calls with their outputs, reasoning with what it led to.

use std::collections::HashSet;

use serde_json::Value;

use super::Checked;
use super::input::not_found;
use crate::simulator::encrypted_content::Owner;
use crate::simulator::refusal::Refusal;

/// A kind of call, its output, and how messages name them.
const PAIRS: &[(&str, &str, &str)] = &[
    ("function_call", "function_call_output", "function call"),
    ("custom_tool_call", "custom_tool_call_output", "custom tool call"),
    ("local_shell_call", "local_shell_call_output", "local shell call"),
];

/// Every call has an output after it, every output a call of its kind before it.
pub(super) fn check(items: &[Value]) -> Checked {
    for (call, output, spoken) in PAIRS {
        let mut called = HashSet::new();
        for item in items {
            let id = item["call_id"].as_str().unwrap_or_default();
            if item["type"] == *call {
                called.insert(id);
            } else if item["type"] == *output && !called.contains(id) {
                return Err(refuse(&format!(
                    "No tool call found for {spoken} output with call_id {id}."
                )));
            }
        }
        let mut answered = HashSet::new();
        for item in items.iter().rev() {
            let id = item["call_id"].as_str().unwrap_or_default();
            if item["type"] == *output {
                answered.insert(id);
            } else if item["type"] == *call && !answered.contains(id) {
                return Err(refuse(&format!("No tool output found for {spoken} {id}.")));
            }
        }
    }
    Ok(())
}

/// Reasoning is replayed sealed, unaltered, by whom it was made for, and before its item.
pub(super) fn check_reasoning(items: &[Value], owner: &Owner) -> Checked {
    for (index, item) in items.iter().enumerate() {
        if item["type"] != "reasoning" {
            continue;
        }
        let id = item["id"].as_str();
        let Some(sealed) = item["encrypted_content"].as_str() else {
            let path = format!("input[{index}].encrypted_content");
            return Err(id.map_or_else(|| Refusal::missing(&path), not_found));
        };
        let Some(original) = owner.open(sealed) else {
            let message =
                format!("The encrypted content {} could not be verified.", shortened(sealed));
            return Err(Refusal::invalid(&message, None, Some("invalid_encrypted_content")));
        };
        if !items.get(index + 1).is_some_and(follows_reasoning) {
            let id = id.unwrap_or(&original);
            return Err(refuse(&format!(
                "Item '{id}' of type 'reasoning' was provided without its required following item."
            )));
        }
    }
    Ok(())
}

/// What a model makes after thinking.
fn follows_reasoning(item: &Value) -> bool {
    match item["type"].as_str() {
        None | Some("message") => item["role"] == "assistant",
        Some(kind) => {
            matches!(kind, "reasoning" | "web_search_call" | "image_generation_call")
                || PAIRS.iter().any(|(call, _, _)| kind == *call)
        }
    }
}

/// `gAAA...GDc=`
fn shortened(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let start: String = characters.iter().take(4).collect();
    let end: String = characters[characters.len().saturating_sub(4)..].iter().collect();
    format!("{start}...{end}")
}

fn refuse(message: &str) -> Refusal {
    Refusal::invalid(message, Some("input"), None)
}
