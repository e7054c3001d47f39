//! Calls that fail before anything of the answer went out are sent again, within limits.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
#[cfg(target_os = "linux")]
use tokio::net::{TcpListener, TcpStream};

use crate::support::backend::{Answer, Backend, End, answer, sse, text};
use crate::support::daemon::{Daemon, chunks, content, finish, hello, with};

/// What the client gets.
#[derive(Debug, Clone, Copy)]
enum Gets {
    /// The answer.
    Answer,
    /// An error with this status and code.
    Error(u16, &'static str),
    /// In a stream, a part of the answer and then an error with this code; else that error alone.
    Part(u16, &'static str),
}

struct Row {
    name: &'static str,
    /// Said to the first call, or to all of them.
    fault: Answer,
    is_lasting: bool,
    /// How many calls are made for a whole answer, and for a streamed one.
    calls: (usize, usize),
    gets: Gets,
    /// How long the client is told to wait, in milliseconds.
    told: Option<u64>,
    /// What the time between the question and the answer is at least, in milliseconds.
    at_least: u64,
}

fn begun() -> Vec<Value> {
    text(&[])[..2].to_vec()
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::error(status, &json!({"error": {"code": code, "message": message}}).to_string())
}

fn with_header(mut answer: Answer, name: &'static str, value: &str) -> Answer {
    answer.headers.push((name, value.to_owned()));
    answer
}

/// A stream that reports a failure after these events.
fn reporting(mut events: Vec<Value>, code: &str, message: &str) -> Answer {
    events.push(json!({"type": "response.failed",
        "response": {"status": "failed", "error": {"code": code, "message": message}}}));
    Answer::stream(sse(&events))
}

fn cut(events: &[Value]) -> Answer {
    Answer::stream(sse(events)).ending(End::Cut)
}

/// A fault that passes: the second call is answered.
fn passing(name: &'static str, at_least: u64, fault: Answer) -> Row {
    let gets = Gets::Answer;
    Row { name, fault, is_lasting: false, calls: (2, 2), gets, told: None, at_least }
}

/// A fault that is worth three tries.
fn lasting(
    name: &'static str,
    at_least: u64,
    status: u16,
    code: &'static str,
    fault: Answer,
) -> Row {
    let gets = Gets::Error(status, code);
    Row { name, fault, is_lasting: true, calls: (3, 3), gets, told: None, at_least }
}

/// A fault that the client is told of at once.
fn at_once(name: &'static str, status: u16, code: &'static str, fault: Answer) -> Row {
    Row { calls: (1, 1), ..lasting(name, 0, status, code, fault) }
}

/// Limits: those of plans, those of speed, and those of the backend itself.
fn limits() -> Vec<Row> {
    const LIMIT: &str = "rate_limit_exceeded";
    const BUSY: &str = "server_is_overloaded";
    let quota = r#"{"error":{"type":"usage_limit_reached","message":"Try again in 1s."}}"#;
    vec![
        at_once("429", 429, LIMIT, error(429, LIMIT, "Too many.")),
        at_once("429, bare", 429, LIMIT, Answer::error(429, "")),
        passing("429 with a delay", 100, error(429, LIMIT, "Try again in 100ms.")),
        passing(
            "429 that asks for no wait",
            180,
            with_header(Answer::error(429, ""), "retry-after", "0"),
        ),
        lasting(
            "429 that asks for no wait each time",
            540,
            429,
            LIMIT,
            with_header(Answer::error(429, ""), "retry-after", "0"),
        ),
        Row {
            told: Some(50),
            ..lasting("429 that lasts", 100, 429, LIMIT, error(429, LIMIT, "Try again in 50ms."))
        },
        Row {
            told: Some(11_054),
            ..at_once("429, long", 429, LIMIT, error(429, LIMIT, "Try again in 11.054s."))
        },
        Row {
            told: Some(60_000),
            ..at_once(
                "429, long by header",
                429,
                LIMIT,
                with_header(Answer::error(429, ""), "retry-after", "60"),
            )
        },
        passing("429 in a stream", 50, reporting(begun(), LIMIT, "Please try again in 50ms.")),
        at_once("429 in a stream, no delay", 429, LIMIT, reporting(begun(), LIMIT, "No.")),
        at_once("quota", 429, "usage_limit_reached", Answer::error(429, quota)),
        at_once(
            "quota in a stream",
            429,
            "insufficient_quota",
            reporting(begun(), "insufficient_quota", "Try again in 1s."),
        ),
        Row {
            told: Some(5000),
            ..lasting("overload", 500, 503, BUSY, error(503, BUSY, "Overloaded."))
        },
        passing("overload in a stream", 150, reporting(begun(), BUSY, "Overloaded.")),
        Row {
            told: Some(5000),
            ..lasting("overload in streams", 500, 503, BUSY, reporting(begun(), BUSY, "Busy."))
        },
        Row {
            told: Some(30_000),
            ..at_once(
                "overload for long",
                503,
                BUSY,
                with_header(error(503, BUSY, "Overloaded."), "retry-after", "30"),
            )
        },
    ]
}

/// Failures of the backend and of the connection, and requests that are wrong.
fn failures() -> Vec<Row> {
    let part = text(&["Hel"]);
    vec![
        passing("500", 150, Answer::error(500, "")),
        lasting("500 that lasts", 500, 502, "upstream_error", Answer::error(500, "")),
        lasting("502 that lasts", 500, 502, "upstream_error", Answer::error(502, "bad gateway")),
        lasting("503 that lasts", 500, 503, "upstream_error", Answer::error(503, "no host")),
        lasting("504 that lasts", 500, 504, "upstream_error", Answer::error(504, "")),
        lasting(
            "503 that asks for no wait",
            540,
            503,
            "upstream_error",
            with_header(Answer::error(503, ""), "retry-after-ms", "0"),
        ),
        passing("408", 150, Answer::error(408, "")),
        passing("409", 150, Answer::error(409, "")),
        passing("425", 150, Answer::error(425, "")),
        lasting("409 that lasts", 500, 409, "upstream_error", Answer::error(409, "")),
        at_once(
            "a value that is quoted",
            400,
            "invalid_value",
            error(400, "invalid_value", "Invalid value: 'at capacity'. Supported: 'a'."),
        ),
        at_once(
            "no capacity for what is restricted",
            503,
            "policy_capacity_unavailable",
            error(503, "policy_capacity_unavailable", "No."),
        ),
        at_once(
            "no capacity for what is restricted, in a stream",
            503,
            "policy_capacity_unavailable",
            reporting(begun(), "policy_capacity_unavailable", "No."),
        ),
        at_once(
            "a workspace of another region",
            403,
            "workspace_region",
            Answer::error(401, r#"{"detail":"Workspace is not authorized in this region."}"#),
        ),
        lasting(
            "error in a stream",
            500,
            502,
            "server_error",
            reporting(begun(), "server_error", "m"),
        ),
        at_once(
            "too long",
            400,
            "context_length_exceeded",
            reporting(begun(), "context_length_exceeded", "Your input is too long."),
        ),
        at_once("policy", 400, "invalid_prompt", error(400, "invalid_prompt", "No.")),
        at_once("wrong", 400, "unknown_parameter", error(400, "unknown_parameter", "No.")),
        at_once(
            "account",
            403,
            "codex_access_restricted",
            error(403, "codex_access_restricted", ""),
        ),
        passing("reset", 150, Answer::stream("").ending(End::Reset)),
        lasting(
            "reset that lasts",
            500,
            502,
            "upstream_disconnected",
            Answer::stream("").ending(End::Reset),
        ),
        passing("cut before the first event", 150, cut(&[])),
        passing("cut before the first delta", 150, cut(&begun())),
        passing("ended before the first delta", 150, Answer::stream(sse(&begun()))),
        lasting(
            "cut before the first delta each time",
            500,
            502,
            "upstream_disconnected",
            cut(&begun()),
        ),
        Row {
            calls: (3, 1),
            gets: Gets::Part(502, "upstream_disconnected"),
            ..lasting("cut after the first delta", 0, 502, "", cut(&part))
        },
        Row {
            calls: (3, 1),
            gets: Gets::Part(502, "server_error"),
            ..lasting(
                "error after the first delta",
                0,
                502,
                "",
                reporting(part.clone(), "server_error", "m"),
            )
        },
    ]
}

/// Backends that keep silent for too long.
fn silences() -> Vec<Row> {
    let part = text(&["Hel"]);
    vec![
        at_once("no answer", 504, "upstream_timeout", Answer::stream("").ending(End::Mute)),
        at_once(
            "no event",
            504,
            "upstream_timeout",
            Answer::stream(sse(&begun())).ending(End::Silence),
        ),
        Row {
            gets: Gets::Part(504, "upstream_timeout"),
            ..at_once("no end", 504, "", Answer::stream(sse(&part)).ending(End::Silence))
        },
    ]
}

#[tokio::test]
async fn every_limit_is_met_with_as_many_calls_as_it_is_worth() {
    check_all(limits(), "[upstream]\nmax_retries = 2").await;
}

#[tokio::test]
async fn every_failure_is_met_with_as_many_calls_as_it_is_worth() {
    check_all(failures(), "[upstream]\nmax_retries = 2").await;
}

#[tokio::test]
async fn nobody_waits_twice_for_a_silent_backend() {
    check_all(silences(), "[upstream]\nmax_retries = 2\nidle_timeout_secs = 2").await;
}

async fn check_all(rows: impl IntoIterator<Item = Row>, settings: &str) {
    // Most of the time they wait, but not so many at once that they wait for each other.
    stream::iter(rows).for_each_concurrent(10, |row| check(row, settings)).await;
}

async fn check(row: Row, settings: &str) {
    let fault = row.fault.clone();
    let backend = Backend::start(&["gpt-5.5"], move |number, _| {
        // The first call for the whole answer, and the first one for the streamed answer.
        let is_first = number == 0 || number == row.calls.0;
        if is_first || row.is_lasting { fault.clone() } else { Answer::stream(answer(&["Hello"])) }
    })
    .await;
    let daemon = Daemon::with_settings(&backend.base_url, settings).await;
    check_mode(&row, &backend, &daemon, false).await;
    check_mode(&row, &backend, &daemon, true).await;
}

async fn check_mode(row: &Row, backend: &Backend, daemon: &Daemon, is_streamed: bool) {
    let name = format!("{} ({})", row.name, if is_streamed { "streamed" } else { "whole" });
    let asked = Instant::now();
    let response = daemon.post(with(hello(), json!({"stream": is_streamed})).to_string()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();

    let calls = row.calls.0 + if is_streamed { row.calls.1 } else { 0 };
    let seen = backend.seen();
    assert_eq!(seen.len(), calls, "{name}: {text}");
    assert!(seen.iter().all(|call| call.body == seen[0].body), "{name}");
    let at_least = Duration::from_millis(row.at_least);
    assert!(asked.elapsed() >= at_least, "{name}: {:?}", asked.elapsed());
    let whole = || serde_json::from_str::<Value>(&text).unwrap();
    match row.gets {
        Gets::Answer if is_streamed => assert_eq!(content(&chunks(&text), 0), "Hello", "{name}"),
        Gets::Answer => {
            assert_eq!(whole()["choices"][0]["message"]["content"], "Hello", "{name}");
        }
        Gets::Part(_, code) if is_streamed => {
            let chunks = chunks(&text);
            assert_eq!((status, content(&chunks, 0).as_str()), (200, "Hel"), "{name}");
            assert_eq!(finish(&chunks, 0), None, "{name}");
            let error = &chunks.last().unwrap()["error"];
            assert_eq!(error["code"], code, "{name}");
            assert!(!error["message"].as_str().unwrap().contains("attempts"), "{name}");
        }
        Gets::Error(expected, code) | Gets::Part(expected, code) => {
            assert_eq!((status, &whole()["error"]["code"]), (expected, &json!(code)), "{name}");
            // The backend's own words are passed on as they are.
            let is_told =
                whole()["error"]["message"].as_str().unwrap().contains("after 3 attempts");
            assert_eq!(is_told, code == "upstream_disconnected", "{name}: {text}");
            let told = row.told.map(|millis| millis.div_ceil(1000).to_string());
            let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            if code != "usage_limit_reached" {
                assert_eq!(header("retry-after"), told, "{name}");
                let exact = row.told.filter(|millis| millis % 1000 > 0).map(|m| m.to_string());
                assert_eq!(header("retry-after-ms"), exact, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn without_retries_every_failure_is_told_at_once() {
    let backend = Backend::start(&["gpt-5.5"], |_, _| Answer::error(503, "")).await;
    let daemon = Daemon::with_settings(&backend.base_url, "[upstream]\nmax_retries = 0").await;
    let (status, _) = daemon.ask(&hello()).await;
    assert_eq!((status, backend.seen().len()), (503, 1));
}

#[tokio::test]
async fn a_client_that_leaves_in_a_pause_is_not_called_for_again() {
    for is_streamed in [false, true] {
        let backend = Backend::start(&["gpt-5.5"], |number, _| match number {
            0 => error(503, "slow_down", "Try again in 9s."),
            _ => Answer::stream(answer(&["Hi"])),
        })
        .await;
        let settings = "[upstream]\nmax_in_flight = 1\nmax_queued = 1";
        let daemon = Daemon::with_settings(&backend.base_url, settings).await;
        let leaving = with(hello(), json!({"stream": is_streamed})).to_string();
        {
            let mut leaving = Box::pin(daemon.post(leaving));
            tokio::select! {
                _ = &mut leaving => panic!("answered"),
                () = backend.wait_for_calls(1) => {}
            }
        }
        // The pause holds the only place; whoever gets it comes after the end of the pause's call.
        let other = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "other"}]});
        let asked = Instant::now();
        let (status, _) = daemon.ask(&other).await;
        assert_eq!(status, 200);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        let seen = backend.seen();
        assert_eq!(seen.len(), 2);
        assert!(seen[1].json().to_string().contains("other"));
    }
}

/// A socket that is bound and does not listen: connecting is refused, and nobody else gets it.
pub(super) fn closed() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/codex", socket.local_addr().unwrap());
    (socket, url)
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_left_alone_until_it_may_be_back() {
    let (socket, url) = closed();
    let daemon = Daemon::with_settings(&url, "[upstream]\nmax_retries = 1").await;
    // The first attempts: one for the list of models, and two for each request.
    for tries in [2, 2] {
        let (status, body) = daemon.ask(&hello()).await;
        assert_eq!((status, &body["error"]["code"]), (502, &json!("upstream_unreachable")));
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("after {tries} attempts")), "{message}");
    }
    // From here on nobody tries, and nobody waits for a pause.
    let asked = Instant::now();
    for is_streamed in [false, true] {
        let response = daemon.post(with(hello(), json!({"stream": is_streamed})).to_string()).await;
        assert_eq!(response.status(), 502);
        let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=3).contains(&seconds), "{seconds}");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "upstream_unreachable");
        let message = body["error"]["message"].as_str().unwrap();
        for piece in ["the last 5 attempts to connect failed", "refused", "The next attempt is in"]
        {
            assert!(message.contains(piece), "{message}");
        }
        assert!(!message.contains("tried"), "{message}");
    }
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());

    let listener = socket.listen(128).unwrap();
    let _backend = Backend::on(listener, &["gpt-5.5"], |_, _| Answer::stream(answer(&["Hi"])));
    let (status, _) = daemon.ask(&hello()).await;
    assert_eq!(status, 502, "it is not known yet");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
    for _ in 0..3 {
        let (status, body) = daemon.ask(&hello()).await;
        assert_eq!(status, 200, "{body}");
    }
}

