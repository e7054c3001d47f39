//! `codex-proxy capture`, and `serve --simulate --replay`: what was captured comes back.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::backend::{Answer, Backend, answer};
use crate::support::home::Home;
use crate::support::program::Program;
use crate::support::secrets::FAKE_ACCOUNT;

/// Runs a command that asks the daemon at this address; gives its exit code and what it printed.
fn command(url: &str, home: &Home, arguments: &[&str]) -> (Option<i32>, String) {
    let listen = ["--listen", url.strip_prefix("http://").unwrap()];
    let ended = home.run(&[&listen[..], arguments].concat());
    (ended.code, ended.out + &ended.err)
}

/// The daemon's answer to a request, without what differs from time to time.
async fn asked(url: &str, body: &Value) -> (u16, String) {
    let response = reqwest::Client::new()
        .post(format!("{url}/v1/chat/completions"))
        .header("x-api-key", "sk-of-the-client-0123456789")
        .json(body)
        .send()
        .await
        .unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let lines = text.lines().map(|line| {
        let json = line.strip_prefix("data: ").unwrap_or(line);
        let Ok(mut json) = serde_json::from_str::<Value>(json) else { return line.to_owned() };
        if let Some(members) = json.as_object_mut() {
            members.remove("id");
            members.remove("created");
        }
        json.to_string()
    });
    (status, lines.collect::<Vec<_>>().join("\n"))
}

fn request(content: &str, stream: bool) -> Value {
    json!({
        "model": "gpt-5.5", "stream": stream, "stream_options": {"include_usage": true},
        "messages": [{"role": "system", "content": "Be brief."},
            {"role": "user", "content": content}],
        "tools": [{"type": "function", "function": {"name": "add", "parameters":
            {"type": "object", "properties": {"a": {"type": "integer"}}}}}],
    })
}

