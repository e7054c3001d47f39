//! The reader's own promises, event by event. Whole streams with their answers are in
//! `tests/translation`.

use serde_json::{Value, json};

use super::*;
use crate::chat::delta::CallKind;
use crate::translate::policy::Reasoning;

/// Events in short.
mod given {
    use super::{Value, json};

    pub(super) fn created(tier: &str) -> Value {
        json!({"type": "response.created", "response": {"model": "gpt-5.5", "service_tier": tier}})
    }

    pub(super) fn message(index: u64) -> Value {
        json!({"type": "response.output_item.added", "output_index": index,
            "item": {"type": "message", "content": []}})
    }

    pub(super) fn text(index: u64, text: &str) -> Value {
        json!({"type": "response.output_text.delta", "output_index": index, "delta": text})
    }

    pub(super) fn thought(index: u64, text: &str) -> Value {
        json!({"type": "response.reasoning_summary_text.delta", "output_index": index,
            "delta": text})
    }

    pub(super) fn call(index: u64, id: &str) -> Value {
        json!({"type": "response.output_item.added", "output_index": index,
            "item": {"type": "function_call", "call_id": id, "name": "f"}})
    }

    pub(super) fn arguments(index: u64, text: &str) -> Value {
        json!({"type": "response.function_call_arguments.delta", "output_index": index,
            "delta": text})
    }

    pub(super) fn call_done(index: u64, id: &str, arguments: &str) -> Value {
        json!({"type": "response.output_item.done", "output_index": index,
            "item": {"type": "function_call", "call_id": id, "name": "f", "arguments": arguments}})
    }

    pub(super) fn failed() -> Value {
        json!({"type": "error", "code": "server_error", "message": "No."})
    }

    pub(super) fn completed() -> Value {
        json!({"type": "response.completed", "response": {"service_tier": "default",
            "usage": {"input_tokens": 3, "output_tokens": 2}}})
    }
}

/// Writes every piece down in short.
#[derive(Default)]
struct Script(Vec<String>);

impl Sink for Script {
    fn delta(&mut self, delta: Delta<'_>) {
        self.0.push(match delta {
            Delta::Content(text) => format!("content {text}"),
            Delta::Reasoning(text) => format!("reasoning {text}"),
            Delta::Refusal(text) => format!("refusal {text}"),
            Delta::Call { index, id, name, kind } => format!("{kind:?} {index} {id} {name}"),
            Delta::Arguments { index, text, .. } => format!("arguments {index} {text}"),
            Delta::Image { index, .. } => format!("image {index}"),
            Delta::ReasoningDetails(list) => format!("{} details", list.len()),
            Delta::Annotations(list) => format!("{} annotations", list.len()),
            Delta::Finish(reason) => format!("{reason:?}"),
        });
    }
}

fn reader(plan: Plan) -> Reader {
    Reader::new(Arc::new(plan))
}

