//! Authored streams and what has to come of them, and what may not come of them when they are
//! cut, thinned out or repeated.
//!
//! `golden.rs` describes the files of these streams, and how to write what is expected anew.

use serde_json::{Value, json};

use crate::answer::{End, read, read_whole};
use crate::golden::{Case, bless, cases, events, fault, is_bless};

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
        End::Broken(found) => assert_eq!(expected["fault"], fault(found), "{name}"),
        End::Cut => panic!("{name} has no end"),
    }
}

#[test]
fn every_stream_gives_the_answer_it_should_whole_and_streamed() {
    if is_bless() {
        cases().iter().for_each(bless);
    }
    for case in cases() {
        let Case { name, expected, .. } = &case;
        let (choice, end) = read_whole(&case.plan, case.events());
        check(name, &choice, &end, expected);

        let answer = read(&case.plan, case.events());
        let choice = answer.check(&case.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
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
    for Case { name, bytes, events: expected, .. } in cases() {
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
    for case in cases() {
        let name = &case.name;
        let whole = read(&case.plan, case.events());
        for count in 0..case.events.len() {
            let answer = read(&case.plan, case.events().take(count));
            let choice = answer.check(&case.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
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
            if case.plan.stops.is_empty() {
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
    for case in cases() {
        let whole = read(&case.plan, case.events());
        for at in 0..=case.events.len() {
            let events = case.events().take(at).chain(unknown);
            let answer = read(&case.plan, events.chain(case.events().skip(at)));
            assert_eq!(answer.chunks, whole.chunks, "{} at {at}", case.name);
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
    for case in cases() {
        let name = &case.name;
        // What comes first counts even if it is shorter than what follows, and a wrapper that
        // cannot be read any more is told with all that is around its calls.
        if ["text/text-disagrees", "tools/tool-wrapper"].contains(&name.as_str()) {
            continue;
        }
        let whole = read(&case.plan, case.events());
        if matches!(whole.end, End::Broken(_)) {
            // Without the event that contradicts, an answer may well become longer.
            continue;
        }
        let whole = whole.check(&case.plan).unwrap();
        for lost in 0..case.events.len() {
            let events = case.events().take(lost).chain(case.events().skip(lost + 1));
            let answer = read(&case.plan, events);
            let choice = answer.check(&case.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
            let event = &case.events[lost];
            let is_end = ends.iter().any(|end| event.contains(&format!("\"{end}\"")));
            // Without the event that cuts it, an answer may well become longer.
            let is_cut = !case.plan.stops.is_empty() || case.plan.max_tokens.is_some();
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
    for case in cases() {
        let name = &case.name;
        let whole = read(&case.plan, case.events());
        for again in 0..case.events.len() {
            let events = case.events().take(again + 1).chain(case.events().skip(again));
            let answer = read(&case.plan, events);
            answer.check(&case.plan).unwrap_or_else(|why| panic!("{name}: {why}"));
            let event = &case.events[again];
            if !event.contains(".delta\"") {
                let text = String::from_utf8_lossy(&answer.chunks);
                assert_eq!(text, String::from_utf8_lossy(&whole.chunks), "{name}: {event}");
            }
        }
    }
}
