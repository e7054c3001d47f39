//! What happens to a call: when its status is told, when it is sent again, when it is cancelled,
//! and how several become one answer.

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};

use crate::support::backend::{Answer, Backend, End, answer, sse, text};
use crate::support::daemon::{Daemon, chunks, content, finish, hello, with};

/// More of them take more time and show nothing else.
const ONE_RETRY: &str = "[upstream]\nmax_retries = 1";

fn begun() -> Vec<Value> {
    text(&[])[..2].to_vec()
}

fn failed(code: &str, message: &str) -> Value {
    json!({"type": "response.failed",
        "response": {"status": "failed", "error": {"code": code, "message": message}}})
}

fn overloaded() -> String {
    let mut events = begun();
    events.push(failed("server_is_overloaded", "Our servers are currently overloaded."));
    sse(&events)
}

#[tokio::test]
async fn a_failure_before_the_answer_begins_has_its_own_status_in_both_modes() {
    let mut events = begun();
    events.push(failed("context_length_exceeded", "Your input exceeds the context window."));
    let backend = Backend::streaming(&sse(&events)).await;
    let daemon = Daemon::start(&backend.base_url).await;
    for (status, body) in [daemon.ask(&hello()).await, daemon.stream(&hello()).await.map_first()] {
        assert_eq!(status, 400);
        assert_eq!(body["error"]["code"], "context_length_exceeded");
    }
    assert_eq!(backend.seen().len(), 2, "such a call is not sent again");
}

#[tokio::test]
async fn a_failure_after_the_answer_has_begun_is_the_last_line_but_one() {
    let mut events = text(&["Hel", "lo"]);
    events.push(failed("server_error", "boom"));
    let backend = Backend::streaming(&sse(&events)).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (status, chunks) = daemon.stream(&hello()).await;
    assert_eq!(status, 200);
    assert_eq!(content(&chunks, 0), "Hello");
    assert_eq!(finish(&chunks, 0), None);
    let error = &chunks.last().unwrap()["error"];
    assert_eq!(
        *error,
        json!({"message": "boom", "type": "server_error", "param": null, "code": "server_error"})
    );
    assert_eq!(backend.seen().len(), 1, "a call that has shown something is not sent again");
}

#[tokio::test]
async fn an_overloaded_backend_is_asked_again() {
    let backend = Backend::start(&["gpt-5.5"], |number, _| {
        Answer::stream(if number % 2 == 0 { overloaded() } else { answer(&["Hi"]) })
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (status, whole) = daemon.ask(&hello()).await;
    assert_eq!((status, &whole["choices"][0]["message"]["content"]), (200, &json!("Hi")));
    let (status, chunks) = daemon.stream(&hello()).await;
    assert_eq!((status, content(&chunks, 0).as_str()), (200, "Hi"));
    let seen = backend.seen();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].body, seen[1].body, "the same request again");
}

