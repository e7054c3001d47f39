//! Requests that are compressed on their way to the backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codex_proxy::simulator::{Log, Outcome, Replay, Settings, Simulator};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use crate::raw::{ATTACK, Call, Host, OK};
use crate::support::backend::{Seen, answer};
use crate::support::daemon::{Daemon, hello, with};
use crate::tls::{Authority, listen, listen_with};

const ON: &str =
    "[upstream]\ncompression = \"on\"\nmax_retries = 1\n[continuity]\nenabled = false\n";

/// A request that is worth compressing.
fn long(prompt: &str) -> Value {
    let history = "One of many things that were said before. ".repeat(1000);
    let messages = json!([{"role": "user", "content": history},
        {"role": "assistant", "content": "Well."}, {"role": "user", "content": prompt}]);
    with(hello(), json!({ "messages": messages }))
}

fn is_packed(call: &Seen) -> bool {
    call.head.contains("\r\ncontent-encoding: zstd\r\n")
}

/// What stands in the body of a call.
fn body(call: &Seen) -> Value {
    if is_packed(call) {
        let unpacked = zstd::decode_all(&call.body[..]).unwrap();
        assert!(call.body.len() * 10 < unpacked.len());
        serde_json::from_slice(&unpacked).unwrap()
    } else {
        serde_json::from_slice(&call.body).unwrap()
    }
}

/// The calls that came to a backend, which answers the first of them with these and the rest well.
async fn backend(refusals: &'static [&'static str]) -> (Host, Authority, u16) {
    let count = AtomicUsize::new(0);
    let host = Host::new(move |call: Call| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let well = format!("{OK}{}", answer(&["Hello"]));
        let said = refusals.get(number).map_or(well, |&refusal| refusal.to_owned());
        async move { call.say(said.as_bytes()).await }
    });
    let authority = Authority::new("ours");
    let port = listen(&host, authority.server(&["127.0.0.1"])).await;
    (host, authority, port)
}

async fn daemon(authority: &Authority, port: u16, settings: &str) -> Daemon {
    // Where the simulated backend is; the other one is anywhere.
    let base = format!("https://127.0.0.1:{port}/backend-api/codex");
    Daemon::with_roots(&base, settings, &authority.file()).await
}

fn calls(host: &Host) -> Vec<Seen> {
    host.seen().into_iter().filter(|seen| seen.head.starts_with("POST ")).collect()
}

