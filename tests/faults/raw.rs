//! A backend that need not even speak HTTP: what it says on a connection, byte by byte, is up to a
//! script. It lists one model, so that calls get as far as the script.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::backend::{Seen, answer};

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The head of an answer that ends with its connection.
pub const OK: &str = "HTTP/1.1 200 OK\r\n\r\n";

/// The prompt that is answered by the script; every other one is answered as it should be.
pub const ATTACK: &str = "Attack!";

/// A call that was read, and the connection to say something on.
pub struct Call {
    pub stream: Box<dyn Stream>,
    pub seen: Seen,
}

impl Call {
    /// A connection on which something else than a request came, if anything.
    pub fn unread(stream: Box<dyn Stream>) -> Self {
        Self { stream, seen: Seen { head: String::new(), body: Vec::new() } }
    }

    /// Says it, and closes the connection.
    pub async fn say(mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        self.close().await;
    }

    /// Says it over and over again, until the other side has had enough.
    pub async fn repeat(mut self, head: &[u8], bytes: &[u8]) {
        let _ = self.stream.write_all(head).await;
        while self.stream.write_all(bytes).await.is_ok() {}
    }

    /// Closes the connection, not before the other side has had the chance to read all of it: a
    /// reset would take away what is still on its way.
    pub async fn close(mut self) {
        let _ = self.stream.shutdown().await;
        let mut rest = [0; 1024];
        while self.stream.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    }
}

type Script = dyn Fn(Call) -> BoxFuture<'static, ()> + Send + Sync;

/// What a backend does with those who connect.
#[derive(Clone)]
pub struct Host {
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
    models: Arc<str>,
}

/// The list of one model.
const MODELS: &str = r#"{"models":[{"slug":"gpt-5.5","visibility":"list",
    "supported_reasoning_levels":[{"effort":"low"},{"effort":"high"}]}]}"#;

impl Host {
    /// Attacks by `script`.
    pub fn new<F>(script: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let script = Arc::new(move |call| -> BoxFuture<'static, ()> { Box::pin(script(call)) });
        Self { script, seen: Arc::default(), models: MODELS.into() }
    }

    /// Says this instead of a list of models.
    pub fn listing(self, models: &str) -> Self {
        Self { models: models.into(), ..self }
    }

    /// Says these bytes and closes the connection.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes: Arc<[u8]> = bytes.into().into();
        Self::new(move |call| {
            let bytes = Arc::clone(&bytes);
            async move { call.say(&bytes).await }
        })
    }

    /// Gives its base address.
    pub async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/codex", listener.local_addr().unwrap());
        let host = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(host.clone().serve(Box::new(stream)));
            }
        });
        base_url
    }

    /// Everything that was asked, the list of models included.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// One request for each connection.
    pub async fn serve(self, mut stream: Box<dyn Stream>) {
        let Some(seen) = Seen::read(&mut stream).await else { return };
        self.seen.lock().unwrap().push(seen.clone());
        let call = Call { stream, seen };
        if call.seen.head.starts_with("GET ") {
            call.say(format!("{OK}{}", self.models).as_bytes()).await;
        } else if is_attack(&call.seen) {
            (self.script)(call).await;
        } else {
            call.say(format!("{OK}{}", answer(&["All is well."])).as_bytes()).await;
        }
    }
}

fn is_attack(seen: &Seen) -> bool {
    let body: Result<Value, _> = serde_json::from_slice(&seen.body);
    // A request that is no call, such as one for a login, is for the script too.
    body.map_or(true, |body| body.get("input").is_none() || body.to_string().contains(ATTACK))
}
