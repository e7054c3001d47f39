//! What the backend does with one call, drawn by lot.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::events;
use crate::ledger::Attempt;
use crate::mark::{CANARY, Mark};
use crate::millis;

/// What comes of a call.
pub(crate) struct Script {
    /// Status and body of a refusal; else an answer with the steps.
    pub(crate) refusal: Option<(u16, String)>,
    pub(crate) steps: Vec<Step>,
    /// What is to arrive.
    pub(crate) said: Attempt,
}

/// A step of an answer. After the last one it ends as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// The connection is cut; where nothing was sent, there is not even a head.
    Cut,
    /// Nothing more comes.
    Silence,
}

/// What can happen, and how often among 1000 calls.
const FATES: [(&str, u32); 17] = [
    ("proper", 610),
    ("burst", 40),
    ("pauses", 50),
    ("cut in the middle", 40),
    ("cut after the end", 20),
    ("cut after the head", 20),
    ("cut before the head", 20),
    ("usage limit", 20),
    ("rate limit", 30),
    ("login refused", 10),
    ("500", 25),
    ("503", 25),
    ("failed in the middle", 25),
    ("failed at once", 20),
    ("incomplete", 30),
    ("silence in the middle", 10),
    ("silence at once", 5),
];

impl Script {
    /// Draws one.
    pub(crate) fn drawn(rng: &mut Rng, mark: Mark, has_tools: bool) -> Self {
        let mut lot = rng.u32(0..FATES.iter().map(|(_, weight)| weight).sum());
        let fate = FATES.iter().find(|(_, weight)| match lot.checked_sub(*weight) {
            Some(rest) => {
                lot = rest;
                false
            }
            None => true,
        });
        Self::of(fate.unwrap().0, rng, mark, has_tools)
    }

    fn of(fate: &'static str, rng: &mut Rng, mark: Mark, has_tools: bool) -> Self {
        if let Some((status, body)) = refusal(fate, rng, mark) {
            let said = Attempt { fate, ..Attempt::default() };
            return Self { refusal: Some((status, body)), steps: Vec::new(), said };
        }
        let answer = Answer::drawn(fate, rng, mark, has_tools);
        let whole: Vec<Bytes> = answer.events.iter().map(events::wire).collect();
        let last = whole.len() - 1;
        let mut said =
            Attempt { fate, text: answer.text, calls: answer.calls, finish: Some(answer.finish) };
        let mut sent = whole.clone();
        let mut end = None;
        match fate {
            "cut in the middle" | "silence in the middle" | "failed in the middle" => {
                // At least the beginning, and never the end.
                sent.truncate(rng.usize(2..=last));
                said.finish = None;
                end = match fate {
                    "cut in the middle" => {
                        // Sometimes in the middle of an event.
                        let part = &whole[sent.len()];
                        sent.push(part.slice(..rng.usize(0..part.len() - 2)));
                        Some(Step::Cut)
                    }
                    "silence in the middle" => Some(Step::Silence),
                    _ => {
                        let code = ["server_error", "server_is_overloaded", "rate_limit_exceeded"];
                        sent.push(events::wire(&events::failed(mark, code[rng.usize(0..3)])));
                        None
                    }
                };
            }
            "failed at once" => {
                sent.truncate(1);
                sent.push(events::wire(&events::failed(mark, "server_error")));
                said.finish = None;
            }
            "cut after the end" => end = Some(Step::Cut),
            "cut after the head" | "silence at once" => {
                sent.clear();
                said.finish = None;
                end = Some(if fate == "silence at once" { Step::Silence } else { Step::Cut });
            }
            "cut before the head" => {
                sent.clear();
                said.finish = None;
                end = Some(Step::Cut);
            }
            _ => {}
        }
        let mut steps = match fate {
            "burst" => vec![Step::Send(sent.concat().into())],
            "cut before the head" => Vec::new(),
            // The head goes out as soon as there is nothing more to send with it.
            "cut after the head" | "silence at once" => vec![Step::Wait(millis(10))],
            _ => paced(&sent, rng, if fate == "pauses" { 400 } else { 15 }),
        };
        steps.extend(end);
        Self { refusal: None, steps, said }
    }
}

/// Refusals, as the real backend words them.
fn refusal(fate: &str, rng: &mut Rng, mark: Mark) -> Option<(u16, String)> {
    let (status, error) = match fate {
        "usage limit" => (
            429,
            json!({"type": "usage_limit_reached", "plan_type": "plus", "resets_in_seconds": 5000,
                "message": format!("The usage limit has been reached {mark}")}),
        ),
        "rate limit" => (
            429,
            json!({"type": "tokens", "code": "rate_limit_exceeded", "message": format!("Rate limit \
                reached for gpt-5.5 in {mark} on tokens per min. Please try again in 20ms.")}),
        ),
        "login refused" => (
            401,
            json!({"type": "invalid_request_error", "code": "token_expired",
                "message": format!("Provided authentication token is expired {mark}.")}),
        ),
        "500" => (
            500,
            json!({"type": "server_error", "code": "server_error",
                "message": format!("An error occurred {mark}")}),
        ),
        "503" if rng.bool() => return Some((503, "upstream connect error".to_owned())),
        "503" => (
            503,
            json!({"type": "service_unavailable_error", "code": "server_is_overloaded",
                "message": format!("Our servers are overloaded {mark}")}),
        ),
        _ => return None,
    };
    Some((status, json!({ "error": error }).to_string()))
}

