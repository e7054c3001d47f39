//! The parameters beside the prompt.

use serde_json::Value;

use super::{Checked, Object, object, one_of, only, string};
use crate::simulator::catalogue::{Effort, Model};
use crate::simulator::refusal::{Refusal, listing};

const INCLUDES: &[&str] = &[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];

pub(super) fn check(body: &Object, model: &Model) -> Checked {
    if let Some(reasoning) = given(body, "reasoning") {
        check_reasoning(object(reasoning, "reasoning")?, model)?;
    }
    if let Some(include) = given(body, "include") {
        let Value::Array(values) = include else {
            return Err(Refusal::mistyped("include", "an array", include));
        };
        for (index, value) in values.iter().enumerate() {
            one_of(value, &format!("include[{index}]"), INCLUDES)?;
        }
    }
    if let Some(key) = given(body, "prompt_cache_key") {
        string(key, "prompt_cache_key", Some(64))?;
    }
    if let Some(parallel) = given(body, "parallel_tool_calls")
        && !parallel.is_boolean()
    {
        return Err(Refusal::mistyped("parallel_tool_calls", "a boolean", parallel));
    }
    if let Some(metadata) = given(body, "client_metadata") {
        object(metadata, "client_metadata")?;
    }
    if let Some(tier) = given(body, "service_tier") {
        let tier = string(tier, "service_tier", None)?;
        if !matches!(tier, "priority" | "default") {
            let message = format!("Unsupported service_tier: {tier}");
            return Err(Refusal::invalid(&message, None, None));
        }
    }
    Ok(())
}

fn check_reasoning(reasoning: &Object, model: &Model) -> Checked {
    only(reasoning, "reasoning", &["effort", "summary", "context"])?;
    if let Some(effort) = reasoning.get("effort") {
        let path = "reasoning.effort";
        let all = Effort::ON_THE_WIRE.map(Effort::as_str);
        let text = string(effort, path, None)?;
        let known = Effort::from_wire(text).ok_or_else(|| Refusal::unlisted(path, text, &all))?;
        if !model.efforts.contains(&known) {
            let message = format!(
                "Unsupported value: '{text}' is not supported with the '{}' model. Supported \
                 values are: {}.",
                model.slug,
                listing(&model.wire_efforts())
            );
            return Err(Refusal::invalid(&message, Some(path), Some("unsupported_value")));
        }
    }
    if let Some(summary) = given(reasoning, "summary") {
        one_of(summary, "reasoning.summary", &["concise", "detailed", "auto"])?;
    }
    if let Some(context) = given(reasoning, "context") {
        one_of(context, "reasoning.context", &["current_turn", "all_turns", "auto"])?;
    }
    Ok(())
}

/// A key that is there and not null: optional parameters may be null.
pub(super) fn given<'a>(body: &'a Object, key: &str) -> Option<&'a Value> {
    body.get(key).filter(|value| !value.is_null())
}
