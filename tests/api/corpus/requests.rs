//! Requests recorded from a native client of the backend: the chat request that a client would
//! have sent gives the same body upstream.

use serde_json::{Map, Value, json};

use crate::support::backend::{Backend, answer};
use crate::support::daemon::Daemon;

#[tokio::test]
#[ignore = "needs CODEX_PROXY_CORPUS"]
async fn the_chat_request_behind_every_recorded_one_gives_that_body() {
    let recordings = super::folder().join("responses/rig-codex");
    let mut paths: Vec<_> = std::fs::read_dir(recordings)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".request.json"))
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 25);
    let body = answer(&["ok"]);
    let backend = Backend::start(&["gpt-5.4"], move |_, _| {
        crate::support::backend::Answer::stream(body.clone())
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    for path in &paths {
        let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let recorded = recorded.get("body").unwrap_or(&recorded);
        let (status, answered) = daemon.ask(&as_chat(recorded)).await;
        assert_eq!(status, 200, "{}: {answered}", path.display());
        let sent = backend.seen().last().unwrap().json();
        assert_eq!(plain(&sent), plain(recorded), "{}", path.display());
    }
}

/// The chat completion request that asks for the same.
fn as_chat(recorded: &Value) -> Value {
    let mut messages = vec![json!({"role": "system", "content": recorded["instructions"]})];
    for item in recorded["input"].as_array().unwrap() {
        match item["type"].as_str().unwrap() {
            "message" => messages.push(message(item)),
            "function_call" => {
                let call = json!({"id": item["call_id"], "type": "function",
                    "function": {"name": item["name"], "arguments": item["arguments"]}});
                // Calls of one turn stand in one message.
                match messages.last_mut() {
                    Some(last)
                        if last["role"] == "assistant" && last.get("tool_calls").is_some() =>
                    {
                        last["tool_calls"].as_array_mut().unwrap().push(call);
                    }
                    _ => messages
                        .push(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
                }
            }
            "function_call_output" => messages.push(json!({"role": "tool",
                "tool_call_id": item["call_id"], "content": item["output"]})),
            // Chat clients cannot carry it.
            "reasoning" => {}
            other => panic!("{other}"),
        }
    }
    let mut chat = Map::new();
    chat.insert("model".into(), recorded["model"].clone());
    chat.insert("messages".into(), messages.into());
    for (key, value) in recorded.as_object().unwrap() {
        match key.as_str() {
            "tools" => {
                let tools = value.as_array().unwrap().iter().map(|tool| {
                    let mut function = tool.as_object().unwrap().clone();
                    function.remove("type");
                    json!({"type": "function", "function": function})
                });
                chat.insert("tools".into(), tools.collect());
            }
            "tool_choice" => {
                chat.insert("tool_choice".into(), tool_choice(value));
            }
            "parallel_tool_calls" | "prompt_cache_key" => {
                chat.insert(key.clone(), value.clone());
            }
            "reasoning" => {
                chat.insert("reasoning_effort".into(), value["effort"].clone());
            }
            "text" => panic!("no recording has one: {value}"),
            _ => {}
        }
    }
    chat.into()
}

fn message(item: &Value) -> Value {
    let content = match &item["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap().to_owned(),
    };
    json!({"role": item["role"], "content": content})
}

fn tool_choice(value: &Value) -> Value {
    let name = |tool: &Value| json!({"type": "function", "function": {"name": tool["name"]}});
    match value["type"].as_str() {
        None => value.clone(),
        Some("function") => name(value),
        Some("allowed_tools") => {
            let tools: Vec<Value> = value["tools"].as_array().unwrap().iter().map(name).collect();
            json!({"type": "allowed_tools",
                "allowed_tools": {"mode": value["mode"], "tools": tools}})
        }
        Some(other) => panic!("{other}"),
    }
}

/// Without ids, states and what the daemon always adds; texts in one spelling.
fn plain(body: &Value) -> Value {
    let mut body = body.clone();
    let fields = body.as_object_mut().unwrap();
    fields.remove("prompt_cache_key");
    if fields.get("instructions") == Some(&json!("")) {
        // The daemon never sends an empty text: the backend has been seen to refuse it.
        fields.insert("instructions".into(), "You are a helpful assistant.".into());
    }
    if let Some(reasoning) = fields.get_mut("reasoning").and_then(Value::as_object_mut) {
        reasoning.remove("summary");
    }
    if fields.get("reasoning") == Some(&json!({})) {
        fields.remove("reasoning");
    }
    for tool in fields.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        // The recording client leaves it out where it is off.
        tool.as_object_mut().unwrap().entry("strict").or_insert(false.into());
    }
    let input = fields.get_mut("input").unwrap().as_array_mut().unwrap();
    input.retain(|item| item["type"] != "reasoning");
    for item in input {
        let item = item.as_object_mut().unwrap();
        item.remove("id");
        item.remove("status");
        if let Some(Value::String(text)) = item.get("content") {
            let part = json!([{"type": "output_text", "text": text}]);
            item.insert("content".into(), part);
        }
    }
    body
}
