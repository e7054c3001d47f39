//! Who gets in: keys, hosts, origins, before anything is read or spent.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::backend::{Answer, Backend, answer};
use crate::support::daemon::{Daemon, hello};
use crate::support::secrets::FAKE_TOKEN;

const KEY: &str = "sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s";

/// A key, a page and a name are allowed.
const ALLOWED: &str = r#"[server]
api_keys = ["sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s"]
allowed_hosts = ["ai.example.com"]
allowed_origins = ["https://chat.example.com", "app://obsidian.md"]
"#;

const PAGE: &str = "origin: https://chat.example.com";
const CHAT: &str = "POST /v1/chat/completions";

/// What browsers say of a request: for a page of the same origin, or for somebody who follows a
/// link of another site.
const SAME: &str = "sec-fetch-site: same-origin";
const CROSS: &str = "sec-fetch-site: cross-site";
const NAVIGATE: &str = "sec-fetch-mode: navigate";
const DOCUMENT: &str = "sec-fetch-dest: document";

/// An answer, as its bytes say.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    /// The values of a header, which must stand there once at most.
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(found, _)| *found == name).map(|(_, value)| value);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands there twice: {}", self.head);
        value
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Fails unless strangers were refused so, with a whole error object that tells them nothing.
    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert!(self.header("x-request-id").unwrap().starts_with("req_"), "{self:?}");
        let body = self.json();
        let error = body["error"].as_object().unwrap();
        let names: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(names, ["code", "message", "param", "type"], "{self:?}");
        assert_eq!(error["code"], code, "{self:?}");
        assert_eq!(error["type"], "invalid_request_error", "{self:?}");
        self.tells_nothing();
    }

    #[track_caller]
    fn tells_nothing(&self) {
        let all = format!("{}{}", self.head.replace("x-codex-proxy-", ""), self.body);
        let version = env!("CARGO_PKG_VERSION");
        for secret in [FAKE_TOKEN, KEY, "account-1", "gpt-", version, "auth.json", "evil", "tmp"] {
            assert!(!all.contains(secret), "{secret:?} is in {self:?}");
        }
    }

    fn has_cors_headers(&self) -> bool {
        self.head.contains("access-control-")
    }
}

/// A request's head, with a good Host unless there is another.
fn head(line: &str, headers: &[&str]) -> String {
    let line = format!("{line} HTTP/1.1");
    let has_host = headers.iter().any(|header| header.starts_with("host:"));
    let host: &[&str] = if has_host { &[] } else { &["host: localhost"] };
    [&[line.as_str()], host, headers, &["", ""]].concat().join("\r\n")
}

/// The same with a body.
fn with_body(line: &str, headers: &[&str], body: &str) -> String {
    let length = format!("content-length: {}", body.len());
    head(line, &[headers, &[&length]].concat()) + body
}

/// Sends bytes and takes the first answer, which has to come whatever else is announced.
async fn send(address: SocketAddr, bytes: &str) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    timeout(Duration::from_secs(10), read(&mut stream)).await.expect("an answer")
}

async fn read(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "closed without an answer");
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.unwrap().parse().unwrap() {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return Reply { status, head: head.to_owned(), body: body.to_owned() };
        }
    }
}

/// A daemon, and a backend that nobody may ask.
struct Guarded {
    daemon: Daemon,
    address: SocketAddr,
    upstream: TcpListener,
}

impl Guarded {
    async fn start(settings: &str) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/codex", upstream.local_addr().unwrap());
        let daemon = Daemon::with_settings(&base_url, settings).await;
        let address = address(&daemon);
        Self { daemon, address, upstream }
    }

    async fn send(&self, bytes: &str) -> Reply {
        send(self.address, bytes).await
    }

    /// Fails if anybody has connected to the backend.
    async fn has_asked_nobody(self) {
        let call = timeout(Duration::ZERO, self.upstream.accept()).await;
        assert!(call.is_err(), "the backend was asked");
        drop(self.daemon);
    }
}

fn address(daemon: &Daemon) -> SocketAddr {
    daemon.url.strip_prefix("http://").unwrap().parse().unwrap()
}

async fn answering() -> Backend {
    Backend::start(&["gpt-5.5"], |_, _| Answer::stream(answer(&["Hi"]))).await
}