fn read(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until so many requests are in the file: what has been answered is written a little later.
async fn written(file: &Path, count: usize) -> Vec<Value> {
    for _ in 0..2000 {
        if read(file).len() == count + 1 {
            return read(file);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("there are not {count} requests in {}", std::fs::read_to_string(file).unwrap());
}

/// Requests of all kinds, each unlike the others.
fn requests() -> Vec<Value> {
    let mut several = request("Twice [[simulate: text \"One of two.\"]]", false);
    several["n"] = 2.into();
    let mut goes_on = request("Add [[simulate: call add {\"a\": 1}]]", false);
    let call = json!({"id": "call_1", "type": "function",
        "function": {"name": "add", "arguments": "{\"a\": 1}"}});
    let messages = goes_on["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "tool_calls": [call]}));
    messages.push(json!({"role": "tool", "tool_call_id": "call_1", "content": "1"}));
    let mut typed = request("Which?", false);
    typed["response_format"] = json!({"type": "json_schema", "json_schema":
        {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}});
    vec![
        request("Hello!", false),
        request("Hello again!", true),
        request("Add [[simulate: call add {\"a\": 1}]] please", true),
        goes_on,
        several,
        typed,
        request("Refuse [[simulate: refusal \"No.\"]]", true),
        request("Cite [[simulate: cite]]", false),
        request("Limit [[simulate: error 429 usage_limit_reached]]", false),
        request("Again [[simulate: error 503 server_is_overloaded times=1]]", false),
        request("Break [[simulate: cut after=3]] [[simulate: deltas 9]]", true),
        request("Short [[simulate: length after=2]] [[simulate: deltas 9]]", true),
    ]
}

#[tokio::test]
async fn what_was_captured_is_replayed_to_the_same_completions() {
    let daemon = Program::simulating(&[]);
    let url = daemon.url();
    let home = daemon.home.clone();
    let file = home.path().join("report.jsonl");
    let (code, said) = command(&url, &home, &["capture", "on", "--file", "report.jsonl"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("CAPTURE IS ON: the content of the next 20 requests"), "{said}");
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    let mut answers = Vec::new();
    for body in requests() {
        answers.push(asked(&url, &body).await);
    }
    let lines = written(&file, answers.len()).await;
    let (code, said) = command(&url, &home, &["capture", "off"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("12 requests in "), "{said}");

    let text = std::fs::read_to_string(&file).unwrap();
    for secret in ["sk-of-the-client", "Bearer simulated", "\"gAAA", "sk-cp"] {
        assert!(!text.contains(secret), "{secret} was written");
    }
    assert!(text.contains("Hello again!"), "the content is what it is for");
    let hello = &lines[1];
    assert_eq!(hello["request"]["body"]["messages"][1]["content"], "Hello!");
    let call = &hello["calls"][0];
    assert!(call["request"]["body"]["prompt_cache_key"].as_str().unwrap().starts_with("[redacted"));
    assert_eq!(call["response"]["status"], 200);
    assert!(call["events"].as_array().unwrap().len() > 5);
    assert_eq!(hello["answer"]["status"], 200);
    assert_eq!(lines[5]["calls"].as_array().unwrap().len(), 2);
    assert_eq!(lines[9]["answer"]["error"]["error"]["code"], "usage_limit_reached");
    assert_eq!(lines[11]["answer"]["error"]["error"]["code"], "upstream_disconnected");

    // In another order, and by a daemon that has seen nothing of it.
    let replaying = ["serve", "--simulate", "--listen", "127.0.0.1:0", "--replay"];
    let replay = Program::with(&[&replaying[..], &[file.to_str().unwrap()]].concat(), &[]);
    let url = replay.url();
    for (body, (status, text)) in requests().iter().zip(&answers).rev() {
        let (status_now, text_now) = asked(&url, body).await;
        assert_eq!(status_now, *status, "{body}");
        if body["n"].is_null() {
            assert_eq!(text_now, *text, "{body}");
        } else {
            // Calls that are made at once come in any order, and the counts are of the first one.
            let choices =
                |text: &str| serde_json::from_str::<Value>(text).unwrap()["choices"].take();
            assert_eq!(choices(&text_now), choices(text), "{body}");
        }
    }
    // Of the same shape, or another one.
    let (status, text) = asked(&url, &request("Something else", false)).await;
    assert_eq!(status, 200, "{text}");
    let mut unknown = request("Hello!", false);
    unknown["model"] = "gpt-5.2".into();
    let (status, text) = asked(&url, &unknown).await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("the nearest is exchange ") && text.contains("gpt-5.2"), "{text}");
    // What has a model of its own brings it along.
    let other = home.path().join("other.jsonl");
    std::fs::write(&other, std::fs::read_to_string(&file).unwrap().replace("gpt-5.5", "gpt-7"))
        .unwrap();
    let replay = Program::with(&[&replaying[..], &[other.to_str().unwrap()]].concat(), &[]);
    let mut newer = request("Hello!", false);
    newer["model"] = "gpt-7".into();
    let (status, text) = asked(&replay.url(), &newer).await;
    assert_eq!((status, text.contains("simulated answer to: Hello!")), (200, true), "{text}");
}

#[tokio::test]
async fn everybody_is_told_and_the_login_is_left_out() {
    let backend = Backend::start(&["gpt-5.5"], |_, _| {
        let headers = vec![("x-codex-turn-state", "turn-canary".to_owned())];
        Answer { headers, ..Answer::stream(answer(&["Your account is account-canary."])) }
    })
    .await;
    let daemon = Program::start(&backend.base_url, &["serve"], &[]);
    let (url, home) = (daemon.url(), daemon.home.clone());
    let health = || async {
        let health = reqwest::get(format!("{url}/health")).await.unwrap();
        health.json::<Value>().await.unwrap()
    };
    assert_eq!(health().await.get("capture"), None);
    assert_eq!(
        command(&url, &home, &["capture", "status"]),
        (Some(0), "capture is off\n".to_owned())
    );
    assert_eq!(
        command(&url, &home, &["capture", "off"]),
        (Some(0), "capture was already off\n".to_owned())
    );
    // Not captured yet.
    asked(&url, &request("Too early", false)).await;

    let (code, said) = command(&url, &home, &["capture", "on", "--requests", "2"]);
    assert_eq!(code, Some(0), "{said}");
    let capture = health().await["capture"].clone();
    assert_eq!((&capture["state"], &capture["requests_left"]), (&json!("on"), &json!(2)));
    let file = PathBuf::from(capture["file"].as_str().unwrap());
    assert!(file.starts_with(home.path()), "{file:?}");
    daemon.wait_for("CAPTURE IS ON");
    let (code, said) = command(&url, &home, &["capture", "on"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("a capture is already running"), "{said}");
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "one file");

    asked(&url, &request("Hello!", true)).await;
    asked(&url, &request("Hello again!", true)).await;
    // The third one is one too many.
    asked(&url, &request("Too late", false)).await;
    written(&file, 2).await;
    assert_eq!(health().await.get("capture"), None);
    daemon.wait_for("capture takes no more requests");
    let log = daemon.wait_for("capture ended");
    assert!(!log.contains("Hello"), "{log}");
    let text = std::fs::read_to_string(&file).unwrap();
    for absent in
        [FAKE_ACCOUNT, crate::support::secrets::FAKE_TOKEN, "turn-canary", "Too early", "Too late"]
    {
        assert!(!text.contains(absent), "{absent} is in {text}");
    }
    assert!(text.contains("Your account is [redacted: account id]."), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn only_programs_of_this_machine_and_user_turn_it_on() {
    let daemon =
        Program::simulating(&[("CODEX_PROXY_SERVER_ALLOWED_ORIGINS", "app://obsidian.md")]);
    let url = format!("{}/v1/capture", daemon.url());
    let home = daemon.home.path();
    std::fs::write(home.join("mine"), "something").unwrap();
    let http = reqwest::Client::new();
    let order = |file: &str| {
        json!({"action": "on", "file": home.join(file), "secret": "0".repeat(64), "requests": 1,
            "minutes": 1})
        .to_string()
    };
    // A file of the daemon's user that is empty, as its lock files are.
    codex_proxy::capture::create(&home.join("empty")).unwrap();
    std::fs::write(home.join("empty"), "").unwrap();
    let mut refusals = std::collections::BTreeSet::new();
    for (headers, body, status, code) in [
        (&[("origin", "app://obsidian.md")][..], order("x"), 403, "not_on_this_machine"),
        (&[("x-forwarded-for", "10.0.0.1")], order("x"), 403, "not_on_this_machine"),
        (&[], order("missing"), 400, "capture_not_possible"),
        (&[], order("mine"), 400, "capture_not_possible"),
        (&[], order("empty"), 400, "capture_not_possible"),
        (&[], "{\"turn\":\"off\"}".to_owned(), 400, ""),
        (&[], "{\"turn\":\"up\"}".to_owned(), 400, ""),
    ] {
        let mut request = http.post(&url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"].as_str().unwrap_or_default(), code, "{body}");
        if code == "capture_not_possible" {
            refusals.insert(body["error"]["message"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(refusals.len(), 1, "none tells which files there are: {refusals:?}");
    assert_eq!(std::fs::read_to_string(home.join("empty")).unwrap(), "");
    let state: Value = http.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(state, json!({"state": "off"}));
    assert_eq!(std::fs::read_to_string(home.join("mine")).unwrap(), "something");
}

#[test]
fn what_cannot_be_done_says_what_can() {
    let home = Home::new();
    let nobody = "http://127.0.0.1:1";
    let (code, said) = command(nobody, &home, &["capture", "on", "--file", "c.jsonl"]);
    assert_eq!(code, Some(69), "{said}");
    assert!(!home.path().join("c.jsonl").exists());
    for arguments in [
        &["capture"][..],
        &["capture", "on", "--requests", "0"],
        &["capture", "on", "--minutes", "100000"],
        &["serve", "--replay", "c.jsonl"],
        &["serve", "--simulate", "--replay", "c.jsonl"],
    ] {
        let (code, said) = command(nobody, &home, arguments);
        assert_eq!(code, Some(64), "{said}");
    }
}
