//! What the program writes to its log: figures and ids, never content, never secrets.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::backend::{Answer, Backend, End, answer, sse, text};
use super::daemon::FAKE_TOKEN;

const PROMPT: &str = "canary-prompt-4711";
const ANSWER: &str = "canary-answer-4711";

struct Program {
    child: Child,
    url: String,
    log: BufReader<std::process::ChildStderr>,
    text: String,
    _home: tempfile::TempDir,
}

impl Program {
    fn start(base_url: &str, arguments: &[&str], rust_log: Option<&str>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let auth = json!({"tokens": {"access_token": FAKE_TOKEN, "refresh_token": "fake-refresh-canary",
            "id_token": "", "account_id": "account-canary"}});
        std::fs::write(home.path().join("auth.json"), auth.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("CODEX_HOME", home.path())
            .env("CODEX_PROXY_UPSTREAM_BASE_URL", base_url)
            // Nothing listens there: no test may ever ask the real sign-in service.
            .env("CODEX_PROXY_AUTH_ISSUER", "http://127.0.0.1:1")
            .stderr(Stdio::piped());
        if let Some(filter) = rust_log {
            command.env("RUST_LOG", filter);
        }
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        let url = loop {
            let from = text.len();
            assert!(log.read_line(&mut text).unwrap() > 0, "ended early: {text}");
            if let Some(at) = text[from..].find("http://127.0.0.1:") {
                let rest = &text[from + at..];
                break rest[..rest.find("/v1").unwrap()].to_owned();
            }
        };
        Self { child, url, log, text, _home: home }
    }

    async fn ask(&self, is_streamed: bool) -> String {
        let body = json!({"model": "gpt-5.5", "stream": is_streamed,
            "messages": [{"role": "user", "content": PROMPT}]});
        let url = format!("{}/v1/chat/completions", self.url);
        reqwest::Client::new()
            .post(url)
            .bearer_auth("client-key-canary")
            .body(body.to_string())
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// Ends the program and gives all it has said.
    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.read_to_string(&mut self.text).unwrap();
        self.text
    }
}

async fn backend() -> Backend {
    Backend::start(&["gpt-5.5"], |number, _| match number {
        0 | 1 => Answer::stream(answer(&[ANSWER])),
        2 => Answer::stream(sse(&text(&[ANSWER]))),
        _ => Answer::error(400, r#"{"detail":"Unsupported parameter: canary"}"#),
    })
    .await
}

async fn log_of(arguments: &[&str], rust_log: Option<&str>) -> String {
    let backend = backend().await;
    let program = Program::start(&backend.base_url, arguments, rust_log);
    for is_streamed in [false, true, true, false] {
        program.ask(is_streamed).await;
    }
    program.stop()
}

#[tokio::test]
async fn every_request_has_its_line_and_nothing_of_its_content() {
    let log = log_of(&[], None).await;
    for canary in
        [PROMPT, ANSWER, FAKE_TOKEN, "fake-refresh-canary", "client-key-canary", "account-canary"]
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
    let log = log_of(&[], Some("trace")).await;
    for canary in [FAKE_TOKEN, "fake-refresh-canary", "client-key-canary", PROMPT, ANSWER] {
        assert!(!log.contains(canary), "{canary} is in the log");
    }
}

#[tokio::test]
async fn json_lines_can_be_read_by_programs() {
    let log = log_of(&["--log-format", "json"], None).await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert_eq!(answered.len(), 2);
    assert_eq!(answered[0]["tokens_in"], 10);
}

#[tokio::test]
async fn a_simulating_daemon_says_so_in_its_log_and_in_every_answer() {
    let program = Program::start("http://127.0.0.1:1/codex", &["serve", "--simulate"], None);
    let response = reqwest::get(format!("{}/v1/models", program.url)).await.unwrap();
    assert_eq!(response.headers()["x-codex-proxy-simulated"], "true");
    let answer: Value = serde_json::from_str(&program.ask(false).await).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert!(program.stop().contains("SIMULATED"));
}

#[tokio::test]
async fn a_refusal_has_its_line_and_nothing_of_what_was_sent() {
    let program = Program::start("http://127.0.0.1:1/codex", &["serve", "--simulate"], None);
    let client = reqwest::Client::new();
    for (name, value) in [("host", "host-canary"), ("origin", "https://origin-canary")] {
        let url = format!("{}/path-canary", program.url);
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
    let program = Program::start(&backend.base_url, &[], None);
    program.ask(false).await;
    let log = program.stop();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("sent again")).collect();
    let [first, second] = lines[..] else { panic!("{log}") };
    for (line, attempt, reason) in [(first, 2, "HTTP 503 slow_down"), (second, 3, "disconnected")] {
        assert!(line.contains("INFO") && line.contains(reason), "{line}");
        assert!(line.contains(&format!("attempt={attempt} ")), "{line}");
    }
    assert!(!log.contains("canary-words-4711"), "{log}");
}