/// What each of the events brings.
fn steps(plan: Plan, events: &[Value]) -> Vec<Vec<String>> {
    let mut reader = reader(plan);
    events
        .iter()
        .map(|event| {
            let mut script = Script::default();
            reader.event(&event.to_string(), &mut script).unwrap();
            script.0
        })
        .collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn every_delta_is_told_at_once() {
    let got = steps(
        Plan::default(),
        &[
            given::created("auto"),
            given::thought(0, "Hm"),
            given::message(1),
            given::text(1, "Hel"),
            given::text(1, ""),
            given::text(1, "lo"),
            given::call(2, "call_1"),
            given::arguments(2, "{}"),
            given::call_done(2, "call_1", "{}"),
            given::completed(),
        ],
    );
    assert_eq!(
        got,
        [
            nothing(),
            vec!["reasoning Hm".into()],
            nothing(),
            vec!["content Hel".into()],
            nothing(),
            vec!["content lo".into()],
            vec!["Function 0 call_1 f".into()],
            vec!["arguments 0 {}".into()],
            nothing(),
            vec!["ToolCalls".into()],
        ]
    );
}

#[test]
fn a_later_call_waits_for_the_end_of_an_earlier_one() {
    let got = steps(
        Plan::default(),
        &[
            given::call(0, "a"),
            given::call(1, "b"),
            given::arguments(1, "{\"b\""),
            given::arguments(0, "{\"a\""),
            given::call_done(1, "b", "{\"b\":1}"),
            given::call_done(0, "a", "{\"a\":1}"),
        ],
    );
    assert_eq!(got[..3], [vec!["Function 0 a f".to_owned()], nothing(), nothing()]);
    assert_eq!(got[3..5], [vec!["arguments 0 {\"a\"".to_owned()], nothing()]);
    assert_eq!(
        got[5],
        ["arguments 0 :1}", "Function 1 b f", "arguments 1 {\"b\"", "arguments 1 :1}"]
    );
}

#[test]
fn an_answer_begins_with_the_first_event_of_substance() {
    for (event, begins) in [
        (given::created("auto"), false),
        (json!({"type": "response.in_progress", "response": {}}), false),
        (json!({"type": "codex.rate_limits"}), false),
        (json!({"type": "response.output_item.added", "item": {"type": "reasoning"}}), true),
        (given::text(0, "Hi"), true),
        (given::completed(), true),
    ] {
        let mut reader = reader(Plan::default());
        reader.event(&event.to_string(), &mut Script::default()).unwrap();
        assert_eq!(reader.has_begun(), begins, "{event}");
    }
}

#[test]
fn a_failure_ends_an_answer_without_a_reason_and_shows_what_was_held_back() {
    let plan = Plan { stops: vec!["STOP".into()], ..Plan::default() };
    let mut reader = reader(plan);
    let mut script = Script::default();
    for event in [given::message(0), given::text(0, "Well ST")] {
        reader.event(&event.to_string(), &mut script).unwrap();
    }
    let fault = reader.event(&given::failed().to_string(), &mut script).unwrap_err();
    let ReadError::Reported(report) = fault else { panic!("{fault:?}") };
    assert_eq!(report.code.as_deref(), Some("server_error"));
    assert_eq!(script.0, ["content Well ", "content ST"]);
    let late = reader.event(&given::text(0, "late").to_string(), &mut script);
    assert_eq!(late, Ok(Progress::Ended));
    assert_eq!(script.0.len(), 2);
}

#[test]
fn a_failure_before_anything_leaves_the_answer_unbegun() {
    let mut reader = reader(Plan::default());
    let mut script = Script::default();
    reader.event(&given::created("auto").to_string(), &mut script).unwrap();
    assert!(reader.event(&given::failed().to_string(), &mut script).is_err());
    assert!(!reader.has_begun() && script.0.is_empty());
}

#[test]
fn a_damaged_event_ends_an_answer_and_is_not_left_out() {
    let mut reader = reader(Plan { stops: vec!["STOP".into()], ..Plan::default() });
    let mut script = Script::default();
    let damaged = r#"{"type":"response.output_text.delta","delta":"un"#;
    assert_eq!(reader.event(damaged, &mut script), Err(ReadError::InvalidEvent));
    assert!(!reader.has_begun());
    reader.event(&given::text(0, "This is ST").to_string(), &mut script).unwrap();
    assert_eq!(reader.event(damaged, &mut script), Err(ReadError::InvalidEvent));
    assert_eq!(script.0, ["content This is ", "content ST"]);
    assert_eq!(reader.event(&given::completed().to_string(), &mut script), Ok(Progress::Ended));
    assert_eq!(script.0.len(), 2, "no finish");
}

#[test]
fn items_and_parts_without_end_end_an_answer() {
    let added = |kind: &str| {
        let kind = kind.to_owned();
        move |n: u64| {
            json!({"type": "response.output_item.added", "output_index": n,
                "item": {"type": kind, "content": []}})
        }
    };
    let parts =
        |n: u64| json!({"type": "response.output_text.delta", "content_index": n, "delta": "x"});
    let thoughts = |n: u64| json!({"type": "response.reasoning_summary_text.delta", "summary_index": n, "delta": "x"});
    let forms: [&dyn Fn(u64) -> Value; 6] = [
        &added("message"),
        &added("function_call"),
        &added("tea"),
        &|n| given::text(n, "x"),
        &parts,
        &thoughts,
    ];
    for form in forms {
        let mut reader = reader(Plan::default());
        let fault = (0..10_000)
            .find_map(|n| reader.event(&form(n).to_string(), &mut Script::default()).err());
        assert_eq!(fault, Some(ReadError::TooManyItems), "{}", form(0));
    }
}

#[test]
fn an_answer_that_is_cut_here_says_so_and_estimates_its_cost() {
    let plan = Plan { stops: vec!["STOP".into()], ..Plan::default() };
    let mut reader = reader(plan);
    let mut script = Script::default();
    reader.event(&given::message(0).to_string(), &mut script).unwrap();
    let progress = reader.event(&given::text(0, "12345678STOP9").to_string(), &mut script);
    assert_eq!(progress, Ok(Progress::Ended));
    assert!(reader.was_cut());
    assert_eq!(script.0, ["content 12345678", "Stop"]);
    let usage = reader.usage(400);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (100, 2, 102));
}

