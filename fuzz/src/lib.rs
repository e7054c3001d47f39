//! What is fuzzed: both directions of the translation, from bytes to bytes; the framing of events;
//! and what is read and kept of a login.
//!
//! The rules are those of the crate's own tests. A broken rule is a panic.

// Whole answers are not fuzzed.
#[allow(dead_code)]
#[path = "../../tests/translation/answer.rs"]
mod answer;
#[path = "../../tests/translation/upstream.rs"]
mod upstream;

mod framing;
mod login;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

pub use self::framing::sse;
pub use self::login::auth;

use bytes::Bytes;
use codex_proxy::chat::request::Request;
use codex_proxy::conversation::ReplaySource;
use codex_proxy::platform::Platform;
use codex_proxy::sse;
use codex_proxy::translate::plan::Plan;
use codex_proxy::translate::policy::{Commentary, Policy, Reasoning};
use codex_proxy::translate::request::{Model, translate};
use futures_util::{FutureExt as _, StreamExt as _, stream};

/// The most bytes of an event.
const LARGEST: usize = 1 << 16;

/// A request of a client: it is refused, or what is sent is allowed and always the same.
pub fn request(data: &[u8]) {
    let Ok(body) = codex_proxy::json::parse(data) else { return };
    let chat = match Request::read(&body) {
        Ok(chat) => chat,
        Err(reject) => return assert!(!reject.message.is_empty()),
    };
    let model = Model {
        slug: "gpt-5.5".to_owned(),
        efforts: Vec::new(),
        ultra: codex_proxy::effort::Effort::Max,
        effort: None,
        reasons: true,
        summaries: true,
        verbosity: true,
    };
    let send = || {
        let translated =
            translate(&chat, &model, Policy::default(), &ReplaySource::unknown()).ok()?;
        Some(serde_json::to_vec(&translated.request).expect("a request can be written"))
    };
    let Some(sent) = send() else { return };
    assert_eq!(send().as_ref(), Some(&sent));
    let sent = serde_json::from_slice(&sent).expect("what is sent is JSON");
    if let Err(why) = upstream::check(&sent, Platform::Codex) {
        panic!("{why}: {sent}");
    }
}

/// A stream of the backend: the first byte chooses what the answer has to look like, the second
/// in which pieces the rest arrives.
pub fn stream(data: &[u8]) {
    let [choice, pieces, bytes @ ..] = data else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    let events = read(vec![bytes.clone()]);
    assert_eq!(read(split(&bytes, *pieces)), events, "other pieces give other events");
    let plan = Arc::new(plan(*choice));
    let answer = answer::read(&plan, events.iter().map(String::as_str));
    if let Err(why) = answer.check(&plan) {
        panic!("{why}\n{}", String::from_utf8_lossy(&answer.chunks));
    }
}

/// All events up to the first error.
fn read(pieces: Vec<Bytes>) -> Vec<String> {
    let limits = sse::Limits { event: LARGEST, body: usize::MAX };
    sse::events(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)), limits)
        .scan((), |(), event| std::future::ready(event.ok()))
        .collect()
        .now_or_never()
        .expect("nothing is pending")
}

/// The bytes in pieces of varying sizes.
fn split(bytes: &Bytes, seed: u8) -> Vec<Bytes> {
    let mut state = u32::from(seed);
    let mut rest = bytes.clone();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = 1 + (state >> 24) as usize % 40;
        pieces.push(rest.split_to(size.min(rest.len())));
    }
    pieces
}

fn plan(choice: u8) -> Plan {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let bit = |bit: u8| choice & (1 << bit) != 0;
    let functions: BTreeSet<String> = names(&["f", "get_time"]);
    Plan {
        stream: true,
        include_usage: bit(0),
        json: bit(1),
        legacy_functions: bit(2),
        stops: if bit(3) { vec!["STOP".to_owned(), "\n\n".to_owned()] } else { Vec::new() },
        max_tokens: bit(4).then_some(5),
        commentary: if bit(5) { Commentary::Reasoning } else { Commentary::Content },
        reasoning: match choice >> 6 {
            0 => Reasoning::ReasoningContent,
            1 => Reasoning::Reasoning,
            2 => Reasoning::Think,
            _ => Reasoning::None,
        },
        custom_tools: names(&["run"]),
        functions,
        ..Plan::default()
    }
}
