//! A valid request, read for what an answer needs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::catalogue::{Effort, Model};
use super::encrypted_content::Owner;
use super::validate::is_object;

/// A valid request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) body: &'a Value,
    pub(super) model: &'a Model,
    pub(super) owner: &'a Owner,
}

/// A tool's output since the user spoke last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) tool: String,
    pub(super) text: String,
}

/// Which tools the answer may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    /// None.
    Never,
    /// If the prompt speaks of one.
    May(Vec<&'a Value>),
    /// At least one.
    Must(Vec<&'a Value>),
}

impl<'a> Request<'a> {
    fn items(&self) -> &'a [Value] {
        self.body["input"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Where the last message of the user is; of a developer if there is no user.
    fn last_prompt(&self) -> Option<usize> {
        let by = |role: &str| self.items().iter().rposition(|item| item["role"] == role);
        by("user").or_else(|| by("developer"))
    }

    /// The text of the last message of the user.
    pub(super) fn prompt(&self) -> String {
        self.last_prompt().map_or_else(String::new, |at| text(&self.items()[at]["content"]))
    }

    /// What tools gave back since.
    pub(super) fn outputs(&self) -> Vec<Output> {
        let items = self.items();
        let since = &items[self.last_prompt().map_or(0, |at| at + 1)..];
        let outputs = since.iter().filter(|item| item.get("output").is_some());
        outputs
            .map(|item| {
                let call = items
                    .iter()
                    .find(|call| call["call_id"] == item["call_id"] && call.get("name").is_some());
                let tool = call.and_then(|call| call["name"].as_str()).unwrap_or("tool").to_owned();
                Output { tool, text: text(&item["output"]) }
            })
            .collect()
    }

    pub(super) fn tools(&self) -> &'a [Value] {
        self.body["tools"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Whether a hosted tool is offered.
    pub(super) fn offers(&self, kind: &str) -> bool {
        self.body["tool_choice"] != "none" && self.tools().iter().any(|tool| tool["type"] == kind)
    }

    /// The function and custom tools that may be called.
    pub(super) fn choice(&self) -> Choice<'a> {
        let callable = |tool: &&Value| tool["type"] == "function" || tool["type"] == "custom";
        let tools: Vec<&Value> = self.tools().iter().filter(callable).collect();
        let same = |a: &Value, b: &Value| a["type"] == b["type"] && a["name"] == b["name"];
        let choice = &self.body["tool_choice"];
        match choice["type"].as_str().or(choice.as_str()) {
            _ if tools.is_empty() => Choice::Never,
            Some("none" | "web_search" | "image_generation") => Choice::Never,
            Some("required") => Choice::Must(tools),
            Some("function" | "custom") => {
                Choice::Must(tools.into_iter().filter(|tool| same(tool, choice)).collect())
            }
            Some("allowed_tools") => {
                let allowed = choice["tools"].as_array().map_or(&[][..], Vec::as_slice);
                let tools: Vec<&Value> = tools
                    .into_iter()
                    .filter(|tool| allowed.iter().any(|wanted| same(tool, wanted)))
                    .collect();
                match choice["mode"].as_str() {
                    _ if tools.is_empty() => Choice::Never,
                    Some("required") => Choice::Must(tools),
                    _ => Choice::May(tools),
                }
            }
            _ => Choice::May(tools),
        }
    }

    pub(super) fn may_call_in_parallel(&self) -> bool {
        self.body["parallel_tool_calls"] != false
    }

    pub(super) fn effort(&self) -> Effort {
        let effort = self.body["reasoning"]["effort"].as_str().and_then(Effort::from_wire);
        effort.unwrap_or(self.model.default_effort)
    }

    pub(super) fn wants_summary(&self) -> bool {
        self.body["reasoning"]["summary"].is_string()
    }

    pub(super) fn wants_sealed_reasoning(&self) -> bool {
        let include = self.body["include"].as_array();
        include.is_some_and(|values| values.contains(&json!("reasoning.encrypted_content")))
    }

    /// The tools as the backend echoes them: without `strict` a function becomes strict, and its
    /// schema is rewritten for it.
    pub(super) fn echoed_tools(&self) -> Vec<Value> {
        let mut tools = self.tools().to_vec();
        for tool in tools.iter_mut().filter(|tool| tool["type"] == "function") {
            if tool["strict"].is_null() {
                tool["strict"] = Value::Bool(true);
                close(&mut tool["parameters"]);
            }
        }
        tools
    }
}

/// Makes every object of a schema closed.
fn close(schema: &mut Value) {
    if is_object(schema) {
        schema["additionalProperties"] = Value::Bool(false);
        if schema.get("required").is_none() {
            schema["required"] = json!([]);
        }
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(close),
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// The text of a content: a string, or its text parts; other parts by their kind.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let mut joined = String::new();
            for part in parts {
                match (part["text"].as_str(), part["type"].as_str()) {
                    (Some(text), _) => joined.push_str(text),
                    (None, Some(kind)) => {
                        // Writing to a string cannot fail.
                        let _ = write!(joined, " ({kind}) ");
                    }
                    (None, None) => {}
                }
            }
            joined
        }
        _ => String::new(),
    }
}