#[tokio::test]
async fn nothing_that_a_web_page_can_send_is_read_or_spends_anything() {
    let origin = "origin: https://evil.example";
    let preflight = "access-control-request-method: POST";
    let network = "access-control-request-private-network: true";
    let (form, host) = ("unsupported_content_type", "host_not_allowed");
    let page = "origin_not_allowed";
    let cases: &[(&str, &[&str], u16, &str)] = &[
        // What a page can send without asking, should a browser not say where it comes from.
        (CHAT, &["content-type: text/plain"], 415, form),
        (CHAT, &["content-type: text/plain;charset=UTF-8"], 415, form),
        (CHAT, &["content-type: application/x-www-form-urlencoded"], 415, form),
        (CHAT, &["content-type: multipart/form-data; boundary=x"], 415, form),
        ("POST /nope", &["content-type: text/plain"], 415, form),
        // What browsers do say.
        (CHAT, &[origin], 403, page),
        (CHAT, &[origin, "content-type: text/plain"], 403, page),
        (CHAT, &[origin, "content-type: application/json"], 403, page),
        (CHAT, &["origin: null", "content-type: application/json"], 403, page),
        (CHAT, &["origin: http://localhost:3000"], 403, page),
        (CHAT, &["origin: https://localhost"], 403, page),
        (CHAT, &["origin: http://127.0.0.1"], 403, page),
        // What comes close to the daemon's own page: another port, scheme, spelling or site.
        (CHAT, &["host: localhost:10455", "origin: http://localhost:10456"], 403, page),
        (CHAT, &["host: localhost:10455", "origin: http://localhost"], 403, page),
        (CHAT, &["host: localhost:10455", "origin: https://localhost:10455"], 403, page),
        (CHAT, &["host: localhost:10455", "origin: http://LOCALHOST:10455"], 403, page),
        (CHAT, &["host: localhost:10455", "origin: http://127.0.0.1:10455"], 403, page),
        (CHAT, &["host: localhost", "origin: http://localhost:80"], 403, page),
        (CHAT, &["origin: http://localhost", "sec-fetch-site: cross-site"], 403, page),
        (CHAT, &["origin: http://localhost", "sec-fetch-site: same-site"], 403, page),
        (CHAT, &["origin: http://localhost", "origin: http://localhost"], 403, page),
        (CHAT, &["origin: http://localhost", "content-type: text/plain"], 415, form),
        (CHAT, &["host: evil.example", "origin: http://evil.example"], 421, host),
        (CHAT, &["host: evil.example:10455", "origin: http://evil.example:10455", SAME], 421, host),
        // Links and the like, of which only those to the page are followed.
        ("GET /v1/models", &[CROSS, NAVIGATE, DOCUMENT], 403, page),
        ("GET /health", &[CROSS, NAVIGATE, DOCUMENT], 403, page),
        ("GET /ui/app.js", &[CROSS, NAVIGATE, DOCUMENT], 403, page),
        (
            "GET /ui/app.js",
            &[CROSS, "sec-fetch-mode: no-cors", "sec-fetch-dest: script"],
            403,
            page,
        ),
        ("GET /", &[CROSS, NAVIGATE, "sec-fetch-dest: iframe"], 403, page),
        ("GET /", &[CROSS, "sec-fetch-mode: cors", "sec-fetch-dest: empty"], 403, page),
        ("GET /", &[origin], 403, page),
        ("POST /", &[CROSS, NAVIGATE, DOCUMENT], 403, page),
        ("GET /", &["host: evil.example", NAVIGATE, DOCUMENT], 421, host),
        (CHAT, &["sec-fetch-site: cross-site"], 403, page),
        (CHAT, &["sec-fetch-site: same-site", "content-type: application/json"], 403, page),
        ("GET /v1/models", &[origin], 403, page),
        ("GET /v1/models", &["sec-fetch-site: cross-site", "sec-fetch-mode: no-cors"], 403, page),
        ("GET /health", &[origin], 403, page),
        ("GET /health", &["sec-fetch-site: same-site"], 403, page),
        ("DELETE /nope", &["origin: null"], 403, page),
        ("OPTIONS /v1/chat/completions", &[origin, preflight], 403, page),
        ("OPTIONS /v1/chat/completions", &[origin, preflight, network], 403, page),
        ("OPTIONS *", &["origin: null", preflight], 403, page),
        // Another name that points here.
        (CHAT, &["host: evil.example", "content-type: application/json"], 421, host),
        (CHAT, &["host: evil.example", origin], 421, host),
        ("GET /v1/models", &["host: evil.example:10455"], 421, host),
        ("GET /health", &["host: evil.example"], 421, host),
        ("GET /nope", &["host: 127.0.0.1.evil.example"], 421, host),
        ("OPTIONS /health", &["host: evil.example", origin, preflight], 421, host),
        (CHAT, &["host: ai.example.com"], 421, host),
        // No name, or two.
        (CHAT, &["host: localhost", "host: localhost"], 400, "invalid_host"),
        (CHAT, &["host: localhost", "host: evil.example"], 400, "invalid_host"),
        (CHAT, &["host: localhost@evil.example"], 400, "invalid_host"),
        ("GET /health", &["host:"], 400, "invalid_host"),
        ("GET http://evil.example/health", &["host: localhost"], 400, "invalid_host"),
        ("GET http://localhost/health", &["host: evil.example"], 400, "invalid_host"),
        ("GET http://evil.example/health", &["host: evil.example"], 421, host),
    ];
    let guarded = Guarded::start("").await;
    for (line, headers, status, code) in cases {
        // Much is announced and nothing comes: who waits for it would wait for ever.
        let announced = [headers, &["content-length: 100000000"][..]].concat();
        for headers in [&announced[..], headers] {
            let reply = guarded.send(&head(line, headers)).await;
            reply.refused(*status, code);
            assert!(!reply.has_cors_headers(), "{reply:?}");
        }
        let chunked = [headers, &["transfer-encoding: chunked"][..]].concat();
        guarded.send(&head(line, &chunked)).await.refused(*status, code);
    }
    let reply = guarded.send("GET /health HTTP/1.1\r\n\r\n").await;
    reply.refused(400, "invalid_host");
    let reply = guarded.send("GET /health HTTP/1.0\r\n\r\n").await;
    reply.refused(400, "invalid_host");
    guarded.has_asked_nobody().await;
}

