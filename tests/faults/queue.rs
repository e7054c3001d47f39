//! No more calls are under way than allowed; the others wait in a line that has an end.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{Either, join_all, select};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::backend::{Answer, Backend, End, answer};
use crate::support::daemon::{Daemon, content, hello, with};

/// Nothing here takes that long.
const DEADLINE: Duration = Duration::from_secs(10);

fn limits(max_in_flight: usize, max_queued: usize) -> String {
    format!("[upstream]\nmax_in_flight = {max_in_flight}\nmax_queued = {max_queued}")
}

fn asking(is_streamed: bool, more: Value) -> String {
    with(with(hello(), json!({"stream": is_streamed})), more).to_string()
}

/// A backend that answers nobody before the gate is open.
async fn gated() -> (Backend, watch::Sender<bool>) {
    let (gate, _) = watch::channel(false);
    let opening = gate.clone();
    let backend =
        Backend::start(&["gpt-5.5"], move |_, _| Answer::stream(answer(&["Hi"])).behind(&opening))
            .await;
    (backend, gate)
}

async fn assert_sent_away(response: reqwest::Response) {
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let error = &body["error"];
    assert_eq!(
        (&error["type"], &error["code"], &error["param"]),
        (&json!("rate_limit_error"), &json!("too_many_requests"), &Value::Null)
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("[upstream] max_in_flight") && message.contains("max_queued"));
}

/// Asks until there is room; until then every request is sent away at once.
async fn ask_until_there_is_room(daemon: &Daemon, request: &str) -> reqwest::Response {
    let begun = Instant::now();
    loop {
        let response = daemon.post(request.to_owned()).await;
        if response.status() != 429 {
            return response;
        }
        assert!(begun.elapsed() < DEADLINE, "there is never any room");
    }
}

#[tokio::test]
async fn the_line_has_an_end() {
    for is_streamed in [false, true] {
        let (backend, gate) = gated().await;
        let daemon = Daemon::with_settings(&backend.base_url, &limits(1, 1)).await;
        let ask = || Box::pin(daemon.post(asking(is_streamed, json!({}))));
        let mut first = ask();
        tokio::select! {
            _ = &mut first => panic!("answered behind the gate"),
            () = backend.wait_for_calls(1) => {}
        }
        // Of two more, whichever comes first waits and the other one is sent away.
        let (sent_away, waits) = match select(ask(), ask()).await {
            Either::Left(pair) | Either::Right(pair) => pair,
        };
        assert_sent_away(sent_away).await;
        gate.send_replace(true);
        for response in [first.await, waits.await] {
            assert_eq!(response.status(), 200);
            assert!(response.text().await.unwrap().contains("Hi"));
        }
        assert_eq!((backend.seen().len(), backend.peak()), (2, 1));
    }
}

#[tokio::test]
async fn many_requests_share_a_few_places_and_all_are_answered() {
    let backend = Backend::streaming(&answer(&["Hi"])).await;
    let daemon = Daemon::with_settings(&backend.base_url, &limits(3, 100)).await;
    let ask = |number: u64| {
        // Some of them need more places than others.
        let request = asking(number.is_multiple_of(2), json!({"n": number % 4 + 1}));
        daemon.post(request)
    };
    for response in join_all((0..40).map(ask)).await {
        assert_eq!(response.status(), 200);
        assert!(response.text().await.unwrap().contains("Hi"));
    }
    assert_eq!(backend.seen().len(), 10 * (1 + 2 + 3 + 4));
    assert!(backend.peak() <= 3, "{}", backend.peak());
}

#[tokio::test]
async fn several_choices_take_their_places_at_once() {
    let (backend, gate) = gated().await;
    let daemon = Daemon::with_settings(&backend.base_url, &limits(4, 0)).await;
    let mut three = Box::pin(daemon.post(asking(true, json!({"n": 3}))));
    tokio::select! {
        _ = &mut three => panic!("answered behind the gate"),
        () = backend.wait_for_calls(3) => {}
    }
    assert_sent_away(daemon.post(asking(false, json!({"n": 2}))).await).await;
    let mut one = Box::pin(daemon.post(asking(false, json!({"n": 1}))));
    tokio::select! {
        response = &mut one => panic!("{}", response.status()),
        () = backend.wait_for_calls(4) => {}
    }
    assert_sent_away(daemon.post(asking(false, json!({"n": 1}))).await).await;
    gate.send_replace(true);
    for response in [three.await, one.await] {
        assert_eq!(response.status(), 200);
        response.text().await.unwrap();
    }
}