#[test]
fn an_answer_to_its_end_has_the_cost_and_the_facts_that_the_backend_tells() {
    let mut reader = reader(Plan::default());
    assert_eq!(reader.service_tier(), ServiceTier::Default);
    let mut script = Script::default();
    for event in [given::created("priority"), given::completed()] {
        reader.event(&event.to_string(), &mut script).unwrap();
    }
    assert!(!reader.was_cut());
    assert_eq!(reader.upstream_model(), Some("gpt-5.5"));
    // The first word counts: chunks may have gone out with it.
    assert_eq!(reader.service_tier(), ServiceTier::Priority);
    let usage = reader.usage(400);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (3, 2, 5));
    assert_eq!(script.0, ["Stop"]);
}

#[test]
fn a_stop_in_held_text_keeps_what_follows_from_being_told() {
    // The refusal sets the held text free, of which the last token is too much.
    let refusal = json!({"type": "response.refusal.delta", "output_index": 0, "content_index": 1,
        "delta": "No."});
    let image = json!({"type": "response.output_item.done", "output_index": 1,
        "item": {"type": "image_generation_call", "result": "AAAA"}});
    for next in [refusal, given::call(1, "call_1"), image] {
        let plan = Plan { stops: vec!["STOP".into()], max_tokens: Some(2), ..Plan::default() };
        let got = steps(plan, &[given::message(0), given::text(0, "One twoST"), next.clone()]);
        let last = got.last().unwrap();
        assert_eq!(last.last().map(String::as_str), Some("Length"), "{next}");
        assert!(
            last.iter().all(|piece| piece == "Length" || piece.starts_with("content")),
            "{next}"
        );
    }
}

#[test]
fn thoughts_within_the_content_are_closed_before_anything_else() {
    let plan = || Plan { reasoning: Reasoning::Think, ..Plan::default() };
    let refusal = json!({"type": "response.refusal.delta", "output_index": 1, "delta": "No."});
    for (next, expected) in [
        (given::text(1, "Hi"), "content Hi"),
        (refusal, "refusal No."),
        (given::call(1, "call_1"), "Function 0 call_1 f"),
        (given::completed(), "Stop"),
    ] {
        let got = steps(plan(), &[given::thought(0, "Hm"), next]);
        assert_eq!(got[0], ["content <think>Hm"]);
        assert_eq!(got[1], ["content </think>\n\n", expected]);
    }
}

#[test]
fn forms_of_calls_follow_the_request() {
    let custom = json!({"type": "response.output_item.done", "output_index": 0, "item":
        {"type": "custom_tool_call", "call_id": "call_1", "name": "run", "input": "ls"}});
    let kinds = |plan: Plan| steps(plan, std::slice::from_ref(&custom)).remove(0).remove(0);
    let declared = Plan { custom_tools: ["run".to_owned()].into(), ..Plan::default() };
    assert_eq!(kinds(declared), format!("{:?} 0 call_1 run", CallKind::Custom));
    assert_eq!(kinds(Plan::default()), format!("{:?} 0 call_1 run", CallKind::Function));
    let legacy = Plan { legacy_functions: true, ..Plan::default() };
    assert_eq!(kinds(legacy), format!("{:?} 0 call_1 run", CallKind::Legacy));
}

