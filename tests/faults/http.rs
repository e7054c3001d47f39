//! HTTP as clients write it, and as those write it who want two sides to read it differently.

use serde_json::Value;

use crate::client::{Client, header};
use crate::support::backend::{Backend, answer};
use crate::support::daemon::{Daemon, hello};

async fn setup() -> (Backend, Daemon) {
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let daemon = Daemon::start(&backend.base_url).await;
    (backend, daemon)
}

fn text(reply: &str) -> Value {
    let body: Value = serde_json::from_str(reply).unwrap();
    body["choices"][0]["message"]["content"].clone()
}

#[tokio::test]
async fn every_form_of_a_good_request_is_answered() {
    let (backend, daemon) = setup().await;
    let body = hello().to_string();
    let length = format!("content-length: {}\r\n", body.len());
    let chunked = |body: &str, trailers: &str| {
        let (left, right) = body.split_at(7);
        let chunk = |text: &str| format!("{:X};name=value\r\n{text}\r\n", text.len());
        format!("{}{}0\r\n{trailers}\r\n", chunk(left), chunk(right))
    };
    let path = "/v1/chat/completions";
    let cases = [
        ("plain", path.to_owned(), String::new(), None),
        ("absolute", format!("http://localhost{path}"), String::new(), None),
        ("with a query", format!("{path}?beta=true&x=%20"), String::new(), None),
        ("any answer", path.to_owned(), "accept: */*\r\n".to_owned(), None),
        ("pictures only", path.to_owned(), "accept: image/png\r\n".to_owned(), None),
        ("gzip", path.to_owned(), "accept-encoding: gzip, br\r\n".to_owned(), None),
        (
            "charset",
            path.to_owned(),
            "content-type: application/json; charset=utf-8\r\n".to_owned(),
            None,
        ),
        ("another type", path.to_owned(), "content-type: application/x-json\r\n".to_owned(), None),
        ("chunks", path.to_owned(), String::new(), Some(chunked(&body, ""))),
        ("trailers", path.to_owned(), String::new(), Some(chunked(&body, "x-sum: 1\r\ny: 2\r\n"))),
    ];
    let count = cases.len();
    for (what, target, headers, chunks) in cases {
        let mut client = Client::connect(&daemon.url).await;
        let head = format!("POST {target} HTTP/1.1\r\nHOST:localhost\r\n{headers}");
        match chunks {
            None => client.send(format!("{head}{length}\r\n{body}")).await,
            Some(chunks) => {
                client.send(format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}")).await;
            }
        }
        let reply = client.reply().await;
        assert_eq!((reply.status, text(&reply.body)), (200, "Hello.".into()), "{what}");
        // The connection goes on.
        assert_eq!(client.ask_health().await.status, 200, "{what}");
    }
    // Only when the daemon says so is the body sent.
    let mut client = Client::connect(&daemon.url).await;
    client.begin_chat(&body).await;
    assert_eq!(text(&client.reply().await.body), "Hello.");
    // Old clients read until the connection ends.
    let mut client = Client::connect(&daemon.url).await;
    client.send(format!("POST {path} HTTP/1.0\r\nhost: localhost\r\n{length}\r\n{body}")).await;
    assert_eq!(text(&client.reply().await.body), "Hello.");
    assert_eq!(client.rest().await, "");
    assert_eq!(backend.seen().len(), count + 2);
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let (_backend, daemon) = setup().await;
    let body = hello().to_string();
    let chat = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let nope = "GET /nope HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let health = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut client = Client::connect(&daemon.url).await;
    client.send([health, &chat, nope, &chat, health].concat()).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(client.reply().await.status);
    }
    assert_eq!(statuses, [200, 200, 404, 200, 200]);
}

#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    let (_backend, daemon) = setup().await;
    for (path, status) in [("/health", "200"), ("/v1/models", "200"), ("/nope", "404")] {
        let mut client = Client::connect(&daemon.url).await;
        let close = "host: localhost\r\nconnection: close\r\n\r\n";
        client.send(format!("HEAD {path} HTTP/1.1\r\n{close}")).await;
        let rest = client.rest().await;
        assert!(rest.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {rest}");
        assert!(rest.ends_with("\r\n\r\n"), "{path}: {rest}");
        assert_ne!(header(&rest, "content-length"), Some("0"), "{path}");
    }
}

/// What such a request must not do is hide another one in it. What is behind it would be one.
#[tokio::test]
async fn no_request_hides_another_one() {
    let (backend, daemon) = setup().await;
    let body = hello().to_string();
    let length = body.len();
    let hidden = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n\
         {body}"
    );
    let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let plain = &body;
    // The headers that say how long the body is, and the body.
    let bad: Vec<(String, String)> = [
        (format!("content-length: {length}\r\ncontent-length: 5"), plain),
        (format!("content-length: {length}, 5"), plain),
        (format!("content-length: +{length}"), plain),
        (format!("content-length: -{length}"), plain),
        (format!("content-length: 0x{length:x}"), plain),
        (format!("content-length: {length} {length}"), plain),
        (format!("content-length: {length}a"), plain),
        ("content-length: 99999999999999999999999".to_owned(), plain),
        ("content-length:".to_owned(), plain),
        (format!("content-length : {length}"), plain),
        (format!("content-length\t: {length}"), plain),
        (format!("x: y\r\n content-length: 1\r\ncontent-length: {length}"), plain),
        ("transfer-encoding: xchunked".to_owned(), &chunk),
        ("transfer-encoding: chunked, identity".to_owned(), &chunk),
        ("transfer-encoding: identity".to_owned(), &chunk),
        ("transfer-encoding: \u{b}chunked".to_owned(), &chunk),
        ("transfer-encoding: \"chunked\"".to_owned(), &chunk),
        ("transfer-encoding : chunked".to_owned(), &chunk),
        ("transfer-encoding: gzip".to_owned(), &chunk),
        (format!("x: \0y\r\ncontent-length: {length}"), plain),
        (format!("x: a\rb\r\ncontent-length: {length}"), plain),
        (format!(": y\r\ncontent-length: {length}"), plain),
    ]
    .map(|(headers, body)| (headers, body.clone()))
    .into();
    for (headers, body) in bad {
        let mut client = Client::connect(&daemon.url).await;
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{headers}");
        client.send(format!("{head}\r\n\r\n{body}{hidden}")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{headers:?}: {}", reply.body);
        assert_eq!(reply.error(), (Value::Null, "invalid_request_error".into()), "{headers:?}");
        assert_eq!(client.rest().await, "", "{headers:?}");
    }
    assert!(backend.seen().is_empty());
    // Chunks that are none end the connection, too.
    for chunks in [
        format!("0x{length:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("-{length:x}\r\n{body}\r\n0\r\n\r\n"),
        format!("{length:x}\r\n{body}0\r\n\r\n"),
        format!("{length:x} x\r\n{body}\r\n0\r\n\r\n"),
        format!("ffffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        format!("\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let mut client = Client::connect(&daemon.url).await;
        client.send_chat_head("transfer-encoding: chunked\r\n").await;
        client.send(format!("{chunks}{hidden}")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{chunks:?}: {}", reply.body);
        assert_eq!(client.rest().await, "", "{chunks:?}");
    }
    assert!(backend.seen().is_empty());
    // With both, chunks count, and the connection ends with the answer.
    for headers in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        let mut client = Client::connect(&daemon.url).await;
        client.send_chat_head(&format!("{headers}connection: close\r\n")).await;
        client.send(format!("{chunk}{hidden}")).await;
        let rest = client.rest().await;
        assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{rest}");
    }
}
