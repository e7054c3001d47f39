//! Answers from a capture.
//!
//! A request gets what the same request got: the one with the same body, else one for the same
//! model with a conversation of the same shape, else the next one for the same model. Where several
//! fit, each is given once, in their order, and the last one again and again; so a call that was
//! refused and sent again is refused and sent again.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use super::refusal::Refusal;
use crate::capture::redact::{self, Secrets};
use crate::capture::{Call, End, Event, Exchange};

/// Headers that are about the connection on which the answer came.
const OF_THE_CONNECTION: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONNECTION,
    header::DATE,
    header::TRANSFER_ENCODING,
];

/// Members of a request that differ between conversations with the same content.
const OF_THE_SESSION: [&str; 2] = ["prompt_cache_key", "client_metadata"];

/// The recorded calls.
#[derive(Debug)]
pub struct Replay {
    calls: Vec<Recorded>,
    /// Those that were given already.
    given: Mutex<BTreeSet<usize>>,
}

#[derive(Debug)]
struct Recorded {
    /// The number of its exchange.
    number: u32,
    sought: Sought,
    answer: Call,
}

/// What calls are known by.
#[derive(Debug, PartialEq)]
struct Sought {
    body: Value,
    model: String,
    shape: Vec<String>,
}

/// No recorded call is for the same model, or they have all been given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no exchange of the capture fits this request, which is for {asked}; the nearest is {nearest}"
)]
pub(super) struct NoMatch {
    asked: String,
    nearest: String,
}

impl Replay {
    /// A replay of these exchanges; nothing if no backend has answered in any of them.
    pub fn new(exchanges: Vec<Exchange>) -> Option<Self> {
        let calls: Vec<Recorded> = exchanges
            .into_iter()
            .flat_map(|exchange| {
                let number = exchange.number;
                exchange.calls.into_iter().map(move |call| (number, call))
            })
            // What nobody has answered cannot be given.
            .filter(|(_, call)| call.response.is_some())
            .map(|(number, mut answer)| {
                let body = std::mem::take(&mut answer.request.body);
                Recorded { number, sought: Sought::new(body), answer }
            })
            .collect();
        (!calls.is_empty()).then_some(Self { calls, given: Mutex::default() })
    }

    /// The models that were asked for.
    pub fn models(&self) -> BTreeSet<&str> {
        self.calls.iter().map(|call| call.sought.model.as_str()).collect()
    }

    /// The answer to a request.
    pub(super) fn respond(&self, body: &[u8]) -> Response {
        let sought = Sought::new(redact::body(body, &Secrets::default()));
        match self.find(&sought) {
            Ok(recorded) => {
                tracing::info!(exchange = recorded.number, "replayed");
                answer(&recorded.answer)
            }
            Err(error) => {
                let message = error.to_string();
                Refusal::invalid(&message, None, Some("not_in_the_capture")).into_response()
            }
        }
    }

    fn find(&self, sought: &Sought) -> Result<&Recorded, NoMatch> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self
            .next(&given, |call| call.body == sought.body)
            .or_else(|| self.next(&given, |call| call.is_like(sought)))
            .or_else(|| {
                let mut calls = self.calls.iter().enumerate();
                let fits = |(index, call): &(usize, &Recorded)| {
                    !given.contains(index) && call.sought.model == sought.model
                };
                calls.find(fits).map(|(index, _)| index)
            });
        let index = found.ok_or_else(|| self.nothing(sought))?;
        given.insert(index);
        Ok(&self.calls[index])
    }

    /// The first of those that fit which was not given yet, or else the last one.
    fn next(&self, given: &BTreeSet<usize>, fits: impl Fn(&Sought) -> bool) -> Option<usize> {
        let fitting = || {
            let calls = self.calls.iter().enumerate();
            calls.filter(|(_, call)| fits(&call.sought)).map(|(index, _)| index)
        };
        fitting().find(|index| !given.contains(index)).or_else(|| fitting().last())
    }

    fn nothing(&self, sought: &Sought) -> NoMatch {
        let nearest = self.calls.iter().max_by_key(|call| {
            let alike = call.sought.shape.iter().zip(&sought.shape);
            let alike = alike.take_while(|(one, other)| one == other).count();
            (call.sought.model == sought.model, alike, std::cmp::Reverse(call.number))
        });
        let nearest = nearest.map_or_else(String::new, |call| {
            format!("exchange {}, which is for {}", call.number, call.sought.in_words())
        });
        NoMatch { asked: sought.in_words(), nearest }
    }
}

impl Sought {
    fn new(mut body: Value) -> Self {
        if let Some(members) = body.as_object_mut() {
            for name in OF_THE_SESSION {
                members.remove(name);
            }
        }
        let input = body["input"].as_array().map(Vec::as_slice).unwrap_or_default();
        let shape = input.iter().map(|item| {
            let member = |name: &str| item[name].as_str();
            let kind = member("type").unwrap_or("message");
            member("role").map_or_else(|| kind.to_owned(), |role| format!("{role} {kind}"))
        });
        let (shape, model) = (shape.collect(), body["model"].as_str().unwrap_or_default());
        Self { model: model.to_owned(), shape, body }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.model == other.model && self.shape == other.shape
    }

