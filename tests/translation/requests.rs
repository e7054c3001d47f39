//! Whatever a client sends, the backend gets something it takes, or nothing.

use std::sync::LazyLock;

use codex_proxy::chat::invalid_request::InvalidRequest;
use codex_proxy::chat::request::Request;
use codex_proxy::conversation::ReplaySource;
use codex_proxy::effort::Effort;
use codex_proxy::platform::Platform;
use codex_proxy::simulator::{Simulator, default_models};
use codex_proxy::translate::policy::Policy;
use codex_proxy::translate::request::{Model, translate};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use serde_json::{Map, Value, json};

use crate::upstream;

static SIMULATOR: LazyLock<Simulator> = LazyLock::new(Simulator::default);

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let model = default_models().remove(0);
    Model {
        slug: model.slug,
        efforts: model.efforts.iter().filter_map(|effort| Effort::parse(effort.as_str())).collect(),
        ultra: Effort::Max,
        effort: None,
        reasons: true,
        summaries: true,
        verbosity: true,
    }
});

fn send(body: &str, policy: Policy) -> Result<String, InvalidRequest> {
    let body = codex_proxy::json::parse(body.as_bytes()).unwrap();
    let chat = Request::read(&body)?;
    let translated = translate(&chat, &MODEL, policy, &ReplaySource::unknown())?;
    Ok(serde_json::to_string(&translated.request).unwrap())
}

/// What the backend refuses for reasons that are the client's own and that only it can judge.
fn is_passed_on(refusal: &Value) -> bool {
    let message = refusal["error"]["message"].as_str().unwrap_or_default();
    let passed_on = ["Invalid schema for ", "The image data you provided "];
    passed_on.iter().any(|start| message.starts_with(start))
        // Whether base64 is sound is found out where it is decoded.
        || message.contains("file_data'. Expected a base64-encoded data URL")
}

fn check(body: &Value) -> Result<(), TestCaseError> {
    let text = body.to_string();
    for strict in [false, true] {
        let policy = Policy { strict, ..Policy::default() };
        match send(&text, policy) {
            Err(reject) => {
                prop_assert!(reject.message.len() > 15, "{reject:?}");
                prop_assert_eq!(reject.param.is_some(), reject.code.is_some(), "{:?}", reject);
                prop_assert!(reject.param != Some(String::new()), "{:?}", reject);
            }
            Ok(sent) => {
                prop_assert_eq!(send(&text, policy), Ok(sent.clone()));
                let sent: Value = serde_json::from_str(&sent).unwrap();
                prop_assert_eq!(upstream::check(&sent, Platform::Codex), Ok(()), "{}", sent);
                if let Some((status, refusal)) = SIMULATOR.refuses(&sent) {
                    prop_assert!(is_passed_on(&refusal), "{} {} for {}", status, refusal, sent);
                }
            }
        }
        let public = Policy { platform: Platform::OpenAiApi, ..policy };
        if let Ok(sent) = send(&text, public) {
            let sent: Value = serde_json::from_str(&sent).unwrap();
            prop_assert_eq!(upstream::check(&sent, Platform::OpenAiApi), Ok(()), "{}", sent);
        }
    }
    Ok(())
}

// === Plausible requests, and odd ones ===

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(vec!["", " ", "hello", "Answer in JSON.", "{\"a\":1}", "{}", "é🌍", "\u{0}\n"])
            .prop_map(str::to_owned),
        1 => "\\PC{0,12}",
        1 => (60..70_usize).prop_map(|n| "x".repeat(n)),
    ]
}

fn name() -> impl Strategy<Value = String> {
    let names = [
        "f",
        "g",
        "get_weather",
        "mcp.read",
        "mcp/read",
        "mcp_read",
        "погода",
        "прогон",
        "",
        "multi_tool_use.parallel",
        "a b",
        "______",
    ];
    prop_oneof![
        8 => select(names.to_vec()).prop_map(str::to_owned),
        1 => (63..67_usize).prop_map(|n| "n".repeat(n)),
    ]
}

fn id() -> impl Strategy<Value = Option<String>> {
    let long = "call_".to_owned() + &"é".repeat(70);
    let longer = "call_".to_owned() + &"z".repeat(64);
    let ids = ["", "call_0", "call_0_2", "call_1", "call_2", "call_legacy_1", &long, &longer];
    of(select(ids.map(str::to_owned).to_vec()))
}