#[tokio::test]
async fn a_backend_that_stays_overloaded_is_503_with_a_delay() {
    let backend = Backend::streaming(&overloaded()).await;
    let daemon = Daemon::with_settings(&backend.base_url, ONE_RETRY).await;
    let response = daemon.post(with(hello(), json!({"stream": true})).to_string()).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn a_used_up_plan_is_told_at_once_and_not_tried_again() {
    let body = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_in_seconds":13872}}"#;
    let backend = Backend::start(&["gpt-5.5"], move |_, _| Answer::error(429, body)).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let response = daemon.post(hello().to_string()).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "13872");
    assert_eq!(response.headers()["x-should-retry"], "false");
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["type"], "insufficient_quota");
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_stream_that_is_cut_before_it_begins_is_asked_for_again() {
    let backend = Backend::start(&["gpt-5.5"], |number, _| match number {
        0 => Answer::stream(sse(&begun())).ending(End::Cut),
        1 => Answer::stream(answer(&["Hi"])),
        // Ends properly, but without having said so.
        2 => Answer::stream(sse(&begun())),
        _ => Answer::stream(answer(&["there"])),
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (_, chunks) = daemon.stream(&hello()).await;
    assert_eq!(content(&chunks, 0), "Hi");
    let (_, chunks) = daemon.stream(&hello()).await;
    assert_eq!(content(&chunks, 0), "there");
}

#[tokio::test]
async fn a_cut_answer_is_never_passed_off_as_whole() {
    let part = sse(&text(&["Hel"]));
    let backend =
        Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(part.clone()).ending(End::Cut))
            .await;
    let daemon = Daemon::with_settings(&backend.base_url, ONE_RETRY).await;
    let (_, chunks) = daemon.stream(&hello()).await;
    assert_eq!(content(&chunks, 0), "Hel");
    assert_eq!(finish(&chunks, 0), None);
    assert_eq!(chunks.last().unwrap()["error"]["code"], "upstream_disconnected");
    assert_eq!(backend.seen().len(), 1);
    // Nothing of a whole answer has gone out, so that it can be asked for again.
    let (status, body) = daemon.ask(&hello()).await;
    assert_eq!((status, &body["error"]["code"]), (502, &json!("upstream_disconnected")));
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn a_whole_answer_does_not_keep_what_a_cut_call_gave() {
    let part = sse(&text(&["Hel"]));
    let backend = Backend::start(&["gpt-5.5"], move |number, _| match number {
        0 => Answer::stream(part.clone()).ending(End::Cut),
        _ => Answer::stream(answer(&["Hello"])),
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (_, body) = daemon.ask(&hello()).await;
    assert_eq!(body["choices"][0]["message"]["content"], "Hello");
}

#[tokio::test]
async fn a_backend_that_is_not_there_is_named() {
    // Nothing listens on the port once the listener is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let daemon = Daemon::start(&format!("http://127.0.0.1:{port}/codex")).await;
    let (status, body) = daemon.ask(&hello()).await;
    assert_eq!((status, &body["error"]["code"]), (502, &json!("upstream_unreachable")));
    let (status, body) = daemon.stream(&hello()).await.map_first();
    assert_eq!((status, &body["error"]["code"]), (502, &json!("upstream_unreachable")));
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_call_in_every_phase() {
    let phases = [
        // Before the headers' end, the answer's beginning, and in its middle.
        (String::new(), false),
        (String::new(), true),
        (sse(&begun()), false),
        (sse(&begun()), true),
        (sse(&text(&["Hel"])), false),
        (sse(&text(&["Hel"])), true),
    ];
    let bodies = phases.clone();
    let mut backend = Backend::start(&["gpt-5.5"], move |number, _| {
        Answer::stream(bodies[number].0.clone()).ending(End::Silence)
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    for (number, (body, is_streamed)) in phases.iter().enumerate() {
        let request = with(hello(), json!({"stream": is_streamed})).to_string();
        if *is_streamed && body.contains("Hel") {
            let mut stream = daemon.post(request).await.bytes_stream();
            stream.next().await.unwrap().unwrap();
            drop(stream);
        } else {
            let mut response = Box::pin(daemon.post(request));
            // Until the call has reached the backend there is nothing to cancel.
            while backend.seen().len() <= number {
                assert!(response.as_mut().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            drop(response);
        }
        backend.wait_for_leave(number + 1).await;
    }
}

#[tokio::test]
async fn a_stop_sequence_ends_the_answer_and_the_call() {
    let part = sse(&text(&["One ST", "OP two"]));
    let mut backend =
        Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(part.clone()).ending(End::Silence))
            .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let request =
        with(hello(), json!({"stop": ["STOP"], "stream_options": {"include_usage": true}}));
    let (_, chunks) = daemon.stream(&request).await;
    assert_eq!(content(&chunks, 0), "One ");
    assert_eq!(finish(&chunks, 0).as_deref(), Some("stop"));
    let usage = &chunks.last().unwrap()["usage"];
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 0, "estimated: {usage}");
    backend.wait_for_leave(1).await;
    let (_, whole) = daemon.ask(&with(hello(), json!({"stop": "STOP"}))).await;
    assert_eq!(whole["choices"][0]["message"]["content"], "One ");
    backend.wait_for_leave(2).await;
    assert!(backend.seen()[0].json().get("stop").is_none());
}

#[tokio::test]
async fn a_token_limit_cuts_the_text_and_the_call() {
    let words = ["One", " two", " three", " four", " five"];
    let part = sse(&text(&words));
    let mut backend =
        Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(part.clone()).ending(End::Silence))
            .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let limit = json!({"max_completion_tokens": 3, "stream_options": {"include_usage": true}});
    let response =
        daemon.post(with(with(hello(), limit.clone()), json!({"stream": true})).to_string()).await;
    assert_eq!(response.headers()["x-codex-proxy-emulated"], "max_completion_tokens");
    let chunks = chunks(&response.text().await.unwrap());
    assert_eq!(content(&chunks, 0), "One two three");
    assert_eq!(finish(&chunks, 0).as_deref(), Some("length"));
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 3);
    backend.wait_for_leave(1).await;
    let (_, whole) = daemon.ask(&with(hello(), limit)).await;
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn stops_and_limits_hold_for_every_choice_whole_and_streamed() {
    let backend =
        Backend::streaming(&answer(&["One", " two", " STO", "RE ", "STOP", " six"])).await;
    let daemon = Daemon::start(&backend.base_url).await;
    for (fields, expected, reason) in [
        (json!({"n": 2, "stop": "STOP"}), "One two STORE ", "stop"),
        (json!({"n": 2, "stop": ["One"]}), "", "stop"),
        (json!({"stop": ["two", "o STO", " STORE"]}), "One ", "stop"),
        (json!({"stop": "SORE"}), "One two STORE STOP six", "stop"),
        (json!({"n": 3, "max_tokens": 1}), "One", "length"),
        (json!({"n": 3, "max_tokens": 2}), "One two", "length"),
        // The stop comes first, or with the same token.
        (json!({"max_tokens": 2, "stop": " two"}), "One", "stop"),
        (json!({"max_tokens": 100, "stop": " two"}), "One", "stop"),
        // No limit at all
        (json!({"max_tokens": -1, "stop": [null]}), "One two STORE STOP six", "stop"),
    ] {
        let choices = fields["n"].as_u64().unwrap_or(1);
        let (status, whole) = daemon.ask(&with(hello(), fields.clone())).await;
        assert_eq!(status, 200, "{fields}: {whole}");
        let (_, chunks) = daemon.stream(&with(hello(), fields.clone())).await;
        assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()), "{fields}: nobody asked");
        for choice in 0..choices {
            let told = &whole["choices"][usize::try_from(choice).unwrap()];
            assert_eq!(told["message"]["content"], expected, "{fields}");
            assert_eq!(told["finish_reason"], reason, "{fields}");
            assert_eq!(content(&chunks, choice), expected, "{fields}");
            assert_eq!(finish(&chunks, choice).as_deref(), Some(reason), "{fields}");
        }
        let asked = with(fields.clone(), json!({"stream_options": {"include_usage": true}}));
        let (_, chunks) = daemon.stream(&with(hello(), asked)).await;
        let told = chunks.iter().filter(|chunk| chunk["usage"].is_object()).count();
        assert_eq!(told, 1, "{fields}");
    }
}

#[tokio::test]
async fn a_token_limit_can_be_ignored() {
    let backend = Backend::streaming(&answer(&["One", " two"])).await;
    let daemon =
        Daemon::with_settings(&backend.base_url, "[compat]\nmax_tokens = \"ignore\"").await;
    let response = daemon.post(with(hello(), json!({"max_tokens": 1})).to_string()).await;
    assert_eq!(response.headers()["x-codex-proxy-dropped"], "max_tokens");
    assert!(response.text().await.unwrap().contains("One two"));
}

#[tokio::test]
async fn several_choices_are_calls_of_their_own_in_one_answer() {
    let backend = Backend::start(&["gpt-5.5"], |number, _| {
        Answer::stream(answer(&[["first", "second", "third"][number % 3]]))
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let request = with(hello(), json!({"n": 3, "stream_options": {"include_usage": true}}));
    let (_, chunks) = daemon.stream(&request).await;
    let roles: Vec<_> = chunks[..3]
        .iter()
        .map(|chunk| (&chunk["choices"][0]["index"], &chunk["choices"][0]["delta"]["role"]))
        .collect();
    let assistant = json!("assistant");
    assert_eq!(roles, [(&json!(0), &assistant), (&json!(1), &assistant), (&json!(2), &assistant)]);
    let mut contents: Vec<_> = (0..3).map(|choice| content(&chunks, choice)).collect();
    contents.sort();
    assert_eq!(contents, ["first", "second", "third"]);
    assert!((0..3).all(|choice| finish(&chunks, choice).as_deref() == Some("stop")));
    let usage = &chunks.last().unwrap()["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(10), &json!(15), &json!(25)),
        "the prompt counts once"
    );
    let seen = backend.seen();
    assert!(seen.iter().all(|call| call.body == seen[0].body));

    let (_, whole) = daemon.ask(&request).await;
    assert_eq!(whole["choices"].as_array().unwrap().len(), 3);
    assert_eq!(whole["choices"][2]["index"], 2);
    assert_eq!(whole["usage"]["completion_tokens"], 15);
}

#[tokio::test]
async fn one_choice_that_fails_fails_the_answer_and_cancels_the_others() {
    let mut backend = Backend::start(&["gpt-5.5"], |number, _| match number {
        0 => Answer::error(400, r#"{"detail":"Unsupported parameter: x"}"#),
        _ => Answer::stream("").ending(End::Silence),
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (status, body) = daemon.stream(&with(hello(), json!({"n": 2}))).await.map_first();
    assert_eq!(status, 400, "{body}");
    if backend.seen().len() > 1 {
        backend.wait_for_leave(1).await;
    }
}

#[tokio::test]
async fn a_silent_backend_is_waited_for_with_comments_and_then_given_up() {
    let part = sse(&text(&["Hel"]));
    let backend =
        Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(part.clone()).ending(End::Silence))
            .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let response = daemon.post(with(hello(), json!({"stream": true})).to_string()).await;
    assert_eq!(response.status(), 200);
    // From here on there is nothing to do but to wait, and time flies.
    tokio::time::pause();
    let text = response.text().await.unwrap();
    assert!(text.contains("\n\n: keepalive\n\n"), "{text}");
    assert_eq!(chunks(&text).last().unwrap()["error"]["code"], "upstream_timeout");
}

#[tokio::test]
async fn an_answer_that_takes_long_to_begin_goes_out_after_a_while_all_the_same() {
    let backend =
        Backend::start(&["gpt-5.5"], |_, _| Answer::stream(sse(&begun())).ending(End::Silence))
            .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let mut response = Box::pin(daemon.post(with(hello(), json!({"stream": true})).to_string()));
    while backend.seen().is_empty() {
        assert!(response.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    // From here on there is nothing to do but to wait, and time flies.
    tokio::time::pause();
    let asked = tokio::time::Instant::now();
    let response = response.await;
    assert_eq!(response.status(), 200);
    assert!(asked.elapsed() >= std::time::Duration::from_secs(9), "{:?}", asked.elapsed());
    let text = response.text().await.unwrap();
    assert_eq!(chunks(&text).last().unwrap()["error"]["code"], "upstream_timeout");
}

#[tokio::test]
async fn headers_are_those_that_streams_and_json_need() {
    let backend = Backend::start(&["gpt-5.5"], |_, _| {
        let mut answer = Answer::stream(answer(&["Hi"]));
        answer.headers = vec![
            ("x-oai-request-id", "up_1".to_owned()),
            ("openai-model", "gpt-5.5-2026".to_owned()),
        ];
        answer
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    for (is_streamed, kind) in
        [(true, "text/event-stream; charset=utf-8"), (false, "application/json")]
    {
        let request =
            with(hello(), json!({"stream": is_streamed, "seed": 1, "logit_bias": {"5": 1}}));
        let response = daemon.post(request.to_string()).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), kind);
        assert!(header("x-request-id").starts_with("req_"));
        assert_eq!(header("x-codex-proxy-upstream-request-id"), "up_1");
        assert_eq!(header("x-codex-proxy-upstream-model"), "gpt-5.5-2026");
        assert_eq!(header("x-codex-proxy-dropped"), "logit_bias,seed");
        assert!(response.headers().get("x-codex-proxy-simulated").is_none());
    }
}

#[tokio::test]
async fn calls_of_one_conversation_share_their_ids_and_nothing_of_the_client_is_passed_on() {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let longer = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "How are you?"}]});
    let other = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Other"}]});
    for request in [hello(), longer, other] {
        let response = reqwest::Client::new()
            .post(format!("{}/v1/chat/completions", daemon.url))
            .header("authorization", "Bearer client-key")
            .header("x-stainless-lang", "python")
            .header("openai-organization", "org")
            .body(request.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    }
    let seen = backend.seen();
    let header = |number: usize, name: &str| -> String {
        let head: &str = &seen[number].head;
        let found = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
    };
    for name in ["session-id", "thread-id", "x-client-request-id"] {
        let id = header(0, name);
        assert_eq!(id, seen[0].json()["prompt_cache_key"].as_str().unwrap());
        assert_eq!(id, header(1, name));
        assert_ne!(id, header(2, name));
        assert!(uuid::Uuid::parse_str(&id).is_ok());
    }
    assert_eq!(
        header(0, "authorization"),
        format!("Bearer {}", crate::support::secrets::FAKE_TOKEN)
    );
    assert_eq!(header(0, "originator"), "codex-proxy");
    assert_eq!(header(0, "user-agent"), concat!("codex-proxy/", env!("CARGO_PKG_VERSION")));
    let head = seen[0].head.to_lowercase();
    assert!(!head.contains("stainless") && !head.contains("client-key") && !head.contains("org"));
}

trait First {
    fn map_first(self) -> (u16, Value);
}

impl First for (u16, Vec<Value>) {
    fn map_first(mut self) -> (u16, Value) {
        (self.0, self.1.swap_remove(0))
    }
}
