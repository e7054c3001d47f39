//! What comes at once goes out at once, and not in a write for each event.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::backend::{Answer, Backend, Pieces, answer};
use crate::support::daemon::{Daemon, hello, with};

/// How many pieces the body of an answer comes in, and its text.
async fn pieces(daemon: &Daemon) -> (usize, String) {
    let body = with(hello(), serde_json::json!({"stream": true})).to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
         application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let address = daemon.url.strip_prefix("http://").unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    let (head, mut rest) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let (mut count, mut text) = (0, String::new());
    loop {
        let (length, more) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return (count, text);
        }
        text.push_str(&more[..length]);
        rest = &more[length + 2..];
        count += 1;
    }
}

#[tokio::test]
async fn the_chunks_of_a_burst_share_writes() {
    const WORDS: usize = 300;
    let words: Vec<String> = (0..WORDS).map(|number| format!("word{number} ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Each piece is one that the reader of the backend's answers hands over by itself.
    let stream = Answer::stream(answer(&words)).in_pieces(Pieces::Of(150));
    let backend = Backend::start(&["gpt-5.5"], move |_, _| stream.clone()).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (count, text) = pieces(&daemon).await;
    assert_eq!(text.matches("\"content\":\"word").count(), WORDS);
    assert!(text.ends_with("data: [DONE]\n\n"));
    // 16 KiB at most go out at a time, and there is more than that.
    assert!((2..=WORDS / 5).contains(&count), "{count} writes");
}
