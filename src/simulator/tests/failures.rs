//! Every way to fail, and how clients that leave are noticed.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Server, events, order, request, request_with};
use crate::simulator::{Outcome, Settings, Simulator};

fn told(directives: &str) -> Value {
    let prompt = format!("Hi [[simulate: text \"one two three\"]] {directives}");
    request_with(&prompt, json!({ "reasoning": { "effort": "low" } }))
}

#[tokio::test]
async fn error_statuses_have_the_bodies_of_the_backend() {
    let server = Server::start().await;
    let cases = [
        ("400 context_length_exceeded", 400, "/error/code", "context_length_exceeded"),
        ("401", 401, "/error/code", "token_expired"),
        ("401 unauthorized", 401, "/detail", "Unauthorized"),
        ("402", 402, "/detail/code", "deactivated_workspace"),
        ("403 codex_access_restricted", 403, "/detail/code", "codex_access_restricted"),
        ("404 model", 404, "/error/message", "Model not found gpt-5.5"),
        ("404 usage_limit_reached", 404, "/error/type", "usage_limit_reached"),
        ("429", 429, "/detail", "Too Many Requests"),
        ("429 usage_limit_reached", 429, "/error/type", "usage_limit_reached"),
        ("429 usage_not_included", 429, "/error/type", "usage_not_included"),
        ("500", 500, "/error/type", "server_error"),
        ("502", 502, "/error/type", "server_error"),
        ("503", 503, "/error/code", "server_is_overloaded"),
        ("503 slow_down", 503, "/error/code", "slow_down"),
        ("504", 504, "/error/type", "server_error"),
    ];
    for (directive, status, pointer, expected) in cases {
        let response = server.send(&told(&format!("[[simulate: error {directive}]]"))).await;
        assert_eq!(response.status(), status, "{directive}");
        assert_eq!(response.headers()["content-type"], "application/json");
        let limits = response.headers().get("x-codex-primary-used-percent").cloned();
        assert_eq!(limits.is_some(), directive.ends_with("usage_limit_reached"), "{directive}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body.pointer(pointer), Some(&json!(expected)), "{directive}");
    }
    let challenge = server.send(&told("[[simulate: error 403]]")).await;
    assert_eq!(challenge.headers()["cf-mitigated"], "challenge");
    assert!(challenge.text().await.unwrap().contains("Just a moment"));
    let empty = server.send(&told("[[simulate: error 404]]")).await;
    assert_eq!(empty.text().await.unwrap(), "");
    assert!(server.log.exchanges().iter().all(|exchange| exchange.outcome == Outcome::Failed));
}

#[tokio::test]
async fn streams_fail_in_every_shape() {
    let server = Server::start().await;
    let cases: [(&str, &[&str]); 7] = [
        ("fail server_is_overloaded", &["created", "in_progress", "error", "failed"]),
        ("fail rate_limit_exceeded failed", &["created", "in_progress", "failed"]),
        ("fail invalid_prompt failed first", &["failed"]),
        ("fail server_error null", &["created", "in_progress", "failed"]),
        ("fail server_error flat", &["created", "in_progress", "error"]),
        ("fail server_error nested", &["created", "in_progress", "error"]),
        (
            "fail server_error string after=2",
            &[
                "created",
                "in_progress",
                "output_item.added",
                "content_part.added",
                "output_text.delta",
                "error",
            ],
        ),
    ];
    for (directive, expected) in cases {
        let answer = server.events(&told(&format!("[[simulate: {directive}]]"))).await;
        assert_eq!(order(&answer), expected, "{directive}");
        let last = answer.last().unwrap();
        match directive.split(' ').nth(2) {
            Some("flat") => assert_eq!(last["code"], "server_error"),
            Some("nested") => assert_eq!(last["error"]["code"], "server_error"),
            Some("string") => assert!(last["error"].is_string()),
            Some("null") => assert_eq!(last["response"]["error"], Value::Null),
            _ => assert!(last["response"]["error"]["message"].is_string()),
        }
        assert_eq!(server.log.exchanges().pop().unwrap().outcome, Outcome::Failed);
    }
}

#[tokio::test]
async fn control_tokens_are_blocked_inside_the_stream() {
    let server = Server::start().await;
    for prompt in ["a <|start|> b", "a <|\u{200b}end|> b"] {
        let answer = server.events(&request(prompt)).await;
        assert_eq!(order(&answer), ["failed"]);
        assert_eq!(answer[0]["response"]["error"]["code"], "invalid_prompt");
        assert_eq!(answer[0]["response"]["error"]["message"], "Request blocked.");
    }
}

#[tokio::test]
async fn prompts_beyond_the_window_fail_inside_the_stream() {
    let mut settings = Settings::default();
    for model in &mut settings.models {
        model.context_window = 100;
    }
    let server = Server::with(settings).await;
    let answer = server.events(&request(&"long ".repeat(100))).await;
    assert_eq!(answer[0]["response"]["error"]["code"], "context_length_exceeded");
}

#[tokio::test]
async fn a_cut_is_an_error_of_the_transport_and_loses_nothing_before_it() {
    let server = Server::start().await;
    for (after, expected) in [(0, 0), (1, 1), (2, 2), (9, 3)] {
        let mut response = server.send(&told(&format!("[[simulate: cut after={after}]]"))).await;
        assert_eq!(response.status(), 200);
        let mut received = Vec::new();
        let error = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => received.extend_from_slice(&chunk),
                Ok(None) => panic!("the stream ended as if nothing had happened"),
                Err(error) => break error,
            }
        };
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        let text = String::from_utf8(received).unwrap();
        assert_eq!(text.matches("event: response.output_text.delta").count(), expected);
        server.log.wait_for(|exchange| exchange.outcome == Outcome::Failed).await;
    }
}

