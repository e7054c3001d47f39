//! What the program writes to its log: figures and ids, never content, never secrets.

use serde_json::{Value, json};

use super::backend::{Answer, Backend, End, answer, sse, text};
use super::daemon::FAKE_TOKEN;
use super::program::{FAKE_ACCOUNT, FAKE_REFRESH_TOKEN, Program};

const PROMPT: &str = "canary-prompt-4711";
const ANSWER: &str = "canary-answer-4711";

async fn ask(program: &Program, is_streamed: bool) -> String {
    let body = json!({"model": "gpt-5.5", "stream": is_streamed,
        "messages": [{"role": "user", "content": PROMPT}]});
    reqwest::Client::new()
        .post(program.chat())
        .bearer_auth("client-key-canary")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

async fn backend() -> Backend {
    Backend::start(&["gpt-5.5"], |number, _| match number {
        0 | 1 => Answer::stream(answer(&[ANSWER])),
        2 => Answer::stream(sse(&text(&[ANSWER]))),
        _ => Answer::error(400, r#"{"detail":"Unsupported parameter: canary"}"#),
    })
    .await
}

async fn log_of(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let backend = backend().await;
    let program = Program::start(&backend.base_url, arguments, variables);
    for is_streamed in [false, true, true, false] {
        ask(&program, is_streamed).await;
    }
    program.stop()
}

#[tokio::test]
async fn every_request_has_its_line_and_nothing_of_its_content() {
    let log = log_of(&[], &[]).await;
    for canary in
        [PROMPT, ANSWER, FAKE_TOKEN, FAKE_REFRESH_TOKEN, "client-key-canary", FAKE_ACCOUNT]
    {
        assert!(!log.contains(canary), "{canary} is in {log}");
    }
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("request_id=\"req_")).collect();
    assert_eq!(lines.iter().filter(|line| line.contains(" answered ")).count(), 2, "{log}");
    assert_eq!(lines.iter().filter(|line| line.contains(" failed ")).count(), 2, "{log}");
    for piece in [
        "model=\"gpt-5.5\"",
        "stream=true",
        "status=200",
        "first_chunk_ms=",
        "total_ms=",
        "tokens_in=10",
        "tokens_cached=4",
        "tokens_out=5",
        "tokens_reasoning=2",
    ] {
        assert!(log.contains(piece), "{piece} is not in {log}");
    }
}

#[tokio::test]
async fn no_level_of_detail_shows_secrets_or_content() {
    let log = log_of(&[], &[("RUST_LOG", "trace")]).await;
    for canary in [FAKE_TOKEN, FAKE_REFRESH_TOKEN, "client-key-canary", PROMPT, ANSWER] {
        assert!(!log.contains(canary), "{canary} is in the log");
    }
}

#[tokio::test]
async fn json_lines_can_be_read_by_programs() {
    let log = log_of(&["--log-format", "json"], &[]).await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert_eq!(answered.len(), 2);
    assert_eq!(answered[0]["tokens_in"], 10);
}

#[tokio::test]
async fn a_simulating_daemon_says_so_in_its_log_and_in_every_answer() {
    let program = Program::start("http://127.0.0.1:1/codex", &["serve", "--simulate"], &[]);
    let response = reqwest::get(format!("{}/v1/models", program.url())).await.unwrap();
    assert_eq!(response.headers()["x-codex-proxy-simulated"], "true");
    let answer: Value = serde_json::from_str(&ask(&program, false).await).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert!(program.stop().contains("SIMULATED"));
}

#[tokio::test]
async fn a_refusal_has_its_line_and_nothing_of_what_was_sent() {
    let program = Program::start("http://127.0.0.1:1/codex", &["serve", "--simulate"], &[]);
    let client = reqwest::Client::new();
    for (name, value) in [("host", "host-canary"), ("origin", "https://origin-canary")] {
        let url = format!("{}/path-canary", program.url());
        let response = client.get(url).header(name, value).send().await.unwrap();
        assert!(response.status().is_client_error());
    }
    let log = program.stop();
    assert!(!log.contains("canary"), "{log}");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(" refused ")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, piece) in [(lines[0], "status=421"), (lines[1], "code=\"origin_not_allowed\"")] {
        assert!(line.contains(piece) && line.contains("request_id=\"req_"), "{line}");
    }
}

#[tokio::test]
async fn every_retry_has_its_line_and_nothing_of_what_the_backend_says() {
    let backend = Backend::start(&["gpt-5.5"], |number, _| match number {
        0 => Answer::error(503, r#"{"error":{"code":"slow_down","message":"canary-words-4711"}}"#),
        1 => Answer::stream("").ending(End::Reset),
        _ => Answer::stream(answer(&[ANSWER])),
    })
    .await;
    let program = Program::start(&backend.base_url, &[], &[]);
    ask(&program, false).await;
    let log = program.stop();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("sent again")).collect();
    let [first, second] = lines[..] else { panic!("{log}") };
    for (line, attempt, reason) in [(first, 2, "HTTP 503 slow_down"), (second, 3, "disconnected")] {
        assert!(line.contains("INFO") && line.contains(reason), "{line}");
        assert!(line.contains(&format!("attempt={attempt} ")), "{line}");
    }
    assert!(!log.contains("canary-words-4711"), "{log}");
}
