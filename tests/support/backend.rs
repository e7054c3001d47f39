//! A backend that says exactly the bytes it is told to, over plain sockets: in pieces of any size,
//! cut off, silent, or with any status.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The length of the pieces the body comes in.
    pub piece: Pieces,
    pub end: End,
    /// Nothing comes before this is true.
    pub gate: Option<watch::Receiver<bool>>,
}

#[derive(Debug, Clone, Copy)]
pub enum Pieces {
    Whole,
    Of(usize),
    /// Lengths from 1 to 40, always the same for the same seed.
    Random(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The body ends as it should.
    Proper,
    /// The connection is closed in the middle of the body.
    Cut,
    /// Nothing more comes, until the client leaves.
    Silence,
    /// The connection is closed without a word.
    Reset,
    /// Nothing comes at all, until the client leaves.
    Mute,
}

impl Answer {
    pub fn stream(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            piece: Pieces::Whole,
            end: End::Proper,
            gate: None,
        }
    }

    pub fn error(status: u16, body: &str) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, ..Self::stream(body) }
    }

    pub fn ending(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// Waits with everything until the gate is open.
    pub fn behind(self, gate: &watch::Sender<bool>) -> Self {
        Self { gate: Some(gate.subscribe()), ..self }
    }

    pub fn in_pieces(self, piece: Pieces) -> Self {
        Self { piece, ..self }
    }
}

