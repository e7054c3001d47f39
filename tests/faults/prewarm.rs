//! The list of models and a connection, ahead of the requests that need them.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE};
use crate::support::backend::answer;
use crate::support::daemon::{Daemon, hello};
use crate::support::home::Home;
use crate::support::program::Program;
use crate::tls::{Authority, listen_with};

/// A backend that speaks TLS and HTTP/2, and what has come to it.
struct Backend {
    base_url: String,
    authority: Authority,
    seen: watch::Receiver<Vec<String>>,
}

impl Backend {
    async fn start() -> Self {
        let authority = Authority::new("ours");
        let acceptor = authority.signed(&["127.0.0.1"], |_| {}, &[b"h2"]);
        let (note, seen) = watch::channel(Vec::new());
        let port = listen_with(acceptor, move |stream| {
            let note = note.clone();
            async move {
                note.send_modify(|seen| seen.push("connection".to_owned()));
                let service = service_fn(move |request| serve(request, note.clone()));
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        })
        .await;
        let base_url = format!("https://127.0.0.1:{port}/codex");
        Self { base_url, authority, seen }
    }

    /// The daemon as it is installed.
    fn program(&self, variables: &[(&str, &str)]) -> Program {
        let roots = self.authority.file();
        let roots = [("CODEX_CA_CERTIFICATE", roots.to_str().unwrap())];
        Program::start(&self.base_url, &[], &[&roots, variables].concat())
    }

    fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    async fn wait_for(&mut self, what: &str) {
        let has_come = self.seen.wait_for(|seen| seen.iter().any(|one| one == what));
        timeout(PATIENCE, has_come).await.expect("it does not come").unwrap();
    }
}

async fn serve(
    request: Request<Incoming>,
    note: watch::Sender<Vec<String>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_call = request.uri().path().ends_with("/responses");
    let _ = request.into_body().collect().await;
    note.send_modify(|seen| seen.push(if is_call { "call" } else { "models" }.to_owned()));
    let models = json!({"models": [{"slug": "gpt-5.5", "visibility": "list"}]});
    let said = if is_call { answer(&["Hello"]) } else { models.to_string() };
    Ok(Response::new(said.into()))
}

async fn ask(program: &Program) -> u16 {
    let request = reqwest::Client::new().post(program.chat()).json(&hello());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_first_request_finds_the_models_and_a_connection() {
    let mut backend = Backend::start().await;
    let program = backend.program(&[]);
    backend.wait_for("models").await;
    assert_eq!(backend.seen(), ["connection", "models"]);
    for _ in 0..2 {
        assert_eq!(ask(&program).await, 200);
    }
    assert_eq!(backend.seen(), ["connection", "models", "call", "call"]);
}

/// Everything has been done that is done at the start when the program has stopped.
async fn stopped(mut program: Program) -> String {
    let health = format!("{}/health", program.url());
    assert_eq!(reqwest::get(health).await.unwrap().status(), 200);
    program.signal(Signal::TERM);
    program.ended(PATIENCE).1
}

#[tokio::test]
async fn nothing_is_asked_ahead_when_that_is_off() {
    let backend = Backend::start().await;
    let program = backend.program(&[("CODEX_PROXY_UPSTREAM_PREWARM", "false")]);
    stopped(program).await;
    assert_eq!(backend.seen(), [""; 0]);
}

#[tokio::test]
async fn nothing_is_asked_ahead_without_a_login_or_with_one_that_is_to_be_renewed_first() {
    let backend = Backend::start().await;
    let roots = backend.authority.file();
    let old = json!({"tokens": {"access_token": "fake", "id_token": "", "refresh_token": "fake",
        "account_id": "account"}, "last_refresh": "2020-01-01T00:00:00Z"});
    for login in [None, Some(old)] {
        let mut home = Home::new();
        if let Some(login) = login {
            home.write(&login);
        }
        home.set("CODEX_CA_CERTIFICATE", roots.to_str().unwrap());
        home.set_backend(&backend.base_url);
        let program = home.start(&["--listen", "127.0.0.1:0"]);
        let log = stopped(program).await;
        assert!(!log.contains("the list of models"), "{log}");
        assert!(!log.contains("renew"), "{log}");
    }
    assert_eq!(backend.seen(), [""; 0]);
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_ahead_is_asked_again_by_the_first_request() {
    let once = [("CODEX_PROXY_UPSTREAM_MAX_RETRIES", "0")];
    let program = Program::start("http://127.0.0.1:1/codex", &[], &once);
    let log = program.wait_for("cannot get the list of models in advance");
    assert!(!log.contains("WARN"), "{log}");
    assert_eq!(ask(&program).await, 502);
    let log = program.wait_for("WARN cannot get the list of models");
    assert!(!log.contains("not tried"), "{log}");
}

#[tokio::test]
async fn a_daemon_that_connects_ahead_stops_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}/codex", listener.local_addr().unwrap());
    let mut program = Program::start(&base_url, &[], &[]);
    // Who gets no answer to its greeting would wait for five seconds.
    let _connection = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    program.signal(Signal::TERM);
    let (status, log) = program.ended(Duration::from_secs(4));
    assert!(status.success(), "{log}");
}

async fn daemon(backend: &Backend, roots: &Path) -> Daemon {
    Daemon::with_roots(&backend.base_url, "", roots).await
}

#[tokio::test]
async fn while_a_request_is_on_its_way_the_models_are_asked_for() {
    let mut backend = Backend::start().await;
    let daemon = daemon(&backend, &backend.authority.file()).await;
    let mut client = Client::connect(&daemon.url).await;
    let body = hello().to_string();
    client.send_chat_head(&format!("content-length: {}\r\n", body.len())).await;
    backend.wait_for("models").await;
    client.send(body).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(backend.seen(), ["connection", "models", "call"]);
}
