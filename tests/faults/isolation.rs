//! One request's panic, one answer's failure: nobody else's.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use codex_proxy::config::{Config, LogFormat};
use codex_proxy::credentials::{Error, Login};
use codex_proxy::server::{self, Account, App, Limits};
use codex_proxy::telemetry;
use codex_proxy::upstream::{self, CredentialProvider};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::client::Client;
use crate::support::backend::{Backend, answer};
use crate::support::daemon::{hello, with};

/// What a panic's message may quote; nobody may see it.
const CANARY: &str = "canary-panic-4711";

const CHILD: &str = "CODEX_PROXY_TEST_PANICS";

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server::serve(listener, router, Limits::default(), std::future::pending()));
    url
}

fn broken() -> Bytes {
    panic!("{CANARY}")
}

/// A server of which some things panic. `/slow` ends when it is told to.
fn panicking(go_on: Arc<Notify>) -> Router {
    let first = || stream::once(async { Ok::<_, std::io::Error>(Bytes::from("first ")) });
    Router::new()
        .route("/handler", get(|| async { broken() }))
        .route(
            "/body",
            get(move || async move {
                let rest = async {
                    // What came first goes out before that.
                    tokio::task::yield_now().await;
                    Ok(broken())
                };
                Body::from_stream(first().chain(stream::once(rest)))
            }),
        )
        .route(
            "/slow",
            get(move || async move {
                let rest = async move {
                    go_on.notified().await;
                    Ok(Bytes::from("last"))
                };
                Body::from_stream(first().chain(stream::once(rest)))
            }),
        )
}

async fn ask(url: &str, path: &str) -> Client {
    let mut client = Client::connect(url).await;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    client
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_and_no_other() {
    let go_on = Arc::new(Notify::new());
    let url = serve(panicking(Arc::clone(&go_on))).await;
    let mut slow = ask(&url, "/slow").await;
    slow.read_past("first").await;
    for _ in 0..3 {
        assert_eq!(ask(&url, "/handler").await.rest().await, "");
        let body = ask(&url, "/body").await.rest().await;
        assert!(body.starts_with("HTTP/1.1 200 OK"), "{body}");
        // A body that does not end properly is not taken for a complete one.
        assert!(!body.contains("\r\n0\r\n"), "{body}");
    }
    go_on.notify_one();
    slow.read_past("last\r\n0\r\n\r\n").await;
}

/// A login that panics as often as it is told to.
struct Fragile(AtomicBool);

impl CredentialProvider for Fragile {
    fn login(&self) -> BoxFuture<'_, Result<Arc<Login>, Error>> {
        Box::pin(async {
            assert!(!self.0.load(Ordering::Relaxed), "{CANARY}");
            Ok(Arc::new(Login {
                platform: codex_proxy::platform::Platform::Codex,
                ..Login::api_key("fake".into())
            }))
        })
    }
}

/// A daemon whose login panics while the switch is on.
async fn fragile(base_url: &str) -> (Arc<Fragile>, String) {
    let mut config = Config::from_toml("").unwrap();
    config.upstream.base_url = base_url.parse().unwrap();
    config.auth.codex_home = std::path::PathBuf::new();
    let login = Arc::new(Fragile(AtomicBool::new(false)));
    let client = upstream::Client::new(&config.upstream, login.clone()).unwrap();
    let url = serve(App::new(config, client, Account::Simulated).unwrap().router()).await;
    (login, url)
}

#[tokio::test]
async fn a_handlers_panic_is_a_500_and_the_connection_goes_on() {
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let (login, url) = fragile(&backend.base_url).await;
    let mut client = Client::connect(&url).await;
    for is_streamed in [false, true] {
        login.0.store(true, Ordering::Relaxed);
        client.send_chat(&with(hello(), json!({"stream": is_streamed})).to_string()).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 500);
        assert_eq!(reply.error(), ("internal_error".into(), "server_error".into()));
        assert!(!reply.body.contains(CANARY), "{}", reply.body);
        login.0.store(false, Ordering::Relaxed);
        client.send_chat(&hello().to_string()).await;
        assert_eq!(client.reply().await.status, 200);
    }
}

/// Not a test but a process that panics in every way, with the log of the daemon.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    telemetry::init(LogFormat::Text).unwrap();
    let url = serve(panicking(Arc::default())).await;
    for path in ["/handler", "/body"] {
        ask(&url, path).await.rest().await;
    }
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let (login, url) = fragile(&backend.base_url).await;
    login.0.store(true, Ordering::Relaxed);
    let mut client = Client::connect(&url).await;
    client.send_chat(&hello().to_string()).await;
    assert_eq!(client.reply().await.status, 500);
}

#[test]
fn the_log_tells_where_a_panic_was_and_not_what_it_said() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "isolation::child", "--nocapture"])
        .env(CHILD, "1")
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = String::from_utf8(child.stderr).unwrap();
    assert!(child.status.success(), "{log}");
    assert!(!log.contains(CANARY), "{log}");
    let place = "panicked; this is a bug in codex-proxy place=\"tests/faults/isolation.rs:";
    // The login is asked for more than once.
    assert!(log.matches(place).count() >= 3, "{log}");
    assert_eq!(log.matches("a connection's task panicked").count(), 2, "{log}");
    // It is not the client who has left.
    assert!(log.contains(" failed request_id=") && log.contains("status=500"), "{log}");
    assert!(!log.contains("status=499"), "{log}");
}
