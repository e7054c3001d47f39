//! What goes out, and where to: the login, headers, redirects, what clients are told.
//!
//! Redirects of the backend are in `hostile.rs`, backends that cannot be believed in `tls.rs`.
//! That no setting lets the login go out unencrypted is tested with the settings.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::hostile::{ONCE, attack};
use crate::raw::{ATTACK, Call, Host, OK};
use crate::support::backend::{Answer, Backend, End, Seen, completed, sse, text};
use crate::support::daemon::{Daemon, hello, with};
use crate::support::program::Program;
use crate::support::secrets::FAKE_TOKEN;
use crate::support::secrets::{FAKE_ACCOUNT, FAKE_REFRESH_TOKEN};
use crate::tls::{self, Authority, Break};

/// What a client sends beside its request, and what nobody else has to see.
const PRIVATE: [(&str, &str); 14] = [
    ("authorization", "Bearer client-key-canary"),
    ("cookie", "session=client-canary"),
    ("forwarded", "for=client-canary"),
    ("http-referer", "https://client-canary.example"),
    ("openai-organization", "org-client-canary"),
    ("openai-project", "proj-client-canary"),
    ("user-agent", "client-canary/1.0"),
    ("x-client-request-id", "client-canary"),
    ("x-codex-turn-state", "client-canary"),
    ("x-forwarded-for", "client-canary"),
    ("x-request-id", "client-canary"),
    ("x-stainless-lang", "client-canary"),
    ("x-title", "client-canary"),
    ("idempotency-key", "client-canary"),
];

