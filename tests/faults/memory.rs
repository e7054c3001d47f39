//! What a hostile backend can make the daemon hold: a process of its own, and the most memory that
//! it has ever had.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::hostile::attack;
use crate::raw::{Call, Host, OK};
use crate::support::backend::{sse, text};
use crate::support::daemon::with;
use crate::support::program::Program;

const MIB: usize = 1 << 20;

/// The largest event that is read.
const EVENT: usize = 64 * MIB;

/// What such an event may take up: it is kept in a buffer that grows, and of what that has left
/// behind the allocator gives nothing back at once, nor what the event before has left.
const MOST: usize = 5 * EVENT;

/// Attacks a program, in both modes; fails unless it ends each with an error, takes no more than
/// `most` in the meantime, and answers the next request.
async fn check(most: usize, head: &str, repeated: &str) {
    let (head, repeated) = (format!("{OK}{head}"), repeated.repeat((1 << 18) / repeated.len() + 1));
    let host = Host::new(move |call: Call| {
        let (head, repeated) = (head.clone(), repeated.clone());
        async move { call.repeat(head.as_bytes(), repeated.as_bytes()).await }
    });
    let program = program(&host).await;
    for is_streamed in [false, true] {
        let body = ask(&program, is_streamed).await.text().await.unwrap();
        assert!(body.contains(r#""code":"upstream_error""#), "{}", &body[body.len() - 1000..]);
    }
    let peak = program.peak_memory();
    assert!(peak <= most, "{} MiB", peak / MIB);
    lives(&program).await;
}

async fn program(host: &Host) -> Program {
    let retries = ("CODEX_PROXY_UPSTREAM_MAX_RETRIES", "0");
    Program::start(&host.listen().await, &[], &[retries])
}

async fn ask(program: &Program, is_streamed: bool) -> reqwest::Response {
    let request = with(attack(), json!({"stream": is_streamed})).to_string();
    reqwest::Client::new().post(program.chat()).body(request).send().await.unwrap()
}

async fn lives(program: &Program) {
    let body = crate::support::daemon::hello().to_string();
    let response = reqwest::Client::new().post(program.chat()).body(body).send().await.unwrap();
    assert!(response.text().await.unwrap().contains("All is well."));
}

#[tokio::test]
async fn a_line_without_end() {
    check(MOST, "data: ", "endless ").await;
}

#[tokio::test]
async fn a_comment_without_end() {
    check(MOST, ": ", "endless ").await;
}

#[tokio::test]
async fn an_event_of_a_gigabyte_in_many_lines() {
    let line = format!("data: {}\n", "endless ".repeat(10_000));
    check(MOST, "", &line).await;
}

#[tokio::test]
async fn comments_without_end() {
    // All that is read of an answer has a limit, too.
    let line = format!(": {}\n\n", "endless ".repeat(1000));
    check(64 * MIB, "", &line).await;
}

/// What is kept of an answer is kept a few times over, in the forms that it is needed in, and that
/// is all: with the limit of what is read of one, this limits what one can take up. What was in use
/// a moment ago is not given back yet.
async fn check_share(said: &str) {
    let said: Arc<str> = format!("{OK}{said}").into();
    let most = 64 * MIB + 7 * said.len();
    let host = Host::new(move |call: Call| {
        let said = Arc::clone(&said);
        async move { call.say(said.as_bytes()).await }
    });
    let program = program(&host).await;
    for is_streamed in [false, true] {
        ask(&program, is_streamed).await.text().await.unwrap();
    }
    assert!(program.peak_memory() <= most, "{} MiB", program.peak_memory() / MIB);
    lives(&program).await;
}

#[tokio::test]
async fn long_texts() {
    let delta = json!({"type": "response.output_text.delta", "output_index": 0,
        "item_id": "msg_1", "delta": "endless ".repeat(10_000)});
    check_share(&[sse(&text(&["Hel"])), sse(&[delta]).repeat(400)].concat()).await;
}

#[tokio::test]
async fn long_arguments_that_wait() {
    let call = |index: u64| {
        json!({"type": "response.output_item.added", "output_index": index,
            "item": {"type": "function_call", "call_id": format!("call_{index}"), "name": "f"}})
    };
    let waiting = json!({"type": "response.function_call_arguments.delta", "output_index": 1,
        "delta": "endless ".repeat(10_000)});
    check_share(&[sse(&[call(0), call(1)]), sse(&[waiting]).repeat(400)].concat()).await;
}

/// Read into objects they would take up fifty times as much.
#[tokio::test]
async fn long_lists_in_one_event() {
    for (before, repeated, after) in [
        (r#"{"type":"response.completed","response":{"output":["#, "{},", "{}]}}"),
        (r#"{"type":"response.output_item.done","item":{"content":["#, "{},", "{}]}}"),
        (r#"{"type":"error","error":["#, "0,", "0]}"),
        (r#"{"type":"response.failed","response":{"error":{"a":["#, "{},", "{}]}}}"),
    ] {
        check_share(&format!("data: {before}{}{after}\n\n", repeated.repeat(1 << 19))).await;
    }
}

/// There is no limit in time to an answer that goes on; a client that leaves ends it.
#[tokio::test]
async fn small_events_without_end_until_the_client_leaves() {
    let (left, mut was_left) = tokio::sync::watch::channel(false);
    let host = Host::new(move |mut call: Call| {
        let left = left.clone();
        async move {
            let tea = sse(&[json!({"type": "response.tea", "sequence_number": 1})]).repeat(20);
            call.stream.write_all(OK.as_bytes()).await.unwrap();
            call.stream.write_all(sse(&text(&["Hel"])).as_bytes()).await.unwrap();
            while call.stream.write_all(tea.as_bytes()).await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            left.send_replace(true);
        }
    });
    let program = program(&host).await;
    let mut body = ask(&program, true).await.bytes_stream();
    body.next().await.unwrap().unwrap();
    drop(body);
    let wait = was_left.wait_for(|left| *left);
    tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.unwrap().unwrap();
    assert!(program.peak_memory() <= 64 * MIB);
    lives(&program).await;
}