/// Makes the events of an answer of some size.
type Make<'m> = &'m dyn Fn(usize) -> Vec<Value>;

/// The steps that it takes to read these events.
fn steps_of(plan: &Plan, events: &[Value], sink: &mut impl Sink) -> u64 {
    let events: Vec<String> = events.iter().map(Value::to_string).collect();
    let mut reader = reader(plan.clone());
    super::super::steps::counted(|| {
        for event in &events {
            reader.event(event, sink).unwrap();
        }
        assert_eq!(reader.progress(), Progress::Ended);
    })
}

#[test]
fn nothing_is_told_of_a_call_that_turns_out_to_be_another_one() {
    let plan = || Plan { custom_tools: ["run".to_owned()].into(), ..Plan::default() };
    let added = json!({"type": "response.output_item.added", "output_index": 0, "item":
        {"type": "custom_tool_call", "call_id": "call_1", "name": "run", "input": ""}});
    let other = |event: &str| {
        json!({"type": format!("response.output_item.{event}"), "output_index": 0, "item":
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":2}"}})
    };
    for event in ["added", "done"] {
        let mut script = Script::default();
        let mut reader = reader(plan());
        reader.event(&added.to_string(), &mut script).unwrap();
        let before = script.0.clone();
        assert_eq!(before.len(), 1);
        assert!(reader.event(&other(event).to_string(), &mut script).is_err(), "{event}");
        assert_eq!(script.0, before, "{event}");
    }
}

#[test]
fn calls_without_ids_get_ids_that_no_other_answer_has() {
    let long = format!("resp_{}", "0123456789".repeat(10));
    for (id, expected) in [
        (Some("resp_0a1B"), ["call_0a1B_0", "call_0a1B_1"]),
        (Some("odd id-!"), ["call_oddid_0", "call_oddid_1"]),
        (Some(""), ["call_0", "call_1"]),
        (None, ["call_0", "call_1"]),
        (
            Some(&long),
            [
                "call_012345678901234567890123456789012345678901234567_0",
                "call_012345678901234567890123456789012345678901234567_1",
            ],
        ),
    ] {
        let created = json!({"type": "response.created", "response": {"id": id}});
        let events = [
            created,
            given::call_done(0, "", "{}"),
            given::call_done(1, "", "{}"),
            given::completed(),
        ];
        let mut script = Script::default();
        let mut reader = reader(Plan::default());
        for event in events {
            reader.event(&event.to_string(), &mut script).unwrap();
        }
        let ids =
            script.0.iter().filter_map(|line| line.strip_prefix("Function ")?.split(' ').nth(1));
        assert_eq!(ids.collect::<Vec<_>>(), expected, "{id:?}");
    }
}

