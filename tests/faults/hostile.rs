//! A backend that breaks every rule: bounded memory and a proper error each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use codex_proxy::sse;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::answer::{self, End};
use crate::raw::{ATTACK, Call, Host, OK};
use crate::support::backend::{answer, completed, sse as written, text};
use crate::support::daemon::{Daemon, chunks, content, finish, hello, with};

/// No call is sent again: what comes of the first one is what counts.
pub const ONCE: &str = "[upstream]\nmax_retries = 0\n";

/// What a client is told.
#[derive(Debug, PartialEq)]
pub struct Told {
    pub status: u16,
    /// The text that it got, if any.
    pub text: String,
    pub finish: Option<String>,
    pub code: Option<String>,
}

/// Asks in this mode, and checks that an error is an error as OpenAI has them.
pub async fn told(daemon: &Daemon, request: &Value, is_streamed: bool) -> Told {
    let request = with(request.clone(), json!({"stream": is_streamed}));
    let response = daemon.post(request.to_string()).await;
    check_headers(&response);
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let code = |value: &Value| {
        let error = value["error"].as_object()?;
        let keys: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message", "param", "type"], "{value}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{value}");
        Some(error["code"].as_str().expect("a code").to_owned())
    };
    if !is_streamed || status != 200 {
        let body: Value = serde_json::from_str(&body).unwrap();
        let choice = &body["choices"][0];
        return Told {
            status,
            text: choice["message"]["content"].as_str().unwrap_or_default().to_owned(),
            finish: choice["finish_reason"].as_str().map(str::to_owned),
            code: code(&body),
        };
    }
    let chunks = chunks(&body);
    Told {
        status,
        text: content(&chunks, 0),
        finish: finish(&chunks, 0),
        code: chunks.last().and_then(code),
    }
}

/// Of the backend's headers two are passed on, under names of our own and if they are names.
fn check_headers(response: &reqwest::Response) {
    const KNOWN: [&str; 13] = [
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "openai-processing-ms",
        "retry-after",
        "transfer-encoding",
        "x-accel-buffering",
        "x-codex-proxy-upstream-model",
        "x-codex-proxy-upstream-request-id",
        "x-request-id",
        "x-should-retry",
    ];
    for (name, value) in response.headers() {
        assert!(KNOWN.contains(&name.as_str()), "{name}: {value:?}");
        assert!(value.len() <= 256, "{name} has {} bytes", value.len());
    }
}

pub fn attack() -> Value {
    with(hello(), json!({"messages": [{"role": "user", "content": ATTACK}]}))
}

/// The daemon answers the next request, whatever has become of the one before.
pub async fn lives(daemon: &Daemon) {
    for is_streamed in [false, true] {
        let told = told(daemon, &hello(), is_streamed).await;
        assert_eq!((told.status, told.text.as_str()), (200, "All is well."), "{told:?}");
        assert_eq!(told.finish.as_deref(), Some("stop"));
    }
}

/// What has to come of an attack.
enum Outcome {
    /// This code; a stream may have shown this text before, a whole answer shows nothing of it.
    Error(&'static str, &'static str),
    /// It is harmless: the whole of this text.
    Text(&'static str),
}
use Outcome::{Error, Text};

async fn check(attacks: Vec<(&str, Vec<u8>, Outcome)>) {
    for (name, bytes, outcome) in attacks {
        let daemon = Daemon::with_settings(&Host::saying(bytes).listen().await, ONCE).await;
        for is_streamed in [false, true] {
            let told = told(&daemon, &attack(), is_streamed).await;
            let expected = match outcome {
                Error(code, shown) => {
                    let has_begun = is_streamed && !shown.is_empty();
                    assert!(has_begun || told.status >= 400, "{name}: {told:?}");
                    let text = if has_begun { shown.to_owned() } else { String::new() };
                    let status = if has_begun { 200 } else { told.status };
                    Told { status, text, finish: None, code: Some(code.to_owned()) }
                }
                Text(text) => {
                    let finish = Some("stop".to_owned());
                    Told { status: 200, text: text.to_owned(), finish, code: None }
                }
            };
            assert_eq!(told, expected, "{name}, streamed: {is_streamed}");
        }
        lives(&daemon).await;
    }
}

/// An answer whose middle is `event`.
fn around(event: &[u8]) -> Vec<u8> {
    let (before, after) = (written(&text(&["Hel"])), written(&[delta("lo"), completed()]));
    [OK.as_bytes(), before.as_bytes(), event, b"\n\n", after.as_bytes()].concat()
}

fn delta(text: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0,
        "item_id": "msg_1", "delta": text})
}

