//! A daemon in this process, signed in with a made-up login, in front of any backend.

use std::path::Path;
use std::sync::Arc;

use codex_proxy::config::Config;
use codex_proxy::credentials::{Issuer, Location, Store};
use codex_proxy::server::{self, Account, App, Limits};
use codex_proxy::upstream::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::home::Home;

pub struct Daemon {
    pub url: String,
    http: reqwest::Client,
    home: Home,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Daemon {
    pub async fn start(base_url: &str) -> Self {
        Self::with_settings(base_url, "").await
    }

    /// A daemon with more settings, as TOML.
    pub async fn with_settings(base_url: &str, settings: &str) -> Self {
        Self::on("127.0.0.1:0", base_url, settings).await
    }

    /// One whose connections have other limits than the settings say.
    pub async fn with_limits(base_url: &str, settings: &str, limits: Limits) -> Self {
        Self::launch("127.0.0.1:0", base_url, settings, limits, None).await
    }

    /// One that listens somewhere else.
    pub async fn on(address: &str, base_url: &str, settings: &str) -> Self {
        Self::launch(address, base_url, settings, Limits::default(), None).await
    }

    /// One that trusts a backend with these certificates, too.
    pub async fn with_roots(base_url: &str, settings: &str, roots: &Path) -> Self {
        Self::launch("127.0.0.1:0", base_url, settings, Limits::default(), Some(roots)).await
    }

    async fn launch(
        address: &str,
        base_url: &str,
        settings: &str,
        limits: Limits,
        roots: Option<&Path>,
    ) -> Self {
        let home = Home::new();
        home.sign_in("account-1");
        let mut config = Config::from_toml(settings).unwrap();
        config.upstream.base_url = base_url.parse().unwrap();
        config.upstream.public_url = base_url.parse().unwrap();
        config.auth.codex_home = home.path().to_owned();
        // Nothing listens there: these logins are never to be renewed.
        let issuer = "http://127.0.0.1:1".parse().unwrap();
        let issuer = Issuer::new(reqwest::Client::new(), &issuer, "test", "test");
        let store = Arc::new(Store::new(Location::shared(home.path()), issuer));
        let client = Client::with_extra_roots(&config.upstream, store.clone(), roots).unwrap();
        let router = App::new(config, client, Account::SignedIn(store)).unwrap().router();
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // Without the daemon's handle nobody stops it.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let serving = tokio::spawn(server::serve(listener, router, limits, stopped));
        Self { url, http: reqwest::Client::new(), home, stop, serving }
    }

    /// Tells it to stop, as a signal does; it has ended when what this gives is ready.
    pub fn stop(self) -> JoinHandle<()> {
        self.stop.send(()).unwrap();
        self.serving
    }

    pub async fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let url = format!("{}/v1/chat/completions", self.url);
        self.http.post(url).body(body).send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// Takes the login away, as `codex logout` does.
    pub fn sign_out(&self) {
        self.home.sign_out();
    }

    pub fn sign_in(&self) {
        self.sign_in_as("account-1");
    }

    pub fn sign_in_as(&self, account: &str) {
        self.home.sign_in(account);
    }

    /// A whole answer: status and body.
    pub async fn ask(&self, request: &Value) -> (u16, Value) {
        let response = self.post(request.to_string()).await;
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    /// A streamed answer: its status, and what stood behind each `data: `.
    pub async fn stream(&self, request: &Value) -> (u16, Vec<Value>) {
        let mut request = request.clone();
        request["stream"] = true.into();
        let response = self.post(request.to_string()).await;
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        if status != 200 {
            return (status, vec![serde_json::from_str(&text).unwrap()]);
        }
        (status, chunks(&text))
    }
}

/// The chunks of a stream, which must end with `[DONE]`.
pub fn chunks(text: &str) -> Vec<Value> {
    let body = text.strip_suffix("data: [DONE]\n\n").expect("the stream ends with [DONE]");
    body.split_terminator("\n\n")
        .filter(|event| !event.starts_with(':'))
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

pub fn hello() -> Value {
    json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]})
}

/// Puts more fields into a request.
pub fn with(mut request: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("not an object") };
    request.as_object_mut().unwrap().extend(more);
    request
}

/// The texts that the chunks of a choice give, joined.
pub fn content(chunks: &[Value], choice: u64) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].get(0))
        .filter(|part| part["index"] == choice)
        .filter_map(|part| part["delta"]["content"].as_str())
        .collect()
}

/// The one finish reason of a choice.
pub fn finish(chunks: &[Value], choice: u64) -> Option<String> {
    let reasons: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].get(0))
        .filter(|part| part["index"] == choice)
        .filter_map(|part| part["finish_reason"].as_str())
        .collect();
    assert!(reasons.len() <= 1, "{reasons:?}");
    reasons.first().map(|&reason| reason.to_owned())
}
