//! Request bodies with a content-encoding.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::support::backend::{Backend, answer};
use crate::support::daemon::{Daemon, hello, with};

const MIB: usize = 1 << 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

/// Sends a chat request with this body in pieces of this size.
async fn ask(daemon: &Daemon, headers: &str, body: &[u8], piece: usize) -> Reply {
    let mut client = Client::connect(&daemon.url).await;
    client.send_chat_head(&format!("{headers}content-length: {}\r\n", body.len())).await;
    for piece in body.chunks(piece.max(1)) {
        client.send(piece).await;
    }
    client.reply().await
}

#[tokio::test]
async fn compressed_bodies_are_decoded() {
    let backend = Backend::streaming(&answer(&["Hello."])).await;
    let daemon = Daemon::with_settings(&backend.base_url, "[server]\nmax_body_mib = 1").await;
    let words = "The quick brown fox. ".repeat(40_000);
    let long = with(hello(), json!({"messages": [{"role": "user", "content": words}]})).to_string();
    let short = hello().to_string();
    let (left, right) = short.split_at(20);
    let in_two =
        |pack: fn(&[u8]) -> Vec<u8>| [pack(left.as_bytes()), pack(right.as_bytes())].concat();
    let cases: Vec<(&str, Vec<u8>, usize)> = vec![
        ("gzip", gzip(short.as_bytes()), MIB),
        ("GZIP", gzip(short.as_bytes()), 1),
        ("x-gzip", gzip(short.as_bytes()), MIB),
        ("zstd", zstd(short.as_bytes()), MIB),
        ("zstd", zstd(short.as_bytes()), 1),
        ("identity", short.clone().into_bytes(), MIB),
        ("gzip", in_two(gzip), MIB),
        ("zstd", in_two(zstd), MIB),
        ("gzip", gzip(long.as_bytes()), 1000),
        ("zstd", zstd(long.as_bytes()), 1000),
    ];
    for (index, (encoding, body, piece)) in cases.into_iter().enumerate() {
        let headers = format!("content-encoding: {encoding}\r\n");
        let reply = ask(&daemon, &headers, &body, piece).await;
        assert_eq!(reply.status, 200, "{index} {encoding}: {}", reply.body);
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), 10);
    let text = |call: usize| seen[call].json()["input"][0]["content"][0]["text"].clone();
    assert_eq!(text(6), "Hello");
    assert_eq!(text(8), words);
    assert_eq!(text(9), words);
}

#[tokio::test]
async fn a_small_body_that_stands_for_a_large_one_is_too_large() {
    let daemon = Daemon::with_settings("http://127.0.0.1:1", "[server]\nmax_body_mib = 1").await;
    let over = " ".repeat(MIB) + &hello().to_string();
    let bomb = vec![b' '; 32 * MIB];
    for (encoding, body) in [
        ("gzip", gzip(over.as_bytes())),
        ("zstd", zstd(over.as_bytes())),
        ("gzip", gzip(&bomb)),
        ("zstd", zstd(&bomb)),
    ] {
        let reply = ask(&daemon, &format!("content-encoding: {encoding}\r\n"), &body, MIB).await;
        assert_eq!(reply.status, 413, "{encoding}: {}", reply.body);
        assert!(reply.body.contains("larger than 1 MiB"), "{}", reply.body);
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_is_told_by_name() {
    let daemon = Daemon::start("http://127.0.0.1:1").await;
    let short = hello().to_string();
    let cut = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 5);
        bytes
    };
    let wrong_sum = |mut bytes: Vec<u8>| {
        let at = bytes.len() - 8;
        bytes[at] ^= 1;
        bytes
    };
    let junk_behind = |bytes: Vec<u8>| [&bytes[..], b"junk"].concat();
    for (encoding, body, status, code, named) in [
        ("br", short.clone().into_bytes(), 415, json!("unsupported_content_encoding"), "\"br\""),
        ("deflate", vec![], 415, json!("unsupported_content_encoding"), "\"deflate\""),
        ("gzip, zstd", vec![], 415, json!("unsupported_content_encoding"), "\"gzip, zstd\""),
        ("gzip", short.clone().into_bytes(), 400, Value::Null, "content-encoding"),
        ("zstd", short.clone().into_bytes(), 400, Value::Null, "content-encoding"),
        ("gzip", vec![], 400, Value::Null, "content-encoding"),
        ("zstd", vec![], 400, Value::Null, "content-encoding"),
        ("gzip", cut(gzip(short.as_bytes())), 400, Value::Null, "content-encoding"),
        ("zstd", cut(zstd(short.as_bytes())), 400, Value::Null, "content-encoding"),
        ("gzip", wrong_sum(gzip(short.as_bytes())), 400, Value::Null, "content-encoding"),
        ("gzip", junk_behind(gzip(short.as_bytes())), 400, Value::Null, "content-encoding"),
        ("zstd", junk_behind(zstd(short.as_bytes())), 400, Value::Null, "content-encoding"),
        ("zstd", zstd(&gzip(short.as_bytes())), 400, Value::Null, "parse the JSON"),
    ] {
        let reply = ask(&daemon, &format!("content-encoding: {encoding}\r\n"), &body, MIB).await;
        assert_eq!(reply.status, status, "{encoding}: {}", reply.body);
        assert_eq!(reply.error(), (code, "invalid_request_error".into()), "{encoding}");
        assert!(reply.body.replace('\\', "").contains(named), "{encoding}: {}", reply.body);
    }
}
