//! What goes on, in figures: `GET /v1/activity` and `GET /metrics`.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::prometheus::Exposition;
use crate::support::backend::{Answer, Backend, End, answer, sse, text};
use crate::support::daemon::{Daemon, hello, with};
use crate::support::secrets::FAKE_TOKEN;

const KEY: &str = "sk-cp-0123456789abcdefghijklmnop";

async fn json_of(daemon: &Daemon, path: &str) -> Value {
    let response = daemon.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn metrics(daemon: &Daemon) -> Exposition {
    let response = daemon.get("/metrics").await;
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    Exposition::read(&response.text().await.unwrap())
}

/// Asks until the activity is as wanted: a request counts once its connection has let go of it.
async fn activity_when(daemon: &Daemon, is_so: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let activity = json_of(daemon, "/v1/activity").await;
            if is_so(&activity) {
                return activity;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it never comes about")
}

fn ended(count: usize) -> impl Fn(&Value) -> bool {
    move |activity| activity["requests"].as_array().unwrap().len() == count
}

/// Fails the calls whose text says so.
async fn backend() -> Backend {
    Backend::start(&["gpt-5.5", "gpt-5.4"], |number, seen| {
        let body = String::from_utf8_lossy(&seen.body);
        match number {
            0 => Answer::error(503, r#"{"error":{"code":"slow_down","message":"canary"}}"#),
            _ if body.contains("limit") => {
                Answer::error(429, r#"{"error":{"type":"usage_limit_reached","message":"canary"}}"#)
            }
            _ if body.contains("cut") => Answer::stream(sse(&text(&["Hel"]))).ending(End::Cut),
            _ => Answer::stream(answer(&["canary-answer"])),
        }
    })
    .await
}

fn saying(text: &str) -> Value {
    with(hello(), json!({"messages": [{"role": "user", "content": text}]}))
}

#[tokio::test]
async fn the_last_requests_are_shown_without_their_content() {
    let backend = backend().await;
    let daemon = Daemon::start(&backend.base_url).await;
    let empty = json_of(&daemon, "/v1/activity").await;
    assert_eq!((&empty["object"], &empty["requests"]), (&json!("activity"), &json!([])));
    assert_eq!(empty["in_flight"], 0);
    assert_eq!(empty["tokens"].as_array().unwrap().len(), 72);

    assert_eq!(daemon.ask(&saying("canary-prompt")).await.0, 200);
    let effort = with(saying("canary-prompt"), json!({"model": "gpt-5.5-high"}));
    assert_eq!(daemon.stream(&effort).await.0, 200);
    assert_eq!(daemon.ask(&saying("limit")).await.0, 429);
    assert_eq!(daemon.stream(&saying("cut")).await.0, 200);
    assert_eq!(daemon.ask(&with(hello(), json!({"model": "canary-model"}))).await.0, 404);
    assert_eq!(daemon.post("{").await.status(), 400);

    let activity = activity_when(&daemon, ended(6)).await;
    let shown: Vec<Value> = activity["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            json!([
                r["seq"],
                r["model"],
                r["stream"],
                r["status"],
                r["outcome"],
                r["error"],
                r["tokens_in"],
                r["tokens_cached"],
                r["tokens_out"],
                r["tokens_reasoning"],
                r["continuity"]
            ])
        })
        .collect();
    let (ok, bad) = ("answered", "failed");
    let expected = [
        json!([1, "gpt-5.5", false, 200, ok, null, 10, 4, 5, 2, "miss"]),
        json!([2, "gpt-5.5", true, 200, ok, null, 10, 4, 5, 2, "miss"]),
        json!([3, "gpt-5.5", false, 429, bad, "usage_limit_reached", 0, 0, 0, 0, "miss"]),
        json!([4, "gpt-5.5", true, 502, bad, "upstream_disconnected", 0, 0, 0, 0, "miss"]),
        json!([5, "canary-model", false, 404, bad, "model_not_found", 0, 0, 0, 0, "off"]),
        json!([6, "", false, 400, bad, "invalid_request_error", 0, 0, 0, 0, "off"]),
    ];
    assert_eq!(shown, expected);
    let (now, started) = (activity["now"].as_f64().unwrap(), &activity["started_at"]);
    for request in activity["requests"].as_array().unwrap() {
        assert!(request["id"].as_str().unwrap().starts_with("req_"), "{request}");
        let at = request["at"].as_f64().unwrap();
        assert!(started.as_f64().unwrap() <= at && at <= now, "{request}");
        let total = request["total_ms"].as_u64().unwrap();
        assert!(request["first_chunk_ms"].as_u64().is_none_or(|first| first <= total));
        assert_eq!(
            request["first_chunk_ms"].is_u64(),
            request["seq"] != 3 && request["status"] != 404 && request["status"] != 400
        );
    }
    let sum = |field: &str| -> u64 {
        activity["tokens"].as_array().unwrap().iter().map(|b| b[field].as_u64().unwrap()).sum()
    };
    assert_eq!([sum("input"), sum("cached"), sum("output"), sum("requests")], [20, 8, 10, 6]);

    let later = json_of(&daemon, "/activity?after=4").await;
    let later: Vec<_> = later["requests"].as_array().unwrap().iter().map(|r| &r["seq"]).collect();
    assert_eq!(later, [5, 6]);
    let response = daemon.get("/v1/activity?after=soon").await;
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("'after'"));
    for canary in ["canary-prompt", "canary-answer", FAKE_TOKEN] {
        assert!(!activity.to_string().contains(canary), "{canary}");
    }
}

