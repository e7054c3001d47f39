//! A list of models that cannot be had, or is not as it should be, costs nobody an answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::backend::{Answer, Backend, End, answer};
use crate::support::daemon::{Daemon, hello, with};

/// Far less than the list of models may take.
const AT_ONCE: Duration = Duration::from_secs(2);

async fn listing(models: Answer) -> (Backend, Daemon) {
    let backend = Backend::with_list(models, |_, _| Answer::stream(answer(&["Hello"]))).await;
    let daemon = Daemon::start(&backend.base_url).await;
    (backend, daemon)
}

fn asking(model: &str, more: &Value) -> Value {
    with(with(hello(), json!({"model": model})), more.clone())
}

#[tokio::test]
async fn without_the_backends_list_the_backend_judges_names() {
    let expired = r#"{"error":{"code":"token_expired","message":"Expired."}}"#;
    for models in [
        Answer::error(401, expired),
        Answer::error(500, ""),
        Answer::error(404, ""),
        Answer::error(200, r#"{"models":[]}"#),
        Answer::error(200, "<html>"),
    ] {
        let name = format!("{} {:?}", models.status, String::from_utf8_lossy(&models.body));
        let (backend, daemon) = listing(models).await;
        for (model, slug, effort) in [
            ("gpt-7-nova", "gpt-7-nova", None),
            ("openai/gpt-7-nova-high", "gpt-7-nova", Some("high")),
            ("gpt-7-nova:ultra", "gpt-7-nova", Some("max")),
            ("gpt-6.2-sol:ultra", "gpt-6.2-sol", Some("xhigh")),
        ] {
            let (status, body) = daemon.ask(&asking(model, &json!({}))).await;
            assert_eq!(status, 200, "{name}: {body}");
            let sent = backend.seen().last().unwrap().json();
            assert_eq!(sent["model"], slug, "{name}");
            assert_eq!(sent["reasoning"]["effort"], json!(effort), "{name}");
            assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]), "{name}");
        }
    }
}

#[tokio::test]
async fn the_backends_own_list_turns_names_down() {
    let backend = Backend::start(&["gpt-5.5"], |_, _| Answer::stream(answer(&["Hello"]))).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (status, body) = daemon.ask(&asking("gpt-7-nova", &json!({}))).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")), "{body}");
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn a_list_that_does_not_come_delays_no_model_that_is_known() {
    let (backend, daemon) = listing(Answer::stream("").ending(End::Mute)).await;
    for number in 1..=3 {
        let asked = Instant::now();
        let (status, body) = daemon.ask(&asking("gpt-5.5", &json!({}))).await;
        assert_eq!((status, backend.seen().len()), (200, number), "{body}");
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    }
    // One that is not known may be in the list, which is waited for once.
    let (status, body) = daemon.ask(&asking("gpt-7-nova", &json!({}))).await;
    assert_eq!(status, 200, "{body}");
    let asked = Instant::now();
    let (status, _) = daemon.ask(&asking("gpt-7-nova", &json!({}))).await;
    assert_eq!(status, 200);
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn an_odd_entry_of_a_models_efforts_costs_that_entry_only() {
    const LOW: &str = r#"[{"effort":"low"},{"level":"medium"},{"effort":"high"}]"#;
    for (levels, asked, sent, dropped) in [
        (LOW, json!({"reasoning_effort": "high"}), Some("high"), None),
        (LOW, json!({"model": "m-high"}), Some("high"), None),
        // The odd entry may stand for it.
        (LOW, json!({"reasoning_effort": "medium"}), Some("medium"), None),
        ("null", json!({"reasoning_effort": "high"}), Some("high"), None),
        ("{}", json!({"reasoning_effort": "xhigh"}), Some("xhigh"), None),
        (r#"[{"effort":"low"}]"#, json!({"reasoning_effort": "high"}), Some("low"), None),
        ("[]", json!({"reasoning_effort": "high"}), None, Some("reasoning_effort")),
    ] {
        let list = format!(
            r#"{{"models":[{{"slug":"m","visibility":"list","supported_reasoning_levels":{levels}}}]}}"#
        );
        let (backend, daemon) = listing(Answer::error(200, &list)).await;
        let response = daemon.post(asking("m", &asked).to_string()).await;
        assert_eq!(response.status(), 200, "{levels} {asked}");
        let header = response.headers().get("x-codex-proxy-dropped");
        assert_eq!(header.map(|value| value.to_str().unwrap()), dropped, "{levels} {asked}");
        let body = backend.seen()[0].json();
        assert_eq!(body["model"], "m");
        assert_eq!(body["reasoning"]["effort"], json!(sent), "{levels} {asked}");
        assert_eq!(body["include"].is_array(), sent.is_some(), "{levels} {asked}");
    }
}
