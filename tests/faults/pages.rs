//! Pages for browsers, which the edge gives in place of the backend's answers: the status keeps its
//! meaning.

use serde_json::json;

use crate::support::backend::{Answer, Backend, answer};
use crate::support::daemon::{Daemon, hello, with};

const PAGE: &str = "<!DOCTYPE html><html><head><title>Error</title></head></html>";

fn page(status: u16, more: &[(&'static str, &str)]) -> Answer {
    let mut headers = vec![("content-type", "text/html; charset=UTF-8".to_owned())];
    headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Answer { status, headers, ..Answer::stream(PAGE) }
}

#[tokio::test]
async fn a_page_is_told_by_its_status() {
    for (fault, calls, status, kind, code, told) in [
        (page(413, &[]), 1, 413, "invalid_request_error", json!(null), None),
        (page(404, &[]), 1, 404, "invalid_request_error", json!(null), None),
        (page(401, &[]), 1, 401, "authentication_error", json!("upstream_auth"), None),
        (page(429, &[]), 1, 429, "rate_limit_error", json!("rate_limit_exceeded"), None),
        (page(503, &[]), 3, 503, "server_error", json!("upstream_error"), None),
        (page(504, &[]), 3, 504, "server_error", json!("upstream_error"), None),
        (page(502, &[]), 3, 502, "server_error", json!("upstream_error"), None),
        // More than anybody waits for here is told.
        (
            page(503, &[("retry-after", "60")]),
            1,
            503,
            "server_error",
            json!("upstream_error"),
            Some("60"),
        ),
        (page(403, &[]), 1, 502, "server_error", json!("upstream_blocked"), None),
        (
            page(403, &[("cf-mitigated", "challenge")]),
            1,
            502,
            "server_error",
            json!("upstream_blocked"),
            None,
        ),
    ] {
        let name = format!("{} {:?}", fault.status, fault.headers);
        let backend = Backend::start(&["gpt-5.5"], move |_, _| fault.clone()).await;
        let daemon = Daemon::with_settings(&backend.base_url, "[upstream]\nmax_retries = 2").await;
        for is_streamed in [false, true] {
            let before = backend.seen().len();
            let body = with(hello(), json!({"stream": is_streamed})).to_string();
            let response = daemon.post(body).await;
            let headers = response.headers().clone();
            let got = response.status().as_u16();
            let body: serde_json::Value =
                serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(got, status, "{name}: {body}");
            assert_eq!(backend.seen().len() - before, calls, "{name}: {body}");
            assert_eq!(body["error"]["type"], kind, "{name}");
            assert_eq!(body["error"]["code"], code, "{name}");
            let after = headers.get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(after, told, "{name}");
            if status == 413 {
                let message = body["error"]["message"].as_str().unwrap();
                assert!(message.contains("too large"), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn the_wait_of_a_page_is_honoured() {
    let fault = page(503, &[("retry-after", "1")]);
    let backend = Backend::start(&["gpt-5.5"], move |number, _| {
        if number == 0 { fault.clone() } else { Answer::stream(answer(&["Hello"])) }
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let asked = std::time::Instant::now();
    let (status, _) = daemon.ask(&hello()).await;
    assert_eq!((status, backend.seen().len()), (200, 2));
    assert!(asked.elapsed() >= std::time::Duration::from_secs(1), "{:?}", asked.elapsed());
}