#[tokio::test]
async fn events_that_are_none() {
    let deep = "[".repeat(100_000);
    let deep_whole = format!("{deep}{}", "]".repeat(100_000));
    let attacks = vec![
        ("not UTF-8", around(b"data: {\"type\":\"\xff\xfe\"}"), Error("upstream_error", "Hel")),
        (
            "a delta that is not UTF-8",
            around(b"data: {\"type\":\"response.output_text.delta\",\"delta\":\"\xe2\x82\"}"),
            Error("upstream_error", "Hel"),
        ),
        (
            "a delta that is cut short",
            around(b"data: {\"type\":\"response.output_text.delta\",\"delta\":\"un"),
            Error("upstream_error", "Hel"),
        ),
        (
            "keys twice",
            around(br#"data: {"type":"response.output_text.delta","delta":"a","delta":"b"}"#),
            Error("upstream_error", "Hel"),
        ),
        (
            "brackets without end",
            around(format!(r#"data: {{"type":"tea","deep":{deep}}}"#).as_bytes()),
            Error("upstream_error", "Hel"),
        ),
        (
            "brackets in brackets",
            around(format!(r#"data: {{"type":"tea","deep":{deep_whole}}}"#).as_bytes()),
            Text("Hello"),
        ),
        (
            "a delta of brackets",
            around(
                format!(r#"data: {{"type":"response.output_text.delta","delta":{deep_whole}}}"#)
                    .as_bytes(),
            ),
            Text("Hello"),
        ),
        (
            "half a character",
            around(
                br#"data: {"type":"response.output_text.delta","output_index":0,"delta":"\ud83d"}"#,
            ),
            Text("Hel\u{fffd}lo"),
        ),
        ("words", around(b"data: tea"), Text("Hello")),
        (
            "a list of a million parts",
            around(
                format!(
                    r#"data: {{"type":"response.output_item.done","output_index":0,"item":
                        {{"type":"message","content":[{}{{}}]}}}}"#,
                    "{},".repeat(1_000_000)
                )
                .replace('\n', "")
                .as_bytes(),
            ),
            Text("Hello"),
        ),
        (
            "a part of a high number",
            around(
                br#"data: {"type":"response.output_text.delta","content_index":9e9,"delta":"x"}"#,
            ),
            Error("upstream_error", "Hel"),
        ),
        (
            "an index that no number holds",
            around(
                br#"data: {"type":"response.output_text.delta","output_index":1e999,"delta":"x"}"#,
            ),
            Error("upstream_error", "Hel"),
        ),
    ];
    check(attacks).await;
}

#[tokio::test]
async fn answers_that_contradict_themselves() {
    let whole = |events: &[Value]| [OK, &written(events)].concat().into_bytes();
    let begun = text(&["Hel"]);
    let failed = json!({"type": "response.failed", "response": {"error": {"code": "server_error",
        "message": "boom"}}});
    let end = |more: &[Value]| {
        let all = [&begun[..], &[delta("lo"), completed()], more].concat();
        whole(&all)
    };
    let (item, other) = (json!({"id": "msg_1", "type": "message"}), json!({"type": "reasoning"}));
    let added = |index: i64, item: &Value| json!({"type": "response.output_item.added", "output_index": index, "item": item});
    let many: Vec<Value> = (0..2000).map(|index| added(index, &item)).collect();
    let attacks = vec![
        ("a delta after the end", end(&[delta("!")]), Text("Hello")),
        ("a failure after the end", end(std::slice::from_ref(&failed)), Text("Hello")),
        ("a second end", end(&[completed(), completed()]), Text("Hello")),
        ("junk after the end", [end(&[]), b"\xff\0{".to_vec()].concat(), Text("Hello")),
        ("nothing but an end", whole(&[completed()]), Text("")),
        ("nothing but failures", whole(&[failed.clone(), failed]), Error("server_error", "")),
        (
            "an item that becomes another",
            whole(&[&begun[..], &[added(0, &other), delta("lo"), completed()]].concat()),
            Text("Hello"),
        ),
        (
            "an index below zero",
            whole(&[&begun[..], &[added(-1, &item), delta("lo"), completed()]].concat()),
            Text("Hello"),
        ),
        (
            "items without end",
            whole(&[&begun[..], &many[..], &[delta("lo"), completed()]].concat()),
            Error("upstream_error", "Hel"),
        ),
    ];
    check(attacks).await;
}

#[tokio::test]
async fn documents_in_place_of_streams() {
    let page = format!("<!DOCTYPE html><html>{}</html>", "<p>Sorry.</p>".repeat(1 << 20));
    let with_kind = |kind: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n{body}").into_bytes()
    };
    let refused = |status: u16, head: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{head}\r\n{body}").into_bytes()
    };
    let attacks = vec![
        ("a page", with_kind("text/html", &page), Error("upstream_blocked", "")),
        ("a page as events", with_kind("text/event-stream", &page), Error("upstream_blocked", "")),
        (
            "a document",
            with_kind("application/json", r#"{"id":"resp_1","status":"completed"}"#),
            Error("upstream_error", ""),
        ),
        (
            "a document that reports a failure",
            with_kind("application/json", r#"{"error":{"code":"context_length_exceeded"}}"#),
            Error("context_length_exceeded", ""),
        ),
        (
            "a list without end",
            with_kind("text/plain", &"[".repeat(1 << 20)),
            Error("upstream_error", ""),
        ),
        ("an error of 13 MiB", refused(503, "", &page), Error("upstream_error", "")),
        (
            "an error of zeros",
            refused(500, "", &"\0".repeat(10 << 20)),
            Error("upstream_error", ""),
        ),
        (
            "an error of brackets",
            refused(500, "content-type: application/json\r\n", &"[".repeat(10 << 20)),
            Error("upstream_error", ""),
        ),
        (
            "a compressed error",
            refused(500, "content-encoding: gzip\r\n", "\u{1f}\u{8b}\u{8}\0\0\0"),
            Error("upstream_error", ""),
        ),
        ("no content", b"HTTP/1.1 204 X\r\n\r\n".to_vec(), Error("upstream_disconnected", "")),
        ("not modified", b"HTTP/1.1 304 X\r\n\r\n".to_vec(), Error("upstream_error", "")),
        ("a status of its own", refused(999, "", ""), Error("upstream_error", "")),
    ];
    check(attacks).await;
}

#[tokio::test]
async fn lengths_and_chunks_that_are_wrong() {
    let hello = answer(&["Hello"]);
    let part = written(&text(&["Hel"]));
    let sized = |length: usize, body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    };
    let chunked = |body: &str| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}").into_bytes()
    };
    let chunk = format!("{:x}\r\n{part}\r\n", part.len());
    let cut = Error("upstream_disconnected", "Hel");
    let attacks = vec![
        ("longer than it is", sized(1 << 40, &hello), Text("Hello")),
        ("longer than it is, and cut", sized(part.len() + 1, &part), cut),
        (
            "shorter than it is",
            sized(part.len(), &(part.clone() + &hello)),
            Error("upstream_disconnected", "Hel"),
        ),
        (
            "two lengths",
            {
                let mut twice = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n".to_vec();
                twice.extend_from_slice(&sized(5, "hello")[b"HTTP/1.1 200 OK\r\n".len()..]);
                twice
            },
            Error("upstream_error", ""),
        ),
        (
            "a length that is no number",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_vec(),
            Error("upstream_error", ""),
        ),
        ("a chunk of no size", chunked("tea\r\n"), Error("upstream_disconnected", "")),
        (
            "a chunk that is junk, after a good one",
            chunked(&format!("{chunk}zz\r\nzz")),
            Error("upstream_disconnected", "Hel"),
        ),
        (
            "a chunk larger than numbers",
            chunked(&format!("{chunk}{}\r\n", "f".repeat(40))),
            Error("upstream_disconnected", "Hel"),
        ),
        (
            "extensions without end",
            chunked(&format!("{chunk}5;{}\r\n", "x".repeat(1 << 20))),
            Error("upstream_disconnected", "Hel"),
        ),
        (
            "trailers without end",
            chunked(&format!("{chunk}0\r\n{}", "x: y\r\n".repeat(100_000))),
            Error("upstream_disconnected", "Hel"),
        ),
    ];
    check(attacks).await;
}

#[tokio::test]
async fn heads_that_are_none() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n{}", answer(&["Hello"]));
    let unreadable = || Error("upstream_error", "");
    let cut = || Error("upstream_disconnected", "");
    let attacks = vec![
        ("100,000 headers", head(&"x-tea: green\r\n".repeat(100_000)).into(), unreadable()),
        (
            "a giant header",
            head(&format!("x-tea: {}\r\n", "g".repeat(4 << 20))).into(),
            unreadable(),
        ),
        ("a header with a zero", head("x-tea: \0\r\n").into(), unreadable()),
        ("a header without a name", head(": tea\r\n").into(), unreadable()),
        ("a line that is no header", head("tea\r\n").into(), unreadable()),
        ("the first HTTP", b"<html>Hello</html>".to_vec(), unreadable()),
        ("events without a head", answer(&["Hello"]).into(), unreadable()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), unreadable()),
        ("zeros", vec![0; 100_000], unreadable()),
        ("a version to come", b"HTTP/7.0 200 OK\r\n\r\n".to_vec(), unreadable()),
        ("nothing", Vec::new(), cut()),
        ("half a head", b"HTTP/1.1 200 O".to_vec(), cut()),
        ("a head without its end", b"HTTP/1.1 200 OK\r\nx-tea: green\r\n".to_vec(), cut()),
        (
            "another protocol from here on",
            b"HTTP/1.1 101 X\r\nupgrade: tea\r\n\r\n".to_vec(),
            unreadable(),
        ),
        (
            "hints",
            ["HTTP/1.1 103 Hints\r\nlink: </a>\r\n\r\n".repeat(1000), head("")].concat().into(),
            Text("Hello"),
        ),
        ("compressed", head("content-encoding: gzip\r\n").into(), unreadable()),
        ("compressed twice", head("content-encoding: br, deflate\r\n").into(), unreadable()),
        (
            "compressed, it says, as it is",
            head("content-encoding: identity\r\n").into(),
            Text("Hello"),
        ),
    ];
    check(attacks).await;
}

