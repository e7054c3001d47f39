//! A client that sends exactly the bytes it is told to.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long anything that has to happen may take, on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    pub stream: TcpStream,
    /// What was read and not yet asked for.
    bytes: Vec<u8>,
}

/// An answer as it was written.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The `code` and `type` of the error object, which has a message.
    pub fn error(&self) -> (Value, Value) {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        (error["code"].clone(), error["type"].clone())
    }
}

impl Client {
    /// Connects to what `url` names.
    pub async fn connect(url: &str) -> Self {
        Self::over(TcpSocket::new_v4().unwrap(), url).await
    }

    /// One that cannot take much before it is read.
    pub async fn with_little_room(url: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::over(socket, url).await
    }

    async fn over(socket: TcpSocket, url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, bytes: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The head of a chat request with these headers, and nothing of its body.
    pub async fn send_chat_head(&mut self, headers: &str) {
        self.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"
        ))
        .await;
    }

    pub async fn send_chat(&mut self, body: &str) {
        self.send_chat_head(&format!("content-length: {}\r\n", body.len())).await;
        self.send(body).await;
    }

    /// Sends a chat request, once the daemon has begun to read its body.
    pub async fn begin_chat(&mut self, body: &str) {
        self.begin_chat_of(body, body.len()).await;
    }

    /// The same with another length than is sent.
    pub async fn begin_chat_of(&mut self, body: &str, length: usize) {
        let headers = format!("content-length: {length}\r\nexpect: 100-continue\r\n");
        self.send_chat_head(&headers).await;
        let line = "HTTP/1.1 100 Continue\r\n\r\n";
        let length = self.read_past(line).await;
        assert_eq!(length, line.len());
        self.bytes.clear();
        self.send(body).await;
    }

    pub async fn ask_health(&mut self) -> Reply {
        self.send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        self.reply().await
    }

    /// The next answer, whose length is announced.
    pub async fn reply(&mut self) -> Reply {
        let head_len = self.read_past("\r\n\r\n").await;
        let head = String::from_utf8(self.bytes.drain(..head_len).collect()).unwrap();
        let length = header(&head, "content-length").expect("announces its length");
        let length = length.parse().unwrap();
        while self.bytes.len() < length {
            assert!(self.read().await, "ended within the body: {head}");
        }
        let body = String::from_utf8(self.bytes.drain(..length).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head, body }
    }

    /// Reads until this text has come, and gives the length up to its end.
    pub async fn read_past(&mut self, text: &str) -> usize {
        loop {
            let at = self.bytes.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = at {
                return at + text.len();
            }
            let so_far = String::from_utf8_lossy(&self.bytes).into_owned();
            assert!(self.read().await, "ended before {text:?}: {so_far}");
        }
    }

    /// All that comes until the daemon closes the connection, which it has to do.
    pub async fn rest(&mut self) -> String {
        while self.read().await {}
        String::from_utf8(std::mem::take(&mut self.bytes)).unwrap()
    }

    /// Reads what is there; false at the end.
    async fn read(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.bytes)).await;
        match read.expect("nothing comes and the connection stays open") {
            Ok(count) => count > 0,
            // Bytes of ours that were not read make an end of it that is not gentle.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A header of an answer.
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// What a streamed body in chunks says, without the lengths between.
pub fn events(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}