#[tokio::test]
async fn the_metrics_count_every_request_once() {
    let backend = backend().await;
    let daemon = Daemon::start(&backend.base_url).await;
    daemon.ask(&saying("canary-prompt")).await;
    daemon.stream(&with(hello(), json!({"model": "openai/gpt-5.4-low"}))).await;
    daemon.ask(&saying("limit")).await;
    daemon.stream(&saying("cut")).await;
    for n in 0..3 {
        daemon.ask(&with(hello(), json!({"model": format!("canary-model-{n}")}))).await;
    }
    for path in ["/v1/models", "/models", "/v1/models/gpt-5.5", "/health", "/canary-path"] {
        daemon.get(path).await;
    }
    activity_when(&daemon, ended(7)).await;

    let metrics = metrics(&daemon).await;
    let requests = |endpoint: &str, model: &str, status: &str| {
        let labels = [("endpoint", endpoint), ("model", model), ("status", status)];
        metrics.value("codex_proxy_requests_total", &labels)
    };
    let close = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value}");
    let chat = "/chat/completions";
    close(requests(chat, "gpt-5.5", "200"), 1.0);
    close(requests(chat, "gpt-5.4", "200"), 1.0);
    close(requests(chat, "gpt-5.5", "429"), 1.0);
    close(requests(chat, "gpt-5.5", "502"), 1.0);
    close(requests(chat, "other", "404"), 3.0);
    close(requests("/models", "", "200"), 2.0);
    close(requests("/models/{*id}", "", "200"), 1.0);
    close(requests("/health", "", "200"), 1.0);
    close(requests("other", "", "404"), 1.0);
    let endpoints = metrics.labels("codex_proxy_requests_total", "endpoint");
    let known = [chat, "/models", "/models/{*id}", "/health", "/activity", "other"];
    assert_eq!(endpoints, known.map(str::to_owned).into());

    let count = |name: &str, labels: &[(&str, &str)]| metrics.value(name, labels);
    close(count("codex_proxy_request_duration_seconds_count", &[("endpoint", chat)]), 7.0);
    close(count("codex_proxy_first_chunk_seconds_count", &[("model", "gpt-5.4")]), 1.0);
    close(count("codex_proxy_first_chunk_seconds_count", &[("model", "gpt-5.5")]), 1.0);
    for (kind, expected) in [("input", 10.0), ("cached", 4.0), ("output", 5.0), ("reasoning", 2.0)]
    {
        for model in ["gpt-5.5", "gpt-5.4"] {
            let labels = [("model", model), ("kind", kind)];
            close(count("codex_proxy_tokens_total", &labels), expected);
        }
    }
    for (code, expected) in
        [("slow_down", 1.0), ("usage_limit_reached", 1.0), ("disconnected", 1.0)]
    {
        close(count("codex_proxy_upstream_errors_total", &[("code", code)]), expected);
    }
    close(count("codex_proxy_upstream_retries_total", &[]), 1.0);
    close(count("codex_proxy_continuity_requests_total", &[("result", "miss")]), 4.0);
    close(count("codex_proxy_continuity_requests_total", &[("result", "off")]), 3.0);
    close(count("codex_proxy_requests_in_flight", &[]), 0.0);
    close(count("codex_proxy_requests_queued", &[]), 0.0);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    close(count("codex_proxy_build_info", &version), 1.0);
    assert!(count("codex_proxy_start_time_seconds", &[]) > 1.7e9);
    for result in ["renewed", "refused", "failed"] {
        close(count("codex_proxy_login_renewals_total", &[("result", result)]), 0.0);
    }
    let results = metrics.labels("codex_proxy_login_renewals_total", "result");
    assert_eq!(results.len(), 3);

    let text = daemon.get("/metrics").await.text().await.unwrap();
    assert!(!text.contains("canary") && !text.contains(FAKE_TOKEN), "{text}");
    // What the page names is there, and what is there it names.
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let named: BTreeSet<&str> = page
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("codex_proxy_"))
        .collect();
    let mut there: BTreeSet<&str> = metrics.names().into_iter().collect();
    there.extend(["codex_proxy_limit_used_ratio", "codex_proxy_limit_reset_time_seconds"]);
    assert_eq!(named, there);
}