#[tokio::test]
async fn hints_without_end_are_given_up() {
    let host = Host::new(|call: Call| async move {
        call.repeat(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </tea>\r\n\r\n").await;
    });
    let settings = format!("{ONCE}idle_timeout_secs = 1\n");
    let daemon = Daemon::with_settings(&host.listen().await, &settings).await;
    for is_streamed in [false, true] {
        let told = told(&daemon, &attack(), is_streamed).await;
        assert_eq!((told.status, told.code.as_deref()), (504, Some("upstream_timeout")));
    }
    lives(&daemon).await;
}

#[tokio::test]
async fn headers_and_names_reach_clients_only_if_they_are_names() {
    let answered = |head: &str, model: &str| {
        let created = json!({"type": "response.created", "response": {"model": model}});
        let events = [&[created], &text(&["Hi"])[1..], &[completed()]].concat();
        format!("HTTP/1.1 200 OK\r\n{head}\r\n{}", written(&events))
    };
    let model = "x-codex-proxy-upstream-model";
    let id = "x-codex-proxy-upstream-request-id";
    let long = "m".repeat(300_000);
    for (head, named, expected) in [
        (
            "openai-model: gpt\r\nx-oai-request-id: 1\r\nset-cookie: a=b\r\n",
            "",
            [Some("gpt"), Some("1")],
        ),
        ("x-oai-request-id: a\tb\r\n", "gpt\r\nset-cookie: a=b", [None, None]),
        ("x-oai-request-id: gr\u{fc}n\r\n", "gr\u{fc}n", [None, None]),
        (&format!("x-oai-request-id: {long}\r\n"), &long, [None, None]),
        ("", "gpt-5.5-2026", [Some("gpt-5.5-2026"), None]),
    ] {
        let host = Host::saying(answered(head, named));
        let daemon = Daemon::with_settings(&host.listen().await, ONCE).await;
        for is_streamed in [false, true] {
            let request = with(attack(), json!({"stream": is_streamed}));
            let response = daemon.post(request.to_string()).await;
            check_headers(&response);
            let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap());
            assert_eq!([header(model), header(id)], expected);
            assert!(response.text().await.unwrap().contains("Hi"));
        }
    }
}