fn part() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => word().prop_map(|text| json!({"type": "text", "text": text})),
        1 => word().prop_map(|text| json!({"type": "refusal", "refusal": text})),
        1 => word().prop_map(Value::from),
        2 => select(vec![
            json!({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}),
            json!({"type": "image_url", "image_url": "data:image/jpg;base64,iVBOR w0KGgo="}),
            json!({"type": "input_image", "image_url": "HTTP://a.example/", "detail": "low"}),
            json!({"type": "file", "file": {"file_data": "JVBERi0x", "filename": "a.txt"}}),
            json!({"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x"}}),
            json!({"type": "input_file", "file_url": "https://a.example/b.pdf"}),
            json!({"type": "thinking", "thinking": "hm"}),
            json!({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}),
        ]),
    ]
}

fn content() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => word().prop_map(Value::from),
        2 => vec(part(), 0..4).prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn arguments() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::from),
        Just(json!({"a": [1, null]})),
        Just(Value::Null),
        Just(json!(7)),
    ]
}

fn call() -> impl Strategy<Value = Value> {
    (id(), name(), arguments(), any::<bool>()).prop_map(|(id, name, arguments, is_custom)| {
        if is_custom {
            let input = arguments.as_str().unwrap_or("x");
            json!({"id": id, "type": "custom", "custom": {"name": name, "input": input}})
        } else {
            json!({"id": id, "type": "function",
                "function": {"name": name, "arguments": arguments}})
        }
    })
}

fn message() -> impl Strategy<Value = Value> {
    let simple = select(vec!["system", "developer", "user", "user", "assistant"]);
    prop_oneof![
        6 => (simple, content()).prop_map(|(role, content)| json!({"role": role, "content": content})),
        3 => (content(), vec(call(), 0..4), of(word())).prop_map(|(content, calls, refusal)| {
            json!({"role": "assistant", "content": content, "tool_calls": calls,
                "refusal": refusal, "reasoning_content": "hm", "id": "msg_1"})
        }),
        4 => (id(), prop_oneof![3 => content(), 1 => arguments()]).prop_map(|(id, content)| {
            json!({"role": "tool", "tool_call_id": id, "content": content})
        }),
        1 => (name(), arguments()).prop_map(|(name, arguments)| {
            json!({"role": "assistant", "content": null,
                "function_call": {"name": name, "arguments": arguments}})
        }),
        1 => (name(), content()).prop_map(|(name, content)| {
            json!({"role": "function", "name": name, "content": content})
        }),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    select(vec![
        Value::Null,
        json!({}),
        json!({"type": "object", "properties": {"a": {"type": "string", "default": null}}}),
        json!({"properties": {"a": {}}, "$schema": "x"}),
        json!({"type": null, "properties": null}),
        json!({"allOf": [{"type": "object", "properties": {}}]}),
        json!({"oneOf": null, "type": "object"}),
        json!({"anyOf": [{"type": "object"}]}),
    ])
}

fn tool() -> impl Strategy<Value = Value> {
    let strict = select(vec![Value::Null, json!(false), json!(true)]);
    prop_oneof![
        5 => (name(), schema(), strict, any::<bool>()).prop_map(|(name, schema, strict, is_flat)| {
            let inner = json!({"name": name, "parameters": schema, "strict": strict,
                "description": null, "x-extra": 1});
            if is_flat {
                let mut flat = inner;
                flat["type"] = "function".into();
                flat
            } else {
                json!({"type": "function", "function": inner})
            }
        }),
        1 => (name(), select(vec![
            Value::Null,
            json!({"type": "text"}),
            json!({"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}),
        ])).prop_map(|(name, format)| {
            json!({"type": "custom", "custom": {"name": name, "format": format}})
        }),
        1 => select(vec![
            json!({"type": "web_search_preview", "search_context_size": "low"}),
            json!({"type": "web_search", "filters": {"allowed_domains": ["a.example"], "x": null},
                "user_location": {"type": "approximate", "city": "Rome", "region": null}}),
            json!({"type": "image_generation", "size": "1024x1024", "quality": null, "n": 2}),
        ]),
    ]
}

fn choice() -> impl Strategy<Value = Value> {
    let named = (select(vec!["function", "custom"]), name())
        .prop_map(|(kind, name)| json!({"type": kind, kind: {"name": name}}))
        .boxed();
    prop_oneof![
        3 => select(vec!["none", "auto", "required", "any"]).prop_map(Value::from),
        2 => named.clone(),
        1 => vec(named, 0..3).prop_map(|tools| {
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}})
        }),
    ]
}