#[tokio::test]
async fn models_and_codes_that_nobody_knows_make_no_series_of_their_own() {
    let backend = Backend::start(&["gpt-5.5"], |number, _| {
        let code = format!("made_up_{number}");
        let body = json!({"error": {"code": code, "type": "invalid_request_error"}});
        Answer::error(400, &body.to_string())
    })
    .await;
    // The default of the Codex CLI may be any name, and may change.
    let daemon = Daemon::start(&backend.base_url).await;
    for n in 0..80 {
        daemon.ask(&with(hello(), json!({"model": format!("made-up-{n}")}))).await;
        daemon.ask(&hello()).await;
    }
    let metrics = metrics(&daemon).await;
    let models = metrics.labels("codex_proxy_requests_total", "model");
    assert_eq!(models, ["gpt-5.5", "other"].map(str::to_owned).into());
    let codes = metrics.labels("codex_proxy_upstream_errors_total", "code");
    assert_eq!(codes.len(), 65);
    let other = metrics.value("codex_proxy_upstream_errors_total", &[("code", "other")]);
    assert!((other - 16.0).abs() < 1e-9, "{other}");
}

#[tokio::test]
async fn what_is_under_way_waits_or_has_left_is_told() {
    let gate = watch::Sender::new(false);
    let opened = gate.clone();
    let mut backend = Backend::start(&["gpt-5.5"], move |_, _| {
        Answer::stream(sse(&text(&["Hel"]))).behind(&opened).ending(End::Silence)
    })
    .await;
    let settings = "[upstream]\nmax_in_flight = 1\nmax_queued = 1";
    let daemon = Daemon::with_settings(&backend.base_url, settings).await;
    let post = || {
        let url = format!("{}/v1/chat/completions", daemon.url);
        let body = with(hello(), json!({"stream": true})).to_string();
        tokio::spawn(reqwest::Client::new().post(url).body(body).send())
    };
    let first = post();
    backend.wait_for_calls(1).await;
    let second = post();
    let activity = activity_when(&daemon, |activity| activity["in_flight"] == 2).await;
    assert_eq!(activity["requests"], json!([]));
    let wait = async {
        while metrics(&daemon).await.value("codex_proxy_requests_queued", &[]) < 1.0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("nobody waits");
    let in_flight = metrics(&daemon).await.value("codex_proxy_requests_in_flight", &[]);
    assert!((in_flight - 2.0).abs() < 1e-9);
    gate.send_replace(true);
    for asking in [first, second] {
        // Leaves with the first word, and so makes room for the next one.
        let response = asking.await.unwrap().unwrap();
        let mut body = response.bytes_stream();
        body.next().await.unwrap().unwrap();
    }
    backend.wait_for_leave(2).await;
    let activity = activity_when(&daemon, ended(2)).await;
    assert_eq!(activity["in_flight"], 0);
    for request in activity["requests"].as_array().unwrap() {
        assert_eq!((&request["status"], &request["outcome"]), (&json!(499), &json!("cancelled")));
        assert_eq!(request["error"], Value::Null);
    }
    let labels = [("endpoint", "/chat/completions"), ("model", "gpt-5.5"), ("status", "499")];
    let left = metrics(&daemon).await.value("codex_proxy_requests_total", &labels);
    assert!((left - 2.0).abs() < 1e-9);
}

#[tokio::test]
async fn figures_need_a_key_if_there_are_keys() {
    let backend = backend().await;
    let settings = format!("[server]\napi_keys = [\"{KEY}\"]");
    let daemon = Daemon::with_settings(&backend.base_url, &settings).await;
    let paths = ["/metrics", "/metrics/", "/v1/activity", "/activity", "/v1/usage", "/usage"];
    for path in paths {
        assert_eq!(daemon.get(path).await.status(), 401, "{path}");
    }
    let client = reqwest::Client::new();
    let ask = |path: &str| client.get(format!("{}{path}", daemon.url)).bearer_auth(KEY).send();
    for path in ["/v1/activity", "/v1/usage", "/metrics"] {
        assert_eq!(ask(path).await.unwrap().status(), 200, "{path}");
    }
    let text = ask("/metrics").await.unwrap().text().await.unwrap();
    let labels = [("endpoint", "other"), ("model", ""), ("status", "401")];
    let refused = Exposition::read(&text).value("codex_proxy_requests_total", &labels);
    assert!((refused - 6.0).abs() < 1e-9, "{text}");
}