/// The rest of an error page is not read: the connection is closed instead.
#[tokio::test]
async fn errors_without_end_are_left() {
    let left = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&left);
    let host = Host::new(move |call: Call| {
        let left = Arc::clone(&counted);
        async move {
            call.repeat(b"HTTP/1.1 503 X\r\n\r\n", &[b'x'; 1 << 14]).await;
            left.fetch_add(1, Ordering::Relaxed);
        }
    });
    let daemon = Daemon::with_settings(&host.listen().await, ONCE).await;
    for is_streamed in [false, true] {
        let told = told(&daemon, &attack(), is_streamed).await;
        assert_eq!((told.status, told.code.as_deref()), (503, Some("upstream_error")));
    }
    let left = async {
        while left.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), left).await.expect("it is read on and on");
    lives(&daemon).await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = elsewhere.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(format!("{OK}{}", answer(&["Got you."])).as_bytes()).await;
        }
    });
    for status in [301, 302, 303, 307, 308] {
        for location in
            [format!("http://{address}/codex/responses"), format!("//{address}/"), "/".to_owned()]
        {
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nlocation: {location}\r\n\r\n");
            let host = Host::saying(head);
            let daemon = Daemon::with_settings(&host.listen().await, ONCE).await;
            for is_streamed in [false, true] {
                let request = with(attack(), json!({"stream": is_streamed})).to_string();
                let response = daemon.post(request).await;
                check_headers(&response);
                assert_eq!(response.status(), 502);
                let body = response.text().await.unwrap();
                assert!(body.contains("redirects are not followed"), "{body}");
                assert!(!body.contains(&address.to_string()), "{body}");
            }
            lives(&daemon).await;
        }
    }
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_catalogue_that_is_none_costs_nothing_but_itself() {
    let million = format!("{{\"models\":[{}{{}}]}}", "{},".repeat(1_000_000));
    for models in ["<html>", "[", "{\"models\":", "\u{fffd}", &"[".repeat(9 << 20), &million] {
        let host = Host::saying("").listing(models);
        let daemon = Daemon::with_settings(&host.listen().await, ONCE).await;
        let list = daemon.get("/v1/models").await;
        assert_eq!(list.status(), 200);
        check_headers(&list);
        let list: Value = list.json().await.unwrap();
        assert!(!list["data"].as_array().unwrap().is_empty(), "what is known by heart");
        lives(&daemon).await;
    }
}

