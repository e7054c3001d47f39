//! The load: clients that ask, one request after the other, and read to the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cases::{Answer, Case};

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) requests: usize,
    /// How many pieces of text the backend sent for them.
    pub(crate) events: usize,
    pub(crate) elapsed: Duration,
    /// From sending a request to the first piece of text, of each request.
    pub(crate) first: Vec<Duration>,
    /// From sending it to the end of the answer.
    pub(crate) total: Vec<Duration>,
}

/// Has all clients of the case ask.
pub(crate) async fn load(case: &Case, address: SocketAddr) -> Load {
    let request: Arc<[u8]> = request(case.request, case.is_streamed).into();
    let left = Arc::new(AtomicUsize::new(case.requests));
    let mut connections = Vec::new();
    for _ in 0..case.clients {
        connections.push(Connection::open(address).await);
    }
    let begin = Instant::now();
    let mut clients = JoinSet::new();
    for mut connection in connections {
        let (request, left) = (Arc::clone(&request), Arc::clone(&left));
        let answer = case.answer;
        clients.spawn(async move {
            let mut times = Vec::new();
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                times.push(connection.ask(&request, answer).await);
            }
            times
        });
    }
    let times: Vec<_> = clients.join_all().await.concat();
    let elapsed = begin.elapsed();
    let (first, total) = times.into_iter().unzip();
    Load {
        requests: case.requests,
        events: case.requests * case.answer.deltas,
        elapsed,
        first,
        total,
    }
}

/// A few requests, so that what happens once has happened.
pub(crate) async fn warm_up(address: SocketAddr) {
    let request = request(4 << 10, true);
    let mut connection = Connection::open(address).await;
    for _ in 0..20 {
        connection.ask(&request, Answer { deltas: 2, pace: None }).await;
    }
}

/// Streams that have begun and go on for as long as they are kept.
pub(crate) async fn hold(count: usize, address: SocketAddr) -> Vec<TcpStream> {
    let request: Arc<[u8]> = request(4 << 10, true).into();
    let mut streams = JoinSet::new();
    for _ in 0..count {
        let request = Arc::clone(&request);
        streams.spawn(async move {
            let mut connection = Connection::open(address).await;
            connection.answer = Vec::new();
            connection.stream.write_all(&request).await.unwrap();
            connection.read_until(|answer| memmem::find(answer, b"word0").is_some()).await;
            connection.stream
        });
    }
    streams.join_all().await
}

/// The times from one read to the next of streams that go on for so long, while others send requests
/// of this size again and again, if it is not 0. They leave when their answers have begun.
pub(crate) async fn gaps(
    streams: usize,
    size: usize,
    span: Duration,
    address: SocketAddr,
) -> Vec<Duration> {
    let held = hold(streams, address).await;
    let large: Option<Arc<[u8]>> = (size > 0).then(|| request(size, true).into());
    let disturbing = tokio::spawn(async move {
        let Some(large) = large else { return };
        loop {
            let mut connection = Connection::open(address).await;
            connection.stream.write_all(&large).await.unwrap();
            connection.read_until(|answer| memmem::find(answer, b"word0").is_some()).await;
        }
    });
    let end = Instant::now() + span;
    let mut readers = JoinSet::new();
    for mut stream in held {
        readers.spawn(async move {
            let (mut gaps, mut last) = (Vec::new(), Instant::now());
            let mut buffer = vec![0; 64 << 10];
            while last < end {
                assert_ne!(stream.read(&mut buffer).await.unwrap(), 0, "it ended");
                let now = Instant::now();
                gaps.push(now - last);
                last = now;
            }
            gaps
        });
    }
    let gaps = readers.join_all().await.concat();
    disturbing.abort();
    gaps
}

/// A chat request of about this size, as a conversation has it.
fn request(size: usize, is_streamed: bool) -> Vec<u8> {
    let mut messages = vec![json!({"role": "system", "content": "You are terse."})];
    let turn = "Tell me more about \"it\": what was measured, and where?\n".repeat(16);
    let mut length = 0;
    while length + turn.len() < size {
        length += turn.len() + 40;
        let role = if messages.len() % 2 == 1 { "user" } else { "assistant" };
        messages.push(json!({"role": role, "content": turn}));
    }
    messages.push(json!({"role": "user", "content": "Go on."}));
    let body = json!({"model": "gpt-5.5", "stream": is_streamed, "messages": messages}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         authorization: Bearer any\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// A connection to a proxy.
struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::with_capacity(1 << 20) }
    }

    /// Asks and reads the answer to its end: when its first piece of text came, and when its end.
    async fn ask(&mut self, request: &[u8], answer: Answer) -> (Duration, Duration) {
        let begin = Instant::now();
        self.answer.clear();
        self.stream.write_all(request).await.unwrap();
        self.read_until(|answer| memmem::find(answer, b"word0").is_some()).await;
        let first = begin.elapsed();
        self.read_until(is_whole).await;
        let total = begin.elapsed();
        let last = format!("word{}", answer.deltas - 1);
        assert!(self.answer.starts_with(b"HTTP/1.1 200 "), "{}", self.text());
        assert!(memmem::find(&self.answer, last.as_bytes()).is_some(), "{}", self.text());
        (first, total)
    }

    async fn read_until(&mut self, mut is_enough: impl FnMut(&[u8]) -> bool) {
        while !is_enough(&self.answer) {
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert_ne!(read, 0, "it ended: {}", self.text());
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer[..self.answer.len().min(1000)]).into_owned()
    }
}

/// Whether an answer has come to its end.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = memmem::find(&answer[..answer.len().min(4096)], b"\r\n\r\n") else {
        return false;
    };
    let text = std::str::from_utf8(&answer[..head]).unwrap().to_ascii_lowercase();
    match text.split_once("content-length: ") {
        Some((_, rest)) => {
            let length: usize = rest.lines().next().unwrap().trim().parse().unwrap();
            answer.len() >= head + 4 + length
        }
        None => answer.ends_with(b"\r\n0\r\n\r\n"),
    }
}