/// A whole answer.
struct Answer {
    events: Vec<Value>,
    text: String,
    calls: Vec<(String, String)>,
    finish: &'static str,
}

impl Answer {
    fn drawn(fate: &str, rng: &mut Rng, mark: Mark, has_tools: bool) -> Self {
        let mut events = events::beginning(mark);
        let mut index = 0;
        if rng.bool() {
            events.extend(events::thought(mark, index));
            index += 1;
        }
        let calls_tools = has_tools && fate != "incomplete" && rng.u8(0..10) < 6;
        let (mut text, mut calls) = (String::new(), Vec::new());
        // Sometimes something is said before tools are called.
        if !calls_tools || rng.u8(0..4) == 0 {
            events.extend(events::message(mark, index));
            let (count, length) = match fate {
                "burst" => (rng.usize(100..800), 600),
                _ => (rng.usize(2..25), 120),
            };
            for number in 0..count {
                let words = format!("{CANARY}, {} wörds 🌍\n", rng.u32(..));
                let delta = words + &events::piece(mark, number, rng.usize(1..length));
                events.push(events::delta(mark, index, &delta));
                text.push_str(&delta);
            }
            if fate != "incomplete" {
                events.extend(events::message_done(mark, index, &text));
            }
            index += 1;
        }
        if calls_tools {
            let drawn: Vec<_> =
                (0..rng.usize(1..=3)).map(|number| call(rng, mark, number)).collect();
            events.extend(events::calls(mark, index, &drawn));
            calls = drawn.into_iter().map(|(name, pieces)| (name, pieces.concat())).collect();
        }
        let (reason, finish) = match fate {
            "incomplete" if rng.bool() => (Some("content_filter"), "content_filter"),
            "incomplete" => (Some("max_output_tokens"), "length"),
            _ if calls_tools => (None, "tool_calls"),
            _ => (None, "stop"),
        };
        events.push(events::end(mark, reason));
        Self { events, text, calls, finish }
    }
}

/// A tool call: its name, and its arguments in pieces.
fn call(rng: &mut Rng, mark: Mark, number: usize) -> (String, Vec<String>) {
    let name = ["note", "look"][rng.usize(0..2)].to_owned();
    let mut pieces = vec![format!("{{\"number\":{number},\"of\":\"{mark}\"")];
    for key in 0..rng.usize(0..12) {
        pieces.push(format!(",\"key{key}\":\"{CANARY}, {} {mark}\"", rng.u32(..)));
    }
    pieces.push("}".to_owned());
    (name, pieces)
}

/// The events in pieces that have nothing to do with where events end, with waits between them.
fn paced(events: &[Bytes], rng: &mut Rng, longest_wait: u64) -> Vec<Step> {
    let mut rest = BytesMut::from(&*events.concat());
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let length = match rng.u8(0..4) {
            0 => rng.usize(1..100),
            1 => rng.usize(100..1000),
            _ => rng.usize(1000..4000),
        };
        steps.push(Step::Send(rest.split_to(length.min(rest.len())).freeze()));
        steps.push(Step::Wait(millis(rng.u64(0..longest_wait))));
    }
    steps
}

#[test]
fn all_fates_are_drawn_and_what_is_said_is_what_is_sent() {
    use crate::mark::{Talk, Turn};

    assert_eq!(FATES.iter().map(|(_, weight)| weight).sum::<u32>(), 1000);
    let mark = Turn { talk: Talk { client: 1, number: 2 }, turn: 0 }.answered(0);
    let mut rng = Rng::with_seed(1);
    let mut drawn = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let script = Script::drawn(&mut rng, mark, true);
        drawn.insert(script.said.fate);
        let sent: Vec<u8> = script
            .steps
            .iter()
            .filter_map(|step| if let Step::Send(bytes) = step { Some(&bytes[..]) } else { None })
            .collect::<Vec<_>>()
            .concat();
        let (mut text, mut ended) = (String::new(), false);
        for event in String::from_utf8_lossy(&sent).split("\n\n") {
            let data = event.split_once("data: ").map_or("null", |(_, data)| data);
            let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
            match event["type"].as_str() {
                Some("response.output_text.delta") => text += event["delta"].as_str().unwrap(),
                Some("response.completed" | "response.incomplete") => ended = true,
                _ => {}
            }
        }
        assert_eq!(ended, script.said.finish.is_some(), "{}", script.said.fate);
        assert!(script.said.text.starts_with(&text));
        assert!(!ended || script.said.text == text);
    }
    assert_eq!(drawn.len(), FATES.len(), "{drawn:?}");
}
