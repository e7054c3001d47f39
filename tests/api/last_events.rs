//! Answers whose events take long to read, and those whose last event counts.

use serde_json::{Value, json};

use crate::support::backend::{Answer, Backend, completed, sse, text};
use crate::support::daemon::{Daemon, content, finish, hello, with};

async fn ask(body: String, more: Value) -> (usize, (u16, Value), (u16, Vec<Value>)) {
    let backend = Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(body.clone())).await;
    let daemon = Daemon::start(&backend.base_url).await;
    let whole = daemon.ask(&with(hello(), more.clone())).await;
    let calls = backend.seen().len();
    let streamed = daemon.stream(&with(hello(), more)).await;
    (calls, whole, streamed)
}

#[tokio::test]
async fn large_deltas_are_counted_elsewhere_and_nothing_of_them_is_lost() {
    // Each of them is more than is made into tokens at a time.
    let piece = "word and ".repeat(3000);
    let deltas: Vec<&str> = vec![&piece; 6];
    let mut events = text(&deltas);
    events.push(completed());
    let (all, half) = (piece.repeat(6), piece.repeat(3));
    for (max_tokens, wanted, reason) in
        [(100_000, &*all, "stop"), (18_000, half.trim_end(), "length"), (40_000, &*all, "stop")]
    {
        let (_, (status, whole), (_, chunks)) =
            ask(sse(&events), json!({"max_tokens": max_tokens})).await;
        assert_eq!(status, 200);
        let choice = &whole["choices"][0];
        assert_eq!(choice["message"]["content"].as_str().unwrap().trim_end(), wanted.trim_end());
        assert_eq!(choice["finish_reason"], reason);
        assert_eq!(content(&chunks, 0).trim_end(), wanted.trim_end());
        assert_eq!(finish(&chunks, 0).as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn a_large_text_that_disagrees_is_told_anew_in_one_piece_and_an_error_in_a_stream() {
    let (first, last) = ("word ".repeat(150_000), "Word ".repeat(150_000));
    let mut events = text(&[&first]);
    events.push(json!({"type": "response.output_text.done", "output_index": 0, "text": last}));
    events.push(completed());
    let (calls, (status, whole), (_, chunks)) = ask(sse(&events), json!({})).await;
    assert_eq!((status, calls), (200, 1));
    assert_eq!(whole["choices"][0]["message"]["content"], last);
    assert!(chunks.last().unwrap()["error"].is_object() && finish(&chunks, 0).is_none());
    assert_eq!(content(&chunks, 0), first);
}

#[tokio::test]
async fn what_no_try_mends_is_tried_once() {
    let detail = r#"{"detail":"Unsupported parameter: foo"}"#;
    let cancelled = json!({"type": "response.cancelled", "response": {"status": "cancelled"}});
    let mut after_text = text(&["half"]);
    after_text.push(cancelled.clone());
    for (body, wanted, code) in [
        (detail.to_owned(), 400, "unsupported_parameter"),
        (format!("data: {detail}\n\n"), 400, "unsupported_parameter"),
        (sse(&[cancelled]), 502, "response_cancelled"),
        (sse(&after_text), 502, "response_cancelled"),
    ] {
        let (calls, (status, whole), (_, chunks)) = ask(body.clone(), json!({})).await;
        assert_eq!((calls, status), (1, wanted), "{body}: {whole}");
        assert_eq!(whole["error"]["code"], code, "{body}");
        let error = chunks.last().unwrap();
        assert_eq!(error["error"]["code"], code, "{body}: {error}");
        assert!(finish(&chunks, 0).is_none());
    }
}

#[tokio::test]
async fn a_completed_response_that_failed_is_sent_again() {
    let failed = json!({"type": "response.completed", "response": {"status": "failed",
        "error": {"code": "server_error", "message": "No."}}});
    let good = {
        let mut events = text(&["Good"]);
        events.push(completed());
        sse(&events)
    };
    let backend = Backend::start(&["gpt-5.5"], move |number, _| {
        let failed = sse(std::slice::from_ref(&failed));
        Answer::stream(if number == 0 { failed } else { good.clone() })
    })
    .await;
    let daemon = Daemon::start(&backend.base_url).await;
    let (status, whole) = daemon.ask(&hello()).await;
    assert_eq!((status, &whole["choices"][0]["message"]["content"]), (200, &json!("Good")));
}