#[tokio::test]
async fn what_programs_send_is_answered() {
    let backend = answering().await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (address, body) = (address(&daemon), hello().to_string());
    let cases: &[&[&str]] = &[
        &[],
        &["content-type: application/json"],
        &["content-type: application/json; charset=utf-8", "authorization: Bearer any"],
        &["authorization: Basic dTpw", "authorization: twice"],
        &["host: 127.0.0.1:1", "sec-fetch-mode: cors"],
        &["host: [::1]", "sec-fetch-site: none"],
        &["host: LOCALHOST.:10455", "sec-fetch-site: same-origin"],
        // The daemon's own page.
        &["host: 127.0.0.1:10455", "origin: http://127.0.0.1:10455", SAME],
        &["host: localhost:10455", "origin: http://localhost:10455", SAME],
        &["host: [::1]:10455", "origin: http://[::1]:10455", SAME],
        &["origin: http://localhost"],
    ];
    for headers in cases {
        let reply = send(address, &with_body(CHAT, headers, &body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(!reply.has_cors_headers() && reply.header("vary").is_none(), "{reply:?}");
    }
    assert_eq!(backend.seen().len(), cases.len());
    let reply = send(address, &head("GET http://localhost/health", &[])).await;
    assert_eq!(reply.json()["status"], "ok");
    // A program that asks like a page's preflight is told what it is told otherwise.
    let reply = send(address, &head("OPTIONS /health", &[])).await;
    assert_eq!((reply.status, reply.has_cors_headers()), (405, false), "{reply:?}");
}

#[tokio::test]
async fn a_name_that_was_made_to_point_here_is_turned_away() {
    let guarded = Guarded::start(ALLOWED).await;
    let port = guarded.address.port();
    let mut client = reqwest::Client::builder().no_proxy();
    for name in ["evil.example", "ai.example.com"] {
        client = client.resolve(name, guarded.address);
    }
    let client = client.build().unwrap();
    for (name, status) in [("evil.example", 421), ("ai.example.com", 200), ("localhost", 200)] {
        let url = format!("http://{name}:{port}/health");
        assert_eq!(client.get(url).send().await.unwrap().status(), status, "{name}");
    }
    guarded.has_asked_nobody().await;
}

#[tokio::test]
async fn allowed_pages_learn_in_a_preflight_all_that_they_may_do() {
    let guarded = Guarded::start(ALLOWED).await;
    let method = "access-control-request-method: POST";
    let sdk = "access-control-request-headers: authorization,content-type,x-stainless-retry-count";
    let network = "access-control-request-private-network: true";
    for path in ["/v1/chat/completions", "/v1/models", "/health", "/nope"] {
        let line = format!("OPTIONS {path}");
        // Without a key: browsers send none with a preflight.
        let reply = guarded.send(&head(&line, &[PAGE, method, sdk])).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, ""), "{reply:?}");
        let allowed = |name: &str| reply.header(&format!("access-control-allow-{name}"));
        assert_eq!(allowed("origin"), Some("https://chat.example.com"));
        assert_eq!(allowed("methods"), Some("GET,POST,OPTIONS"));
        assert_eq!(allowed("headers"), sdk.split_once(": ").map(|(_, names)| names));
        assert_eq!(allowed("private-network"), None);
        assert_eq!(allowed("credentials"), None);
        assert_eq!(reply.header("access-control-max-age"), Some("86400"));
        assert!(reply.header("vary").unwrap().contains("origin"), "{reply:?}");
        reply.tells_nothing();
        let reply = guarded.send(&head(&line, &[PAGE, method, network])).await;
        assert_eq!(reply.header("access-control-allow-private-network"), Some("true"));
    }
    let reply = guarded.send(&head("OPTIONS /", &["origin: app://obsidian.md", method])).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("app://obsidian.md"));
    for origin in [
        "origin: https://evil.example",
        "origin: null",
        "origin: http://chat.example.com",
        "origin: https://chat.example.com\r\norigin: https://evil.example",
    ] {
        let reply = guarded.send(&head("OPTIONS /v1/models", &[origin, method])).await;
        reply.refused(403, "origin_not_allowed");
        assert!(!reply.has_cors_headers(), "{reply:?}");
    }
    // No origin, no preflight.
    let reply = guarded.send(&head("OPTIONS /v1/models", &[method])).await;
    reply.refused(401, "invalid_api_key");
    guarded.has_asked_nobody().await;
}

