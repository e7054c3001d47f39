//! Authored streams and what has to come of them, and what may not come of them when they are
//! cut, thinned out or repeated.
//!
//! Beside each `tests/fixtures/NAME.sse` stands `NAME.json`: what the client had asked
//! (`request`, over a plain question), the owner's choices (`reasoning`, `commentary`), and
//! either `message`, `finish_reason` and perhaps `usage`, or `error`, the `partial` content and
//! whether anything had `begun`, or a `fault` with the `partial` content. Where a stream cannot
//! give what the whole answer does, `streamed` holds its `message`, or its `fault` and `partial`.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use codex_proxy::chat::request::Request;
use codex_proxy::conversation::ReplaySource;
use codex_proxy::sse;
use codex_proxy::translate::plan::Plan;
use codex_proxy::translate::policy::{Commentary, Policy, Reasoning};
use codex_proxy::translate::request::{Model, translate};
use codex_proxy::translate::response::ReadError;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};

use crate::answer::{End, read, read_whole};

struct Fixture {
    name: String,
    bytes: Vec<u8>,
    events: Vec<String>,
    plan: Arc<Plan>,
    expected: Value,
}

impl Fixture {
    fn events(&self) -> impl Iterator<Item = &str> + Clone {
        self.events.iter().map(String::as_str)
    }
}

/// The events of a stream that comes in pieces of so many bytes.
pub(crate) fn events(bytes: &[u8], size: usize) -> Vec<String> {
    let pieces: Vec<_> =
        bytes.chunks(size).map(|piece| Ok::<_, Infallible>(piece.to_vec())).collect();
    let limits = sse::Limits { event: 16 << 20, body: usize::MAX };
    sse::events(stream::iter(pieces), limits)
        .map(|event| event.expect("a good stream"))
        .collect()
        .now_or_never()
        .expect("nothing is pending")
}

