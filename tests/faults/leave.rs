//! Clients that leave, in any phase of a call, take their upstream calls with them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::backend::{Answer, Backend, End, answer, sse, text};
use crate::support::daemon::{Daemon, hello, with};

/// What a call may take to end on a machine that is busy with everything else.
const SOON: Duration = Duration::from_secs(2);

/// A client that has asked and has not read the answer. Dropping it closes the connection.
async fn ask(daemon: &Daemon, is_streamed: bool) -> TcpStream {
    let mut client = connect(daemon).await;
    client.write_all(&request(is_streamed)).await.unwrap();
    client
}

async fn connect(daemon: &Daemon) -> TcpStream {
    TcpStream::connect(daemon.url.strip_prefix("http://").unwrap()).await.unwrap()
}

fn request(is_streamed: bool) -> Vec<u8> {
    let body = with(hello(), json!({"stream": is_streamed})).to_string();
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
         application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Reads until these bytes have come.
async fn read_until(client: &mut TcpStream, piece: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(piece) {
        assert!(client.read_buf(&mut read).await.unwrap() > 0, "ended without {piece:?}");
    }
}

/// Waits until the backend knows that so many have left, and says how long that took.
async fn time_to_leave(backend: &mut Backend, count: usize) -> Duration {
    let left = Instant::now();
    backend.wait_for_leave(count).await;
    left.elapsed()
}

fn begun() -> Vec<Value> {
    text(&[])[..2].to_vec()
}

#[tokio::test]
async fn leaving_ends_the_call_in_every_phase_of_the_answer() {
    for (phase, part, end) in [
        ("before the head", vec![], End::Mute),
        ("between the head and the first event", vec![], End::Silence),
        ("before the first delta", begun(), End::Silence),
        ("in the middle", text(&["Hel"]), End::Silence),
    ] {
        for is_streamed in [false, true] {
            let said = Answer::stream(sse(&part)).ending(end);
            let mut backend = Backend::start(&["gpt-5.5"], move |_, _| said.clone()).await;
            let daemon = Daemon::start(&backend.base_url).await;
            let mut client = ask(&daemon, is_streamed).await;
            backend.wait_for_calls(1).await;
            if is_streamed && phase == "in the middle" {
                read_until(&mut client, "Hel").await;
            }
            drop(client);
            let took = time_to_leave(&mut backend, 1).await;
            assert!(took < SOON, "{phase}, streamed {is_streamed}: {took:?}");
            assert_eq!(backend.seen().len(), 1, "{phase}");
        }
    }
}

#[tokio::test]
async fn half_of_all_leaves_are_noticed_within_a_tenth_of_a_second() {
    let part = sse(&text(&["Hel"]));
    let mut backend =
        Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(part.clone()).ending(End::Silence))
            .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let mut times = Vec::new();
    for number in 1..=50 {
        let is_streamed = number % 2 == 0;
        let mut client = ask(&daemon, is_streamed).await;
        backend.wait_for_calls(number).await;
        if is_streamed {
            read_until(&mut client, "Hel").await;
        }
        drop(client);
        times.push(time_to_leave(&mut backend, number).await);
    }
    times.sort();
    let median = times[times.len() / 2];
    eprintln!("median of 50 leaves: {median:?}; the slowest: {:?}", times[49]);
    assert!(median < Duration::from_millis(100), "{times:?}");
}

/// The client reads nothing, so that the daemon cannot write and the backend neither.
#[tokio::test]
async fn leaving_ends_a_call_that_the_client_itself_has_stopped() {
    let piece = "x".repeat(1 << 16);
    let body = answer(&vec![piece.as_str(); 400]);
    let mut backend = Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(body.clone())).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let mut client = ask(&daemon, true).await;
    read_until(&mut client, "xxx").await;
    // All buffers fill up meanwhile; leaving works before as well.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(client);
    let took = time_to_leave(&mut backend, 1).await;
    assert!(took < SOON, "{took:?}");
}

#[tokio::test]
async fn leaving_ends_the_pause_before_a_call_is_sent_again() {
    for is_streamed in [false, true] {
        let backend = Backend::start(&["gpt-5.5"], |number, _| match number {
            0 => Answer::error(503, r#"{"detail":"Try again in 9s."}"#),
            _ => Answer::stream(answer(&["Hi"])),
        })
        .await;
        let settings = "[upstream]\nmax_in_flight = 1\nmax_queued = 0";
        let daemon = Daemon::with_settings(&backend.base_url, settings).await;
        let client = ask(&daemon, is_streamed).await;
        backend.wait_for_calls(1).await;
        // The pause has the only place.
        assert_eq!(daemon.ask(&hello()).await.0, 429);
        drop(client);
        let left = Instant::now();
        while daemon.ask(&hello()).await.0 == 429 {
            assert!(left.elapsed() < SOON, "the pause goes on");
        }
        assert_eq!(backend.seen().len(), 2);
    }
}

#[cfg(target_os = "linux")]
mod connecting {
    use tokio::net::TcpListener;

    use super::super::retry::{closed, fill};
    use super::*;

    /// How many connections to the port are being tried.
    fn tried(port: u16) -> usize {
        const SYN_SENT: &str = "02";
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let to = format!(":{port:04X}");
        let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        columns.filter(|line| line[2].ends_with(&to) && line[3] == SYN_SENT).count()
    }

    #[tokio::test]
    async fn leaving_ends_an_attempt_to_connect() {
        let (socket, url) = closed();
        let listener = socket.listen(1).unwrap();
        let port = listener.local_addr().unwrap().port();
        let daemon = Daemon::start(&url).await;
        // The daemon gets its list of models, and from then on nobody gets through.
        let (listed, ()) = tokio::join!(daemon.get("/v1/models"), list_models(&listener));
        let listed = listed.text().await.unwrap();
        assert!(listed.contains("gpt-5.5"), "{listed}");
        let _line = fill(&listener).await;

        for is_streamed in [false, true] {
            let client = ask(&daemon, is_streamed).await;
            wait_for(|| tried(port) > 0, "no attempt").await;
            drop(client);
            let took = wait_for(|| tried(port) == 0, "the attempt goes on").await;
            assert!(took < SOON, "streamed {is_streamed}: {took:?}");
        }
    }

    /// Answers one question for the models, and closes the connection.
    async fn list_models(listener: &TcpListener) {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        assert!(connection.read(&mut head).await.unwrap() > 0);
        let list = r#"{"models":[{"slug":"gpt-5.5","visibility":"list"}]}"#;
        let length = list.len();
        let said = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{list}"
        );
        connection.write_all(said.as_bytes()).await.unwrap();
    }

    async fn wait_for(happens: impl Fn() -> bool, failure: &str) -> Duration {
        let begun = Instant::now();
        while !happens() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{failure}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        begun.elapsed()
    }
}
