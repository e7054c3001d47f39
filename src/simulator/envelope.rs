//! The `response` object around an answer, with all the keys that the backend echoes.

use serde_json::{Value, json};

use super::limits;
use super::request::Request;
use super::usage::Usage;

/// How far the answer is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Status<'a> {
    InProgress,
    Completed {
        output: &'a [Value],
        usage: Usage,
    },
    Incomplete {
        reason: &'a str,
        output: &'a [Value],
        usage: Usage,
    },
    /// With `None`, a failure that gives no error.
    Failed {
        error: Option<(&'a str, &'a str)>,
    },
}

/// The response object of one exchange, without what changes.
#[derive(Debug)]
pub(super) struct Envelope {
    base: Value,
}

impl Envelope {
    /// `fresh_key` stands in for the cache key of a request that has none.
    pub(super) fn new(request: Request<'_>, id: &str, fresh_key: &str) -> Self {
        let body = request.body;
        let or =
            |value: &Value, default: Value| if value.is_null() { default } else { value.clone() };
        let summary = match body["reasoning"]["summary"].as_str() {
            Some("auto") => json!("detailed"),
            _ => body["reasoning"]["summary"].clone(),
        };
        let no_tokens = json!({ "image_tokens": 0, "text_tokens": 0 });
        let base = json!({
            "background": false,
            "completed_at": null,
            "created_at": limits::now(),
            "error": null,
            "frequency_penalty": 0.0,
            "id": id,
            "incomplete_details": null,
            "instructions": body["instructions"],
            "max_output_tokens": null,
            "max_tool_calls": null,
            "metadata": {},
            "model": request.model.slug,
            "moderation": null,
            "object": "response",
            "output": [],
            "parallel_tool_calls": or(&body["parallel_tool_calls"], json!(true)),
            "presence_penalty": 0.0,
            "previous_response_id": null,
            "prompt_cache_key": or(&body["prompt_cache_key"], json!(fresh_key)),
            "prompt_cache_retention": "24h",
            "reasoning": {
                "context": or(&body["reasoning"]["context"], json!("current_turn")),
                "effort": request.effort(),
                "mode": "standard",
                "summary": summary,
            },
            "safety_identifier": "user-simulated",
            "service_tier": "auto",
            "status": "in_progress",
            "store": false,
            "temperature": 1.0,
            "text": {
                "format": or(&body["text"]["format"], json!({ "type": "text" })),
                "verbosity": or(&body["text"]["verbosity"], json!("medium")),
            },
            "tool_choice": or(&body["tool_choice"], json!("auto")),
            "tool_usage": {
                "image_gen": {
                    "input_tokens": 0,
                    "input_tokens_details": no_tokens,
                    "output_tokens": 0,
                    "output_tokens_details": no_tokens,
                    "total_tokens": 0,
                },
                "web_search": { "num_requests": 0 },
            },
            "tools": request.echoed_tools(),
            "top_logprobs": 0,
            "top_p": 0.98,
            "truncation": "disabled",
            "usage": null,
            "user": null,
        });
        Self { base }
    }

    /// The event that tells a status.
    pub(super) fn event(&self, kind: &str, status: Status<'_>) -> Value {
        let mut response = self.base.clone();
        let mut set = |key: &str, value: Value| response[key] = value;
        match status {
            Status::InProgress => {}
            Status::Completed { output, usage } => {
                set("status", json!("completed"));
                set("completed_at", json!(limits::now()));
                set("service_tier", json!("default"));
                set("output", json!(output));
                set("usage", usage.to_json());
            }
            Status::Incomplete { reason, output, usage } => {
                set("status", json!("incomplete"));
                set("service_tier", json!("default"));
                set("incomplete_details", json!({ "reason": reason }));
                set("output", json!(output));
                set("usage", usage.to_json());
            }
            Status::Failed { error } => {
                set("status", json!("failed"));
                set(
                    "error",
                    json!(
                        error
                            .map(|(code, message)| { json!({ "code": code, "message": message }) })
                    ),
                );
            }
        }
        json!({ "type": kind, "response": response })
    }
}
