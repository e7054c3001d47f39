//! The backend: answers every call with the same events.

use std::convert::Infallible;
use std::io::{BufReader, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{Instant, interval_at};

use crate::cases::{Answer, Wire};
use crate::{process, tls};

/// The process, seen from outside.
pub(crate) struct Handle {
    /// What is to be called.
    pub(crate) base: String,
    /// How.
    pub(crate) wire: Wire,
    /// Where its certificate is.
    pub(crate) roots: PathBuf,
    child: Child,
    control: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _folder: TempDir,
}

impl Handle {
    pub(crate) fn start(wire: Wire) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = process::role("upstream", &[wire.name(), folder.path().to_str().unwrap()]);
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = process::line(&mut output);
        let scheme = if wire == Wire::Plain { "http" } else { "https" };
        Self {
            base: format!("{scheme}://{address}/backend-api/codex"),
            wire,
            roots: tls::roots(folder.path()),
            child,
            control: Mutex::new((input, output)),
            _folder: folder,
        }
    }

    /// Has all calls answered so from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        let mut control = self.control.lock().unwrap();
        let pace = answer.pace.unwrap_or_default().as_micros();
        writeln!(control.0, "{} {pace}", answer.deltas).unwrap();
        assert_eq!(process::line(&mut control.1), "so be it");
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process itself.
pub(crate) async fn run() {
    let (wire, folder) = {
        let mut arguments = std::env::args().skip(1);
        (Wire::of(&arguments.next().unwrap()), PathBuf::from(arguments.next().unwrap()))
    };
    let acceptor = (wire != Wire::Plain).then(|| tls::acceptor(wire, &folder));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let script = Arc::new(Mutex::new(Arc::new(Script::new(Answer { deltas: 2, pace: None }))));
    let told = Arc::clone(&script);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let (deltas, pace) = line.split_once(' ').unwrap();
            let pace = Duration::from_micros(pace.parse().unwrap());
            let pace = (!pace.is_zero()).then_some(pace);
            let answer = Answer { deltas: deltas.parse().unwrap(), pace };
            *told.lock().unwrap() = Arc::new(Script::new(answer));
            println!("so be it");
        }
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (script, acceptor) = (Arc::clone(&script), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => serve(stream, script).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, script).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    script: Arc<Mutex<Arc<Script>>>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let script = Arc::clone(&script.lock().unwrap());
        async move {
            if request.method() == Method::GET {
                return Ok::<_, Infallible>(Response::new(Full::from(catalogue()).boxed_unsync()));
            }
            // Whoever is still sending is not answered.
            let _ = request.into_body().collect().await;
            let body = StreamBody::new(Script::play(script).map(|event| Ok(Frame::data(event))));
            Ok(Response::builder()
                .header("content-type", "text/event-stream")
                .body(body.boxed_unsync())
                .unwrap())
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(4096);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn catalogue() -> String {
    let efforts = ["low", "medium", "high"].map(|effort| json!({ "effort": effort }));
    json!({"models": [{"slug": "gpt-5.5", "visibility": "list",
        "supported_reasoning_levels": efforts}]})
    .to_string()
}

/// The events of an answer, made once.
struct Script {
    beginning: Vec<Bytes>,
    deltas: Vec<Bytes>,
    end: Vec<Bytes>,
    pace: Option<Duration>,
}

const ITEM: &str = "msg_0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071";

impl Script {
    fn new(answer: Answer) -> Self {
        let response = |status: &str| {
            json!({"id": "resp_0a1b2c3d4e5f60718293a4b5c6d7e8f9", "object": "response",
                "created_at": 1_780_000_000, "status": status, "model": "gpt-5.5", "output": [],
                "parallel_tool_calls": true, "store": false, "tools": [], "usage": null})
        };
        let mut number = 0;
        // With the type first, as the backend writes it.
        let mut event = |mut event: Value| {
            let kind = event.as_object_mut().unwrap().remove("type").unwrap();
            let (kind, rest) = (kind.as_str().unwrap(), event.to_string());
            let data = format!("{{\"type\":\"{kind}\",\"sequence_number\":{number},{}", &rest[1..]);
            number += 1;
            Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
        };
        let item = |status: &str, content: Value| {
            json!({"id": ITEM, "type": "message", "status": status, "role": "assistant",
                "content": content})
        };
        let part = |text: &str| json!({"type": "output_text", "annotations": [], "text": text});
        let beginning = [
            json!({"type": "response.created", "response": response("in_progress")}),
            json!({"type": "response.in_progress", "response": response("in_progress")}),
            json!({"type": "response.output_item.added", "output_index": 0,
                "item": item("in_progress", json!([]))}),
            json!({"type": "response.content_part.added", "item_id": ITEM, "output_index": 0,
                "content_index": 0, "part": part("")}),
        ]
        .map(&mut event)
        .to_vec();
        let texts: Vec<String> = (0..answer.deltas).map(|index| format!(" word{index}")).collect();
        let deltas = texts
            .iter()
            .map(|text| {
                event(json!({"type": "response.output_text.delta", "item_id": ITEM,
                    "output_index": 0, "content_index": 0, "delta": text, "logprobs": [],
                    "obfuscation": "9fGh2kLmN0"}))
            })
            .collect();
        let text = texts.concat();
        let mut completed = response("completed");
        completed["usage"] = json!({"input_tokens": 20, "output_tokens": answer.deltas,
            "total_tokens": 20 + answer.deltas,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0}});
        let end = [
            json!({"type": "response.output_text.done", "item_id": ITEM, "output_index": 0,
                "content_index": 0, "text": text}),
            json!({"type": "response.content_part.done", "item_id": ITEM, "output_index": 0,
                "content_index": 0, "part": part(&text)}),
            json!({"type": "response.output_item.done", "output_index": 0,
                "item": item("completed", json!([part(&text)]))}),
            json!({"type": "response.completed", "response": completed}),
        ]
        .map(&mut event)
        .to_vec();
        Self { beginning, deltas, end, pace: answer.pace }
    }

    fn play(script: Arc<Self>) -> Pin<Box<dyn Stream<Item = Bytes> + Send>> {
        let all = script.beginning.len() + script.deltas.len() + script.end.len();
        let Some(pace) = script.pace else {
            return stream::iter(0..all).map(move |index| script.event(index)).boxed();
        };
        let beginning = script.beginning.len();
        let paced = beginning..beginning + script.deltas.len();
        // Not all streams at the same moments.
        let ticks = interval_at(Instant::now() + pace.mul_f64(fastrand::f64()), pace);
        stream::unfold((0, ticks), move |(index, mut ticks)| {
            let (script, is_paced) = (Arc::clone(&script), paced.contains(&index));
            async move {
                if index == all {
                    return None;
                }
                if is_paced {
                    ticks.tick().await;
                }
                Some((script.event(index), (index + 1, ticks)))
            }
        })
        .boxed()
    }

    fn event(&self, index: usize) -> Bytes {
        let rest = index.checked_sub(self.beginning.len());
        match rest {
            None => self.beginning[index].clone(),
            Some(rest) if rest < self.deltas.len() => self.deltas[rest].clone(),
            Some(rest) => self.end[rest - self.deltas.len()].clone(),
        }
    }
}