#[tokio::test]
async fn allowed_pages_can_read_answers_and_errors() {
    let backend = answering().await;
    let daemon = Daemon::with_settings(&backend.base_url, ALLOWED).await;
    let (address, key) = (address(&daemon), format!("authorization: Bearer {KEY}"));
    let (json, text) = ("content-type: application/json", "content-type: text/plain");
    let site = "sec-fetch-site: cross-site";
    let body = hello().to_string();
    for (line, headers, status) in [
        (CHAT, &[PAGE, &*key, json, site][..], 200),
        (CHAT, &["origin: app://obsidian.md", &key, json], 200),
        (CHAT, &[PAGE, json, site], 401),
        (CHAT, &[PAGE, &key, text], 415),
        ("POST /v1/nope", &[PAGE, &key, json], 404),
        ("POST /v1/models", &[PAGE, &key, json], 405),
    ] {
        let reply = send(address, &with_body(line, headers, &body)).await;
        assert_eq!(reply.status, status, "{reply:?}");
        let origin = headers[0].split_once(": ").map(|(_, origin)| origin);
        assert_eq!(reply.header("access-control-allow-origin"), origin, "{reply:?}");
        assert!(reply.header("vary").unwrap().contains("origin"), "{reply:?}");
        assert!(reply.header("access-control-expose-headers").is_some(), "{reply:?}");
        assert!(!reply.head.contains('*'), "{reply:?}");
    }
    let reply = send(address, &with_body(CHAT, &[PAGE, &key, json], "{")).await;
    assert_eq!((reply.status, reply.has_cors_headers()), (400, true), "{reply:?}");
    // Caches are told even where no page asks; pages that may not are told nothing.
    let reply = send(address, &head("GET /v1/models", &[&key])).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    assert!(reply.header("vary").unwrap().contains("origin"), "{reply:?}");
    let reply = send(address, &head("GET /v1/models", &[&key, "origin: null"])).await;
    reply.refused(403, "origin_not_allowed");
    assert!(!reply.has_cors_headers(), "{reply:?}");
    assert_eq!(backend.seen().len(), 2);
}