#[tokio::test]
async fn a_request_for_several_choices_finds_the_way_back_too() {
    let (socket, url) = closed();
    let daemon = Daemon::with_settings(&url, "[upstream]\nmax_retries = 4").await;
    let (status, _) = daemon.ask(&hello()).await;
    assert_eq!(status, 502);
    let listener = socket.listen(128).unwrap();
    let _backend = Backend::on(listener, &["gpt-5.5"], |_, _| Answer::stream(answer(&["Hi"])));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
    // One attempt at a time: the other choices fail, and the request with them.
    let several = with(hello(), json!({"n": 3}));
    let deadline = Instant::now() + Duration::from_secs(10);
    while daemon.ask(&several).await.0 != 200 {
        assert!(Instant::now() < deadline, "never");
    }
}

/// Fills the line of a listener that accepts nobody, so that connecting to it takes for ever.
#[cfg(target_os = "linux")]
pub(super) async fn fill(listener: &TcpListener) -> Vec<TcpStream> {
    let address = listener.local_addr().unwrap();
    let patience = Duration::from_millis(200);
    let mut line = Vec::new();
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        line.push(stream.unwrap());
    }
    line
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn connecting_is_tried_again_when_it_takes_too_long() {
    let (socket, _) = closed();
    let listener = socket.listen(1).unwrap();
    let _line = fill(&listener).await;
    let url = format!("http://{}/codex", listener.local_addr().unwrap());
    let settings = "[upstream]\nmax_retries = 1\nconnect_timeout_secs = 1";
    let daemon = Daemon::with_settings(&url, settings).await;
    let asked = Instant::now();
    let (status, body) = daemon.ask(&hello()).await;
    assert_eq!((status, &body["error"]["code"]), (504, &json!("upstream_timeout")));
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("connecting took more than 1 s. Gave up after 2 attempts."),
        "{message}"
    );
    assert!(asked.elapsed() >= Duration::from_secs(2), "{:?}", asked.elapsed());
}