#[test]
fn twice_as_many_items_and_calls_take_twice_the_steps() {
    let message = |n: usize, id: &str| json!({"type": "message", "id": id, "content": [{"type": "output_text", "text": n.to_string()}]});
    let call = |n: usize, with_id: bool| {
        let id = if with_id { format!("call_{n}") } else { String::new() };
        json!({"type": "function_call", "call_id": id, "name": "f", "arguments": format!("[{n}]")})
    };
    let end =
        |output: Vec<Value>| json!({"type": "response.completed", "response": {"output": output}});
    let done = |at: Option<usize>, item: Value| json!({"type": "response.output_item.done", "output_index": at, "item": item});
    let added = |at: usize, item: &Value| json!({"type": "response.output_item.added", "output_index": at, "item": item});
    let kinds: [(&str, Make<'_>); 8] = [
        ("items in the last event alone", &|n| vec![end((0..n).map(|i| message(i, "")).collect())]),
        ("items of one id", &|n| {
            let mut events: Vec<_> = (0..n).map(|i| done(Some(i), message(i, "m"))).collect();
            events.push(end((0..n).map(|i| message(i, "m")).collect()));
            events
        }),
        ("items without a place", &|n| {
            let mut events: Vec<_> =
                (0..n).map(|i| done(None, message(i, &format!("m{i}")))).collect();
            events.push(end((0..n).map(|i| message(i, "")).collect()));
            events
        }),
        ("items that have moved", &|n| {
            let mut events: Vec<_> =
                (0..n).map(|i| done(Some(2 * i + 1), message(i, ""))).collect();
            events.push(end((0..n).map(|i| message(i, "")).collect()));
            events
        }),
        ("calls", &|n| {
            let mut events: Vec<_> = (0..n).map(|i| done(Some(i), call(i, true))).collect();
            events.push(end((0..n).map(|i| call(i, true)).collect()));
            events
        }),
        ("calls without ids", &|n| {
            let mut events: Vec<_> = (0..n).map(|i| done(Some(i), call(i, false))).collect();
            events.push(end(Vec::new()));
            events
        }),
        ("calls in turns", &|n| {
            let mut events: Vec<_> = (0..n).map(|i| added(i, &call(i, true))).collect();
            events.extend((0..n).map(|i| given::arguments(i as u64, &format!("[{i}]"))));
            events.extend((0..n).map(|i| done(Some(i), call(i, true))));
            events.push(end(Vec::new()));
            events
        }),
        ("deltas", &|n| {
            let mut events: Vec<_> = (0..n).map(|_| given::text(0, "a ")).collect();
            events.push(given::completed());
            events
        }),
    ];
    for (kind, make) in kinds {
        let work = |n: usize| {
            let whole = steps_of(
                &Plan::default(),
                &make(n),
                &mut crate::chat::completion::CompletionBuilder::default(),
            );
            whole + steps_of(&Plan::default(), &make(n), &mut Script::default())
        };
        let (once, twice) = (work(400), work(800));
        assert!(twice <= once * 21 / 10, "{kind}: {once}, {twice}");
        assert!(once <= 400 * 40, "{kind}: {once}");
    }
}

#[test]
fn what_takes_long_is_seen_before() {
    const LONG: usize = 1 << 20;
    let text = "word ".repeat(20_000);
    let large = given::text(0, &text).to_string();
    let small = r#"{"type":"response.output_text.delta","output_index":0,"delta":"word"}"#;
    let plain = reader(Plan::default());
    assert!(plain.work(&large) < LONG && plain.work(small) < 1000);
    let capped = || reader(Plan { max_tokens: Some(50_000), ..Plan::default() });
    assert!(capped().work(&large) > LONG, "large texts are counted");
    let mut reader = capped();
    assert!(reader.work(small) < 1000, "small ones need not be before there are enough");
    for _ in 0..12_499 {
        reader.event(small, &mut Script::default()).unwrap();
    }
    assert!(reader.work(small) > LONG, "and then all are counted at once");
    reader.event(small, &mut Script::default()).unwrap();
    reader.event(&given::text(0, " word").to_string(), &mut Script::default()).unwrap();
    assert!(reader.work(small) < LONG / 4, "once");
    let long = Plan { stops: vec!["x".repeat(200_000)], ..Plan::default() };
    let mut reader = self::reader(long);
    assert!(reader.work(small) > LONG, "long sequences are made ready first");
    reader.event(small, &mut Script::default()).unwrap();
    assert!(reader.work(small) < 10_000);
    // What is to be told anew is told at the end.
    let mut reader = self::reader(Plan::default());
    let mut whole = crate::chat::completion::CompletionBuilder::default();
    for event in [given::text(0, &text.repeat(11)), given::text(0, "x")] {
        reader.event(&event.to_string(), &mut whole).unwrap();
    }
    let done =
        json!({"type": "response.output_text.done", "output_index": 0, "text": text.repeat(12)});
    reader.event(&done.to_string(), &mut whole).unwrap();
    assert!(reader.work(small) < 1000 && reader.work(&given::completed().to_string()) > LONG);
}