#[tokio::test]
async fn a_stream_can_end_without_a_terminal_event() {
    let server = Server::start().await;
    let answer = server.events(&told("[[simulate: end after=1]]")).await;
    assert_eq!(answer.last().unwrap()["type"], "response.output_text.delta");
}

#[tokio::test]
async fn a_200_can_hold_something_else() {
    let server = Server::start().await;
    let page = server.send(&told("[[simulate: html]]")).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    let error = server.send(&told("[[simulate: json]]")).await;
    assert_eq!(error.status(), 200);
    assert_eq!(error.json::<Value>().await.unwrap()["error"]["type"], "server_error");
}

#[tokio::test]
async fn a_fault_can_spare_later_tries_of_the_same_prompt() {
    let server = Server::start().await;
    let body = told("[[simulate: error 503 times=2]]");
    for expected in [503, 503, 200, 200] {
        assert_eq!(server.send(&body).await.status(), expected);
    }
    assert_eq!(server.send(&told("again [[simulate: error 503 times=2]]")).await.status(), 503);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let server = Server::start().await;
    for directive in ["stall after=1", "stall after=0", "pace 60000"] {
        let mut response = server.send(&told(&format!("[[simulate: {directive}]]"))).await;
        if directive.starts_with("stall") {
            assert!(response.chunk().await.unwrap().is_some());
        }
        server.log.wait_for(|exchange| exchange.outcome == Outcome::Running).await;
        drop(response);
        let left = server.log.wait_for(|exchange| exchange.outcome == Outcome::Cancelled);
        tokio::time::timeout(Duration::from_secs(5), left).await.expect(directive);
        server.post("/simulator/reset").send().await.unwrap();
    }
}

#[tokio::test]
async fn pauses_are_kept() {
    let server = Server::start().await;
    let begun = std::time::Instant::now();
    let body = told("[[simulate: delay 30]] [[simulate: pace 5]]");
    let answer = events(&server.send(&body).await.text().await.unwrap());
    let least = 30 + 5 * (answer.len() as u64 - 1);
    assert!(begun.elapsed() >= Duration::from_millis(least));
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_stalled_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/responses", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(Simulator::default().serve(listener, async {
        let _ = stopped.await;
    }));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = client.post(url).bearer_auth("fake").json(&told("[[simulate: stall]]"));
    let mut response = call.send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), serving).await;
    ended.expect("the simulator stops").unwrap().unwrap();
}