#[tokio::test]
async fn long_requests_are_compressed_and_short_ones_are_not() {
    let (host, authority, port) = backend(&[]).await;
    let daemon = daemon(&authority, port, ON).await;
    for request in [long("Hello"), long("Hello"), hello()] {
        assert_eq!(daemon.ask(&request).await.0, 200);
    }
    let calls = calls(&host);
    assert_eq!(calls.iter().map(is_packed).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(calls[0].body, calls[1].body);
    assert_eq!(body(&calls[0])["input"][2]["content"][0]["text"], "Hello");
}

#[tokio::test]
async fn other_backends_than_the_real_one_get_compressed_requests_only_if_they_are_to() {
    for settings in ["", "[upstream]\ncompression = \"off\"\n"] {
        let (host, authority, port) = backend(&[]).await;
        let daemon = daemon(&authority, port, settings).await;
        assert_eq!(daemon.ask(&long("Hello")).await.0, 200);
        assert!(!is_packed(&calls(&host)[0]));
    }
}

#[tokio::test]
async fn over_plain_http_nothing_is_compressed() {
    let host = Host::saying(format!("{OK}{}", answer(&["Hello"])));
    let daemon = Daemon::with_settings(&host.listen().await, ON).await;
    assert_eq!(daemon.ask(&long(ATTACK)).await.0, 200);
    assert!(!is_packed(&calls(&host)[0]));
}

#[tokio::test]
async fn a_backend_that_takes_no_compressed_requests_is_not_sent_another() {
    let unsupported = "HTTP/1.1 415 Unsupported Media Type\r\ncontent-length: 0\r\n\r\n";
    let named = "HTTP/1.1 400 Bad Request\r\ncontent-length: 43\r\n\r\n\
                 {\"detail\":\"Content-Encoding not supported\"}";
    for refusals in [vec![unsupported], vec![named]] {
        let (host, authority, port) = backend(refusals.leak()).await;
        let daemon = daemon(&authority, port, ON).await;
        for is_streamed in [false, true] {
            let response =
                daemon.post(with(long(ATTACK), json!({"stream": is_streamed})).to_string()).await;
            assert_eq!(response.status(), 200);
            assert!(response.text().await.unwrap().contains("Hello"));
        }
        let calls = calls(&host);
        assert_eq!(calls.iter().map(is_packed).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(body(&calls[0]), body(&calls[1]));
    }
}

#[tokio::test]
async fn other_failures_are_not_laid_to_the_encoding() {
    let wrong =
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 24\r\n\r\n{\"detail\":\"Not like so\"}";
    let overloaded = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 2\r\n\
                      \r\n{}";
    let unsupported = "HTTP/1.1 415 Unsupported Media Type\r\ncontent-length: 0\r\n\r\n";
    for (refusals, statuses, packed) in [
        // Not sent again.
        (vec![wrong], [400, 200], &[true, true][..]),
        // Sent again as it was.
        (vec![overloaded], [200, 200], &[true, true, true]),
        // It is refused without compression too: nothing is sent a third time.
        (vec![unsupported, unsupported], [415, 200], &[true, false, false]),
    ] {
        let (host, authority, port) = backend(refusals.leak()).await;
        let daemon = daemon(&authority, port, ON).await;
        let mut told = Vec::new();
        for _ in 0..2 {
            told.push(daemon.ask(&long(ATTACK)).await.0);
        }
        let calls = calls(&host);
        assert_eq!(calls.iter().map(is_packed).collect::<Vec<_>>(), packed);
        assert_eq!(told[1], statuses[1]);
        assert_eq!(told[0] == 200, statuses[0] == 200, "{told:?}");
        if told[0] == 200 {
            assert_eq!(calls[0].body, calls[1].body);
        }
    }
}

/// The simulated backend, encrypted.
async fn simulator(authority: &Authority, settings: Settings) -> (Log, u16) {
    let simulator = Simulator::new(settings);
    let log = simulator.log();
    let port = listen_with(authority.server(&["127.0.0.1"]), move |stream| {
        let service = TowerToHyperService::new(simulator.router());
        async move {
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    (log, port)
}

#[tokio::test]
async fn the_simulated_backend_takes_compressed_requests_and_can_refuse_them() {
    let authority = Authority::new("ours");
    for (takes_zstd, outcomes) in
        [(true, &[Outcome::Completed][..]), (false, &[Outcome::Refused, Outcome::Completed])]
    {
        let (log, port) =
            simulator(&authority, Settings { takes_zstd, ..Settings::default() }).await;
        let daemon = daemon(&authority, port, ON).await;
        let (status, answer) = daemon.ask(&long("Hello")).await;
        assert_eq!(status, 200, "{answer}");
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(content.contains("Hello"), "{content}");
        let exchanges = log.exchanges();
        assert_eq!(exchanges.iter().map(|x| x.outcome).collect::<Vec<_>>(), outcomes);
        assert_eq!(exchanges[0].headers["content-encoding"], "zstd");
    }
}

#[tokio::test]
async fn a_capture_has_what_was_sent_in_a_form_that_can_be_read_and_replayed() {
    let authority = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    for takes_zstd in [true, false] {
        let (_, port) = simulator(&authority, Settings { takes_zstd, ..Settings::default() }).await;
        let daemon = daemon(&authority, port, ON).await;
        let file = folder.path().join(format!("{takes_zstd}.jsonl"));
        // Made as `codex-proxy capture on` makes it.
        let secret = codex_proxy::capture::create(&file).unwrap();
        let order = json!({"action": "on", "file": file, "secret": secret, "requests": 1,
            "minutes": 10});
        let url = format!("{}/v1/capture", daemon.url);
        let switch = reqwest::Client::new().post(url).json(&order).send().await.unwrap();
        assert_eq!(switch.status(), 200, "{}", switch.text().await.unwrap());
        let answer = daemon.ask(&long("Hello")).await;
        assert_eq!(answer.0, 200);
        let call = captured(&file).await["calls"][0].take();
        let headers = call["request"]["headers"].as_array().unwrap();
        assert_eq!(headers.contains(&json!(["content-encoding", "zstd"])), takes_zstd);
        assert_eq!(call["request"]["body"]["input"][2]["content"][0]["text"], "Hello");
        assert_eq!(call["response"]["status"], 200);
        assert_eq!(call["response"]["body"], Value::Null);

        let replay = Replay::new(codex_proxy::capture::read(&file).unwrap()).map(Arc::new);
        let (_, port) = simulator(&authority, Settings { replay, ..Settings::default() }).await;
        let daemon = self::daemon(&authority, port, ON).await;
        let replayed = daemon.ask(&long("Hello")).await;
        assert_eq!(replayed.1["choices"], answer.1["choices"]);
    }
}

/// The one exchange in the file, which is written a little after it has ended.
async fn captured(file: &std::path::Path) -> Value {
    for _ in 0..2000 {
        let text = std::fs::read_to_string(file).unwrap();
        if let Some(line) = text.lines().nth(1)
            && let Ok(exchange) = serde_json::from_str(line)
        {
            return exchange;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing was written");
}
