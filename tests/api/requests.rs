//! What the daemon answers by itself: endpoints, and requests that never reach the backend.

use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use crate::support::backend::{Answer, Backend, answer, sse, text};
use crate::support::daemon::{Daemon, hello, with};

async fn setup() -> (Backend, Daemon) {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let daemon = Daemon::start(&backend.base_url).await;
    (backend, daemon)
}

/// Every error has all four keys, and a code that is a string or null.
fn check_error(body: &Value) {
    let error = body["error"].as_object().unwrap();
    let mut keys: Vec<_> = error.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["code", "message", "param", "type"]);
    assert!(error["message"].is_string() && error["type"].is_string(), "{body}");
    assert!(error["code"].is_null() || error["code"].is_string(), "{body}");
    assert!(error["param"].is_null() || error["param"].is_string(), "{body}");
}

#[tokio::test]
async fn bad_requests_are_refused_by_name_and_never_reach_the_backend() {
    let (backend, daemon) = setup().await;
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    let cases = [
        (json!({"model": null}), "model"),
        (json!({"model": 5}), "model"),
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": "Hello"}), "messages"),
        (json!({"messages": [{"role": "robot", "content": ""}]}), "messages[0].role"),
        (json!({"messages": user(json!([{"type": "video_url"}]))}), "messages[0].content[0].type"),
        (
            json!({"messages": user(json!([{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]))}),
            "messages[0].content[0].image_url.url",
        ),
        (
            json!({"messages": user(json!([{"type": "input_audio", "input_audio": {}}]))}),
            "messages[0].content[0].type",
        ),
        (json!({"stream": "true"}), "stream"),
        (json!({"n": 0}), "n"),
        (json!({"n": 9}), "n"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"top_p": -1}), "top_p"),
        (json!({"max_tokens": -3}), "max_tokens"),
        (json!({"max_completion_tokens": 1.5}), "max_completion_tokens"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"stop": [1]}), "stop[0]"),
        (json!({"modalities": ["text", "audio"]}), "modalities"),
        (json!({"reasoning_effort": "hard"}), "reasoning_effort"),
        (json!({"verbosity": "loud"}), "verbosity"),
        (json!({"service_tier": "gold"}), "service_tier"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"tools": [{"type": "mcp"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function", "function": {}}]}), "tools[0].function.name"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a"}}],
                "tool_choice": {"type": "function", "function": {"name": "b"}}}),
            "tool_choice",
        ),
        (
            json!({"functions": [{"name": "a"}],
                "tools": [{"type": "function", "function": {"name": "a"}}]}),
            "functions",
        ),
    ];
    for (more, param) in cases {
        let (status, body) = daemon.ask(&with(hello(), more.clone())).await;
        assert_eq!(status, 400, "{more}: {body}");
        check_error(&body);
        assert_eq!(body["error"]["param"], param, "{more}: {body}");
        assert_eq!(body["error"]["type"], "invalid_request_error", "{more}");
    }
    for body in ["", "{", "null", "[]", "\"x\"", "{\"model\": NaN}", "{\"a\":\"\\ud800\"}"] {
        let response = daemon.post(body).await;
        assert_eq!(response.status(), 400, "{body}");
        check_error(&serde_json::from_str(&response.text().await.unwrap()).unwrap());
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(daemon.post(deep).await.status(), 400);
    let (status, body) = daemon.ask(&with(hello(), json!({"model": "gpt-3"}))).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    assert!(body["error"]["message"].as_str().unwrap().contains("gpt-5.5"), "names what there is");
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn errors_of_the_backend_name_the_clients_fields() {
    let refusal = |field: &str| {
        json!({"error": {"message": format!("Invalid '{field}': no."), "type": "invalid_request_error",
            "param": field, "code": "invalid_value"}})
    };
    let fields = [
        ("tools[0].parameters", "tools[1].function.parameters"),
        ("input[0].content[1].file_data", "messages[1].content[2].file.file_data"),
        ("text.format.schema", "response_format.json_schema.schema"),
    ];
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let request = with(
        hello(),
        json!({
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": [
            {"type": "text", "text": ""}, {"type": "text", "text": "Hi"},
            {"type": "file", "file": {"file_data": "AAAA"}}]}],
        "tools": [tool("f"), tool("f")],
        "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}}),
    );
    for (upstream, expected) in fields {
        let check = |body: &Value| {
            assert_eq!(body["error"]["param"], expected, "{body}");
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.contains(expected) && !message.contains(upstream), "{message}");
        };
        // As an HTTP answer, at the beginning of a stream, and in the middle of one
        let refused = refusal(upstream).to_string();
        let backend = Backend::start(&["gpt-5.5"], move |_, _| Answer::error(400, &refused)).await;
        let daemon = Daemon::start(&backend.base_url).await;
        let (status, body) = daemon.ask(&request).await;
        assert_eq!(status, 400, "{body}");
        check(&body);
        let (status, chunks) = daemon.stream(&request).await;
        assert_eq!(status, 400);
        check(&chunks[0]);

        let mut events = text(&["Hi"]);
        events.push(with(refusal(upstream), json!({"type": "error"})));
        let backend = Backend::streaming(&sse(&events)).await;
        let daemon = Daemon::start(&backend.base_url).await;
        let (status, chunks) = daemon.stream(&request).await;
        assert_eq!(status, 200);
        check(chunks.last().unwrap());
        let (_, body) = daemon.ask(&request).await;
        check(&body);
    }
}

