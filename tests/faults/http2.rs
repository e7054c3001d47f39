//! What HTTP/2 does when there are many calls to one backend: a connection carries a hundred of
//! them and no more, and has one window for all of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::support::backend::{answer, completed, sse, text};
use crate::support::daemon::{Daemon, content, hello};
use crate::tls::{Authority, listen_with};

/// Nothing here takes that long.
const DEADLINE: Duration = Duration::from_secs(60);

type Pieces = futures_util::stream::BoxStream<'static, Bytes>;

/// A backend over TLS that carries 100 calls on a connection, as most servers do.
struct Backend {
    base_url: String,
    authority: Authority,
    /// How many calls have come.
    calls: watch::Receiver<usize>,
}

impl Backend {
    /// Answers every call with the pieces that `respond` gives for the request's body; they may
    /// depend on the number of calls that have come.
    async fn start(
        respond: impl Fn(&str, watch::Receiver<usize>) -> Pieces + Send + Sync + 'static,
    ) -> Self {
        let authority = Authority::new("ours");
        let acceptor = authority.signed(&["localhost"], |_| {}, &[b"h2"]);
        let (count, calls) = watch::channel(0);
        let respond = Arc::new(respond);
        // Connections that are given up while they come about do not count.
        let port = listen_with(acceptor, move |stream| {
            let (count, respond) = (count.clone(), Arc::clone(&respond));
            let service = service_fn(move |request: Request<Incoming>| {
                let (count, respond) = (count.clone(), Arc::clone(&respond));
                async move { Ok::<_, Infallible>(serve(request, &count, &*respond).await) }
            });
            async move {
                let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                http.max_concurrent_streams(100);
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        })
        .await;
        Self { base_url: format!("https://localhost:{port}/codex"), authority, calls }
    }

    async fn daemon(&self, settings: &str) -> Daemon {
        Daemon::with_roots(&self.base_url, settings, &self.authority.file()).await
    }

    async fn wait_for_calls(&mut self, count: usize) {
        self.calls.wait_for(|calls| *calls >= count).await.unwrap();
    }
}

async fn serve<F>(
    request: Request<Incoming>,
    count: &watch::Sender<usize>,
    respond: &F,
) -> Response<StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<F>>>
where
    F: Fn(&str, watch::Receiver<usize>) -> Pieces,
{
    let is_call = request.uri().path().ends_with("/responses");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let pieces = if is_call {
        count.send_modify(|calls| *calls += 1);
        respond(std::str::from_utf8(&body).unwrap(), count.subscribe())
    } else {
        let models = json!({"models": [{"slug": "gpt-5.5", "visibility": "list"}]});
        stream::iter([Bytes::from(models.to_string())]).boxed()
    };
    Response::new(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))))
}

fn asking(text: &str) -> String {
    json!({"model": "gpt-5.5", "stream": true, "messages": [{"role": "user", "content": text}]})
        .to_string()
}

#[tokio::test]
async fn three_hundred_streams_at_once_are_all_answered() {
    const CALLS: usize = 300;
    // The first call is answered at once; of the others, none before all have come.
    let backend = Backend::start(|_, mut calls| {
        let rest = async move {
            calls.wait_for(|calls| *calls == 1 || *calls == 1 + CALLS).await.unwrap();
            Bytes::from(sse(&[completed()]))
        };
        stream::iter([Bytes::from(sse(&text(&["Hi"])))]).chain(stream::once(rest)).boxed()
    })
    .await;
    let daemon = backend.daemon(&format!("[upstream]\nmax_in_flight = {CALLS}")).await;
    let request = hello();
    // Calls would have connections of their own, if none were open yet.
    assert_eq!(daemon.stream(&request).await.0, 200);
    let all = join_all((0..CALLS).map(|_| daemon.stream(&request)));
    let answers = tokio::time::timeout(DEADLINE, all).await.expect("calls that wait for ever");
    for (status, chunks) in answers {
        assert_eq!((status, content(&chunks, 0).as_str()), (200, "Hi"));
    }
}

#[tokio::test]
async fn clients_that_do_not_read_stop_nobody_else() {
    const PAUSED: usize = 20;
    let long = Bytes::from(sse(&text(&["x".repeat(1 << 16).as_str()])));
    let mut backend = Backend::start(move |request, _| {
        if request.contains("long") {
            stream::iter(vec![long.clone(); 160]).boxed()
        } else {
            stream::iter([Bytes::from(answer(&["Hi"]))]).boxed()
        }
    })
    .await;
    let daemon = backend.daemon("").await;
    let mut paused = Vec::new();
    for number in 1..=PAUSED {
        paused.push(pause(&daemon).await);
        backend.wait_for_calls(number).await;
    }
    let request = hello();
    for _ in 0..3 {
        let fresh = daemon.stream(&request);
        let (status, chunks) =
            tokio::time::timeout(DEADLINE, fresh).await.expect("a call that waits for others");
        assert_eq!((status, content(&chunks, 0).as_str()), (200, "Hi"));
    }
    drop(paused);
}

/// A client that asks for ten megabytes, and does not read on after the first piece.
async fn pause(daemon: &Daemon) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // The system would take a good part of the answer in its stead.
    socket.set_recv_buffer_size(4096).unwrap();
    let address = daemon.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut client = socket.connect(address).await.unwrap();
    let body = asking("long");
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
         application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut piece = [0; 512];
    assert!(client.read(&mut piece).await.unwrap() > 0);
    client
}