/// Any of the fields beside messages and tools.
fn setting() -> impl Strategy<Value = (&'static str, Value)> {
    let efforts = Effort::ALL.map(Effort::as_str).to_vec();
    let values: Vec<(&str, Value)> = vec![
        ("stream", json!(true)),
        ("stream_options", json!({"include_usage": true, "include_obfuscation": null})),
        ("max_tokens", json!(5)),
        ("max_completion_tokens", json!(16.0)),
        ("stop", json!(["a", "", "b"])),
        ("stop", json!("a")),
        ("n", json!(3)),
        ("temperature", json!(0)),
        ("top_p", json!(0.5)),
        ("seed", json!(1)),
        ("logprobs", json!(false)),
        ("user", json!({"id": 1})),
        ("user", json!("u")),
        ("metadata", json!({"a": "b"})),
        ("store", json!(true)),
        ("service_tier", json!("priority")),
        ("service_tier", json!("flex")),
        ("modalities", json!(["text"])),
        ("prediction", json!({"type": "content", "content": "x"})),
        ("response_format", json!({"type": "json_object"})),
        ("response_format", json!({"type": "json_object", "schema": {"properties": {}}})),
        ("response_format", json!({"type": "json_schema", "json_schema": {"strict": true}})),
        (
            "response_format",
            json!({"type": "json_schema", "json_schema":
                {"name": "a b/c", "schema": {"properties": {}}, "strict": null}}),
        ),
        ("verbosity", json!("low")),
        ("text", json!({"verbosity": "high", "format": {"type": "text"}})),
        ("reasoning", json!({"effort": "high", "summary": "detailed", "exclude": true})),
        ("reasoning", json!({"enabled": false})),
        ("thinking", json!({"type": "disabled"})),
        ("web_search_options", json!({"user_location": {"approximate": {"country": "IT"}}})),
        ("parallel_tool_calls", json!(false)),
        ("prompt_cache_key", json!("é".repeat(65))),
        ("prompt_cache_key", json!("")),
        ("prompt_cache_retention", json!("24h")),
        ("top_k", json!(1)),
        ("evil\r\nheader: 1", json!(1)),
    ];
    prop_oneof![
        6 => select(values),
        1 => select(efforts).prop_map(|effort| ("reasoning_effort", json!(effort))),
    ]
}

prop_compose! {
    fn request()(
        messages in vec(message(), 1..8),
        tools in of(vec(tool(), 0..5)),
        is_legacy in prop::bool::weighted(0.1),
        choice in of(choice()),
        settings in vec(setting(), 0..5),
    ) -> Value {
        let mut body = Map::from_iter([
            ("model".to_owned(), json!("gpt-5.5")),
            ("messages".to_owned(), messages.into()),
        ]);
        if is_legacy {
            let functions = tools.into_iter().flatten().filter_map(|mut tool| {
                tool.get_mut("function").map(Value::take)
            });
            body.insert("functions".to_owned(), functions.collect());
        } else {
            body.insert("tools".to_owned(), json!(tools));
            body.insert("tool_choice".to_owned(), json!(choice));
        }
        for (key, value) in settings {
            body.insert(key.to_owned(), value);
        }
        Value::Object(body)
    }
}

/// Any JSON, not deep.
fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        select(vec!["assistant", "tool", "function", "text", "system"]).prop_map(Value::from),
    ];
    let key = select(vec!["type", "role", "content", "id", "name", "text", "function", "x"]);
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key.clone(), inner), 0..4).prop_map(|fields| {
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

/// How many values there are in a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Puts `new` in place of the value number `at`, counted depth first.
fn replace(value: &mut Value, at: usize, new: &Value) {
    let mut left = at;
    let inner: Vec<&mut Value> = match value {
        _ if at == 0 => return value.clone_from(new),
        Value::Array(values) => values.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => return,
    };
    left -= 1;
    for value in inner {
        let size = count(value);
        if left < size {
            return replace(value, left, new);
        }
        left -= size;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases * 4,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_sent_is_allowed_and_always_the_same(body in request()) {
        check(&body)?;
    }

    #[test]
    fn spoilt_requests_are_refused_or_mended(
        mut body in request(),
        spoilt in vec((any::<prop::sample::Index>(), junk()), 1..4),
    ) {
        for (at, value) in spoilt {
            let at = at.index(count(&body));
            replace(&mut body, at, &value);
        }
        check(&body)?;
    }

    #[test]
    fn any_json_is_refused_or_translated(body in junk()) {
        check(&body)?;
        check(&json!({"model": "m", "messages": body}))?;
        check(&json!({"model": "m", "messages": [body]}))?;
        check(&json!({"model": "m", "messages": [{"role": "user", "content": body}]}))?;
        check(&json!({"model": "m", "messages": [{"role": "user"}], "tools": [body]}))?;
    }
}

/// The generator makes what it is meant to make: most requests get through, some do not.
#[test]
fn most_of_the_made_up_requests_are_good() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut good = 0;
    for _ in 0..300 {
        let body = request().new_tree(&mut runner).unwrap().current();
        good += usize::from(send(&body.to_string(), Policy::default()).is_ok());
    }
    assert!((100..300).contains(&good), "{good} of 300");
}
