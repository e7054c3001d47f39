//! Being told to stop: answers end properly, or with an error that says so.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::time::Duration;

use codex_proxy::server::Limits;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::client::{Client, PATIENCE, Reply, events, header};
use crate::support::backend::{Answer, Backend, End, answer, sse, text};
use crate::support::daemon::{Daemon, hello, with};
use crate::support::program::Program;

const CODE: &str = "server_shutting_down";

/// A request that the simulated backend answers as told.
fn told(directives: &[&str], is_streamed: bool) -> String {
    let prompt = format!("[[simulate: {}]]", directives.join("]] [[simulate: "));
    let request = json!({"model": "gpt-5.5", "stream": is_streamed, "reasoning_effort": "none",
        "messages": [{"role": "user", "content": prompt}]});
    request.to_string()
}

/// Asks for a stream and waits for its first words.
async fn begin(url: &str, directives: &[&str]) -> Client {
    let mut client = Client::connect(url).await;
    client.send_chat(&told(directives, true)).await;
    client.read_past("\"content\":").await;
    client
}

fn assert_cut(reply: &Reply) {
    assert_eq!(reply.status, 503);
    assert_eq!(reply.error(), (CODE.into(), "server_error".into()));
    assert_eq!(header(&reply.head, "retry-after"), Some("5"));
    assert_eq!(header(&reply.head, "connection"), Some("close"));
}

/// The stream is complete as a body, and ends with the error and `[DONE]`.
fn assert_stream_cut(rest: &str) {
    let events = events(rest);
    let [.., error, "[DONE]"] = &events[..] else { panic!("{rest}") };
    let error: Value = serde_json::from_str(error).unwrap();
    assert_eq!(error["error"]["code"], CODE);
    assert_eq!(error["error"]["type"], "server_error");
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn answers_under_way_come_to_their_ends() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::simulating(&[]);
        let url = program.url();
        let mut idle = Client::connect(&url).await;
        assert_eq!(idle.ask_health().await.status, 200);
        let mut silent = Client::connect(&url).await;
        let mut whole = Client::connect(&url).await;
        whole.begin_chat(&told(&["deltas 10", "pace 40"], false)).await;
        let mut stream = begin(&url, &["deltas 20", "pace 40"]).await;

        program.signal(signal);
        program.wait_for("stopping");
        assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err());
        assert_eq!(idle.rest().await, "");
        assert_eq!(silent.rest().await, "");
        assert_eq!(whole.reply().await.status, 200);
        let rest = stream.rest().await;
        assert!(rest.contains("\"finish_reason\":\"stop\""), "{rest}");
        assert!(rest.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{rest}");
        let (status, log) = program.ended(PATIENCE);
        assert!(status.success(), "{log}");
        assert!(!log.contains("shutdown timeout"), "{log}");
    }
}

#[tokio::test]
async fn what_has_not_ended_in_time_is_told_so() {
    let mut program = Program::simulating(&[("CODEX_PROXY_SERVER_SHUTDOWN_SECS", "1")]);
    let url = program.url();
    let mut stream = begin(&url, &["deltas 5", "stall after=2"]).await;
    let mut whole = Client::connect(&url).await;
    whole.begin_chat(&told(&["deltas 5", "stall after=2"], false)).await;
    let mut waiting = Client::connect(&url).await;
    waiting.begin_chat(&told(&["stall after=0"], true)).await;
    program.signal(Signal::TERM);
    assert_stream_cut(&stream.rest().await);
    assert_cut(&whole.reply().await);
    drop(waiting);
    let (status, log) = program.ended(PATIENCE);
    assert!(status.success(), "{log}");
    assert!(log.contains("shutdown timeout reached"), "{log}");
    assert!(!log.contains("dropping connections"), "{log}");
    assert!(log.matches(" failed ").count() >= 2, "{log}");
    assert!(!log.contains("status=499"), "{log}");
}

#[tokio::test]
async fn without_patience_all_is_cut_at_once() {
    let mut program = Program::simulating(&[("CODEX_PROXY_SERVER_SHUTDOWN_SECS", "0")]);
    let url = program.url();
    let mut stream = begin(&url, &["deltas 5", "stall after=2"]).await;
    program.signal(Signal::INT);
    assert_stream_cut(&stream.rest().await);
    assert!(program.ended(PATIENCE).0.success());
}

#[tokio::test]
async fn a_second_signal_ends_the_process() {
    for (seconds, said) in [("3600", "stopping"), ("0", "shutdown timeout reached")] {
        let mut program = Program::simulating(&[("CODEX_PROXY_SERVER_SHUTDOWN_SECS", seconds)]);
        let url = program.url();
        // It never gets to asking, so there is nothing to tell it, and it stays to the last.
        let mut beginning = Client::connect(&url).await;
        beginning.send("GET /health HTTP/1.1\r\n").await;
        let _stream = begin(&url, &["deltas 5", "stall after=2"]).await;
        program.signal(Signal::TERM);
        program.wait_for(said);
        program.signal(Signal::INT);
        let (status, log) = program.ended(PATIENCE);
        assert!(status.success(), "{log}");
        assert!(log.contains("second signal"), "{log}");
    }
}

#[tokio::test]
async fn a_signal_is_heard_as_soon_as_the_daemon_says_that_it_listens() {
    let mut program = Program::simulating(&[]);
    program.wait_for("codex-proxy is listening");
    program.signal(Signal::TERM);
    let (status, log) = program.ended(PATIENCE);
    assert!(status.success(), "{log}");
}