/// At every byte, by a connection that breaks and by a body that ends there as if it were whole.
#[test]
fn an_answer_cut_at_any_byte_is_a_part_without_an_end() {
    let plan = Arc::new(codex_proxy::translate::plan::Plan::default());
    let events =
        [text(&["Gr\u{fc}\u{df}e, ", "\u{1f980}", " \"q\" \\ "]), vec![completed()]].concat();
    let bytes = written(&events).replace("\u{1f980}", "\\ud83e\\udd80").into_bytes();
    let whole = read(&plan, &bytes, false);
    assert_eq!(whole.end, End::Finished);
    let last = bytes.windows(18).rposition(|window| window == b"response.completed").unwrap();
    let last = last + bytes[last..].iter().position(|&byte| byte == b'\n').unwrap();
    for at in 0..last {
        for is_broken in [true, false] {
            let answer = read(&plan, &bytes[..at], is_broken);
            answer.check(&plan).unwrap_or_else(|why| panic!("cut at {at}: {why}"));
            assert_ne!(answer.end, End::Finished, "cut at {at}");
            assert!(whole.chunks.starts_with(&answer.chunks), "cut at {at}");
        }
    }
    // What is left out is a blank line.
    assert_eq!(read(&plan, &bytes[..bytes.len() - 1], false).chunks, whole.chunks);
}

/// Reads these bytes up to the first fault.
fn read(
    plan: &Arc<codex_proxy::translate::plan::Plan>,
    bytes: &[u8],
    is_broken: bool,
) -> answer::Answer {
    let broken = is_broken.then_some(Err("the connection broke"));
    let reads = stream::iter([Ok(bytes.to_vec())].into_iter().chain(broken));
    let limits = sse::Limits { event: 1 << 20, body: 1 << 20 };
    let events: Vec<String> = sse::events(reads, limits)
        .scan((), |(), event| std::future::ready(event.ok()))
        .collect()
        .now_or_never()
        .unwrap();
    answer::read(plan, events.iter().map(String::as_str))
}
