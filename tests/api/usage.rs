//! What is left of the plan: from every answer, and by asking where there was none.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::prometheus::Exposition;
use crate::support::backend::{Answer, Backend, Seen, answer, completed, sse, text};
use crate::support::daemon::{Daemon, hello, with};
use crate::support::program::Program;
use crate::support::secrets::FAKE_TOKEN;

async fn usage(daemon: &Daemon) -> Value {
    let response = daemon.get("/v1/usage").await;
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn asks_for_usage(seen: &Seen) -> bool {
    seen.head.starts_with("GET /codex/api/codex/usage ")
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The headers of an answer at which so much is used of the five hours.
fn headers(used: u32) -> Vec<(&'static str, String)> {
    vec![
        ("x-codex-plan-type", "plus".to_owned()),
        ("x-codex-primary-used-percent", used.to_string()),
        ("x-codex-primary-window-minutes", "300".to_owned()),
        ("x-codex-primary-reset-after-seconds", "6500".to_owned()),
        ("x-codex-secondary-used-percent", "0".to_owned()),
        ("x-codex-secondary-window-minutes", "0".to_owned()),
        ("x-codex-secondary-reset-at", String::new()),
        ("x-codex-credits-has-credits", "True".to_owned()),
        ("x-codex-credits-unlimited", "False".to_owned()),
        ("x-codex-credits-balance", "12.5".to_owned()),
    ]
}

fn document(used: u32) -> String {
    json!({"plan_type": "pro", "rate_limit": {
        "primary_window": {"used_percent": used, "limit_window_seconds": 18000,
            "reset_at": now() + 600},
        "secondary_window": {"used_percent": 4, "limit_window_seconds": 604_800,
            "reset_at": now() + 60000}}, "credits": null, "additional_rate_limits": [
        {"limit_name": "Spark", "metered_feature": "codex_spark", "rate_limit": {
            "primary_window": {"used_percent": 7.5, "limit_window_seconds": 3600}}}]})
    .to_string()
}

#[tokio::test]
async fn the_backend_is_asked_once_if_nothing_is_known() {
    let backend = Backend::start(&["gpt-5.5"], |_, seen| {
        assert!(asks_for_usage(seen));
        Answer::error(200, &document(27))
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let all = join_all((0..8).map(|_| usage(&daemon))).await;
    let limits: Vec<_> = all[0]["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| json!([l["id"], l["name"], l["window"], l["used_percent"], l["window_minutes"]]))
        .collect();
    let expected = [
        json!(["codex", null, "primary", 27.0, 300]),
        json!(["codex", null, "secondary", 4.0, 10080]),
        json!(["codex_spark", "Spark", "primary", 7.5, 60]),
    ];
    assert_eq!(limits, expected);
    for usage in &all {
        assert_eq!((&usage["object"], &usage["plan"]), (&json!("usage"), &json!("pro")));
        assert_eq!((&usage["source"], &usage["credits"]), (&json!("usage"), &Value::Null));
        assert_eq!(usage["limits"].as_array().unwrap().len(), 3);
    }
    let reset = all[0]["limits"][0]["resets_in_seconds"].as_i64().unwrap();
    assert!((590..=600).contains(&reset), "{reset}");
    assert_eq!(all[0]["limits"][2]["resets_at"], Value::Null);
    let seen = backend.seen();
    assert_eq!(seen.len(), 1, "they have asked together");
    assert!(seen[0].head.contains(FAKE_TOKEN));
}

#[tokio::test]
async fn every_answer_tells_and_nobody_has_to_ask() {
    let backend = Backend::start(&["gpt-5.5"], |number, seen| {
        assert!(!asks_for_usage(seen));
        match number {
            0 => Answer { headers: headers(42), ..Answer::stream(answer(&["Hi"])) },
            1 => {
                let body = r#"{"error":{"type":"usage_limit_reached","message":"Used up."}}"#;
                Answer { headers: headers(100), ..Answer::error(429, body) }
            }
            _ => {
                let told = json!({"type": "codex.rate_limits", "plan_type": "team",
                    "rate_limits": {"primary": {"used_percent": 3, "window_minutes": 300}},
                    "credits": {"has_credits": false, "unlimited": true, "balance": null}});
                let mut events = vec![told];
                events.extend(text(&["Hi"]));
                events.push(completed());
                Answer::stream(sse(&events))
            }
        }
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    for (status, plan, source, used, credits) in [
        (200, "plus", "headers", 42.0, json!([true, false, "12.5"])),
        (429, "plus", "headers", 100.0, json!([true, false, "12.5"])),
        (200, "team", "event", 3.0, json!([false, true, null])),
    ] {
        assert_eq!(daemon.ask(&hello()).await.0, status);
        let usage = usage(&daemon).await;
        assert_eq!((&usage["plan"], &usage["source"]), (&json!(plan), &json!(source)));
        let [limit] = &usage["limits"].as_array().unwrap()[..] else { panic!("{usage}") };
        assert_eq!((&limit["used_percent"], &limit["window_minutes"]), (&json!(used), &json!(300)));
        // The event does not tell the end of the window, but it was told before.
        let reset = limit["resets_in_seconds"].as_i64().unwrap();
        assert!((6480..=6500).contains(&reset), "{usage}");
        let told = &usage["credits"];
        assert_eq!(json!([told["has_credits"], told["unlimited"], told["balance"]]), credits);
        assert!((0..=20).contains(&usage["age_seconds"].as_i64().unwrap()));
        assert!((0..=20).contains(&(now() - usage["updated_at"].as_i64().unwrap())));
    }
    let text = daemon.get("/metrics").await.text().await.unwrap();
    let metrics = Exposition::read(&text);
    let labels = [("limit", "codex"), ("window", "primary")];
    let used = metrics.value("codex_proxy_limit_used_ratio", &labels);
    assert!((used - 0.03).abs() < 1e-9, "{used}");
    assert!(metrics.value("codex_proxy_limit_reset_time_seconds", &labels) > 1.7e9);
}

#[tokio::test]
async fn a_backend_that_does_not_tell_is_left_alone_for_a_while() {
    for answer in [
        Answer::error(404, r#"{"detail":"Not Found"}"#),
        Answer::error(200, "<html>"),
        Answer::error(401, r#"{"detail":"Unauthorized"}"#),
    ] {
        let backend = Backend::start(&["gpt-5.5"], move |_, _| answer.clone()).await;
        let daemon = Daemon::start(&backend.base_url).await;
        for _ in 0..3 {
            let usage = usage(&daemon).await;
            assert_eq!(usage["limits"], json!([]));
            for field in ["plan", "updated_at", "age_seconds", "source", "credits"] {
                assert_eq!(usage[field], Value::Null, "{usage}");
            }
        }
        assert_eq!(backend.seen().len(), 1);
    }
}

#[tokio::test]
async fn another_account_does_not_see_the_limits_of_the_one_before() {
    let backend = Backend::start(&["gpt-5.5"], |number, _| {
        let headers = if number == 0 { headers(42) } else { Vec::new() };
        Answer { headers, ..Answer::stream(answer(&["Hi"])) }
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    daemon.ask(&hello()).await;
    assert_eq!(usage(&daemon).await["limits"].as_array().unwrap().len(), 1);
    daemon.sign_in_as("account-2");
    daemon.ask(&hello()).await;
    let usage = usage(&daemon).await;
    assert_eq!((&usage["limits"], &usage["credits"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn without_a_login_there_are_no_limits_and_no_error() {
    let backend = Backend::start(&["gpt-5.5"], |_, _| Answer::error(200, &document(27))).await;
    let daemon = Daemon::start(&backend.base_url).await;
    daemon.sign_out();
    assert_eq!(usage(&daemon).await["limits"], json!([]));
    assert_eq!(backend.seen().len(), 0);
}

#[tokio::test]
async fn a_key_has_no_plan_and_its_own_limits_are_passed_on() {
    let own = [
        ("x-ratelimit-limit-requests", "5000"),
        ("x-ratelimit-remaining-requests", "4999"),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-limit-tokens", "800000"),
        ("x-ratelimit-remaining-tokens", "799981"),
        ("x-ratelimit-reset-tokens", "1ms"),
    ];
    let backend = Backend::start(&["gpt-5.5"], move |_, seen| {
        assert!(!asks_for_usage(seen), "the key is not for that address");
        let headers = own.map(|(name, value)| (name, value.to_owned())).into();
        let answer = if String::from_utf8_lossy(&seen.body).contains("too fast") {
            Answer::error(429, r#"{"error":{"type":"tokens","code":"rate_limit_exceeded"}}"#)
        } else {
            Answer::stream(answer(&["Hi"]))
        };
        Answer { headers, ..answer }
    })
    .await;
    let url = backend.base_url.as_str();
    let variables = [("CODEX_PROXY_UPSTREAM_MODE", "api_key"), ("OPENAI_API_KEY", "sk-key-canary")];
    let program = Program::start(url, &[], &variables);
    let client = reqwest::Client::new();
    for (is_streamed, status) in [(false, 200), (true, 200), (false, 429), (true, 429)] {
        let text = if status == 200 { "Hello" } else { "too fast" };
        let messages = json!([{"role": "user", "content": text}]);
        let request = with(hello(), json!({"stream": is_streamed, "messages": messages}));
        let response = client.post(program.chat()).body(request.to_string()).send().await.unwrap();
        assert_eq!(response.status(), status);
        for (name, value) in own {
            assert_eq!(response.headers()[name], value);
        }
    }
    let response = client.get(format!("{}/usage", program.url())).send().await.unwrap();
    let usage: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!((&usage["limits"], &usage["updated_at"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_plan_makes_no_headers_that_count_requests() {
    let backend = Backend::start(&["gpt-5.5"], |_, _| Answer {
        headers: headers(42),
        ..Answer::stream(answer(&["Hi"]))
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let response = daemon.post(hello().to_string()).await;
    let made_up = |name: &str| name.starts_with("x-ratelimit-") || name.starts_with("x-codex-p");
    let names: Vec<_> =
        response.headers().keys().map(reqwest::header::HeaderName::as_str).collect();
    assert!(
        !names.iter().any(|name| made_up(name) && !name.starts_with("x-codex-proxy-")),
        "{names:?}"
    );
}

#[tokio::test]
async fn the_log_warns_once_at_each_threshold() {
    let used = [50, 80, 81, 79, 82, 95, 97, 100, 2, 96];
    let backend = Backend::start(&["gpt-5.5"], move |number, _| Answer {
        headers: headers(used[number]),
        ..Answer::stream(answer(&["Hi"]))
    })
    .await;
    let program = Program::start(&backend.base_url, &[], &[]);
    let client = reqwest::Client::new();
    for _ in used {
        let body = hello().to_string();
        assert_eq!(client.post(program.chat()).body(body).send().await.unwrap().status(), 200);
    }
    let log = program.stop();
    let lines: Vec<&str> =
        log.lines().filter(|line| line.contains("of a plan limit is used")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    for (line, used) in lines.iter().zip(["80", "95", "96"]) {
        assert!(line.contains("WARN") && line.contains("limit=\"codex\""), "{line}");
        assert!(line.contains(&format!("used_percent={used}.0 ")), "{line}");
        assert!(line.contains("window=\"primary\"") && line.contains("resets_in_seconds="));
    }
}

#[tokio::test]
async fn the_simulated_backend_has_limits_too() {
    let program = Program::simulating(&[]);
    let ask = async || -> Value {
        let response = reqwest::get(format!("{}/v1/usage", program.url())).await.unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    };
    let usage = ask().await;
    assert_eq!((&usage["plan"], &usage["source"]), (&json!("plus"), &json!("usage")));
    assert_eq!(usage["limits"][0]["used_percent"], 12.0);
    assert_eq!(usage["limits"][1]["window_minutes"], 10080);
    let body = hello().to_string();
    reqwest::Client::new().post(program.chat()).body(body).send().await.unwrap();
    assert_eq!(ask().await["source"], "headers");
}