/// What the official SDK sends from pages: its version 7.57 with every option that adds a header.
const SDK_HEADERS: &str = "authorization,content-type,idempotency-key,openai-organization,\
    openai-project,x-stainless-arch,x-stainless-helper-method,x-stainless-lang,x-stainless-os,\
    x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,\
    x-stainless-runtime-version,x-stainless-timeout";

#[tokio::test]
async fn pages_of_every_kind_of_app_may_use_the_sdk() {
    let origins = [
        "app://obsidian.md",
        "capacitor://localhost",
        "http://localhost",
        "http://localhost:3000",
        "https://chat.example.com:8443",
        "tauri://localhost",
        "http://tauri.localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "moz-extension://6b2a9c1e-2f6d-4a3c-9c8e-0f1e2d3c4b5a",
        "vscode-webview://0a1b2c3d",
    ];
    let backend = answering().await;
    let settings = format!("[server]\nallowed_origins = {origins:?}\n");
    let daemon = Daemon::with_settings(&backend.base_url, &settings).await;
    let address = address(&daemon);
    let asked = format!("access-control-request-headers: {SDK_HEADERS}");
    let sent: Vec<String> = SDK_HEADERS
        .split(',')
        .filter(|name| *name != "content-type")
        .map(|name| format!("{name}: 1"))
        .collect();
    for origin in origins {
        let origin_header = format!("origin: {origin}");
        let method = "access-control-request-method: POST";
        let line = "OPTIONS /v1/chat/completions";
        let reply = send(address, &head(line, &[&origin_header, method, &asked])).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        let allowed = reply.header("access-control-allow-headers").unwrap();
        let allowed: BTreeSet<&str> = allowed.split(',').map(str::trim).collect();
        assert_eq!(allowed, SDK_HEADERS.split(',').collect());

        let mut headers = vec![origin_header.as_str(), "content-type: application/json"];
        headers.extend(sent.iter().map(String::as_str));
        let reply = send(address, &with_body(CHAT, &headers, &hello().to_string())).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
    }
    // Nothing of a page's headers is for the backend.
    let text = format!("{:?}", backend.seen());
    assert!(!text.contains("stainless") && !text.contains("obsidian"), "{text}");
    // Of the same scheme, or the same host, is not the same.
    for origin in ["app://other.md", "https://localhost", "http://localhost:3001", "null"] {
        let origin = format!("origin: {origin}");
        let headers = [&*origin, "content-type: application/json"];
        let reply = send(address, &with_body(CHAT, &headers, &hello().to_string())).await;
        reply.refused(403, "origin_not_allowed");
    }
}