/// A `POST /responses` as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    /// Reads a request with its body; nothing if the connection ends first.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut bytes = Vec::new();
        let head_length = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..head_length].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < head_length + length {
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
        Some(Self { head, body: bytes[head_length..head_length + length].to_vec() })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Script = dyn Fn(usize, &Seen) -> Answer + Send + Sync;

pub struct Backend {
    pub base_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many clients have left before their answers were complete.
    left: watch::Receiver<usize>,
    calls: Arc<Mutex<Calls>>,
}

/// How many calls are under way, and how many were at most.
#[derive(Debug, Default, Clone, Copy)]
struct Calls {
    now: usize,
    peak: usize,
}

impl Backend {
    /// Answers the n-th call with `script(n, call)` and lists `models`.
    pub async fn start(
        models: &[&str],
        script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), models, script)
    }

    /// The same, where somebody listens already.
    pub fn on(
        listener: TcpListener,
        models: &[&str],
        script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let models: Vec<Value> = models
            .iter()
            .map(|slug| {
                let efforts = ["low", "medium", "high", "xhigh"];
                let efforts = efforts.map(|effort| serde_json::json!({ "effort": effort }));
                serde_json::json!({"slug": slug, "visibility": "list",
                    "supported_reasoning_levels": efforts})
            })
            .collect();
        let models = serde_json::json!({ "models": models }).to_string();
        Self::listing(listener, Answer::error(200, &models), script)
    }

    /// One that answers with `models` whoever asks for the list of models.
    pub async fn with_list(
        models: Answer,
        script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listing(TcpListener::bind("127.0.0.1:0").await.unwrap(), models, script)
    }

    fn listing(
        listener: TcpListener,
        models: Answer,
        script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let base_url = format!("http://{}/codex", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (leave, left) = watch::channel(0);
        let script: Arc<Script> = Arc::new(script);
        let noted = Arc::clone(&seen);
        let calls = Arc::<Mutex<Calls>>::default();
        let counted = Arc::clone(&calls);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let connection = Connection {
                    stream,
                    script: Arc::clone(&script),
                    seen: Arc::clone(&noted),
                    leave: leave.clone(),
                    calls: Arc::clone(&counted),
                    models: models.clone(),
                };
                tokio::spawn(connection.serve());
            }
        });
        Self { base_url, seen, left, calls }
    }

    /// Always the same stream.
    pub async fn streaming(body: &str) -> Self {
        let body = body.to_owned();
        Self::start(&["gpt-5.5"], move |_, _| Answer::stream(body.clone())).await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many calls have come.
    pub async fn wait_for_calls(&self, count: usize) {
        let wait = async {
            while self.seen.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("no such call came");
    }

    /// How many calls were under way at once, at most.
    pub fn peak(&self) -> usize {
        self.calls.lock().unwrap().peak
    }

    /// Waits until so many clients have left.
    pub async fn wait_for_leave(&mut self, count: usize) {
        let wait = self.left.wait_for(|left| *left >= count);
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("nobody left").unwrap();
    }
}

struct Connection {
    stream: TcpStream,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
    leave: watch::Sender<usize>,
    calls: Arc<Mutex<Calls>>,
    models: Answer,
}

/// A call under way.
struct UnderWay(Arc<Mutex<Calls>>);

impl UnderWay {
    fn new(calls: &Arc<Mutex<Calls>>) -> Self {
        let mut counts = calls.lock().unwrap();
        counts.now += 1;
        counts.peak = counts.peak.max(counts.now);
        Self(Arc::clone(calls))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().unwrap().now -= 1;
    }
}

impl Connection {
    async fn serve(mut self) {
        while let Some(call) = Seen::read(&mut self.stream).await {
            let mut under_way = None;
            let answer = if call.head.starts_with("GET /codex/models?") {
                self.models.clone()
            } else {
                under_way = Some(UnderWay::new(&self.calls));
                let number = {
                    let mut seen = self.seen.lock().unwrap();
                    seen.push(call.clone());
                    seen.len() - 1
                };
                (self.script)(number, &call)
            };
            if let Some(mut gate) = answer.gate.clone() {
                let mut byte = [0];
                tokio::select! {
                    _ = gate.wait_for(|is_open| *is_open) => {}
                    _ = self.stream.read(&mut byte) => {
                        self.leave.send_modify(|left| *left += 1);
                        return;
                    }
                }
            }
            match answer.end {
                End::Proper => {
                    if self.write(&answer).await.is_err() {
                        self.leave.send_modify(|left| *left += 1);
                        return;
                    }
                }
                End::Cut => {
                    let _ = self.write(&answer).await;
                    return;
                }
                End::Reset => return,
                End::Silence | End::Mute => {
                    if answer.end == End::Silence {
                        let _ = self.write(&answer).await;
                    }
                    let mut byte = [0];
                    let _ = self.stream.read(&mut byte).await;
                    self.leave.send_modify(|left| *left += 1);
                    return;
                }
            }
            drop(under_way);
        }
    }

    async fn write(&mut self, answer: &Answer) -> std::io::Result<()> {
        let mut head =
            vec![format!("HTTP/1.1 {} X\r\ntransfer-encoding: chunked\r\n", answer.status)];
        head.extend(answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        head.push("\r\n".to_owned());
        let mut out = head.concat().into_bytes();
        for piece in pieces(&answer.body, answer.piece) {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        match answer.end {
            End::Proper => out.extend_from_slice(b"0\r\n\r\n"),
            // A chunk that is never finished.
            End::Cut => out.extend_from_slice(b"ff\r\n"),
            End::Silence | End::Reset | End::Mute => {}
        }
        self.stream.write_all(&out).await
    }
}

fn pieces(body: &[u8], how: Pieces) -> Vec<&[u8]> {
    match how {
        Pieces::Whole if body.is_empty() => Vec::new(),
        Pieces::Whole => vec![body],
        Pieces::Of(length) => body.chunks(length).collect(),
        Pieces::Random(seed) => {
            let mut state = seed;
            let mut rest = body;
            let mut out = Vec::new();
            while !rest.is_empty() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let length = usize::try_from(state >> 33).unwrap() % 40 + 1;
                let (piece, remaining) = rest.split_at(length.min(rest.len()));
                out.push(piece);
                rest = remaining;
            }
            out
        }
    }
}

/// Events as the backend writes them.
pub fn sse(events: &[Value]) -> String {
    let text =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(text).collect::<Vec<_>>().concat()
}

/// The events of a plain answer with these deltas.
pub fn text(deltas: &[&str]) -> Vec<Value> {
    use serde_json::json;
    let mut events = vec![
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.5"}}),
        json!({"type": "response.in_progress", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"id": "msg_1", "type": "message", "role": "assistant", "content": []}}),
    ];
    for delta in deltas {
        events.push(json!({"type": "response.output_text.delta", "output_index": 0,
            "content_index": 0, "item_id": "msg_1", "delta": delta}));
    }
    events
}

/// The end of an answer.
pub fn completed() -> Value {
    serde_json::json!({"type": "response.completed", "response": {"id": "resp_1",
        "status": "completed", "output": [], "usage": {"input_tokens": 10, "output_tokens": 5,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15}}})
}

/// A plain, complete answer.
pub fn answer(deltas: &[&str]) -> String {
    let mut events = text(deltas);
    events.push(completed());
    sse(&events)
}