#[tokio::test]
async fn more_choices_than_places_are_made_in_turn() {
    for places in [1, 3] {
        let backend = Backend::start(&["gpt-5.5"], |number, _| {
            Answer::stream(answer(&[["a", "b", "c", "d"][number % 4]]))
        })
        .await;
        let daemon = Daemon::with_settings(&backend.base_url, &limits(places, 0)).await;
        let four = with(hello(), json!({"n": 4}));
        let begun = Instant::now();
        let (status, whole) = daemon.ask(&four).await;
        assert_eq!((status, whole["choices"].as_array().unwrap().len()), (200, 4));
        let (status, chunks) = daemon.stream(&four).await;
        assert_eq!(status, 200);
        let mut texts: Vec<_> = (0..4).map(|choice| content(&chunks, choice)).collect();
        texts.sort();
        assert_eq!(texts, ["a", "b", "c", "d"]);
        assert!(begun.elapsed() < DEADLINE, "waited for the choices that had no turn yet");
        assert!(backend.peak() <= places, "{}", backend.peak());
    }
}

#[tokio::test]
async fn places_are_free_as_soon_as_an_answer_is_over() {
    let backend = Backend::start(&["gpt-5.5"], |number, _| match number % 4 {
        0 => Answer::stream(answer(&["Hi"])),
        1 => Answer::error(400, r#"{"detail":"Unsupported parameter: x"}"#),
        2 => Answer::stream("").ending(End::Reset),
        // Reports a failure after the answer has begun.
        _ => Answer::stream(crate::support::backend::sse(&crate::support::backend::text(&["Hel"]))),
    })
    .await;
    let settings = limits(1, 0) + "\nmax_retries = 0";
    let daemon = Daemon::with_settings(&backend.base_url, &settings).await;
    for is_streamed in [false, true, false] {
        for _ in 0..4 {
            let response = daemon.post(asking(is_streamed, json!({}))).await;
            assert_ne!(response.status(), 429);
            response.text().await.unwrap();
        }
    }
    assert_eq!(backend.seen().len(), 12);
}

#[tokio::test]
async fn leaving_makes_room_in_the_calls_and_in_the_line() {
    for is_streamed in [false, true] {
        let (gate, _) = watch::channel(false);
        let opening = gate.clone();
        let mut backend = Backend::start(&["gpt-5.5"], move |number, _| match number {
            0 => Answer::stream(answer(&["Hi"])).behind(&opening),
            _ => Answer::stream(answer(&["Hi"])),
        })
        .await;
        let daemon = Daemon::with_settings(&backend.base_url, &limits(1, 1)).await;
        let request = asking(is_streamed, json!({}));
        let ask = || Box::pin(daemon.post(request.clone()));
        let mut first = ask();
        tokio::select! {
            _ = &mut first => panic!("answered behind the gate"),
            () = backend.wait_for_calls(1) => {}
        }
        // Whoever waits leaves, and somebody else can wait.
        let (_, waits) = match select(ask(), ask()).await {
            Either::Left(pair) | Either::Right(pair) => pair,
        };
        drop(waits);
        let begun = Instant::now();
        let waits = loop {
            assert!(begun.elapsed() < DEADLINE, "there is never any room in the line");
            let mut waits = ask();
            let patience = Duration::from_millis(200);
            match tokio::time::timeout(patience, &mut waits).await {
                Ok(response) => assert_eq!(response.status(), 429),
                Err(_) => break waits,
            }
        };
        // The call's client leaves, and the one that waits is next.
        drop(first);
        backend.wait_for_leave(1).await;
        assert_eq!(waits.await.status(), 200);
        let response = ask_until_there_is_room(&daemon, &request).await;
        assert_eq!(response.status(), 200);
        drop(gate);
    }
}

/// Longer than a stream's status waits for the answer to begin: those that wait here have one yet.
#[tokio::test]
async fn who_waits_for_a_minute_is_sent_away_with_a_status_of_its_own() {
    for is_streamed in [false, true] {
        let (backend, _gate) = gated().await;
        let daemon = Daemon::with_settings(&backend.base_url, &limits(1, 1)).await;
        let mut first = Box::pin(daemon.post(asking(false, json!({}))));
        tokio::select! {
            _ = &mut first => panic!("answered behind the gate"),
            () = backend.wait_for_calls(1) => {}
        }
        let mut waits = Box::pin(daemon.post(asking(is_streamed, json!({}))));
        assert!(waits.as_mut().now_or_never().is_none());
        // From here on there is nothing to do but to wait, and time flies.
        tokio::time::pause();
        let asked = tokio::time::Instant::now();
        let response = waits.await;
        assert!(asked.elapsed() >= Duration::from_secs(60), "{:?}", asked.elapsed());
        tokio::time::resume();
        assert_sent_away(response).await;
    }
}