/// Every header of answers that is named anywhere in the server.
#[tokio::test]
async fn allowed_pages_may_read_every_header_of_ours() {
    let guarded = Guarded::start(ALLOWED).await;
    let reply = guarded.send(&head("GET /health", &[PAGE])).await;
    let exposed = reply.header("access-control-expose-headers").unwrap();
    let exposed: BTreeSet<&str> = exposed.split(',').collect();
    let mut named: BTreeSet<String> =
        ["x-request-id", "openai-processing-ms", "retry-after", "retry-after-ms", "x-should-retry"]
            .map(str::to_owned)
            .into();
    // Those of the public API, which are passed on.
    named.extend(codex_proxy::upstream::RATE_LIMITS.iter().map(ToString::to_string));
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server"), &mut named);
    assert!(named.len() > 14, "{named:?}");
    assert_eq!(exposed, named.iter().map(String::as_str).collect());
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for rest in text.split("\"x-codex-proxy-").skip(1) {
            names.insert(format!("x-codex-proxy-{}", rest.split('"').next().unwrap()));
        }
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_answered_read_or_spent() {
    let guarded = Guarded::start(ALLOWED).await;
    let wrong: &[&[&str]] = &[
        &[],
        &["authorization: Bearer sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8S"],
        &["authorization: Bearer sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8"],
        &["authorization: Bearer"],
        &["authorization: Basic sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s"],
        &["authorization: sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8S"],
        &["api-key: sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8S"],
        &["x-api-key: sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s"],
        &[
            "authorization: Bearer sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s",
            "authorization: Bearer sk-cp-tKMbhHgYanNAhBrf4SYC3ZPhD1Bstozdukn_CJa1v8s",
        ],
    ];
    for headers in wrong {
        for line in [CHAT, "GET /v1/models", "GET /v1/models/gpt-5.5", "POST /", "GET /ui/nope"] {
            let announced = [headers, &["content-length: 100000000"][..]].concat();
            for headers in [&announced[..], headers] {
                let reply = guarded.send(&head(line, headers)).await;
                reply.refused(401, "invalid_api_key");
                assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{reply:?}");
            }
        }
        // Only that it runs.
        for path in ["/health", "/health/"] {
            let reply = guarded.send(&head(&format!("GET {path}"), headers)).await;
            assert_eq!((reply.status, reply.body.as_str()), (200, r#"{"status":"ok"}"#));
            reply.tells_nothing();
        }
    }
    // Hosts and origins come first, the content type comes last.
    let text = "content-type: text/plain";
    let reply = guarded.send(&head(CHAT, &["host: evil.example", text])).await;
    reply.refused(421, "host_not_allowed");
    let reply = guarded.send(&head(CHAT, &["origin: https://evil.example", text])).await;
    reply.refused(403, "origin_not_allowed");
    let reply = guarded.send(&head(CHAT, &[text, "content-length: 9"])).await;
    reply.refused(401, "invalid_api_key");
    let key = format!("authorization: bearer {KEY}");
    let reply = guarded.send(&head(CHAT, &[&key, text, "content-length: 9"])).await;
    reply.refused(415, "unsupported_content_type");
    guarded.has_asked_nobody().await;
}

#[tokio::test]
async fn the_page_is_for_everybody_and_tells_nothing() {
    let guarded = Guarded::start(ALLOWED).await;
    let paths = ["/", "/ui/app.js", "/ui/style.css", "/ui/icon.svg"];
    for path in paths {
        for headers in [
            &[][..],
            &["authorization: Bearer wrong"],
            &["sec-fetch-site: none", NAVIGATE, DOCUMENT],
            &["host: 127.0.0.1:10455", SAME, "sec-fetch-mode: no-cors"],
            &["host: ai.example.com"],
        ] {
            let reply = guarded.send(&head(&format!("GET {path}"), headers)).await;
            assert_eq!(reply.status, 200, "{path} {headers:?}");
            assert_eq!(reply.header("access-control-allow-origin"), None, "{}", reply.head);
            assert!(reply.header("content-security-policy").unwrap().contains("frame-ancestors"));
            reply.tells_nothing();
        }
    }
    let reply = guarded.send(&head("GET /", &[CROSS, NAVIGATE, DOCUMENT])).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    // What it asks for still needs the key, from there too.
    let own = ["host: ai.example.com", "origin: https://ai.example.com", SAME];
    let reply = guarded.send(&head(CHAT, &own)).await;
    reply.refused(401, "invalid_api_key");
    guarded.has_asked_nobody().await;
}

#[tokio::test]
async fn behind_tls_the_page_may_ask_where_the_settings_name_the_host() {
    let backend = answering().await;
    let daemon = Daemon::with_settings(&backend.base_url, ALLOWED).await;
    let (address, body) = (address(&daemon), hello().to_string());
    let key = format!("authorization: Bearer {KEY}");
    for (host, origin, status) in [
        ("ai.example.com", "https://ai.example.com", 200),
        ("ai.example.com", "http://ai.example.com", 200),
        ("ai.example.com", "https://ai.example.com:8443", 403),
        ("localhost", "https://localhost", 403),
        ("evil.example", "https://evil.example", 421),
    ] {
        let (host, origin) = (format!("host: {host}"), format!("origin: {origin}"));
        let reply = send(address, &with_body(CHAT, &[&host, &origin, SAME, &key], &body)).await;
        assert_eq!(reply.status, status, "{host} {origin}: {reply:?}");
        // The page reads answers without being told that it may.
        assert_eq!(reply.header("access-control-allow-origin"), None, "{reply:?}");
    }
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn every_key_of_the_settings_and_of_the_file_opens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let other = "sk-cp-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
    std::fs::write(&file, format!("# the notebook\n{other}\n")).unwrap();
    let settings = format!("{ALLOWED}api_key_file = '{}'\n", file.display());
    let backend = answering().await;
    let daemon = Daemon::with_settings(&backend.base_url, &settings).await;
    let (address, body) = (address(&daemon), hello().to_string());
    // The file is read at the start only.
    std::fs::remove_file(&file).unwrap();
    for key in [KEY, other] {
        for scheme in ["Bearer", "BEARER"] {
            let key = format!("authorization: {scheme} {key}");
            let reply = send(address, &with_body(CHAT, &[&key], &body)).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let reply = send(address, &head("GET /health", &[&key])).await;
            assert_eq!(reply.json()["credentials"], true, "{reply:?}");
            assert_eq!(reply.json()["version"], env!("CARGO_PKG_VERSION"), "{reply:?}");
        }
    }
    assert_eq!(backend.seen().len(), 4);
    // A client's key is for this daemon and for nobody else.
    for seen in backend.seen() {
        assert!(!seen.head.contains(KEY) && !seen.head.contains(other), "{}", seen.head);
    }
}

#[tokio::test]
async fn a_refused_body_is_never_taken_for_a_request() {
    let guarded = Guarded::start(ALLOWED).await;
    let smuggled = head("GET /health", &[&format!("authorization: Bearer {KEY}")]);
    for (headers, status) in [
        (&["host: evil.example"][..], 421),
        (&["origin: null"], 403),
        (&["content-type: application/json"], 401),
    ] {
        let first = with_body(CHAT, headers, &smuggled);
        let last = head("GET /nope", &["connection: close"]);
        let mut stream = TcpStream::connect(guarded.address).await.unwrap();
        stream.write_all(format!("{first}{last}").as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        // Closed with or without a word about the rest.
        let end = stream.read_to_end(&mut answers);
        let _ = timeout(Duration::from_secs(10), end).await.expect("the connection ends");
        let answers = String::from_utf8(answers).unwrap();
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{answers}");
        assert!(!answers.contains("HTTP/1.1 200 "), "{answers}");
    }
    // Without a body, the connection goes on.
    let mut stream = TcpStream::connect(guarded.address).await.unwrap();
    for (line, headers, status) in [
        ("GET /health", &["host: evil.example"][..], 421),
        ("GET /health", &["origin: null"], 403),
        ("GET /v1/models", &[], 401),
        ("GET /health", &[], 200),
    ] {
        stream.write_all(head(line, headers).as_bytes()).await.unwrap();
        let reply = timeout(Duration::from_secs(10), read(&mut stream)).await.unwrap();
        assert_eq!(reply.status, status, "{reply:?}");
    }
    guarded.has_asked_nobody().await;
}

#[tokio::test]
async fn on_every_address_the_daemon_answers_to_that_address_and_no_other() {
    let backend = answering().await;
    let daemon = Daemon::on("0.0.0.0:0", &backend.base_url, ALLOWED).await;
    let port = address(&daemon).port();
    let key = format!("authorization: Bearer {KEY}");
    let mut addresses: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap()];
    // Elsewhere only this one is an address of the machine.
    if cfg!(target_os = "linux") {
        addresses.push("127.0.0.2".parse().unwrap());
    }
    addresses.extend(own_address());
    for address in addresses {
        let ask = |host: String, key: String| async move {
            let host = format!("host: {host}");
            send((address, port).into(), &head("GET /v1/models", &[&host, &key])).await
        };
        for host in [address.to_string(), format!("{address}:{port}"), "localhost".to_owned()] {
            assert_eq!(ask(host.clone(), key.clone()).await.status, 200, "{host} at {address}");
            ask(host, "accept: */*".to_owned()).await.refused(401, "invalid_api_key");
        }
        for host in ["203.0.113.7", "0.0.0.0", "evil.example"] {
            ask(host.to_owned(), key.clone()).await.refused(421, "host_not_allowed");
        }
    }
}

/// The machine's address in its network, if it is in one. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[tokio::test]
async fn loopback_of_ipv6_is_loopback() {
    if let Err(error) = TcpListener::bind("[::1]:0").await {
        return eprintln!("SKIPPED: this machine has no IPv6: {error}");
    }
    let backend = answering().await;
    let daemon = Daemon::on("[::1]:0", &backend.base_url, "").await;
    let address = address(&daemon);
    for (host, status) in [
        (format!("[::1]:{}", address.port()), 200),
        ("[0::1]".to_owned(), 200),
        ("localhost".to_owned(), 200),
        ("[::]".to_owned(), 421),
        ("[::2]".to_owned(), 421),
        ("::1".to_owned(), 400),
    ] {
        let reply = send(address, &head("GET /health", &[&format!("host: {host}")])).await;
        assert_eq!(reply.status, status, "{host}");
    }
}