fn plan(expected: &Value) -> Plan {
    let mut request = json!({
        "model": "gpt-5.5",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    for (key, value) in expected["request"].as_object().into_iter().flatten() {
        request[key] = value.clone();
    }
    let mut policy = Policy::default();
    policy.reasoning = match expected["reasoning"].as_str() {
        None => policy.reasoning,
        Some("reasoning") => Reasoning::Reasoning,
        Some("think") => Reasoning::Think,
        Some("none") => Reasoning::None,
        Some(other) => panic!("reasoning {other}"),
    };
    if expected["commentary"] == "reasoning" {
        policy.commentary = Commentary::Reasoning;
    }
    let model = Model {
        slug: "gpt-5.5".to_owned(),
        efforts: Vec::new(),
        ultra: codex_proxy::effort::Effort::Max,
        effort: None,
        reasons: true,
        summaries: true,
        verbosity: true,
    };
    let text = request.to_string();
    let body = codex_proxy::json::parse(text.as_bytes()).unwrap();
    translate(&Request::read(&body).unwrap(), &model, policy, &ReplaySource::unknown())
        .unwrap()
        .plan
}

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sse"))
        .collect();
    paths.sort();
    assert!(paths.len() > 60, "{} fixtures", paths.len());
    paths.iter().map(|path| fixture(path)).collect()
}

fn fixture(path: &Path) -> Fixture {
    let bytes = fs::read(path).unwrap();
    let expected = fs::read(path.with_extension("json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    Fixture {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        events: events(&bytes, bytes.len()),
        plan: Arc::new(plan(&expected)),
        bytes,
        expected,
    }
}

fn fault(word: &Value) -> ReadError {
    match word.as_str() {
        Some("contradicted") => ReadError::Contradicted,
        Some("unfinished_call") => ReadError::UnfinishedCall,
        Some("damaged") => ReadError::InvalidEvent,
        other => panic!("fault {other:?}"),
    }
}

/// Checks how an answer ended, and what it was.
fn check(name: &str, choice: &Value, end: &End, expected: &Value) {
    match end {
        End::Finished => {
            assert_eq!(choice["message"], expected["message"], "{name}");
            assert_eq!(choice["finish_reason"], expected["finish_reason"], "{name}");
        }
        End::Failed(report, has_begun) => {
            let error = &expected["error"];
            assert_eq!(report.code.as_deref(), error["code"].as_str(), "{name}");
            assert_eq!(report.message.as_deref(), error["message"].as_str(), "{name}");
            assert_eq!(json!(has_begun), expected["begun"], "{name}");
            assert_eq!(choice["message"]["content"], expected["partial"], "{name}");
        }
        End::Broken(found) => assert_eq!(*found, fault(&expected["fault"]), "{name}"),
        End::Cut => panic!("{name} has no end"),
    }
}

#[test]
fn every_stream_gives_the_answer_it_should_whole_and_streamed() {
    for fixture in fixtures() {
        let Fixture { name, expected, .. } = &fixture;
        let (choice, end) = read_whole(&fixture.plan, fixture.events());
        check(name, &choice, &end, expected);

        let answer = read(&fixture.plan, fixture.events());
        let choice = answer.check(&fixture.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
        let streamed = expected.get("streamed").unwrap_or(expected);
        check(name, &choice, &answer.end, streamed);
        match &answer.end {
            End::Finished => {
                if let Some(usage) = expected.get("usage") {
                    assert_eq!(answer.usage, *usage, "{name}");
                }
            }
            End::Broken(_) => {
                assert_eq!(choice["message"]["content"], streamed["partial"], "{name}");
            }
            _ => assert_eq!(answer.chunks.is_empty(), streamed["partial"] == "", "{name}"),
        }
    }
}

#[test]
fn streams_are_read_alike_at_every_split_and_with_other_line_ends() {
    for Fixture { name, bytes, events: expected, .. } in fixtures() {
        let text = String::from_utf8(bytes.clone()).unwrap();
        for bytes in [bytes, text.replace('\n', "\r\n").into(), text.replace('\n', "\r").into()] {
            for size in [1, 7, 100] {
                assert_eq!(events(&bytes, size), expected, "{name} in pieces of {size}");
            }
        }
    }
}

#[test]
fn a_stream_cut_after_any_event_shows_a_part_and_never_a_finish_reason() {
    for fixture in fixtures() {
        let name = &fixture.name;
        let whole = read(&fixture.plan, fixture.events());
        for count in 0..fixture.events.len() {
            let answer = read(&fixture.plan, fixture.events().take(count));
            let choice = answer.check(&fixture.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
            if answer.end != End::Cut {
                // What was held back is shown before an error, as at a cut.
                let is_error = matches!(answer.end, End::Broken(_));
                assert!(
                    answer.chunks == whole.chunks || (is_error && answer.end == whole.end),
                    "{name}: the end came before {count}"
                );
                break;
            }
            // What is held back is shown at a cut, where it may turn out to be more than a stop
            // sequence let through.
            if fixture.plan.stops.is_empty() {
                assert!(whole.chunks.starts_with(&answer.chunks), "{name} {count}: {choice}");
            }
        }
    }
}

#[test]
fn unknown_events_change_nothing_wherever_they_come() {
    let unknown = [
        r#"{"type":"response.tea_break.delta","output_index":0,"item_id":"msg_0","delta":"tea"}"#,
        r#"{"type":"codex.rate_limits","rate_limits":{"primary":{"used_percent":1}}}"#,
        r#"{"type":"keepalive","sequence_number":3}"#,
        r#"{"type":"response.output_item.added","output_index":99,"item":{"id":"t","type":"tea"}}"#,
        "tea",
        "",
    ];
    for fixture in fixtures() {
        let whole = read(&fixture.plan, fixture.events());
        for at in 0..=fixture.events.len() {
            let events = fixture.events().take(at).chain(unknown);
            let answer = read(&fixture.plan, events.chain(fixture.events().skip(at)));
            assert_eq!(answer.chunks, whole.chunks, "{} at {at}", fixture.name);
        }
    }
}

/// How much the client gets to see.
fn size(choice: &Value) -> usize {
    let message = &choice["message"];
    let texts = ["content", "refusal", "reasoning_content", "reasoning"];
    let arguments = |call: &Value| {
        let (function, custom) = (&call["function"]["arguments"], &call["custom"]["input"]);
        function.as_str().or(custom.as_str()).map_or(0, str::len)
    };
    texts.iter().map(|key| message[key].as_str().map_or(0, str::len)).sum::<usize>()
        + message["tool_calls"].as_array().into_iter().flatten().map(arguments).sum::<usize>()
        + message["function_call"]["arguments"].as_str().map_or(0, str::len)
}

#[test]
fn a_lost_event_costs_at_most_what_it_told() {
    /// What may stand between a message and one that it would otherwise be apart from.
    const SEPARATOR: usize = 2;
    let ends = ["response.completed", "response.incomplete", "response.failed", "error"];
    for fixture in fixtures() {
        let name = &fixture.name;
        // What comes first counts even if it is shorter than what follows, and a wrapper that
        // cannot be read any more is told with all that is around its calls.
        if ["text-disagrees", "tool-wrapper"].contains(&name.as_str()) {
            continue;
        }
        let whole = read(&fixture.plan, fixture.events());
        if matches!(whole.end, End::Broken(_)) {
            // Without the event that contradicts, an answer may well become longer.
            continue;
        }
        let whole = whole.check(&fixture.plan).unwrap();
        for lost in 0..fixture.events.len() {
            let events = fixture.events().take(lost).chain(fixture.events().skip(lost + 1));
            let answer = read(&fixture.plan, events);
            let choice = answer.check(&fixture.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
            let event = &fixture.events[lost];
            let is_end = ends.iter().any(|end| event.contains(&format!("\"{end}\"")));
            // Without the event that cuts it, an answer may well become longer.
            let is_cut = !fixture.plan.stops.is_empty() || fixture.plan.max_tokens.is_some();
            if !is_end && !is_cut {
                assert!(
                    size(&choice) <= size(&whole) + SEPARATOR,
                    "{name} without {event}: {choice}"
                );
            }
        }
    }
}

#[test]
fn a_repeated_event_repeats_nothing_but_a_delta() {
    for fixture in fixtures() {
        let name = &fixture.name;
        let whole = read(&fixture.plan, fixture.events());
        for again in 0..fixture.events.len() {
            let events = fixture.events().take(again + 1).chain(fixture.events().skip(again));
            let answer = read(&fixture.plan, events);
            answer.check(&fixture.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
            let event = &fixture.events[again];
            if !event.contains(".delta\"") {
                let text = String::from_utf8_lossy(&answer.chunks);
                assert_eq!(text, String::from_utf8_lossy(&whole.chunks), "{name}: {event}");
            }
        }
    }
}
