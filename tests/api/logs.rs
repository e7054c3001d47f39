//! What the program writes to its log: figures and ids, never content, never secrets.

use serde_json::{Value, json};

use crate::support::backend::{Answer, Backend, End, answer, sse, text};
use crate::support::program::Program;
use crate::support::secrets::FAKE_TOKEN;
use crate::support::secrets::{FAKE_ACCOUNT, FAKE_REFRESH_TOKEN};

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
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("the call failed; retrying")).collect();
    let [first, second] = lines[..] else { panic!("{log}") };
    for (line, attempt, reason) in [(first, 2, "HTTP 503 slow_down"), (second, 3, "disconnected")] {
        assert!(line.contains("INFO") && line.contains(reason), "{line}");
        assert!(line.contains(&format!("attempt={attempt} ")), "{line}");
    }
    assert!(!log.contains("canary-words-4711"), "{log}");
}

/// Support asks for the id in every report, and the person for the reason.
#[tokio::test]
async fn a_failure_says_why_and_under_which_id_the_backend_knows_it() {
    for is_streamed in [false, true] {
        let errors = [
            (400, "invalid_value", "HTTP 400 invalid_value"),
            (404, "not_found_canary", "HTTP 404 not_found_canary"),
            (429, "rate_limit_exceeded", "HTTP 429 rate_limit_exceeded"),
            (502, "bad_gateway_canary", "HTTP 502 bad_gateway_canary"),
        ];
        for (status, code, reason) in errors {
            let backend = Backend::start(&["gpt-5.5"], move |_, _| {
                let body = format!(r#"{{"error":{{"code":"{code}","message":"canary-words"}}}}"#);
                let mut answer = Answer::error(status, &body);
                answer.headers.push(("x-oai-request-id", "REQ-77".to_owned()));
                answer
            })
            .await;
            let retries = [("CODEX_PROXY_UPSTREAM_MAX_RETRIES", "0")];
            let program = Program::start(&backend.base_url, &[], &retries);
            let body = json!({"model": "gpt-5.5", "stream": is_streamed,
                "messages": [{"role": "user", "content": "hi"}]});
            let request = reqwest::Client::new().post(program.chat()).body(body.to_string());
            let response = request.send().await.unwrap();
            let id = response.headers().get("x-codex-proxy-upstream-request-id").cloned();
            assert_eq!(
                id.unwrap_or_else(|| panic!("{status} {is_streamed} {response:?}")),
                "REQ-77"
            );
            let log = program.stop();
            let line = log.lines().find(|line| line.contains(" failed ")).unwrap();
            for piece in
                [&*format!("reason=\"{reason}\""), "code=\"", "upstream_request_id=\"REQ-77\""]
            {
                assert!(line.contains(piece), "{piece} is not in {line}");
            }
            assert!(!log.contains("canary-words"), "{log}");
        }
    }
}

/// A failure that the backend reports in an answer of status 200, before the client was sent
/// anything: the id is that of the answer's head.
#[tokio::test]
async fn a_failure_reported_in_the_answer_is_told_with_the_id_of_that_answer() {
    let failed = |code: &str| {
        json!({"type": "response.failed", "response": {"error": {"code": code,
            "message": "canary-words"}}})
    };
    for (is_streamed, code, end) in [
        (false, "invalid_prompt", End::Proper),
        (true, "invalid_prompt", End::Proper),
        (false, "", End::Proper),
        (false, "", End::Cut),
        (true, "", End::Cut),
    ] {
        let events = if code.is_empty() { Vec::new() } else { vec![failed(code)] };
        let backend = Backend::start(&["gpt-5.5"], move |_, _| {
            let mut answer = Answer::stream(sse(&events));
            answer.end = end;
            answer.headers.push(("x-oai-request-id", "REQ-78".to_owned()));
            answer
        })
        .await;
        let retries = [("CODEX_PROXY_UPSTREAM_MAX_RETRIES", "1")];
        let program = Program::start(&backend.base_url, &[], &retries);
        let body = json!({"model": "gpt-5.5", "stream": is_streamed,
            "messages": [{"role": "user", "content": "hi"}]});
        let request = reqwest::Client::new().post(program.chat()).body(body.to_string());
        let response = request.send().await.unwrap();
        assert!(response.status().as_u16() >= 400, "{response:?}");
        let id = response.headers().get("x-codex-proxy-upstream-request-id").cloned();
        assert_eq!(id.unwrap_or_else(|| panic!("{is_streamed} {code} {response:?}")), "REQ-78");
        let log = program.stop();
        let failures: Vec<_> = log.lines().filter(|line| line.contains("reason=")).collect();
        // Where it was sent again, that line has the id too.
        assert_eq!(failures.len(), if code.is_empty() { 2 } else { 1 }, "{log}");
        for line in failures {
            assert!(line.contains("upstream_request_id=\"REQ-78\""), "{line}");
        }
        assert!(!log.contains("canary-words"), "{log}");
    }
}

/// What the daemon refuses itself is told by the field at fault, and by nothing that the client says.
#[tokio::test]
async fn a_request_that_is_refused_here_says_where() {
    let backend = backend().await;
    let program = Program::start(&backend.base_url, &[], &[]);
    for body in [
        json!({"model": "gpt-5.5", "messages": [{"role": "canary-role", "content": "hi"}]}),
        json!({"model": "gpt-5.5", "messages": "canary-text"}),
    ] {
        let request = reqwest::Client::new().post(program.chat()).body(body.to_string());
        assert_eq!(request.send().await.unwrap().status(), 400, "{body}");
    }
    let log = program.stop();
    let failed: Vec<_> = log.lines().filter(|line| line.contains(" failed ")).collect();
    assert_eq!(failed.len(), 2, "{log}");
    assert!(failed[0].contains("reason=\"refused here: messages[0]\""), "{log}");
    assert!(failed[1].contains("reason=\"refused here: messages\""), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

/// After the first words the client has its head; the log has it all.
#[tokio::test]
async fn a_failure_within_an_answer_is_told_in_the_log() {
    let failed = json!({"type": "response.failed", "response": {"error": {"code": "server_error",
        "message": "canary-words"}}});
    let events: Vec<_> = text(&["Hi"]).into_iter().chain([failed]).collect();
    let backend = Backend::start(&["gpt-5.5"], move |_, _| {
        let mut answer = Answer::stream(sse(&events));
        answer.headers.push(("x-oai-request-id", "REQ-77".to_owned()));
        answer
    })
    .await;
    let program = Program::start(&backend.base_url, &[], &[]);
    ask(&program, true).await;
    let log = program.stop();
    let line = log.lines().find(|line| line.contains(" failed ")).unwrap();
    for piece in ["reason=\"reported server_error\"", "code=\"server_error\"", "=\"REQ-77\""] {
        assert!(line.contains(piece), "{piece} is not in {line}");
    }
    assert!(!log.contains("canary-words"), "{log}");
}

/// The status of a streamed answer waits ten seconds for the answer; what is told of it is when the
/// first word came, and the id that came with it.
#[tokio::test]
async fn a_slow_answer_has_its_time_and_its_id() {
    let (gate, _) = tokio::sync::watch::channel(false);
    let opening = gate.clone();
    let backend = Backend::start(&["gpt-5.5"], move |_, _| {
        let mut answer = Answer::stream(answer(&[ANSWER])).behind(&opening);
        answer.headers.push(("x-oai-request-id", "REQ-77".to_owned()));
        answer
    })
    .await;
    let program = Program::start(&backend.base_url, &[], &[]);
    let body = json!({"model": "gpt-5.5", "stream": true,
        "messages": [{"role": "user", "content": "hi"}]});
    let request = reqwest::Client::new().post(program.chat()).body(body.to_string());
    // The head has come, and nothing of the answer.
    let response = request.send().await.unwrap();
    let head_ms = std::time::Instant::now();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    gate.send(true).unwrap();
    assert!(response.text().await.unwrap().contains(ANSWER));
    let late = head_ms.elapsed().as_millis();
    assert!(late >= 300);
    let log = program.stop();
    let line = log.lines().find(|line| line.contains(" answered ")).unwrap();
    assert!(line.contains("upstream_request_id=\"REQ-77\""), "{line}");
    let first = line.split("first_chunk_ms=").nth(1).unwrap().split(' ').next().unwrap();
    assert!(first.parse::<u64>().unwrap() >= 10_300, "{line}");
}