fn names(seen: &Seen) -> Vec<String> {
    let lines = seen.head.lines().skip(1).filter(|line| !line.is_empty());
    let mut names: Vec<_> = lines.map(|line| line.split(':').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_backend_gets_our_headers_and_none_of_the_clients() {
    let host = Host::saying("");
    let daemon = Daemon::with_settings(&host.listen().await, ONCE).await;
    let request = with(
        hello(),
        json!({"user": "user-canary", "safety_identifier": "user-canary", "novelty": "user-canary",
            "metadata": {"who": "user-canary"}, "store": true}),
    );
    let mut call = reqwest::Client::new().post(format!("{}/v1/chat/completions", daemon.url));
    for (name, value) in PRIVATE {
        call = call.header(name, value);
    }
    assert_eq!(call.body(request.to_string()).send().await.unwrap().status(), 200);
    // The list of models is asked for while the call is on its way; this waits for it.
    let list = reqwest::get(format!("{}/v1/models", daemon.url)).await.unwrap();
    assert_eq!(list.status(), 200);
    let mut seen = host.seen();
    seen.sort_by_key(|seen| !seen.head.starts_with("GET "));
    let [models, call] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(
        names(models),
        [
            "accept",
            "authorization",
            "chatgpt-account-id",
            "host",
            "originator",
            "user-agent",
            "version"
        ]
    );
    assert_eq!(
        names(call),
        [
            "accept",
            "authorization",
            "chatgpt-account-id",
            "content-length",
            "content-type",
            "host",
            "originator",
            "session-id",
            "thread-id",
            "user-agent",
            "version",
            "x-client-request-id",
        ]
    );
    for seen in &seen {
        assert!(seen.head.contains(&format!("authorization: Bearer {FAKE_TOKEN}\r\n")));
        let body = String::from_utf8(seen.body.clone()).unwrap();
        for canary in ["client-key-canary", "client-canary", "user-canary"] {
            assert!(!seen.head.contains(canary) && !body.contains(canary), "{canary}: {seen:?}");
        }
    }
}

/// What the backend tells of the account and repeats of the request.
fn echo() -> Value {
    json!({"id": "resp_1", "model": "gpt-5.5", "instructions": "echo-canary",
        "safety_identifier": "user-echo-canary", "user": "echo-canary",
        "prompt_cache_key": "echo-canary", "metadata": {"a": "echo-canary"},
        "tools": [{"type": "function", "name": "echo-canary"}],
        "previous_response_id": "echo-canary", "moderation": "echo-canary",
        "account_id": "echo-canary"})
}

#[tokio::test]
async fn clients_get_nothing_of_what_the_backend_repeats_and_tells_of_the_account() {
    let named = |kind: &str, more: Value| json!({"type": kind, "response": with(echo(), more)});
    let begin = [named("response.created", json!({})), named("response.in_progress", json!({}))];
    let limits = json!({"type": "codex.rate_limits", "plan_type": "echo-canary"});
    let metadata = json!({"type": "response.metadata", "headers": {"set-cookie": "echo-canary"}});
    let thought = json!({"type": "response.output_item.done", "output_index": 1, "item":
        {"type": "reasoning", "id": "echo-canary", "encrypted_content": "sealed",
        "summary": [{"type": "summary_text", "text": "Hm."}]}});
    let body = [&begin[..], &text(&["Hi"])[1..], &[limits, metadata, thought]].concat();
    let end = completed()["response"].clone();
    let error = json!({"error": {"code": "server_error", "message": "boom"}, "status": "failed"});
    let cut = json!({"incomplete_details": {"reason": "max_output_tokens"}});
    let streams = [
        [&body[..], &[named("response.completed", end)]].concat(),
        [&body[..], &[named("response.incomplete", cut)]].concat(),
        [&body[..], &[named("response.failed", error.clone())]].concat(),
        [&begin[..], &[named("response.failed", error)]].concat(),
        body,
        begin.to_vec(),
    ];
    let headers: Vec<(&str, String)> = [
        "set-cookie",
        "x-codex-plan-type",
        "x-codex-primary-used-percent",
        "x-codex-turn-state",
        "x-codex-promo-message",
        "x-openai-proxy-wasm",
        "x-ratelimit-remaining-requests",
        "openai-organization",
        "server",
    ]
    .map(|name| (name, "echo-canary".to_owned()))
    .into();
    let refusal = json!({"error": {"code": "server_error", "message": "boom", "user": "echo-canary",
        "safety_identifier": "user-echo-canary"}, "instructions": "echo-canary"});
    for output in [
        "reasoning = \"reasoning_content\"",
        "reasoning = \"reasoning\"",
        "reasoning = \"think\"",
        "reasoning = \"none\"",
        "commentary = \"reasoning\"",
        "reasoning_details = true",
    ] {
        let (streams, headers, refusal) = (streams.clone(), headers.clone(), refusal.to_string());
        let backend = Backend::start(&["gpt-5.5"], move |_, call| {
            let prompt = call.json()["input"].to_string();
            let number = (0..streams.len()).find(|number| prompt.contains(&format!("<{number}>")));
            let answer = match number {
                Some(number) => Answer::stream(sse(&streams[number])).ending(End::Cut),
                None => Answer::error(500, &refusal),
            };
            Answer { headers: [headers.clone(), answer.headers.clone()].concat(), ..answer }
        })
        .await;
        let settings = format!("{ONCE}[output]\n{output}\n");
        let daemon = Daemon::with_settings(&backend.base_url, &settings).await;
        for number in 0..=6 {
            for is_streamed in [false, true] {
                let messages = json!([{"role": "user", "content": format!("<{number}>")}]);
                let request = with(hello(), json!({"messages": messages, "stream": is_streamed}));
                let response = daemon.post(request.to_string()).await;
                let head = format!("{:?}", response.headers());
                let body = response.text().await.unwrap();
                for text in [head, body] {
                    assert!(!text.contains("echo-canary"), "{output}, {number}: {text}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_list_of_models_has_nothing_but_models() {
    let models = json!({"models": [{"slug": "gpt-5.5", "visibility": "list", "priority": 1,
        "base_instructions": "echo-canary", "display_name": "Model", "user": "echo-canary",
        "model_messages": {"a": "echo-canary"}, "account_id": "echo-canary"}],
        "account": "echo-canary"});
    let host = Host::saying("").listing(&models.to_string());
    let daemon = Daemon::with_settings(&host.listen().await, ONCE).await;
    for path in ["/v1/models", "/v1/models/gpt-5.5", "/health"] {
        let text = daemon.get(path).await.text().await.unwrap();
        assert!(!text.contains("canary"), "{path}: {text}");
        assert!(path == "/health" || text.contains("gpt-5.5"));
    }
}

/// A proxy that notes what it is asked, and takes those who ask it to connect to `target`.
async fn proxy(target: u16) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                noted.lock().unwrap().extend_from_slice(&head);
                stream.write_all(b"HTTP/1.1 200 X\r\n\r\n").await.unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                let mut buffer = vec![0; 1 << 16];
                let (mut from_us, mut to_us) = stream.split();
                let (mut from_server, mut to_server) = server.split();
                let up = async {
                    while let Ok(length @ 1..) = from_us.read(&mut buffer).await {
                        noted.lock().unwrap().extend_from_slice(&buffer[..length]);
                        if to_server.write_all(&buffer[..length]).await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    () = up => {}
                    _ = tokio::io::copy(&mut from_server, &mut to_us) => {}
                }
            });
        }
    });
    (address, seen)
}

const PROXIES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

async fn ask(program: &Program, request: &Value) -> (u16, String) {
    let call = reqwest::Client::builder().no_proxy().build().unwrap().post(program.chat());
    let response =
        call.bearer_auth("client-key-canary").body(request.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A proxy would see the login: what is asked in plain text never leaves this machine.
#[tokio::test]
async fn no_proxy_sees_what_is_asked_in_plain_text() {
    let (address, seen) = proxy(1).await;
    let address = format!("http://{address}");
    // The backend refuses the login, so that the sign-in service is asked, too.
    let backend = Host::saying("HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n");
    let issuer = Host::saying("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n");
    let (base_url, issuer_url) = (backend.listen().await, issuer.listen().await);
    for base_url in [base_url.clone(), base_url.replace("127.0.0.1", "localhost")] {
        let mut variables = PROXIES.map(|name| (name, address.as_str())).to_vec();
        variables.push(("CODEX_PROXY_AUTH_ISSUER", &issuer_url));
        let program = Program::start(&base_url, &[], &variables);
        assert_eq!(ask(&program, &hello()).await.0, 200);
        assert_ne!(ask(&program, &attack()).await.0, 200);
    }
    assert!(issuer.seen().iter().any(|seen| seen.head.starts_with("POST /codex/oauth/token")));
    assert!(seen.lock().unwrap().is_empty(), "{}", String::from_utf8_lossy(&seen.lock().unwrap()));
}

/// To other machines a proxy may lead, through which everything is encrypted.
#[tokio::test]
async fn a_proxy_learns_no_more_than_the_name_of_the_backend() {
    let authority = Authority::new("ours");
    let host = Host::saying("");
    let port = tls::listen(&host, authority.server(&["backend.example"])).await;
    let (address, seen) = proxy(port).await;
    let address = format!("http://{address}");
    let roots = authority.file();
    let mut variables = PROXIES.map(|name| (name, address.as_str())).to_vec();
    variables.push(("CODEX_CA_CERTIFICATE", roots.to_str().unwrap()));
    let program = Program::start("https://backend.example/codex", &[], &variables);
    assert_eq!(ask(&program, &hello()).await.0, 200);
    let call = host.seen().pop().unwrap();
    assert!(call.head.contains(FAKE_TOKEN));
    let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
    assert!(seen.starts_with("CONNECT backend.example:443 HTTP/1.1\r\n"), "{seen}");
    let head = seen.split("\r\n\r\n").next().unwrap();
    let lines: Vec<_> = head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["Host"], "{head}");
    for canary in [FAKE_TOKEN, FAKE_ACCOUNT, "client-key-canary", "Hello", "originator"] {
        assert!(!seen.contains(canary), "{canary}");
    }
}

/// A sign-in service as hostile as a backend: the refresh token goes nowhere else, and the answer
/// is an error that says what to do.
#[tokio::test]
async fn a_hostile_sign_in_service_costs_nothing_but_the_renewal() {
    let elsewhere = Host::saying(OK);
    let away = elsewhere.listen().await;
    let quoting = json!({"error": {"code": "server_error",
        "message": format!("No such token: {FAKE_REFRESH_TOKEN}-{}", "x".repeat(30))}});
    let compressed = "content-encoding: gzip\r\n";
    for (name, said) in [
        ("nothing", String::new()),
        ("half a head", "HTTP/1.1 200".to_owned()),
        ("a page", "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>".to_owned()),
        ("a page that does not say so", format!("{OK}<html>")),
        ("a body of 8 MiB", format!("{OK}{}", " ".repeat(8 << 20))),
        ("brackets", format!("{OK}{}", "[".repeat(100_000))),
        ("other tokens", format!("{OK}{}", json!({"access_token": ["a"], "refresh_token": 1}))),
        (
            "a token that no header can carry",
            format!("{OK}{}", json!({"access_token": "a\r\nb: c"})),
        ),
        ("compressed", format!("HTTP/1.1 200 OK\r\n{compressed}\r\n\u{1f}\u{8b}")),
        ("a quotation", format!("HTTP/1.1 500 X\r\n\r\n{quoting}")),
        ("away", format!("HTTP/1.1 307 X\r\nlocation: {away}\r\ncontent-length: 0\r\n\r\n")),
        (
            "away for good",
            format!("HTTP/1.1 308 X\r\nlocation: {away}\r\ncontent-length: 0\r\n\r\n"),
        ),
        ("away to something else", format!("HTTP/1.1 302 X\r\nlocation: {away}\r\n\r\n")),
    ] {
        let issuer = Host::saying(said);
        let issuer_url = issuer.listen().await;
        let backend = Host::saying("HTTP/1.1 401 X\r\ncontent-length: 0\r\n\r\n");
        let variables = [("CODEX_PROXY_AUTH_ISSUER", issuer_url.as_str()), ("RUST_LOG", "trace")];
        let program = Program::start(&backend.listen().await, &[], &variables);
        for is_streamed in [false, true] {
            let request = with(attack(), json!({"stream": is_streamed}));
            let (status, body) = ask(&program, &request).await;
            assert!([401, 502, 503].contains(&status), "{name}: {status} {body}");
            let error: Value = serde_json::from_str(&body).unwrap();
            assert!(error["error"]["message"].is_string(), "{name}: {body}");
            assert!(!body.contains(FAKE_REFRESH_TOKEN), "{name}: {body}");
        }
        assert!(!issuer.seen().is_empty(), "{name}: it was not asked");
        let (status, body) = ask(&program, &hello()).await;
        assert_eq!(status, 200, "{name}: {body}");
        let log = program.stop();
        assert!(!log.contains(FAKE_REFRESH_TOKEN) && !log.contains(FAKE_TOKEN), "{name}: {log}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn the_frames_of_http2_are_not_in_the_log() {
    let authority = Authority::new("ours");
    let roots = authority.file();
    for how in [Break::Farewell, Break::GiantHead, Break::Reset(h2::Reason::INTERNAL_ERROR)] {
        let port = tls::listen_http2(&authority, how).await;
        let variables = [
            ("RUST_LOG", "trace"),
            ("CODEX_CA_CERTIFICATE", roots.to_str().unwrap()),
            ("CODEX_PROXY_UPSTREAM_MAX_RETRIES", "0"),
        ];
        let base_url = format!("https://127.0.0.1:{port}/codex");
        let program = Program::start(&base_url, &[], &variables);
        for is_streamed in [false, true] {
            ask(&program, &with(attack(), json!({"stream": is_streamed}))).await;
        }
        let log = program.stop();
        assert!(log.contains("frame=Headers"), "{log}");
        for canary in [FAKE_TOKEN, FAKE_ACCOUNT, "client-key-canary", ATTACK, "Hel"] {
            let lines: Vec<_> = log.lines().filter(|line| line.contains(canary)).collect();
            assert!(lines.is_empty(), "{canary} is in the log: {}", lines.join("\n"));
        }
    }
}

/// At the highest level of detail, through every kind of failure, with a
/// backend that repeats everything it is told.
#[tokio::test]
async fn no_level_of_detail_shows_secrets_or_content() {
    const PROMPT: &str = "prompt-canary";
    const ANSWER: &str = "answer-canary";
    const TURN_STATE: &str = "turn-state-canary";
    let everything = format!("{PROMPT} {ANSWER} Bearer {FAKE_TOKEN} {FAKE_ACCOUNT}");
    let reported = |code: &str| {
        let error = json!({"code": code, "message": everything, "param": PROMPT});
        json!({"type": "response.failed", "response": {"error": error}})
    };
    let begun = sse(&text(&[ANSWER]));
    let broken =
        format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{ANSWER}\n\n");
    let refused = |status: u16, kind: &str, body: &str| {
        format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n\r\n{body}")
    };
    let json = "application/json";
    let detail = json!({"detail": everything}).to_string();
    let error = json!({"error": {"code": everything, "type": everything, "message": everything}});
    let answers = [
        format!(
            "HTTP/1.1 200 OK\r\nx-codex-turn-state: {TURN_STATE}\r\n\r\n{begun}{}",
            sse(&[completed()])
        ),
        format!("{OK}{begun}"),
        format!("{OK}{begun}{broken}"),
        format!("{OK}{broken}"),
        format!("{OK}data: {everything}\n\n{}", sse(&[reported("server_error")])),
        format!("{OK}{begun}{}", sse(&[reported("invalid_prompt")])),
        format!("{OK}{}", sse(&[reported(&everything)])),
        format!("{OK}<html>{everything}</html>"),
        format!("{OK}{error}"),
        refused(400, json, &detail),
        refused(400, json, &error.to_string()),
        refused(401, json, &error.to_string()),
        refused(429, json, &error.to_string()),
        refused(500, json, &error.to_string()),
        refused(503, "text/html", &everything),
        refused(503, "text/plain", &everything),
        format!("HTTP/1.1 302 X\r\nlocation: https://{ANSWER}.example/\r\n\r\n"),
        format!("{everything}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{everything}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{everything}\r\n"),
    ];
    let count = answers.len();
    let host = Host::new(move |call: Call| {
        let body: Value = serde_json::from_slice(&call.seen.body).unwrap();
        let body = body["input"].to_string();
        let number = (0..count).find(|number| body.contains(&format!("<{number}>"))).unwrap();
        let answer = answers[number].clone();
        async move { call.say(answer.as_bytes()).await }
    })
    .listing("{\"models\": \"prompt-canary\"");
    let issuer = Host::saying(refused(400, json, &error.to_string()));
    let issuer_url = issuer.listen().await;
    let authority = Authority::new("ours");
    let roots = authority.file();
    let port = tls::listen(&host, authority.server(&["127.0.0.1"])).await;
    let program = Program::start(
        &format!("https://127.0.0.1:{port}/codex"),
        &[],
        &[
            ("RUST_LOG", "trace"),
            ("CODEX_PROXY_AUTH_ISSUER", &issuer_url),
            ("CODEX_CA_CERTIFICATE", roots.to_str().unwrap()),
            ("CODEX_PROXY_UPSTREAM_MAX_RETRIES", "1"),
        ],
    );
    for number in 0..count {
        for is_streamed in [false, true] {
            let content = format!("{ATTACK} {PROMPT} <{number}>");
            let messages = json!([{"role": "system", "content": PROMPT},
                {"role": "user", "content": content}]);
            let request = with(hello(), json!({"messages": messages, "stream": is_streamed}));
            ask(&program, &request).await;
        }
    }
    // What is wrong about requests is not told in the log either.
    ask(&program, &json!({"model": PROMPT, "messages": [{"role": PROMPT}]})).await;
    ask(&program, &Value::from(PROMPT)).await;
    let log = program.stop();
    assert!(log.contains("TRACE"), "the log is at the highest level");
    assert!(log.contains("request_id="), "{log}");
    for canary in [
        PROMPT,
        ANSWER,
        TURN_STATE,
        FAKE_TOKEN,
        FAKE_REFRESH_TOKEN,
        FAKE_ACCOUNT,
        "client-key-canary",
    ] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(canary)).collect();
        assert!(lines.is_empty(), "{canary} is in the log: {}", lines.join("\n"));
    }
}
