use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body as ServerBody;
use axum::extract::Request as ServerRequest;
use axum::http::Response as ServerResponse;
use futures_util::{StreamExt as _, stream};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::platform::Platform;
use crate::responses::error::Class;

use super::super::ErrorResponse;
use super::*;

const CONVERSATION: Uuid = Uuid::from_u128(7);

/// What a request looked like to the server.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

type Answer = ServerResponse<ServerBody>;

/// A backend that notes every request and answers it with `answer`, given how many came before.
struct Backend {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    async fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let notes = Arc::clone(&seen);
        let app = Router::new().fallback(move |request: ServerRequest| async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let headers = head.headers.iter();
            let note = Seen {
                line: format!("{} {}", head.method, head.uri),
                headers: headers
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect(),
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            let mut notes = notes.lock().unwrap();
            notes.push(note);
            answer(notes.len() - 1)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/codex", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn settings(base: &str) -> config::Upstream {
    config::Upstream {
        mode: config::Billing::ChatGpt,
        base_url: base.parse().unwrap(),
        public_url: format!("{base}/v1").parse().unwrap(),
        compression: config::Compression::On,
        idle_timeout: Duration::from_secs(300),
        connect_timeout: Duration::from_secs(10),
        prewarm: true,
        max_retries: 4,
        max_in_flight: 64,
        max_queued: 256,
        originator: "codex-proxy".to_owned(),
        user_agent: "codex-proxy/1.2.3".to_owned(),
        client_version: config::ClientVersion::Exact("0.150.0".to_owned()),
        session_headers: ["session-id", "thread-id", "x-client-request-id"]
            .map(HeaderName::from_static)
            .into(),
        headers: HeaderMap::new(),
    }
}

fn login(token: &str) -> Arc<Login> {
    Arc::new(Login {
        platform: Platform::Codex,
        account_id: Some("account-1".to_owned()),
        ..Login::api_key(token.into())
    })
}

fn client(base: &str) -> Client {
    Client::with_extra_roots(&settings(base), Arc::new(login("fake-token")), None).unwrap()
}

async fn respond(client: &Client) -> Result<Events, UpstreamError> {
    client.respond(Bytes::from_static(b"{\"model\":\"m\"}"), CONVERSATION, None).await
}

fn answer(status: u16, body: impl Into<ServerBody>) -> Answer {
    ServerResponse::builder().status(status).body(body.into()).unwrap()
}

fn refusal(result: Result<Events, UpstreamError>) -> ErrorResponse {
    match result.unwrap_err() {
        UpstreamError::Refused(refusal) => *refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Logins that come one after another, the last one for ever.
struct Sequence(Vec<Arc<Login>>, AtomicUsize);

impl Sequence {
    fn of(tokens: &[&str]) -> Arc<Self> {
        Arc::new(Self(tokens.iter().map(|token| login(token)).collect(), AtomicUsize::new(0)))
    }
}

impl CredentialProvider for Sequence {
    fn login(&self) -> BoxFuture<'_, Result<Arc<Login>, credentials::Error>> {
        let turn = self.1.fetch_add(1, Ordering::SeqCst).min(self.0.len() - 1);
        std::future::ready(Ok(Arc::clone(&self.0[turn]))).boxed()
    }
}

#[tokio::test]
async fn a_call_carries_exactly_these_headers() {
    let backend = Backend::start(|_| answer(200, "data: {}\n\n")).await;
    respond(&client(&backend.base)).await.unwrap();

    let host = backend.base.trim_start_matches("http://").trim_end_matches("/codex");
    let id = CONVERSATION.to_string();
    let expected = [
        ("accept", "text/event-stream"),
        ("authorization", "Bearer fake-token"),
        ("chatgpt-account-id", "account-1"),
        ("content-length", "13"),
        ("content-type", "application/json"),
        ("host", host),
        ("originator", "codex-proxy"),
        ("session-id", &id),
        ("thread-id", &id),
        ("user-agent", "codex-proxy/1.2.3"),
        ("version", "0.150.0"),
        ("x-client-request-id", &id),
    ];
    let expected = Seen {
        line: "POST /codex/responses".to_owned(),
        headers: expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: "{\"model\":\"m\"}".to_owned(),
    };
    assert_eq!(backend.seen(), [expected]);
}

#[tokio::test]
async fn a_key_goes_to_the_public_api_with_nothing_that_is_codexs_own() {
    let backend = Backend::start(|_| answer(200, "data: {}\n\n")).await;
    let key = Arc::new(Login::api_key("sk-fake".into()));
    let client = Client::with_extra_roots(&settings(&backend.base), Arc::new(key), None).unwrap();
    respond(&client).await.unwrap();
    client.models().await.unwrap();

    let seen = backend.seen();
    assert_eq!(seen[0].line, "POST /codex/v1/responses");
    let names: Vec<&str> = seen[0].headers.keys().map(String::as_str).collect();
    let expected =
        ["accept", "authorization", "content-length", "content-type", "host", "user-agent"];
    assert_eq!(names, expected);
    assert_eq!(seen[0].headers["authorization"], "Bearer sk-fake");
    assert_eq!(seen[1].line, "GET /codex/v1/models");
    assert_eq!(seen[1].headers.get("version"), None);
}

#[tokio::test]
async fn accounts_may_be_unknown_and_in_fedramp() {
    let backend = Backend::start(|_| answer(200, "")).await;
    let login = Login { account_id: None, fedramp: true, ..(*login("t")).clone() };
    let client =
        Client::with_extra_roots(&settings(&backend.base), Arc::new(Arc::new(login)), None);
    respond(&client.unwrap()).await.unwrap();
    let headers = &backend.seen()[0].headers;
    assert_eq!(headers.get("chatgpt-account-id"), None);
    assert_eq!(headers["x-openai-fedramp"], "true");
}

#[tokio::test]
async fn own_headers_are_added_and_replace_any_other() {
    let backend = Backend::start(|_| answer(200, "")).await;
    let mut settings = settings(&backend.base);
    settings.session_headers = vec![HeaderName::from_static("session_id")];
    settings.headers = [("originator", "other"), ("x-extra", "1"), ("session_id", "fixed")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let client = Client::with_extra_roots(&settings, Arc::new(login("t")), None).unwrap();
    respond(&client).await.unwrap();
    let headers = &backend.seen()[0].headers;
    for (name, value) in [("originator", "other"), ("x-extra", "1"), ("session_id", "fixed")] {
        assert_eq!(headers[name], value);
    }
    assert_eq!(headers.get("session-id"), None);
}

#[test]
fn settings_that_no_header_can_carry_are_named() {
    let refused = |change: fn(&mut config::Upstream)| {
        let mut settings = settings("http://127.0.0.1:1/codex");
        change(&mut settings);
        Client::with_extra_roots(&settings, Arc::new(login("t")), None).unwrap_err().to_string()
    };
    assert!(refused(|s| s.originator = "a\nb".into()).contains("`[upstream] originator`"));
    assert!(refused(|s| s.user_agent = "\0".into()).contains("`[upstream] user_agent`"));
    assert!(refused(|s| s.base_url = "mailto:a@example.org".parse().unwrap()).contains("base_url"));
}

#[tokio::test]
async fn the_head_of_an_answer_is_read() {
    let backend = Backend::start(|_| {
        ServerResponse::builder()
            .header("x-oai-request-id", "req_1")
            .header("x-request-id", "other")
            .header("x-models-etag", "W/\"abc\"")
            .header("openai-model", "gpt-5.5")
            .header("x-codex-turn-state", "opaque")
            .header("x-codex-plan-type", "plus")
            .header("x-codex-primary-used-percent", "42")
            .header("x-ratelimit-remaining-requests", "4999")
            .body("data: 1\n\ndata: 2\n\n".into())
            .unwrap()
    })
    .await;
    let client = client(&backend.base);
    let events = respond(&client).await.unwrap();
    let head = events.head().clone();
    assert_eq!(head.request_id.as_deref(), Some("req_1"));
    assert_eq!(head.models_etag.as_deref(), Some("W/\"abc\""));
    assert_eq!(head.model.as_deref(), Some("gpt-5.5"));
    assert_eq!(head.turn_state.as_deref(), Some("opaque"));
    let known = client.limits().current(0);
    assert_eq!((known.plan.as_deref(), known.windows.len()), (Some("plus"), 1));
    assert!(head.rate_limits.is_empty(), "these are not the backend's to tell");
    let data: Vec<_> = events.map(Result::unwrap).collect().await;
    assert_eq!(data, ["1", "2"]);
}

#[tokio::test]
async fn the_public_api_tells_limits_of_its_own() {
    let backend = Backend::start(|number| {
        ServerResponse::builder()
            .status(if number == 0 { 200 } else { 429 })
            .header("x-ratelimit-limit-tokens", "800000")
            .header("x-ratelimit-reset-tokens", "6m0.5s")
            .header("x-ratelimit-remaining-tokens", "of somebody")
            .header("x-ratelimit-of-another-kind", "1")
            .body("{}".into())
            .unwrap()
    })
    .await;
    let key = Arc::new(Login::api_key("fake-key".into()));
    let client = Client::with_extra_roots(&settings(&backend.base), Arc::new(key), None).unwrap();
    let answer = respond(&client).await.unwrap().head().clone();
    for head in [answer, refusal(respond(&client).await).head] {
        let mut limits: Vec<_> = head
            .rate_limits
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        limits.sort_unstable();
        let expected =
            [("x-ratelimit-limit-tokens", "800000"), ("x-ratelimit-reset-tokens", "6m0.5s")];
        assert_eq!(limits, expected);
    }
    assert!(matches!(client.usage().await, Err(UpstreamError::NoPlan)));
    assert_eq!(backend.seen().len(), 2, "the key has gone nowhere else");
}

#[tokio::test]
async fn a_refused_login_is_tried_again_only_when_there_is_another() {
    let unauthorized = || answer(401, "{\"detail\":\"Unauthorized\"}");
    for (tokens, accepted, sent) in [
        (&["old", "new"][..], true, &["old", "new"][..]),
        (&["old", "new"], false, &["old", "new"]),
        (&["old", "old"], false, &["old"]),
        (&["old", "new", "newer"], false, &["old", "new"]),
    ] {
        let backend = Backend::start(move |before| {
            if before == 1 && accepted { answer(200, "{}") } else { unauthorized() }
        })
        .await;
        let settings = settings(&backend.base);
        for models in [false, true] {
            backend.seen.lock().unwrap().clear();
            let client = Client::with_extra_roots(&settings, Sequence::of(tokens), None).unwrap();
            let result = if models {
                client.models().await.map(|_| ())
            } else {
                respond(&client).await.map(|_| ())
            };
            let seen = backend.seen();
            let bearers = seen.iter().map(|seen| &seen.headers["authorization"]["Bearer ".len()..]);
            assert_eq!(bearers.collect::<Vec<_>>(), sent, "{tokens:?}");
            match result {
                Ok(()) => assert!(accepted),
                Err(UpstreamError::Refused(refusal)) => {
                    assert!(!accepted && refusal.class() == Class::Auth);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn without_a_login_nothing_is_sent() {
    struct Nobody;
    impl CredentialProvider for Nobody {
        fn login(&self) -> BoxFuture<'_, Result<Arc<Login>, credentials::Error>> {
            std::future::ready(Err(credentials::Error::Missing { path: "auth.json".into() }))
                .boxed()
        }
    }
    let backend = Backend::start(|_| answer(200, "")).await;
    let client =
        Client::with_extra_roots(&settings(&backend.base), Arc::new(Nobody), None).unwrap();
    assert!(matches!(respond(&client).await, Err(UpstreamError::Login(_))));

    let broken = Arc::new(login("line\nbreak"));
    let client = Client::with_extra_roots(&settings(&backend.base), broken, None).unwrap();
    assert!(matches!(respond(&client).await, Err(UpstreamError::UnusableLogin)));
    assert_eq!(backend.seen(), []);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Backend::start(|_| answer(200, "")).await;
    let target = elsewhere.base.clone();
    let backend = Backend::start(move |_| {
        ServerResponse::builder()
            .status(307)
            .header("location", &target)
            .body(ServerBody::empty())
            .unwrap()
    })
    .await;
    let refusal = refusal(respond(&client(&backend.base)).await);
    assert_eq!((refusal.status.as_u16(), refusal.class()), (307, Class::Unexpected));
    assert_eq!(elsewhere.seen(), []);
}

#[tokio::test]
async fn a_refusal_carries_what_body_and_headers_say() {
    let backend = Backend::start(|_| {
        ServerResponse::builder()
            .status(429)
            .header("x-request-id", "req_2")
            .header("cf-ray", "abc-FRA")
            .header("retry-after", "17")
            .body("{\"error\":{\"type\":\"usage_limit_reached\",\"resets_in_seconds\":9}}".into())
            .unwrap()
    })
    .await;
    let refusal = refusal(respond(&client(&backend.base)).await);
    assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refusal.report.kind.as_deref(), Some("usage_limit_reached"));
    assert_eq!(refusal.report.resets_in, Some(Duration::from_secs(9)));
    assert_eq!(refusal.head.request_id.as_deref(), Some("req_2"));
    assert_eq!(refusal.ray.as_deref(), Some("abc-FRA"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn a_page_keeps_its_status_unless_it_is_a_challenge() {
    const HTML: (&str, &str) = ("content-type", "text/html; charset=UTF-8");
    for (status, header, body, blocked) in [
        (403, HTML, "<!DOCTYPE html>", true),
        (403, ("server", "cloudflare"), "<html>Just a moment...</html>", true),
        (403, ("cf-mitigated", "challenge"), "", true),
        (503, ("cf-mitigated", "challenge"), "<html>", true),
        (429, ("cf-mitigated", "challenge"), "{}", true),
        (403, HTML, "{\"detail\":{\"code\":\"codex_access_restricted\"}}", false),
        (400, HTML, "<html>", false),
        (401, HTML, "<html>", false),
        (404, HTML, "<html>", false),
        (404, ("server", "cloudflare"), "", false),
        (404, ("content-type", "application/json"), "{\"detail\":\"Not Found\"}", false),
        (413, HTML, "<html>413 Request Entity Too Large</html>", false),
        (429, HTML, "<html>", false),
        (500, ("server", "envoy"), "", false),
        (502, ("server", "cloudflare"), "<html>502</html>", false),
        (503, HTML, "<html>", false),
        (503, ("server", "envoy"), "upstream connect error", false),
        (504, HTML, "<html>", false),
    ] {
        let backend = Backend::start(move |_| {
            let answer = ServerResponse::builder().status(status).header("cf-ray", "r");
            let answer = answer.header("retry-after", "1");
            answer.header(header.0, header.1).body(body.into()).unwrap()
        })
        .await;
        let failure = respond(&client(&backend.base)).await.unwrap_err();
        match failure {
            UpstreamError::Blocked { ray, .. } => {
                assert!(blocked && ray.as_deref() == Some("r"), "{status} {body}");
            }
            UpstreamError::Refused(refusal) => {
                assert!(!blocked, "{status} {body}");
                assert_eq!((refusal.status.as_u16(), refusal.ray.as_deref()), (status, Some("r")));
                assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_compressed_refusal_is_read() {
    use std::io::Write as _;
    const JSON: &[u8] = br#"{"error":{"code":"unknown_parameter","message":"No."}}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(JSON).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(JSON).unwrap();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&vec![b'x'; 64 << 20]).unwrap();
    for (encoding, body, code) in [
        ("gzip", gzip.finish().unwrap(), Some("unknown_parameter")),
        ("deflate", zlib.finish().unwrap(), Some("unknown_parameter")),
        ("ZSTD", zstd::bulk::compress(JSON, 3).unwrap(), Some("unknown_parameter")),
        ("identity", JSON.to_vec(), Some("unknown_parameter")),
        ("gzip", b"not that".to_vec(), None),
        ("zstd", b"not that".to_vec(), None),
        ("unknown", vec![1, 2, 3], None),
        ("gzip", bomb.finish().unwrap(), None),
    ] {
        let backend = Backend::start(move |_| {
            let answer = ServerResponse::builder().status(400);
            answer.header("content-encoding", encoding).body(body.clone().into()).unwrap()
        })
        .await;
        let refusal = refusal(respond(&client(&backend.base)).await);
        assert_eq!((refusal.status.as_u16(), refusal.report.code.as_deref()), (400, code));
        assert!(refusal.report.message.is_none_or(|message| message.len() < 4096));
    }
}

#[tokio::test]
async fn a_workspace_of_another_region_does_not_renew_the_login() {
    let body = r#"{"detail":"Workspace is not authorized in this region."}"#;
    let backend = Backend::start(move |_| answer(401, body)).await;
    let logins = Sequence::of(&["a", "b"]);
    let client = Client::with_extra_roots(&settings(&backend.base), logins.clone(), None).unwrap();
    let refusal = refusal(respond(&client).await);
    assert_eq!(refusal.class(), Class::Region);
    assert_eq!(backend.seen().len(), 1);
    assert_eq!(logins.1.load(Ordering::Relaxed), 1, "nobody asked for another login");
}

/// As the Codex CLI asks it, once; calls then say what the answer says.
/// A client whose account is bound to a region.
fn bound_client(backend: &Backend) -> Client {
    let base = backend.base.replace("/codex", "/backend-api/codex");
    let bound = Arc::new(Login { residency: Some("us".to_owned()), ..(*login("t")).clone() });
    Client::with_extra_roots(&settings(&base), Arc::new(bound), None).unwrap()
}

#[tokio::test]
async fn a_bound_account_is_asked_about_before_its_first_call() {
    let backend = Backend::start(|number| match number {
        0 => answer(
            200,
            r#"{"accounts":[{"id":"account-1","account_routing_override":"us",
                "workspace_backend_origin":"https://gov.chatgpt.com"}]}"#,
        ),
        _ => answer(200, "data: {}\n\n"),
    })
    .await;
    let client = bound_client(&backend);
    for _ in 0..2 {
        respond(&client).await.unwrap();
    }
    client.models().await.unwrap();
    let seen = backend.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let call = "POST /backend-api/codex/responses";
    let models = "GET /backend-api/codex/models?client_version=0.150.0";
    // The bearer does not leave for another host than the one that was set.
    assert_eq!(lines, ["GET /backend-api/wham/accounts/check", call, call, models]);
    let of = |seen: &Seen, name: &str| seen.headers.get(name).cloned();
    for name in ["authorization", "chatgpt-account-id", "user-agent"] {
        assert!(of(&seen[0], name).is_some(), "{name}");
    }
    assert_eq!(of(&seen[0], "originator"), None);
    let region = "x-openai-internal-codex-residency";
    let routing = "x-openai-account-routing-override";
    let us = || Some("us".to_owned());
    for (seen, expected) in
        seen.iter().zip([(None, None), (us(), us()), (us(), us()), (us(), None)])
    {
        assert_eq!((of(seen, region), of(seen, routing)), expected, "{}", seen.line);
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_asked_about_is_called_for_all_the_same() {
    for status in [401, 403, 404, 500, 200] {
        let backend = Backend::start(move |number| match number {
            0 => answer(status, "{}"),
            _ => answer(200, "data: {}\n\n"),
        })
        .await;
        let client = bound_client(&backend);
        for _ in 0..2 {
            respond(&client).await.unwrap();
        }
        assert_eq!(backend.seen().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn an_endless_refusal_is_read_in_part() {
    let backend = Backend::start(|_| {
        let reads = stream::repeat(Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 4096])));
        answer(500, ServerBody::from_stream(reads))
    })
    .await;
    let refusal = refusal(respond(&client(&backend.base)).await);
    assert!(refusal.report.message.unwrap().len() < 4096);
}

#[tokio::test]
async fn a_document_with_status_200_is_a_failure() {
    let backend = Backend::start(|_| answer(200, "{\"detail\":\"boom\"}")).await;
    let mut events = respond(&client(&backend.base)).await.unwrap();
    let failure = events.next().await.unwrap().unwrap_err();
    assert!(matches!(failure, UpstreamError::Reported(r) if r.message.as_deref() == Some("boom")));
    assert!(events.next().await.is_none());
}

/// A body that gives one event and then does what `rest` does.
fn one_event_then(
    rest: impl stream::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
) -> ServerBody {
    let first = stream::iter([Ok(Bytes::from_static(b"data: 1\n\n"))]);
    ServerBody::from_stream(first.chain(rest))
}

#[tokio::test]
async fn silence_in_an_answer_ends_it() {
    let backend = Backend::start(|_| answer(200, one_event_then(stream::pending()))).await;
    let limit = Duration::from_millis(200);
    let settings = config::Upstream { idle_timeout: limit, ..settings(&backend.base) };
    let client = Client::with_extra_roots(&settings, Arc::new(login("t")), None).unwrap();
    let mut events = respond(&client).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), "1");
    let failure = events.next().await.unwrap().unwrap_err();
    assert!(
        matches!(failure, UpstreamError::TimedOut { waiting: Timeout::Answer, .. }),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_cut_connection_is_a_failure_after_the_events_before_it() {
    let (cut, wait) = oneshot::channel();
    let wait = Mutex::new(Some(wait));
    let backend = Backend::start(move |_| {
        let wait = wait.lock().unwrap().take().unwrap();
        answer(200, one_event_then(wait.map(|_| Err(std::io::Error::other("cut"))).into_stream()))
    })
    .await;
    let mut events = respond(&client(&backend.base)).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), "1");
    cut.send(()).unwrap();
    let failure = events.next().await.unwrap().unwrap_err();
    assert!(matches!(failure, UpstreamError::Disconnected { .. }), "{failure:?}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn dropping_the_events_cancels_the_call() {
    struct Tell(Option<oneshot::Sender<()>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(Tell(Some(tell))));
    let backend = Backend::start(move |_| {
        let tell = tell.lock().unwrap().take();
        let rest = stream::poll_fn(move |_| {
            let _alive = &tell;
            std::task::Poll::Pending
        });
        answer(200, one_event_then(rest))
    })
    .await;
    let mut events = respond(&client(&backend.base)).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap(), "1");
    drop(events);
    told.await.expect("the server has dropped the body");
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_told_without_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failure = respond(&client(&format!("http://me:pass@{address}/codex"))).await.unwrap_err();
    assert!(matches!(failure, UpstreamError::Unreachable { .. }), "{failure:?}");
    let text = format!("{failure} {failure:?}");
    assert!(text.contains("efused") && !text.contains("pass") && !text.contains("fake"), "{text}");
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_a_disconnection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/codex", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = tokio::io::AsyncReadExt::read(&mut connection, &mut request).await;
        }
    });
    let failure = respond(&client(&base)).await.unwrap_err();
    assert!(matches!(failure, UpstreamError::Disconnected { .. }), "{failure:?}");
}

#[tokio::test]
async fn the_catalogue_comes_as_it_is() {
    let backend = Backend::start(|_| {
        ServerResponse::builder().header("etag", "W/\"1\"").body("{\"models\":[]}".into()).unwrap()
    })
    .await;
    let models = client(&backend.base).models().await.unwrap();
    assert_eq!(models.body, "{\"models\":[]}");
    assert_eq!(models.etag.as_deref(), Some("W/\"1\""));
    let seen = &backend.seen()[0];
    assert_eq!(seen.line, "GET /codex/models?client_version=0.150.0");
    let names: Vec<_> = seen.headers.keys().map(String::as_str).collect();
    let expected = [
        "accept",
        "authorization",
        "chatgpt-account-id",
        "host",
        "originator",
        "user-agent",
        "version",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_catalogue_without_end_is_refused() {
    let backend = Backend::start(|_| {
        let reads = stream::repeat(Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1 << 14])));
        answer(200, ServerBody::from_stream(reads))
    })
    .await;
    assert!(matches!(client(&backend.base).models().await, Err(UpstreamError::Malformed(_))));
}

#[test]
fn nothing_that_is_printed_holds_the_bearer() {
    let client = client("http://127.0.0.1:1/codex");
    let headers =
        client.requests.call(&login("fake-token"), &Route::default(), CONVERSATION, None).unwrap();
    assert!(!format!("{client:?} {headers:?}").contains("fake-token"));
}
