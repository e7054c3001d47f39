//! What valid requests are answered with.

use serde_json::{Value, json};

use super::{Server, deltas, events, function, items, order, request, request_with, text};
use crate::simulator::{Outcome, Settings};

const MESSAGE: [&str; 6] = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
];

fn plain() -> Value {
    json!({ "reasoning": { "effort": "low" } })
}

#[tokio::test]
async fn a_plain_prompt_is_quoted_in_the_order_of_the_backend() {
    let server = Server::start().await;
    let events = server.events(&request_with("Hello there", plain())).await;
    let mut expected = vec!["created", "in_progress"];
    expected.extend(MESSAGE);
    expected.push("completed");
    assert_eq!(order(&events), expected);
    assert_eq!(text(&events), "This is a simulated answer to: Hello there");
    assert_eq!(deltas(&events, "response.output_text.delta"), text(&events));
    let numbers: Vec<u64> =
        events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let completed = &events.last().unwrap()["response"];
    assert_eq!(completed.as_object().unwrap().len(), 35);
    assert_eq!((&completed["output"], &completed["status"]), (&json!([]), &json!("completed")));
    assert_eq!(items(&events)[0]["phase"], "final_answer");
    let exchange = server.log.exchanges().pop().unwrap();
    assert_eq!((exchange.outcome, exchange.events), (Outcome::Completed, events.len()));
    assert_eq!(exchange.request["instructions"], "Be brief.");
    assert!(!exchange.headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_answer_has_the_headers_of_the_backend_and_no_content_type() {
    let server = Server::start().await;
    let call = server.post("/responses").header("session-id", "s").json(&request("Hi"));
    let response = call.send().await.unwrap();
    let headers = response.headers();
    assert!(!headers.contains_key("content-type"));
    for name in ["x-oai-request-id", "x-codex-primary-used-percent", "x-codex-turn-state"] {
        assert!(headers.contains_key(name), "{name}");
    }
    assert_eq!(headers["openai-model"], "gpt-5.5");
    let models = server.get("/models?client_version=0.144.0").send().await.unwrap();
    assert_eq!(models.headers()["etag"], headers["x-models-etag"]);
    let models: Value = models.json().await.unwrap();
    assert_eq!(models["models"][0]["slug"], "gpt-5.6-sol");
    assert_eq!(server.log.models_requests(), 1);
    assert_eq!(server.get("/models").send().await.unwrap().status(), 400);
    let usage = server.get("/backend-api/wham/usage").send().await.unwrap();
    let usage: Value = usage.json().await.unwrap();
    assert_eq!(usage["rate_limit"]["primary_window"]["limit_window_seconds"], 18_000);
}

#[tokio::test]
async fn reasoning_is_summarised_and_sealed_when_asked_for() {
    let server = Server::start().await;
    let all = json!({
        "reasoning": { "effort": "high", "summary": "auto" },
        "include": ["reasoning.encrypted_content"],
    });
    let answer = server.events(&request_with("Why?", all)).await;
    assert_eq!(
        order(&answer)[2..8],
        [
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "reasoning_summary_part.added",
        ]
    );
    let thought = items(&answer)[0];
    assert_eq!(thought["type"], "reasoning");
    assert!(
        thought["summary"][0]["text"].as_str().unwrap().starts_with("**Reading the request**\n\n")
    );
    assert!(thought["encrypted_content"].is_string());
    let completed = &answer.last().unwrap()["response"];
    assert_eq!(completed["reasoning"]["summary"], "detailed");
    let usage = &completed["usage"];
    let reasoning = usage["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
    assert!(0 < reasoning && reasoning < usage["output_tokens"].as_u64().unwrap());

    let unasked = server.events(&request("Why?")).await;
    let thought = items(&unasked)[0];
    assert_eq!(thought["summary"], json!([]));
    assert!(thought.get("encrypted_content").is_none());
}

#[tokio::test]
async fn tools_are_called_when_named_and_their_outputs_repeated() {
    let server = Server::start().await;
    let tools = json!({
        "tools": [function("get_weather"), function("get_time"), function("other")],
        "reasoning": { "effort": "low" },
    });
    let body = request_with("Use get_weather and `get_time`.", tools);
    let answer = server.events(&body).await;
    let call = [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ];
    let expected = [&["created", "in_progress"][..], &call, &call, &["completed"]].concat();
    assert_eq!(order(&answer), expected);
    let calls = items(&answer);
    assert_eq!((&calls[0]["name"], &calls[1]["name"]), (&json!("get_weather"), &json!("get_time")));
    let arguments: Value = serde_json::from_str(calls[0]["arguments"].as_str().unwrap()).unwrap();
    assert!(jsonschema::is_valid(&function("f")["parameters"], &arguments), "{arguments}");

    let mut replay = body.clone();
    let input = replay["input"].as_array_mut().unwrap();
    input.extend(calls.iter().map(|call| (*call).clone()));
    for (call, output) in calls.iter().zip(["sunny", "noon"]) {
        let id = &call["call_id"];
        input.push(json!({ "type": "function_call_output", "call_id": id, "output": output }));
    }
    let answer = server.events(&replay).await;
    assert_eq!(text(&answer), "get_weather says: sunny; get_time says: noon");

    let mut single = body;
    single["parallel_tool_calls"] = json!(false);
    assert_eq!(items(&server.events(&single).await).len(), 1);
}

#[tokio::test]
async fn tool_choice_decides_who_is_called() {
    let server = Server::start().await;
    let named = |name: &str| json!({ "type": "function", "name": name });
    let allowed =
        |mode: &str| json!({ "type": "allowed_tools", "mode": mode, "tools": [named("b")] });
    let cases = [
        ("Hi", json!("auto"), None),
        ("Use a.", json!("auto"), Some("a")),
        ("Use a.", json!("none"), None),
        ("Hi", json!("required"), Some("a")),
        ("Use b.", json!("required"), Some("b")),
        ("Use a.", named("b"), Some("b")),
        ("Use a.", allowed("auto"), None),
        ("Use a.", allowed("required"), Some("b")),
    ];
    for (prompt, choice, expected) in cases {
        let more = json!({ "tools": [function("a"), function("b")], "tool_choice": choice });
        let answer = server.events(&request_with(prompt, more)).await;
        let items = items(&answer);
        let called = items.iter().find_map(|item| item["name"].as_str());
        assert_eq!(called, expected, "{prompt} {choice}");
    }
    let tolerated = request_with("Hi", json!({ "tools": [], "tool_choice": "auto" }));
    assert_eq!(server.send(&tolerated).await.status(), 200);
}

#[tokio::test]
async fn custom_tools_are_called_with_text() {
    let server = Server::start().await;
    let tools = json!({ "tools": [{ "type": "custom", "name": "sql" }] });
    let answer = server.events(&request_with("Run sql for me.", tools)).await;
    let order = order(&answer);
    assert!(order.contains(&"custom_tool_call_input.delta"));
    assert!(order.contains(&"custom_tool_call_input.done"));
    let call = items(&answer).pop().unwrap();
    assert_eq!(call["type"], "custom_tool_call");
    assert_eq!(call["input"], deltas(&answer, "response.custom_tool_call_input.delta"));
}

#[tokio::test]
async fn tools_without_strict_are_echoed_as_strict() {
    let server = Server::start().await;
    let mut tool = function("f");
    tool.as_object_mut().unwrap().remove("strict");
    tool["parameters"].as_object_mut().unwrap().remove("required");
    let answer = server.events(&request_with("Hi", json!({ "tools": [tool] }))).await;
    let echo = &answer[0]["response"]["tools"][0];
    assert_eq!(echo["strict"], true);
    assert_eq!(echo["parameters"]["additionalProperties"], false);
    assert_eq!(echo["parameters"]["required"], json!([]));
    let answer = server.events(&request_with("Hi", json!({ "tools": [function("f")] }))).await;
    assert_eq!(answer[0]["response"]["tools"][0], function("f"));
}

#[tokio::test]
async fn formats_are_satisfied() {
    let server = Server::start().await;
    let schema = json!({
        "type": "object",
        "properties": {
            "title": { "type": "string", "minLength": 30 },
            "kind": { "enum": ["news", "other"] },
            "tags": { "type": "array", "items": { "type": "string" }, "minItems": 2 },
        },
        "required": ["title", "kind", "tags"],
        "additionalProperties": false,
    });
    let format =
        json!({ "type": "json_schema", "name": "article", "strict": true, "schema": schema });
    let more = json!({ "text": { "format": format } });
    let answer = server.events(&request_with("Write", more)).await;
    let value: Value = serde_json::from_str(text(&answer)).unwrap();
    assert!(jsonschema::is_valid(&schema, &value), "{value}");

    let more = json!({ "text": { "format": { "type": "json_object" } } });
    let answer = server.events(&request_with("Write JSON", more)).await;
    assert!(serde_json::from_str::<Value>(text(&answer)).unwrap().is_object());
}

#[tokio::test]
async fn searches_are_cited_by_code_points() {
    let server = Server::start().await;
    let more = json!({ "tools": [{ "type": "web_search" }], "reasoning": { "effort": "low" } });
    let answer = server.events(&request_with("Search for 東京 – naïve", more)).await;
    assert_eq!(
        order(&answer)[2..7],
        [
            "output_item.added",
            "web_search_call.in_progress",
            "web_search_call.searching",
            "web_search_call.completed",
            "output_item.done",
        ]
    );
    assert!(order(&answer).contains(&"output_text.annotation.added"));
    let message = items(&answer).pop().unwrap();
    let citation = &message["content"][0]["annotations"][0];
    let range = |key: &str| usize::try_from(citation[key].as_u64().unwrap()).unwrap();
    let (start, end) = (range("start_index"), range("end_index"));
    let cited: String = text(&answer).chars().skip(start).take(end - start).collect();
    assert_eq!(cited, "([example.com](https://example.com/simulated))");
}

#[tokio::test]
async fn pictures_are_drawn() {
    let server = Server::start().await;
    let more = json!({ "tools": [{ "type": "image_generation", "output_format": "png" }] });
    let answer = server.events(&request_with("Draw a cat", more)).await;
    let items = items(&answer);
    let image = items.iter().find(|item| item["type"] == "image_generation_call").unwrap();
    assert!(image["result"].as_str().unwrap().starts_with("iVBORw0KGgo"));
    assert!(order(&answer).contains(&"image_generation_call.partial_image"));
}

#[tokio::test]
async fn directives_shape_the_answer() {
    let server = Server::start().await;
    let ask = async |directives: &str| {
        let more =
            json!({ "tools": [function("f"), function("g")], "reasoning": { "effort": "low" } });
        server.events(&request_with(directives, more)).await
    };

    let answer = ask("[[simulate: text \"Grüße\"]] [[simulate: deltas 3]]").await;
    assert_eq!(text(&answer), "Grüße");
    let count = |answer: &[Value], kind: &str| answer.iter().filter(|e| e["type"] == kind).count();
    assert_eq!(count(&answer, "response.output_text.delta"), 3);
    assert_eq!(text(&ask("[[simulate: deltas 2]]").await), "word1 word2");

    let answer = ask("[[simulate: reasoning \"**A**\\n\\nB\"]] Hi").await;
    assert_eq!(items(&answer)[0]["summary"][0]["text"], "**A**\n\nB");

    let answer =
        ask("[[simulate: commentary \"Let me see.\"]] [[simulate: call f {\"city\":\"Rome\"}]] \
                      [[simulate: call g]] [[simulate: done-only]]")
        .await;
    let done = items(&answer);
    assert_eq!(done[0]["phase"], "commentary");
    assert_eq!(done[1]["arguments"], "{\"city\":\"Rome\"}");
    assert_eq!(count(&answer, "response.function_call_arguments.delta"), 0);
    assert_eq!(count(&answer, "response.function_call_arguments.done"), 0);

    let answer = ask("[[simulate: call f]] [[simulate: call g]] [[simulate: interleave]]").await;
    let first_done = answer.iter().position(|e| e["type"] == "response.output_item.done").unwrap();
    let opened = answer[..first_done].iter().filter(|e| e["type"] == "response.output_item.added");
    assert_eq!(opened.count(), 2);

    let answer = ask("[[simulate: wrapper]] [[simulate: call f {}]]").await;
    assert_eq!(items(&answer)[0]["name"], "multi_tool_use.parallel");

    let answer = ask("[[simulate: refusal \"I can't.\"]]").await;
    assert_eq!(items(&answer)[0]["content"][0]["refusal"], "I can't.");
    assert_eq!(deltas(&answer, "response.refusal.delta"), "I can't.");

    let answer = ask("[[simulate: text \"a b c d\"]] [[simulate: length after=2]]").await;
    assert_eq!(text(&answer), "a b");
    let last = answer.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(items(&answer)[0]["status"], "incomplete");

    let answer = ask("[[simulate: two-messages]] [[simulate: keepalive]] [[simulate: unknown]] \
                      [[simulate: rate-limits-first]] [[simulate: cite]] [[simulate: image]]")
    .await;
    assert_eq!(answer[0]["type"], "codex.rate_limits");
    assert_eq!(items(&answer).len(), 3);
    assert!(count(&answer, "keepalive") > 0 && count(&answer, "response.metadata") > 0);
}

#[tokio::test]
async fn a_header_directs_too_and_the_body_can_be_cut_anyhow() {
    let server = Server::start().await;
    let directives = "[[simulate: text \"Hi\"]] [[simulate: split 7]] [[simulate: crlf]]";
    let call = server.post("/responses").header("x-simulate", directives).json(&request("?"));
    let body = call.send().await.unwrap().text().await.unwrap();
    assert_eq!(body.matches('\n').count(), body.matches("\r\n").count());
    assert_eq!(text(&events(&body)), "Hi");
}

#[tokio::test]
async fn a_conversation_finds_its_beginning_in_the_cache() {
    let server = Server::start().await;
    let key = json!({ "prompt_cache_key": "k" });
    let cached = |answer: &[Value]| {
        let usage = &answer.last().unwrap()["response"]["usage"];
        usage["input_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    let mut body = request_with("The first question of a conversation", key);
    assert_eq!(cached(&server.events(&body).await), 0);
    let input = body["input"].as_array_mut().unwrap();
    input.push(json!({ "role": "assistant", "content": "An answer" }));
    input.push(json!({ "role": "user", "content": "Another question" }));
    assert!(cached(&server.events(&body).await) > 10);
    assert_eq!(server.post("/simulator/reset").send().await.unwrap().status(), 204);
    assert_eq!(cached(&server.events(&body).await), 0);
}

#[tokio::test]
async fn the_log_can_be_read_from_outside() {
    let server =
        Server::with(Settings { complete_output_empty: false, ..Settings::default() }).await;
    let answer = server.events(&request("Hi")).await;
    assert_eq!(answer.last().unwrap()["response"]["output"].as_array().unwrap().len(), 2);
    let log: Value = server.get("/simulator/log").send().await.unwrap().json().await.unwrap();
    assert_eq!(log["exchanges"][0]["outcome"], "completed");
    assert_eq!(log["exchanges"][0]["model"], "gpt-5.5");
    server.post("/simulator/reset").send().await.unwrap();
    assert!(server.log.exchanges().is_empty());
}