    fn in_words(&self) -> String {
        let model = if self.model.is_empty() { "no model" } else { &self.model };
        format!("{model} with [{}]", self.shape.join(", "))
    }
}

/// What was recorded, as it came but for its pace.
fn answer(call: &Call) -> Response {
    let Some(recorded) = &call.response else { return Response::default() };
    let body = match &recorded.body {
        Some(body) => Body::from(body.clone()),
        None => events(&call.events, &call.end),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(recorded.status).unwrap_or_default();
    for (name, value) in &recorded.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
            && !OF_THE_CONNECTION.contains(&name)
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn events(events: &[Event], end: &End) -> Body {
    let frames: Vec<io::Result<Bytes>> =
        events.iter().map(|event| Ok(Bytes::from(frame(&event.data)))).collect();
    let last = match end {
        // What failed there breaks off here.
        End::Failed(_) => Some(Err(io::ErrorKind::ConnectionReset.into())),
        End::Here | End::There => None,
    };
    let pieces = stream::iter(frames.into_iter().chain(last)).then(|piece| async move {
        // Each piece is sent before the next is made, or nothing of them would be if it breaks off.
        tokio::task::yield_now().await;
        piece
    });
    Body::from_stream(pieces)
}

fn frame(data: &str) -> String {
    let json: Value = serde_json::from_str(data).unwrap_or_default();
    let kind = json["type"].as_str().map(|kind| format!("event: {kind}\n")).unwrap_or_default();
    // A line break in the data begins another line of it.
    let data = data.replace('\n', "\ndata: ");
    format!("{kind}data: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::capture::{Message, Response as Head};

    fn body(model: &str, texts: &[&str]) -> Value {
        let item = |text: &&str| json!({"type": "message", "role": "user", "content": text});
        json!({"model": model, "input": texts.iter().map(item).collect::<Vec<_>>()})
    }

    fn exchange(number: u32, bodies: &[Value]) -> Exchange {
        let call = |body: &Value| Call {
            request: Message { headers: Vec::new(), body: body.clone() },
            response: Some(Head { at_ms: 1, status: 200, headers: Vec::new(), body: None }),
            ..Call::default()
        };
        Exchange {
            number,
            at: String::new(),
            request: Message::default(),
            calls: bodies.iter().map(call).collect(),
            answer: None,
            is_cut: false,
        }
    }

    fn numbers(replay: &Replay, asked: &[Value]) -> Vec<Result<u32, NoMatch>> {
        asked.iter().map(|body| replay.find(&Sought::new(body.clone())).map(|c| c.number)).collect()
    }

    #[test]
    fn the_same_body_then_the_same_shape_then_the_next_one() {
        let (one, two, three) = (body("m", &["a"]), body("m", &["b"]), body("m", &["a", "b"]));
        let exchanges = [&one, &two, &three]
            .into_iter()
            .zip(1..)
            .map(|(b, n)| exchange(n, std::slice::from_ref(b)));
        let replay = Replay::new(exchanges.collect()).unwrap();
        let mut keyed = two.clone();
        keyed["prompt_cache_key"] = "another".into();
        let other = body("m", &["a", "b", "c"]);
        let asked = [keyed, body("m", &["x"]), body("m", &["y"]), other.clone(), other];
        let found = numbers(&replay, &asked);
        assert_eq!(found[..4], [Ok(2), Ok(1), Ok(2), Ok(3)]);
        let error = found[4].as_ref().unwrap_err().to_string();
        assert_eq!(
            error,
            "no exchange of the capture fits this request, which is for m with [user message, \
             user message, user message]; the nearest is exchange 3, which is for m with [user \
             message, user message]"
        );
        let error = numbers(&replay, &[body("n", &["a"])]).remove(0).unwrap_err();
        assert_eq!(error.nearest, "exchange 1, which is for m with [user message]");
    }

    #[test]
    fn what_was_sent_again_is_refused_again_first() {
        let same = body("m", &["a"]);
        let replay = Replay::new(vec![exchange(1, &[same.clone(), same.clone()])]).unwrap();
        let found: Vec<_> = (0..3)
            .map(|_| {
                let call = replay.find(&Sought::new(same.clone())).unwrap();
                replay.calls.iter().position(|other| std::ptr::eq(other, call)).unwrap()
            })
            .collect();
        assert_eq!(found, [0, 1, 1]);
    }

    #[test]
    fn what_nobody_has_answered_is_nothing_to_replay() {
        let mut unanswered = exchange(1, &[body("m", &["a"])]);
        unanswered.calls[0].response = None;
        assert!(Replay::new(vec![unanswered]).is_none());
        assert!(Replay::new(Vec::new()).is_none());
    }

    #[test]
    fn events_are_framed_line_by_line() {
        assert_eq!(frame(r#"{"type":"a"}"#), "event: a\ndata: {\"type\":\"a\"}\n\n");
        assert_eq!(frame("{\n}"), "data: {\ndata: }\n\n");
    }
}