#[tokio::test]
async fn the_simulated_backend_alone_stops_too() {
    for again in [false, true] {
        let mut program = Program::with(&["simulate", "--listen", "127.0.0.1:0"], &[]);
        let log = program.wait_for("is listening");
        let at = log.find("127.0.0.1:").unwrap();
        let address: String = log[at..].chars().take_while(|c| !c.is_whitespace()).collect();
        // A request that never ends keeps it until it is told twice.
        let mut open = TcpStream::connect(&address).await.unwrap();
        if again {
            open.write_all(b"POST /responses HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
                .await
                .unwrap();
        }
        program.signal(Signal::TERM);
        if again {
            program.signal(Signal::INT);
        }
        drop(open);
        assert!(program.ended(PATIENCE).0.success());
    }
}

fn limits() -> Limits {
    let drain = Duration::from_millis(50);
    Limits { drain, farewell: PATIENCE, ..Limits::default() }
}

async fn backend(answer: Answer) -> Backend {
    Backend::start(&["gpt-5.5"], move |_, _| answer.clone()).await
}

#[tokio::test]
async fn calls_end_with_the_answers_that_are_cut() {
    let mut backend = backend(Answer::stream(sse(&text(&["Hello"]))).ending(End::Silence)).await;
    let daemon = Daemon::with_limits(&backend.base_url, "", limits()).await;
    let mut stream = Client::connect(&daemon.url).await;
    stream.send_chat(&with(hello(), json!({"stream": true})).to_string()).await;
    stream.read_past("\"content\":").await;
    let mut whole = Client::connect(&daemon.url).await;
    whole.send_chat(&hello().to_string()).await;
    while backend.seen().len() < 2 {
        tokio::task::yield_now().await;
    }
    let stopped = daemon.stop();
    assert_stream_cut(&stream.rest().await);
    assert_cut(&whole.reply().await);
    backend.wait_for_leave(2).await;
    stopped.await.unwrap();
}

#[tokio::test]
async fn requests_that_still_wait_are_told_as_well() {
    // Nothing has come of the answer, so the status is still open.
    let mut silent = backend(Answer::stream("").ending(End::Silence)).await;
    let daemon = Daemon::with_limits(&silent.base_url, "", limits()).await;
    let mut unanswered = Client::connect(&daemon.url).await;
    unanswered.send_chat(&with(hello(), json!({"stream": true})).to_string()).await;
    let mut half = Client::connect(&daemon.url).await;
    half.begin_chat_of("{\"model\": ", 100).await;
    while silent.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let stopped = daemon.stop();
    let reply = unanswered.reply().await;
    assert_cut(&reply);
    assert!(header(&reply.head, "x-request-id").is_some(), "{reply:?}");
    assert_cut(&half.reply().await);
    silent.wait_for_leave(1).await;
    stopped.await.unwrap();
}

#[tokio::test]
async fn clients_that_take_nothing_are_dropped_in_the_end() {
    // The buffers of four sockets may take more than 16 MiB.
    let word = "x".repeat(64 << 10);
    let mut backend = backend(Answer::stream(answer(&[word.as_str(); 1024]))).await;
    let brief = Duration::from_millis(200);
    let limits = Limits { drain: brief, farewell: brief, ..limits() };
    let daemon = Daemon::with_limits(&backend.base_url, "", limits).await;
    let mut client = Client::with_little_room(&daemon.url).await;
    client.send_chat(&with(hello(), json!({"stream": true})).to_string()).await;
    client.read_past("\"content\":").await;
    // The rest is more than fits into all buffers on the way.
    timeout(PATIENCE, daemon.stop()).await.expect("it waits for the client").unwrap();
    backend.wait_for_leave(1).await;
}

async fn ask_through(path: &std::path::Path) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let request = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn a_unix_socket_comes_and_goes_with_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let listen = format!("unix:{}", path.display());
    let arguments = ["serve", "--simulate", "--listen", &listen];
    let curl = format!("curl --unix-socket {} http://localhost/v1/models", path.display());

    let mut killed = Program::with(&arguments, &[]);
    killed.wait_for(&curl);
    let file = std::fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert!(ask_through(&path).await.starts_with("HTTP/1.1 200 "));

    let mut second = Program::with(&arguments, &[]);
    let (status, log) = second.ended(PATIENCE);
    assert_eq!(status.code(), Some(69), "{log}");
    assert!(log.contains("it is in use"), "{log}");

    killed.signal(Signal::KILL);
    killed.ended(PATIENCE);
    assert!(path.exists());
    for signals in [&[Signal::TERM][..], &[Signal::TERM, Signal::TERM]] {
        let mut next = Program::with(&arguments, &[]);
        next.wait_for(&curl);
        assert!(ask_through(&path).await.starts_with("HTTP/1.1 200 "));
        for &signal in signals {
            next.signal(signal);
        }
        let (status, log) = next.ended(PATIENCE);
        assert!(status.success(), "{log}");
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn a_file_in_the_sockets_place_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    std::fs::write(&path, "mine").unwrap();
    let listen = format!("unix:{}", path.display());
    let mut program = Program::with(&["serve", "--simulate", "--listen", &listen], &[]);
    let (status, log) = program.ended(PATIENCE);
    assert_eq!(status.code(), Some(69), "{log}");
    assert!(log.contains("is not a socket"), "{log}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}