#[tokio::test]
async fn what_a_tool_asks_for_in_vain_is_named_and_refused_by_strict_mode() {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let tools = json!({"tools": [{"type": "image_generation", "input_image_mask": {}},
        {"type": "web_search", "external_web_access": false}]});
    for (settings, status) in [("", 200), ("[compat]\nstrict = true", 400)] {
        let daemon = Daemon::with_settings(&backend.base_url, settings).await;
        let response = daemon.post(with(hello(), tools.clone()).to_string()).await;
        assert_eq!(response.status(), status);
        if status == 200 {
            assert_eq!(response.headers()["x-codex-proxy-dropped"], "tools[0].input_image_mask");
            let sent = backend.seen().last().unwrap().json();
            assert_eq!(sent["tools"][1]["external_web_access"], false);
        } else {
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(body["error"]["param"], "tools[0].input_image_mask");
        }
    }
}

#[tokio::test]
async fn a_responses_body_is_told_where_it_belongs() {
    let (_, daemon) = setup().await;
    let (status, body) = daemon.ask(&json!({"model": "gpt-5.5", "input": "Hello"})).await;
    assert_eq!(status, 400);
    assert!(body["error"]["message"].as_str().unwrap().contains("/v1/responses"), "{body}");
}

#[tokio::test]
async fn what_a_client_says_is_repeated_in_part() {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let settings = "[models]\nunknown = \"default\"\n[compat]\nstrict = true";
    let strict = Daemon::with_settings(&backend.base_url, settings).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let long = "long ".repeat(1 << 20);
    let call = json!([{"role": "user", "content": "Hi"}, {"role": long, "content": "x"}]);
    let tool = json!({"type": "function", "function": {"name": "f"}});
    for more in [
        json!({"model": long}),
        json!({"messages": call}),
        json!({"service_tier": long}),
        json!({"reasoning_effort": long}),
        json!({"response_format": {"type": long}}),
        json!({"tools": [{"type": long}]}),
        json!({"tools": [tool], "tool_choice": {"type": "function", "function": {"name": long}}}),
        json!({long.as_str(): 1, "messages": []}),
    ] {
        for daemon in [&daemon, &strict] {
            let response = daemon.post(with(hello(), more.clone()).to_string()).await;
            assert!(response.status().is_client_error(), "{}", response.status());
            let headers: usize = response.headers().values().map(HeaderValue::len).sum();
            let body = response.text().await.unwrap();
            assert!(headers < 4096 && body.len() < 5000, "{headers} and {} bytes", body.len());
            check_error(&serde_json::from_str(&body).unwrap());
        }
    }
    // An unknown field is named in a header, or in the error of strict mode.
    let unknown = with(hello(), json!({long.as_str(): 1}));
    let response = daemon.post(unknown.to_string()).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers()["x-codex-proxy-dropped"].len() <= 128);
    let (status, body) = strict.ask(&unknown).await;
    assert_eq!(status, 400);
    let error = &body["error"];
    for field in ["param", "message"] {
        assert!(error[field].as_str().unwrap().len() < 500, "{field}");
    }
    // The hint behind it is left.
    assert!(error["message"].as_str().unwrap().contains("strict"), "{error}");
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn json_is_taken_as_clients_write_it() {
    let (backend, daemon) = setup().await;
    let body = |content: &str| {
        format!(r#"{{"model":"gpt-5.5","messages":[{{"role":"user","content":"{content}"}}]}}"#)
    };
    let cases = [
        // Cut in the middle of an emoji: a half becomes U+FFFD, and the conversation goes on.
        (body(r"cut \ud83d"), "cut \u{FFFD}"),
        (body(r"x \ude00 y"), "x \u{FFFD} y"),
        (body(r"\ud83d\ud83d\ude00"), "\u{FFFD}😀"),
        (body(r"\ud83d\ude00"), "😀"),
        (body(r"\\ud83d"), r"\ud83d"),
        (body(r"a\u0000b"), "a\0b"),
        (format!("\u{FEFF}{}", body("mark")), "mark"),
        (format!(" \n\t{}\r\n ", body("space")), "space"),
        (body("last").replace(r#""model""#, r#""messages":[],"model":"no","model""#), "last"),
        (body("whole").replace(r#"{"model""#, r#"{"n":1.0,"model""#), "whole"),
        (body("float").replace(r#"{"model""#, r#"{"n":1e0,"model""#), "float"),
        (body("large").replace(r#"{"model""#, r#"{"seed":9223372036854775807,"model""#), "large"),
    ];
    for (number, (body, expected)) in cases.into_iter().enumerate() {
        let response = daemon.post(body.clone()).await;
        assert_eq!(response.status(), 200, "{body}");
        response.bytes().await.unwrap();
        let sent = backend.seen()[number].json();
        assert_eq!(sent["input"][0]["content"][0]["text"], expected, "{body}");
    }
    let refused: [Vec<u8>; 9] = [
        b"".to_vec(),
        b"\xff\xfe{\x00".to_vec(),
        body("x").encode_utf16().flat_map(u16::to_le_bytes).collect(),
        (body("x") + "x").into_bytes(),
        body("x").replace(r#""x""#, "NaN").into_bytes(),
        body("x").replace(r#"{"model""#, r#"{"seed":1e400,"model""#).into_bytes(),
        body("x")
            .replace(r#""x""#, &format!("{}1{}", "[".repeat(126), "]".repeat(126)))
            .into_bytes(),
        body("x\ny").into_bytes(),
        [body("").as_bytes()[..60].to_vec(), vec![0xC3, 0x28]].concat(),
    ];
    let before = backend.seen().len();
    for body in refused {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let response = daemon.post(body).await;
        assert_eq!(response.status(), 400, "{shown:?}");
        let error: Value = response.json().await.unwrap();
        check_error(&error);
        assert!(error["error"]["message"].as_str().unwrap().contains("JSON"), "{error}");
    }
    assert_eq!(backend.seen().len(), before);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let daemon = Daemon::with_settings(&backend.base_url, "[server]\nmax_body_mib = 1").await;
    let large = "x".repeat(2 << 20);
    let request = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": large}]});
    let (status, body) = daemon.ask(&request).await;
    assert_eq!(status, 413);
    check_error(&body);
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn strict_mode_refuses_what_would_be_dropped() {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let daemon = Daemon::with_settings(&backend.base_url, "[compat]\nstrict = true").await;
    let (status, body) = daemon.ask(&with(hello(), json!({"seed": 7}))).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("seed")));
    assert_eq!(body["error"]["code"], "unsupported_parameter");
    // What is the default anyway is no request at all.
    let (status, _) = daemon.ask(&with(hello(), json!({"temperature": 1, "n": 1}))).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn paths_may_lack_the_version_repeat_it_or_end_with_a_slash() {
    let (_, daemon) = setup().await;
    let client = reqwest::Client::new();
    for path in [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/chat/completions/",
        "/v1/v1/chat/completions",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/api/v1/chat/completions",
        "/v1/chat/completions?api-version=2024-10-21",
        "/openai/deployments/gpt-5.5/chat/completions?api-version=2024-10-21",
        "/v1/chat/completions/chat/completions",
    ] {
        let url = format!("{}{path}", daemon.url);
        let response = client.post(url).body(hello().to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    for path in [
        "/v1/models",
        "/models",
        "/models/",
        "/v1/models/gpt-5.5",
        "/models/openai/gpt-5.5",
        "/v1/models/openai%2Fgpt-5.5",
        "//v1/models",
        "/api/v1/models",
        "/openai/v1/models/gpt-5.5",
        "/health",
    ] {
        assert_eq!(daemon.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn an_endpoint_behind_something_unknown_names_the_base_url() {
    let (backend, daemon) = setup().await;
    for path in [
        "/v2/chat/completions",
        "/foo//chat/completions",
        "/v1/models/chat/completions",
        "/v1beta/openai/chat/completions",
    ] {
        let url = format!("{}{path}", daemon.url);
        let client = reqwest::Client::new();
        let response = client.post(url).body(hello().to_string()).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        check_error(&body);
        let message = body["error"]["message"].as_str().unwrap();
        let hint = format!("Set the client's base URL to {}/v1.", daemon.url);
        assert!(message.contains(&hint), "{message}");
    }
    let long = format!("/{}/chat/completions", "x".repeat(20_000));
    let text = daemon.get(&long).await.text().await.unwrap();
    assert!(text.len() < 1000, "{} bytes", text.len());
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn unknown_paths_and_methods_get_error_objects() {
    let (_, daemon) = setup().await;
    let client = reqwest::Client::new();
    for (method, path, status) in [
        ("GET", "/nope", 404),
        ("GET", "/ui", 404),
        ("GET", "/ui/nope.js", 404),
        ("POST", "/", 405),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/chat/completions/chatcmpl-1", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models/gpt-5.5", 405),
    ] {
        let url = format!("{}{path}", daemon.url);
        let response = client.request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        check_error(&serde_json::from_str(&response.text().await.unwrap()).unwrap());
    }
    let response = daemon.get("/v1/models/gpt-3").await;
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn models_are_listed_without_a_backend_too() {
    let daemon = Daemon::start("http://127.0.0.1:1/codex").await;
    let body: Value =
        serde_json::from_str(&daemon.get("/v1/models").await.text().await.unwrap()).unwrap();
    assert_eq!(body["object"], "list");
    let first = &body["data"][0];
    assert_eq!(first["object"], "model");
    assert!(first["created"].is_u64() && first["context_length"].is_u64());
    assert!(first["reasoning_efforts"].as_array().unwrap().len() > 1);
}

#[tokio::test]
async fn health_does_not_ask_the_backend() {
    let (backend, daemon) = setup().await;
    let body: Value =
        serde_json::from_str(&daemon.get("/health").await.text().await.unwrap()).unwrap();
    assert_eq!(
        body,
        json!({"status": "ok", "version": env!("CARGO_PKG_VERSION"), "credentials": true,
            "simulated": false})
    );
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn without_a_login_the_answer_names_the_command() {
    let (backend, daemon) = setup().await;
    daemon.sign_out();
    let (status, body) = daemon.ask(&hello()).await;
    assert_eq!((status, &body["error"]["code"]), (401, &json!("upstream_auth")));
    assert_eq!(body["error"]["type"], "authentication_error");
    assert!(body["error"]["message"].as_str().unwrap().contains("codex-proxy login"), "{body}");
    assert!(backend.seen().is_empty());
    // A login made meanwhile is picked up without a restart.
    daemon.sign_in();
    assert_eq!(daemon.ask(&hello()).await.0, 200);
}

#[tokio::test]
async fn an_unknown_model_can_mean_the_default_one() {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let settings = "[models]\nunknown = \"default\"\n[models.aliases]\nfast = \"gpt-5.5-low\"";
    let daemon = Daemon::with_settings(&backend.base_url, settings).await;
    let (status, body) = daemon.ask(&with(hello(), json!({"model": "gpt-4o"}))).await;
    assert_eq!((status, &body["model"]), (200, &json!("gpt-4o")), "the name asked for");
    daemon.ask(&with(hello(), json!({"model": "fast"}))).await;
    let sent = backend.seen()[1].json();
    assert_eq!((&sent["model"], &sent["reasoning"]["effort"]), (&json!("gpt-5.5"), &json!("low")));
}
